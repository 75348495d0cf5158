/** What was done in a session, told again from its recording; while the session is open, as it comes. */
import type { RecordingView } from "@cardea/core/wire/api/recordings";
import { CardeaError } from "@cardea/core/contract/errors";
import type { SessionId } from "@cardea/core/contract/ids";
import type { Context } from "../context.ts";
import { persistently } from "../keys/persistently.ts";
import { cut, oneLine } from "../output/clean.ts";
import type { Terminal } from "../output/terminal.ts";
import { sessionId } from "./ids.ts";

export interface ReplayOptions {
  readonly values?: true;
  readonly follow?: true;
}

type RecordedEvent = RecordingView["events"][number];

/** Longest that one call asks the server to wait, in seconds. */
const pollSeconds = 30;
/** Of a value on one line. */
const maxValue = 300;

/** Everything from the beginning; with `follow` also what is still to come. With `--json` one document a line. */
export async function replay(context: Context, id: string, { values, follow }: ReplayOptions): Promise<void> {
  await tell(context, sessionId(id), { from: 0, values: values === true, follow: follow === true });
}

/** What happens from now on. */
export async function followSession(context: Context, id: string, { values }: ReplayOptions): Promise<void> {
  const session = sessionId(id);
  const client = await context.client();
  let from = 0;
  for (;;) {
    const { next, more, state } = await persistently(context, {}, () => client.recording(session, { from }));
    from = next;
    if (more) continue;
    if (state === "whole")
      context.terminal.note(`the session is closed; \`cardea replay ${id}\` shows what was done in it`);
    break;
  }
  await tell(context, session, { from, values: values === true, follow: true });
}

interface Telling {
  readonly from: number;
  readonly values: boolean;
  readonly follow: boolean;
}

async function tell(context: Context, session: SessionId, { from: begin, values, follow }: Telling): Promise<void> {
  const { terminal, signal } = context;
  const client = await context.client();
  const lines = new Lines(terminal);
  const query = { values, wait: follow ? pollSeconds : 0, signal };
  for (let from = begin; !signal.aborted;) {
    const view = await persistently(context, {}, () => client.recording(session, { ...query, from })).catch(
      (error: unknown) => {
        if (signal.aborted) return undefined;
        throw error;
      },
    );
    if (view === undefined) return;
    for (const event of view.events) terminal.item(event, lines.of(event));
    from = view.next;
    if (view.more || (follow && view.state !== "whole")) continue;
    remark(terminal, session, view);
    return;
  }
}

/** What the events do not say by themselves. */
function remark(terminal: Terminal, session: SessionId, { state, truncated, digest }: RecordingView): void {
  if (state === "live") terminal.note(`the session is open; \`cardea replay ${session} --follow\` goes on`);
  else if (state === "arriving") terminal.note("the session is over, and the outpost has not sent all of it yet");
  if (truncated) terminal.note("the end is missing: the outpost was stopped, or its disk took no more");
  if (digest !== undefined) terminal.note(`compared with the digest in the log: ${digest}`);
}

/** Each event in words, on lines of its own. Remembers when actions began. */
class Lines {
  readonly #terminal: Terminal;
  readonly #begun = new Map<number, number>();

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  of(event: RecordedEvent): string {
    const gray = (text: string): string => this.#terminal.style("gray", text);
    const red = (text: string): string => this.#terminal.style("red", text);
    switch (event.type) {
      case "action":
        this.#begun.set(event.action, Date.parse(event.at));
        return `${gray(event.at)}  ${number(event)}${event.approved ? "  approved" : ""}  ${statement(event)}`;
      case "outcome": {
        const begun = this.#begun.get(event.action);
        this.#begun.delete(event.action);
        const took = begun === undefined ? [] : [`${Date.parse(event.at) - begun} ms`];
        const how =
          event.outcome === "done"
            ? "done"
            : red(event.outcome === "failed" ? `failed ${event.error ?? ""}`.trimEnd() : "unknown");
        return beside(event, [how, counted(event.rows, "row"), counted(event.bytes, "byte"), ...took].join(", "));
      }
      case "refused":
        return `${gray(event.at)}  ${number(event)}  ${red("refused")}  ${statement(event)}\n${beside(event, oneLine(event.words))}`;
      case "held":
        return `${gray(event.at)}  ${number(event)}  held  ${statement(event)}`;
      case "filed":
        return `${indent}waits as ${event.request} (code ${oneLine(event.code)})`;
      case "settled":
        return beside(event, event.verdict === "run" ? "approved" : red(event.verdict));
      case "moved":
        return beside(event, `${counted(event.bytes, "byte")} of ${event.direction}${kept(event)}`);
      case "closed":
        return `${gray(event.at)}  closed (${oneLine(event.why)})${event.words === "" ? "" : `: ${oneLine(event.words)}`}`;
      case "parameters":
        return beside(
          event,
          event.list === undefined
            ? `parameters: ${shown(Buffer.from(event.data, "base64url"))}`
            : `parameters: ${event.list.map((one, index) => `$${index + 1} = ${cut(oneLine(JSON.stringify(one)), maxValue)}`).join(", ")}`,
        );
      case "input":
      case "output":
        return beside(event, `${event.type}: ${shown(Buffer.from(event.data, "base64url"))}`);
      case "message":
        return beside(event, `message: ${oneLine(event.text)}`);
      default:
        throw new CardeaError("internal", "the recording holds an event of a kind that this version does not know");
    }
  }
}

const indent = " ".repeat(26);

function number({ action }: { readonly action: number }): string {
  return `#${action}`;
}

function beside(event: { readonly action: number }, words: string): string {
  return `${indent}${number(event)}  ${words}`;
}

/** A statement keeps its lines, below each other. */
function statement({ text, shortened }: { readonly text: string; readonly shortened?: true | undefined }): string {
  const [first = "", ...rest] = text.trim().split(/\r?\n/).map(oneLine);
  return [first, ...rest.map((line) => `${indent}    ${line}`)].join("\n") + (shortened === true ? " …" : "");
}

function kept({ bytes, recorded }: { readonly bytes: number; readonly recorded: number }): string {
  return recorded === bytes ? "" : recorded === 0 ? ", not recorded" : `, the first ${recorded} recorded`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Bytes as text, as far as they are some. */
function shown(bytes: Buffer): string {
  const text = oneLine(bytes.subarray(0, maxValue).toString("utf8"));
  return bytes.length > maxValue ? `${text}… (${bytes.length} bytes)` : text;
}
