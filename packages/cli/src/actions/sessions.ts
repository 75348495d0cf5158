/** Connections made with keys, as their outposts tell of them. */
import type { SessionView } from "@cardea/core/wire/api/sessions";
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
}

export interface KillOptions {
  readonly comment: string;
}

export async function listSessions(
  context: Context,
  { grant, resource, closed, all, limit }: SessionsOptions,
): Promise<void> {
  const client = await context.client();
  const filter = {
    // Whoever names a grant wants its sessions, whosever it is.
    view: all === true || grant !== undefined ? "all" : "mine",
    ...(grant !== undefined && { grant: grantId(grant) }),
    ...(resource !== undefined && { resource }),
    ...(closed !== true && { state: "open" }),
  };
  const page = await takePages(wholeNumber("--limit", limit), (query) => client.sessions({ ...filter, ...query }));
  context.terminal.result(page, sessionTable(page.items, context.terminal, context.nowMs()));
}

export async function kill(context: Context, id: string, { comment }: KillOptions): Promise<void> {
  const session = await (await context.client()).endSession(sessionId(id), comment);
  context.terminal.result(session, `${session.id} ${session.state === "closed" ? closedWords(session) : "ending"}`);
}

function sessionTable(sessions: readonly SessionView[], terminal: Terminal, nowMs: number): string {
  if (sessions.length === 0) return "no sessions";
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
