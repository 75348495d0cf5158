/**
 * `connect` and `run`: ask, wait, use the key in one child process, and give it back. Whatever can be refused without asking (a missing
 * program, an unknown form) is refused before anybody is asked to approve.
 */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GrantView } from "@cardea/core/wire/api/grants";
import type { RequestView } from "@cardea/core/wire/api/requests";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { CardeaError, type ErrorCode } from "@cardea/core/contract/errors";
import type { WishOptions } from "../commands/wish-options.ts";
import type { Context } from "../context.ts";
import { keepAuthority } from "../keys/authority.ts";
import { forgetDeliveryKey } from "../keys/delivery-store.ts";
import { grantInHand } from "../keys/in-hand.ts";
import { fileRequest, takeKey, untilDecided } from "../keys/obtain.ts";
import { connectionUri, fillTemplate, libpqAddress, libpqEnvironment, passfileLine } from "../keys/render.ts";
import { findProgram, runChild, type ChildProgram } from "./child.ts";
import { readUserFile } from "../user-files.ts";
import { waitLimit, wishOf } from "./wish.ts";

export type ConnectOptions = WishOptions;

export interface RunOptions extends WishOptions {
  readonly keyAs: string;
}

/** The client that `connect` opens for a kind of resource, and how it takes a key. */
interface Client {
  readonly program: string;
  readonly environment: Handover;
}

const clients: Readonly<Record<string, Client>> = {
  postgres: { program: "psql", environment: (key, { caFile }) => libpqEnvironment(key, caFile) },
};

/** The private folder of one child process, removed with the key, and where in it the gateway's authority is. */
interface Place {
  readonly directory: string;
  readonly caFile: string | undefined;
}

/** How a key is handed to a program; may write files into the private folder. */
type Handover = (key: DeliveredKey, place: Place) => Record<string, string> | Promise<Record<string, string>>;

export async function connect(
  context: Context,
  resource: string,
  args: readonly string[],
  options: ConnectOptions,
): Promise<number> {
  const { kind } = await (await context.client()).resource(resource);
  const client = Object.hasOwn(clients, kind) ? clients[kind] : undefined;
  const instead = `\`cardea run ${resource} … -- your-client\` hands the key to any other`;
  if (client === undefined)
    throw new CardeaError("usage", `no client is known for resources of kind \`${kind}\`; ${instead}`);
  const command = await findProgram(client.program, context.environment);
  if (command === undefined)
    throw new CardeaError("usage", `\`${client.program}\` is not installed or not on the PATH; ${instead}`);
  return withKey(context, resource, options, { command, args, environment: client.environment });
}

export async function runCommand(
  context: Context,
  resource: string,
  [name = "", ...args]: readonly string[],
  options: RunOptions,
): Promise<number> {
  const command = await findProgram(name, context.environment);
  if (command === undefined)
    throw new CardeaError("usage", `\`${name}\` was not found; is it installed and on the PATH?`);
  return withKey(context, resource, options, { command, args, environment: await handover(context, options.keyAs) });
}

/**
 * Obtains a key, runs one child with it, and answers the child's exit code. A grant that was asked for here is released whatever happens;
 * one that was there already stays.
 */
async function withKey(
  context: Context,
  resource: string,
  options: WishOptions,
  child: Omit<ChildProgram, "environment"> & { readonly environment: Handover },
): Promise<number> {
  const limit = waitLimit(options, context.nowMs());
  const there = await grantInHand(context, resource, options);
  const decided = there ?? (await untilDecided(context, await fileRequest(context, wishOf(resource, options)), limit));
  const directory = await mkdtemp(join(tmpdir(), "cardea-key-"));
  try {
    await chmod(directory, 0o700);
    const { grant, key } = await takeKey(context, decided);
    context.terminal.note(
      `${grant.id}: ${resource} as ${grant.role ?? "approved"} until ${key.notAfter}${key.via === "gateway" ? ", through the gateway" : ""}`,
    );
    const place = { directory, caFile: await keepAuthority(key, directory) };
    const environment = { ...context.environment, ...(await child.environment(key, place)) };
    return await runChild({ ...child, environment });
  } finally {
    await rm(directory, { recursive: true, force: true });
    if (there === undefined) await giveBack(context, decided);
    else if (there.grant !== undefined)
      context.terminal.note(`${there.grant.id} stays yours; \`cardea release ${there.grant.id}\` gives it back`);
  }
}

/** What a release may find: it is over already, or its window has not begun and it will never be used. */
const over: readonly ErrorCode[] = ["grant_ended", "grant_not_active", "grant_failed"];

/** Releasing is a courtesy: where it fails the key ends by itself, and the person is told. */
async function giveBack(context: Context, decided: RequestView): Promise<void> {
  const { grant }: { grant?: GrantView | undefined } = decided;
  if (grant === undefined) return;
  try {
    await (await context.client()).release(grant.id);
    context.terminal.note(`${grant.id} released`);
  } catch (error) {
    if (error instanceof CardeaError && over.includes(error.code)) return;
    context.terminal.note(
      `${grant.id} could not be released (${error instanceof Error ? error.message : "unknown"}); it ends by itself at ${grant.document.window.notAfter}`,
    );
  } finally {
    await forgetDeliveryKey((await context.home()).directory, decided.document.asked.deliverTo);
  }
}

/** What `--key-as` says. @throws CardeaError `usage` */
async function handover(context: Context, form: string): Promise<Handover> {
  const kept = async (directory: string, name: string, text: string) => {
    const path = join(directory, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  };
  if (form === "env") return (key, { caFile }) => libpqEnvironment(key, caFile);
  if (form === "uri") return (key, { caFile }) => ({ DATABASE_URL: connectionUri(key, caFile) });
  if (form === "pgpass")
    return async (key, { directory, caFile }) => ({
      ...libpqAddress(key, caFile),
      PGPASSFILE: await kept(directory, "pgpass", `${passfileLine(key)}\n`),
    });
  if (form === "json")
    return async (key, { directory }) => ({
      CARDEA_KEY_FILE: await kept(directory, "key.json", `${JSON.stringify(key)}\n`),
    });
  if (form.startsWith("template:")) {
    const template = await readUserFile(context, form.slice("template:".length));
    return async (key, { directory, caFile }) => ({
      CARDEA_KEY_FILE: await kept(directory, "key", fillTemplate(template, key, caFile)),
    });
  }
  throw new CardeaError("usage", `--key-as: \`${form}\` is none of env, uri, pgpass, json, template:PATH`);
}
