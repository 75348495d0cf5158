/** `login`, `logout`, `whoami`. */
import type { LoginOptions, LogoutOptions } from "../actions/sign-in.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/sign-in.ts");

export function addSignInCommands({ program, run }: Registry): void {
  program
    .command("login")
    .description("enrol this machine by an invitation (a device key, or your SSH key), or sign in anew")
    .option(
      "--invitation <text>",
      "- reads it from standard input, which keeps it out of process lists; default: asks for it",
    )
    .option(
      "--ssh-key <path>",
      "an Ed25519 SSH key to sign in with: the private half, or the public one where an agent has the other",
    )
    .option("--label <text>", "what the credential is called")
    .action(run(async (context, options: LoginOptions) => (await actions()).login(context, options)));

  program
    .command("logout")
    .description("end this sign-in; the next command signs in again")
    .option("--forget", "take the credential away too, here and at the control plane")
    .action(run(async (context, options: LogoutOptions) => (await actions()).logout(context, options)));

  program
    .command("whoami")
    .description("who you are here, and what you may do")
    .action(run(async (context) => (await actions()).whoAmI(context)));
}
