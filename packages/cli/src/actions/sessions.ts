/** Connections made with keys, as their outposts tell of them. */
import type { SessionView } from "@cardea/core/wire/api/sessions";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Context } from "../context.ts";
import { table } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { relative } from "../output/times.ts";
import { grantId, sessionId } from "./ids.ts";
import { takePages } from "./pages.ts";
import { wholeNumber } from "./wish.ts";

export interface SessionsOptions {
  readonly grant?: string;
  readonly resource?: string;
  readonly closed?: true;
  readonly all?: true;
  readonly limit: string;
  readonly follow?: true;
  readonly values?: true;
}

export interface KillOptions {
  readonly comment: string;
}

export async function showSession({ client, terminal, nowMs }: Context, id: string): Promise<void> {
  const session = await (await client()).session(sessionId(id));
  terminal.result(session, sessionTable([session], terminal, nowMs()));
}

export async function listSessions(
  context: Context,
  { grant, resource, closed, all, limit, follow, values }: SessionsOptions,
): Promise<void> {
  if (follow === true || values === true)
    throw new CardeaError("usage", "--follow and --values go with one session: `cardea sessions SESSION --follow`");
  const client = await context.client();
  const filter = {
    // Whoever names a grant wants its sessions, whosever it is.
    view: all === true || grant !== undefined ? "all" : "mine",
    ...(grant !== undefined && { grant: grantId(grant) }),
    ...(resource !== undefined && { resource }),
    ...(closed !== true && { state: "open" }),
  };
  const page = await takePages(wholeNumber("--limit", limit), (query) => client.sessions({ ...filter, ...query }));
  const none = closed === true ? "no sessions" : "no open sessions; `--closed` shows those that are over";
  const words = page.items.length === 0 ? none : sessionTable(page.items, context.terminal, context.nowMs());
  context.terminal.result(page, words);
}

export async function kill(context: Context, id: string, { comment }: KillOptions): Promise<void> {
  const session = await (await context.client()).endSession(sessionId(id), comment);
  context.terminal.result(session, `${session.id} ${session.state === "closed" ? closedWords(session) : "ending"}`);
}

function sessionTable(sessions: readonly SessionView[], terminal: Terminal, nowMs: number): string {
  const rows = sessions.map((session) => [
    session.id,
    session.state === "closed"
      ? terminal.style("gray", closedWords(session))
      : session.ending
        ? terminal.style("yellow", "ending")
        : terminal.style("green", "open"),
    session.requester.name,
    [session.resource, session.database].filter((part) => part !== undefined).join("/"),
    session.role ?? "(action)",
    [session.sourceIp, session.application].filter((part) => part !== undefined && part !== "").join(" "),
    relative(session.openedAt, nowMs),
  ]);
  return table(["session", "state", "by", "resource", "role", "from", "since"], rows, terminal.columns);
}

function closedWords({ why, use }: SessionView): string {
  const actions =
    use === undefined ? "" : `, ${use.actions} actions${use.refused === 0 ? "" : `, ${use.refused} refused`}`;
  return `closed (${why ?? "?"}${actions})`;
}
