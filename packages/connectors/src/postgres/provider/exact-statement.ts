/**
 * One statement by the extended protocol, byte for byte as it is given: the server takes it for one statement or not at all. Values go as texts
 * or as bytes in binary format; the answer comes as texts. `pg` drives it in place of a query of its own, which would read values into
 * JavaScript's types and forget the command's tag.
 */
import type { Connection as Wire } from "pg";
import { CardeaError } from "@cardea/core/contract/errors";

export interface ExactText {
  readonly text: string;
  /** In order; bytes are in the binary format of whatever type the server takes the parameter for. */
  readonly values: readonly (string | Uint8Array | null)[];
}

export interface ExactAnswer {
  readonly fields: readonly { readonly name: string; readonly type: number; readonly modifier: number }[];
  readonly rows: readonly (readonly (string | null)[])[];
  /** The command's tag, `UPDATE 1`. */
  readonly tag: string;
}

/** What `pg` hands over; its own types leave these out. */
interface Field {
  readonly name: string;
  readonly dataTypeID: number;
  readonly dataTypeModifier: number;
}

/** Called once, with the answer or why there is none. */
interface Settle {
  readonly done: (answer: ExactAnswer) => void;
  readonly failed: (error: Error) => void;
}

export class ExactStatement {
  readonly #statement: ExactText;
  readonly #maxBytes: number;
  readonly #settle: Settle;
  #fields: ExactAnswer["fields"] = [];
  readonly #rows: (string | null)[][] = [];
  #bytes = 0;
  #tag = "";
  #failed = false;

  /** `maxBytes`: of the rows as JSON. A longer answer fails with `result_too_large` while it is still coming: the connection has to be ended. */
  constructor(statement: ExactText, maxBytes: number, settle: Settle) {
    this.#statement = statement;
    this.#maxBytes = maxBytes;
    this.#settle = settle;
  }

  submit(wire: Wire): void {
    wire.parse({ name: "", text: this.#statement.text, types: [] }, true);
    const values = this.#statement.values.map((value) =>
      value === null || typeof value === "string" ? value : Buffer.from(value),
    );
    wire.bind({ portal: "", statement: "", binary: "", values }, true);
    wire.describe({ type: "P", name: "" }, true);
    wire.execute({ portal: "", rows: "" }, true);
    wire.sync();
  }

  handleRowDescription({ fields }: { readonly fields: readonly Field[] }): void {
    this.#fields = fields.map(({ name, dataTypeID, dataTypeModifier }) => ({
      name,
      type: dataTypeID,
      modifier: dataTypeModifier,
    }));
  }

  handleDataRow({ fields }: { readonly fields: (string | null)[] }): void {
    if (this.#failed) return;
    this.#bytes += Buffer.byteLength(JSON.stringify(fields)) + 1;
    if (this.#bytes > this.#maxBytes) this.#giveUp();
    else this.#rows.push(fields);
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#tag = text;
  }

  handleEmptyQuery(): void {
    // A text without a statement has no tag.
  }

  handlePortalSuspended(): void {
    // Every row was asked for.
  }

  handleCopyInResponse(wire: { sendCopyFail(words: string): void }): void {
    wire.sendCopyFail("there is no data");
  }

  handleCopyData(): void {
    this.#giveUp();
  }

  /** Of the statement, or of the connection under it. */
  handleError(error: Error): void {
    this.#failed = true;
    this.#settle.failed(error);
  }

  handleReadyForQuery(): void {
    if (!this.#failed) this.#settle.done({ fields: this.#fields, rows: this.#rows, tag: this.#tag });
  }

  #giveUp(): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#settle.failed(tooLarge(this.#maxBytes));
  }
}

/** The fault of an answer that is longer than it may be. */
export function tooLarge(maxBytes: number): CardeaError {
  return new CardeaError("result_too_large", `the answer is longer than ${maxBytes} bytes: ask for less of it`);
}
