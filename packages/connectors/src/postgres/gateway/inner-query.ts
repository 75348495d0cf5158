/**
 * A query of our own in the client's session, while nothing of the client's is under way: its answer is taken out of the stream. By the
 * extended protocol under names of its own, so that neither the client's unnamed statement nor its open pipeline is touched.
 */
import { errorFields, fromClient, fromServer, headerSize, message } from "./messages.ts";
import type { Failure } from "./recording.ts";

export type InnerRows = readonly (readonly (string | null)[])[];
export type InnerAnswer = { readonly rows: InnerRows } | { readonly error: Failure };

const name = "cardea:inner";

export const connectionGone = {
  error: { code: "08006", message: "the connection to the resource is gone" },
} as const satisfies InnerAnswer;

export class InnerQuery {
  readonly #rows: (string | null)[][] = [];
  readonly #answer: (answer: InnerAnswer) => void;
  /** Whether it ends with ReadyForQuery; else, where more is to follow in the same transaction, with the last CloseComplete. */
  readonly #synced: boolean;
  #closes = 0;
  #error: Failure | undefined;

  constructor(synced: boolean, answer: (answer: InnerAnswer) => void) {
    this.#synced = synced;
    this.#answer = answer;
  }

  /** What is sent: `sql` with values as texts; only a Sync without it. */
  static messages(synced: boolean, sql: string | undefined, values: readonly string[]): Buffer {
    const end = message(synced ? fromClient.sync : fromClient.flush);
    if (sql === undefined) return end;
    const zero = Uint8Array.of(0, 0);
    return Buffer.concat([
      // One that failed has not been closed.
      message(fromClient.close, Buffer.from("S"), name),
      message(fromClient.parse, name, sql, zero),
      message(
        fromClient.bind,
        name,
        name,
        zero,
        Uint8Array.of(values.length >> 8, values.length & 255),
        ...values.flatMap((value) => [Buffer.byteLength(value), Buffer.from(value)]),
        zero,
      ),
      message(fromClient.execute, name, 0),
      message(fromClient.close, Buffer.from("P"), name),
      message(fromClient.close, Buffer.from("S"), name),
      end,
    ]);
  }

  /** Takes a message of the answer. Whether it was the last; `failed`: without a Sync, so that everything up to the next is void. */
  take(type: number, bytes: Buffer, from: number, to: number): "goes on" | "over" | "failed" {
    switch (type) {
      case fromServer.dataRow:
        this.#rows.push(readRow(bytes.subarray(from + headerSize, to)));
        return "goes on";
      case fromServer.closeComplete:
        this.#closes += 1;
        return this.#closes === 3 && !this.#synced ? this.#over() : "goes on";
      case fromServer.errorResponse:
        this.#error = failureOf(bytes.subarray(from + headerSize, to));
        if (this.#synced) return "goes on";
        this.#over();
        return "failed";
      case fromServer.readyForQuery:
        return this.#over();
      default:
        return "goes on";
    }
  }

  /** The connection is gone. */
  abandon(): void {
    this.#answer(connectionGone);
  }

  #over(): "over" {
    this.#answer(this.#error === undefined ? { rows: this.#rows } : { error: this.#error });
    return "over";
  }
}

function readRow(body: Buffer): (string | null)[] {
  const row: (string | null)[] = [];
  for (let column = 0, at = 2; column < body.readInt16BE(0); column++) {
    const length = body.readInt32BE(at);
    at += 4;
    row.push(length < 0 ? null : body.toString("utf8", at, at + length));
    if (length > 0) at += length;
  }
  return row;
}

/** Code and words of an ErrorResponse's body. */
export function failureOf(body: Buffer): Failure {
  const fields = errorFields(body);
  return { code: fields.get("C") ?? "XX000", message: fields.get("M") ?? "" };
}
