/**
 * What a command says. People get words, tables and colour; programs get one JSON document on standard output with `--json`. Progress
 * and remarks go to standard error, so that output can always be piped. Everything printed is cleaned here, by nobody else.
 */
import { clean, cleanJson, cut, styles, type Style } from "./clean.ts";

/** A standard stream, as much of it as is used. */
export interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface TerminalOptions {
  readonly json: boolean;
  readonly out: Stream;
  readonly err: Stream;
  /** Looked at for `NO_COLOR`, `FORCE_COLOR` and `TERM`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const refreshMs = 1_000;

export class Terminal {
  readonly json: boolean;
  readonly #out: Stream;
  readonly #err: Stream;
  readonly #colour: boolean;
  #redraw: (() => void) | undefined;

  constructor({ json, out, err, environment }: TerminalOptions) {
    this.json = json;
    this.#out = out;
    this.#err = err;
    this.#colour = !json && wantsColour(out, environment);
  }

  /** Whether a person watches and can be shown progress. */
  get interactive(): boolean {
    return this.#err.isTTY === true && !this.json;
  }

  /** Where lines are cut; nowhere in a pipe. */
  get columns(): number {
    return this.#out.isTTY === true ? (this.#out.columns ?? 80) : Number.POSITIVE_INFINITY;
  }

  /** The same for remarks. */
  get noteColumns(): number {
    return this.#err.isTTY === true ? (this.#err.columns ?? 80) : Number.POSITIVE_INFINITY;
  }

  /** The result: `document` for programs, `words` for people. */
  result(document: unknown, words: string): void {
    this.#out.write(this.json ? `${cleanJson(JSON.stringify(document, null, 2))}\n` : `${clean(words)}\n`);
  }

  /** One of many results: a line of JSON each, or of words. */
  item(document: unknown, words: string): void {
    this.#out.write(this.json ? `${cleanJson(JSON.stringify(document))}\n` : `${clean(words)}\n`);
  }

  /** A remark for people, out of the result's way. */
  note(words: string): void {
    if (this.json) return;
    if (this.#redraw === undefined) this.#err.write(`${clean(words)}\n`);
    else {
      this.#err.write(`\r\u001b[2K${clean(words)}\n`);
      this.#redraw();
    }
  }

  /** Shows one line that changes while something goes on; elsewhere than on a terminal nothing. */
  async during<T>(words: () => string, work: () => Promise<T>): Promise<T> {
    if (!this.interactive) return work();
    const redraw = () => this.#err.write(`\r\u001b[2K${cut(clean(words()), (this.#err.columns ?? 80) - 1)}`);
    this.#redraw = redraw;
    const timer = setInterval(redraw, refreshMs);
    redraw();
    try {
      return await work();
    } finally {
      clearInterval(timer);
      this.#redraw = undefined;
      this.#err.write("\r\u001b[2K");
    }
  }

  style(style: Style, text: string): string {
    const [on, off] = styles[style];
    return this.#colour ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  }
}

function wantsColour(out: Stream, environment: TerminalOptions["environment"]): boolean {
  const set = (name: string) => (environment[name] ?? "") !== "";
  if (set("NO_COLOR")) return false;
  return set("FORCE_COLOR") || (out.isTTY === true && environment["TERM"] !== "dumb");
}
