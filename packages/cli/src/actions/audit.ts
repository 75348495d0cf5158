/** The log, read, followed, kept and verified. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { AuditEntry, AuditQuery } from "@cardea/core/wire/api/operations";
import { CardeaError } from "@cardea/core/contract/errors";
import { opensCommitment } from "@cardea/core/documents/audit-leaf";
import { followEvents } from "@cardea/sdk/events";
import { LogDirectory } from "@cardea/sdk/log-directory";
import { logOf, type LogSource } from "@cardea/sdk/log-source";
import { verifyWholeLog, type VerifiedLog } from "@cardea/sdk/verify-log";
import { userPath, type Context } from "../context.ts";
import { believedTrust, offlineTrust, type BelievedTrust } from "../identity/pinned-trust.ts";
import { readPrivate, writePrivate } from "../identity/private-file.ts";
import { publicClient } from "../identity/session-client.ts";
import { fields, table } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { takePages } from "./pages.ts";
import { instant, wholeNumber } from "./wish.ts";

export interface AuditOptions {
  readonly type?: string;
  readonly id?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit: string;
  readonly follow?: true;
  readonly after?: string;
}

export interface VerifyLogOptions {
  readonly trust?: string;
  readonly directory?: string;
}

export async function audit(context: Context, options: AuditOptions): Promise<void> {
  if (options.follow === true) {
    await follow(context, options);
    return;
  }
  const { type, id, from, to, limit } = options;
  if (options.after !== undefined)
    throw new CardeaError("usage", "--after goes with --follow; --from and --to pick entries by their time");
  const filter: Partial<AuditQuery> = {
    ...(type !== undefined && { type }),
    ...(id !== undefined && { id }),
    ...(from !== undefined && { from: instant("--from", from) }),
    ...(to !== undefined && { to: instant("--to", to) }),
  };
  const client = await context.client();
  const page = await takePages(wholeNumber("--limit", limit), (query) => client.audit({ ...filter, ...query }));
  context.terminal.result(page, auditTable(page.items, context.terminal));
}

/** What happens from now on, or from an entry on, until Ctrl-C. With `--json` one document a line. */
async function follow({ terminal, signal, client: opened }: Context, { type, id, after }: AuditOptions): Promise<void> {
  if (after !== undefined && !/^(?:-1|[0-9]{1,15})$/.test(after))
    throw new CardeaError("usage", `--after: \`${after}\` is not the index of an entry`);
  const following = {
    signal,
    ...(after !== undefined && { after: Number(after) }),
    onInterruption: (error: CardeaError | undefined, pauseMs: number) =>
      terminal.note(`${error?.message ?? "the stream ended"}; going on in ${pauseMs / 1_000} s`),
  };
  for await (const event of followEvents(await opened(), following)) {
    const { index, at, type: happened, ids } = event;
    if ((type !== undefined && type !== happened) || (id !== undefined && !Object.values(ids).includes(id))) continue;
    terminal.item(event, `${String(index).padStart(6)}  ${at}  ${happened.padEnd(20)}  ${idWords(ids)}`);
  }
}

export async function verifyLog(context: Context, { trust, directory }: VerifyLogOptions): Promise<void> {
  if (directory !== undefined) {
    const believed = await offlineTrust(context, trust);
    if (believed === undefined)
      throw new CardeaError(
        "usage",
        "say by --trust which trust document you believe; a copy of a log brings none of its own",
      );
    await verifyAndTell(context, new LogDirectory(userPath(directory)), believed);
    return;
  }
  const client = publicClient(context.url, (await context.home()).identity);
  await verifyAndTell(context, logOf(client), await believedTrust(context, trust, client));
}

/** Copies what was verified, tile by tile, the checkpoint last: the folder always holds a whole log or none. */
export async function exportLog(context: Context, directory: string, { trust }: VerifyLogOptions): Promise<void> {
  const client = publicClient(context.url, (await context.home()).identity);
  const copy = new LogDirectory(userPath(directory));
  const verified = await verifyAndTell(
    context,
    logOf(client),
    await believedTrust(context, trust, client),
    (path, bytes) => copy.writeTile(path, bytes),
  );
  await copy.writeCheckpoint(verified.checkpoint);
  context.terminal.note(
    `${directory} holds the log; \`cardea audit verify --directory ${directory}\` verifies it again without a server`,
  );
}

/** Verifies under a trust document and against the checkpoint remembered here, remembers the new one, and says all of it. */
async function verifyAndTell(
  context: Context,
  source: LogSource,
  { trust, source: whose }: BelievedTrust,
  onTile?: (path: string, bytes: Uint8Array) => Promise<void>,
): Promise<VerifiedLog> {
  const { terminal, signal } = context;
  const memory = await checkpointFile(context, trust.origin);
  const seen = await readPrivate(memory);
  let done = "reading the log";
  const options = {
    signal,
    onProgress: (hashed: number, of: number) => {
      done = `${hashed} of ${of} entries`;
    },
    ...(seen !== undefined && { seen }),
    ...(onTile !== undefined && { onTile }),
  };
  const verified = await terminal.during(
    () => done,
    () => verifyWholeLog(source, trust, options),
  );
  // An older copy of the log would have been refused, so this never goes backwards.
  await writePrivate(memory, verified.checkpoint);
  const { checkpoint, ...told } = verified;
  terminal.result(
    { ok: true, ...told, checkpoint, trust: { origin: trust.origin, source: whose } },
    verifiedWords(verified, whose, terminal),
  );
  return verified;
}

/** One checkpoint for each log, by the log's name. */
async function checkpointFile(context: Context, origin: string): Promise<string> {
  const name = createHash("sha256").update(origin).digest("hex").slice(0, 32);
  return join((await context.home()).directory, "checkpoints", name);
}

function verifiedWords(
  { origin, size, root, grewFrom, types }: VerifiedLog,
  whose: string,
  terminal: Terminal,
): string {
  const unreadable = types["unreadable"] ?? 0;
  return fields([
    ["log", `${origin}, ${size} entries: ${terminal.style("green", "verified")}`],
    ["root", root],
    ["under", whose],
    [
      "before",
      grewFrom === undefined
        ? "never verified here before; its checkpoint is remembered now"
        : `a continuation of the ${grewFrom} entries verified here before`,
    ],
    ...(unreadable === 0 ? [] : [["odd", `${unreadable} entries are not of a form that this version knows`] as const]),
  ]);
}

function auditTable(entries: readonly AuditEntry[], terminal: Terminal): string {
  if (entries.length === 0) return "no entries";
  const rows = entries.map(({ index, leaf, data, salt, actor }) => {
    // What stands beside the log is only as good as its commitment.
    const opens = data === undefined || salt === undefined || opensCommitment(leaf, salt, data);
    return [
      String(index),
      leaf.at,
      leaf.type,
      actor?.name ?? "",
      `${opens ? "" : `${terminal.style("red", "the data beside this entry is not what was logged")}  `}${idWords(leaf.ids)}`,
    ];
  });
  return table(["entry", "at", "type", "by", "about"], rows, terminal.columns);
}

/** What an entry is about, the nearest first. Who did it, and the entry's own id, are told elsewhere. */
const about = [
  "grant",
  "request",
  "subject",
  "approver",
  "resource",
  "lease",
  "key",
  "session",
  "credential",
  "token",
  "policy",
  "webhook",
  "outpost",
];

function idWords(ids: Readonly<Record<string, string>>): string {
  return about.flatMap((name) => ids[name] ?? []).join("  ");
}
