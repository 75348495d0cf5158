/** `evidence`, `verify`, `trust`: one file that proves a grant, and checking it without asking anybody. */
import type { EvidenceOptions, TrustOptions, VerifyOptions } from "../actions/evidence.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/evidence.ts");

export function addEvidenceCommands({ program, run }: Registry): void {
  program
    .command("evidence")
    .argument("<request>")
    .description("everything needed to check a request's grant offline, as one file")
    .option("-o, --output <file>", "write it there instead of standard output")
    .action(
      run(async (context, id: string, options: EvidenceOptions) => (await actions()).evidence(context, id, options)),
    );

  program
    .command("verify")
    .argument("<file>", "evidence, as `cardea evidence` writes it; - is standard input")
    .description(
      "check evidence offline: signatures, policy decided again, votes counted again, the log's proof (exit 1 where it is refused); tells what everybody at the resource may besides",
    )
    .option("--trust <file>", "the trust document that you believe (`cardea trust`); default: the one kept at sign-in")
    .action(
      run(async (context, file: string, options: VerifyOptions) => (await actions()).verify(context, file, options)),
    );

  program
    .command("trust")
    .description("the trust document: which keys and which log outposts and verifiers pin")
    .option("-o, --output <file>", "write it there instead of standard output")
    .action(run(async (context, options: TrustOptions) => (await actions()).trust(context, options)));
}
