/**
 * What a command says. People get words, tables and colour on a terminal; programs get one JSON document on standard output with
 * `--json`. Progress and remarks go to standard error, so that output can always be piped.
 */
import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

export class Terminal {
  readonly json: boolean;
  readonly #out: NodeJS.WriteStream;
  readonly #err: NodeJS.WriteStream;

  constructor(json: boolean, out: NodeJS.WriteStream = process.stdout, err: NodeJS.WriteStream = process.stderr) {
    this.json = json;
    this.#out = out;
    this.#err = err;
  }

  get interactive(): boolean {
    return this.#err.isTTY && !this.json;
  }

  get columns(): number {
    return this.#out.columns || 100;
  }

  /** The result: `document` for programs, `words` for people. */
  result(document: unknown, words: string): void {
    this.#out.write(this.json ? `${JSON.stringify(document, null, 2)}\n` : `${words}\n`);
  }

  /** A remark for people, out of the result's way. */
  note(words: string): void {
    if (!this.json) this.#err.write(`${words}\n`);
  }

  /** Replaces the last line on a terminal; says nothing elsewhere. */
  progress(words: string): void {
    if (this.interactive) this.#err.write(`\r\u001b[2K${words}`);
  }

  endProgress(): void {
    if (this.interactive) this.#err.write("\r\u001b[2K");
  }

  style(style: Style, text: string): string {
    return this.#out.isTTY && process.env["NO_COLOR"] === undefined ? styleText(style, text) : text;
  }
}
