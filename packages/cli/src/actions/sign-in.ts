/** Enrolling, signing in and out. */
import { rm } from "node:fs/promises";
import { hostname } from "node:os";
import { CardeaError, type ErrorCode } from "@cardea/core/contract/errors";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { CardeaClient } from "@cardea/sdk/client";
import { deviceKey, enrolKey } from "@cardea/sdk/device-key";
import { userPath, type Context } from "../context.ts";
import { identityFile, writeIdentity, type Home, type Identity } from "../identity/identity.ts";
import { keepTrust, trustFile } from "../identity/pinned-trust.ts";
import { publicClient, Tokens } from "../identity/session-client.ts";
import { sshPublicKey, sshSigner } from "../identity/signing.ts";
import { fields } from "../output/table.ts";
import { relative } from "../output/times.ts";
import { readUserFile } from "../user-files.ts";
import { tellOwedReviews } from "./owed-reviews.ts";

export interface LoginOptions {
  readonly invitation?: string;
  readonly sshKey?: string;
  readonly label?: string;
}

export interface LogoutOptions {
  readonly forget?: true;
}

/** Signs in as whoever this machine acts as; with an invitation, or where it acts as nobody yet, enrols a key first. */
export async function login(context: Context, options: LoginOptions): Promise<void> {
  const home = await context.home();
  if (home.identity !== undefined && (options.invitation !== undefined || options.sshKey !== undefined)) {
    throw new CardeaError(
      "usage",
      `you are enrolled here as \`${home.identity.name}\` already; \`cardea logout --forget\` first, or keep both by another CARDEA_HOME`,
    );
  }
  const identity = home.identity ?? (await enrol(context, home, options));
  const client = publicClient(context.url, identity);
  const tokens = new Tokens(home.directory, identity, client.transport.baseUrl, context.nowMs);
  await tokens.renew();
  const who = await new CardeaClient({ baseUrl: client.transport.baseUrl, token: () => tokens.current() }).whoAmI();
  await keepTrust(home.directory, await client.trust());
  context.terminal.result(
    who,
    `signed in to ${client.transport.baseUrl} as ${who.name} (${who.permissions.join(", ")}) until ${who.expiresAt}; commands sign in again by themselves`,
  );
}

/** Ends the sign-in; with `--forget` the credential too, first there and then here. */
export async function logout(context: Context, { forget }: LogoutOptions): Promise<void> {
  const home = await context.home();
  const { identity } = home;
  if (identity === undefined) throw new CardeaError("unauthenticated", "nobody is signed in here");
  const client = await context.client();
  const gone: readonly ErrorCode[] = [
    "unauthenticated",
    "sign_in_expired",
    "signature_invalid",
    "credential_unknown",
    "not_found",
  ];
  const unlessGone = (error: unknown) => {
    if (!(error instanceof CardeaError && gone.includes(error.code))) throw error;
  };
  if (forget === true) await client.revokeCredential(identity.subject, identity.credential).catch(unlessGone);
  else await client.signOut().catch(unlessGone);
  await new Tokens(home.directory, identity, client.transport.baseUrl, context.nowMs).forget();
  if (forget === true)
    for (const path of [identityFile(home.directory), trustFile(home.directory)]) await rm(path, { force: true });
  context.terminal.result(
    { signedOut: identity.name, forgotten: forget === true },
    forget === true
      ? `${identity.name} is not known on this machine any more`
      : `${identity.name} is signed out; the next command signs in again`,
  );
}

export async function whoAmI(context: Context): Promise<void> {
  const client = await context.client();
  const who = await client.whoAmI();
  context.terminal.result(
    who,
    fields([
      ["name", who.displayName === who.name ? who.name : `${who.name} (${who.displayName})`],
      ["subject", `${who.subject}, ${who.kind}`],
      ["groups", who.groups.length === 0 ? "none" : who.groups.join(", ")],
      ["permissions", who.permissions.join(", ")],
      [
        "by",
        `${who.method} at ${client.transport.baseUrl}, until ${who.expiresAt} (${relative(who.expiresAt, context.nowMs())})`,
      ],
    ]),
  );
  await tellOwedReviews(context, client);
}

async function enrol(
  context: Context,
  { directory }: Home,
  { invitation, sshKey, label }: LoginOptions,
): Promise<Identity> {
  const client = publicClient(context.url, undefined);
  // Before the invitation is spent: a wrong address must not cost it.
  const { publicUrl } = await client.meta();
  const ssh = sshKey === undefined ? undefined : userPath(sshKey);
  const seed = context.random.bytes(32);
  const offered =
    ssh === undefined
      ? { kind: "device" as const, publicKey: deviceKey(seed).publicKey, label: label ?? hostname() }
      : { kind: "ssh" as const, publicKey: await sshPublicKey(ssh), label: label ?? ssh.slice(-100) };
  const text = await invitationText(context, invitation);
  const enrolled = await enrolKey(client, text, offered, ssh === undefined ? deviceKey(seed).sign : sshSigner(ssh));
  const head = {
    v: 1 as const,
    url: client.transport.baseUrl,
    origin: publicUrl,
    name: enrolled.name,
    subject: enrolled.subject,
    credential: enrolled.credential,
  };
  const identity: Identity =
    ssh === undefined ? { ...head, kind: "device", seed: toBase64Url(seed) } : { ...head, kind: "ssh", key: ssh };
  await writeIdentity(directory, identity);
  return identity;
}

/** From the option, from standard input, or asked for without an echo. */
async function invitationText(context: Context, option: string | undefined): Promise<string> {
  if (option !== undefined && option !== "-") return option.trim();
  if (option === "-" || !context.stdin.isTTY) {
    const text = (await readUserFile(context, "-")).trim();
    if (text === "")
      throw new CardeaError(
        "usage",
        "nobody is enrolled here, and standard input holds no invitation; ask an administrator for one (`cardea people invite`)",
      );
    return text;
  }
  const { password, isCancel } = await import("@clack/prompts");
  const answer = await password({
    message: "The invitation (from `cardea people invite`, or the set-up token)",
    mask: "·",
  });
  if (isCancel(answer)) throw new CardeaError("cancelled", "nothing was sent");
  return answer.trim();
}
