/** One connection that speaks the protocol by hand: units of messages, each ending in ReadyForQuery, and what came back. */
import { errorFields, fromClient, message } from "@cardea/connectors/postgres/gateway/messages";
import * as raw from "@cardea/connectors/postgres/gateway/fixture/raw-client";

/** What is sent as one unit. Everything of an extended unit goes before its Sync. */
export type Unit =
  { readonly kind: "simple"; readonly text: string } | { readonly kind: "extended"; readonly parts: readonly Part[] };

export type Part =
  | { readonly is: "parse"; readonly text: string; readonly name: string; readonly types?: readonly number[] }
  | { readonly is: "bind"; readonly name: string; readonly portal: string; readonly values: readonly string[] }
  | { readonly is: "describe"; readonly what: "S" | "P"; readonly name: string }
  | { readonly is: "execute"; readonly portal: string; readonly rows: number }
  | { readonly is: "close"; readonly what: "S" | "P"; readonly name: string };

export interface Refusal {
  readonly code: string;
  readonly message: string;
  /** PostgreSQL names the routine in its source that complains; the gateway has none. */
  readonly by: "gateway" | "resource";
}

export interface Answer {
  /** Everything that came, as text: canaries are looked for here. */
  readonly said: string;
  readonly types: string;
  readonly refusals: readonly Refusal[];
  /** The first column of data rows, as text. */
  readonly rows: readonly (string | undefined)[];
  /** `late`: nothing came for too long; `closed`: the connection is over. */
  readonly end: "ready" | "closed" | "late";
}

/** Longer than any statement may run. */
const lateMs = 6_000;

export class Speaker {
  readonly #client: raw.RawClient;
  readonly #options: raw.RawOptions;
  login = "";
  /** The backend's process id. */
  process = 0;

  private constructor(client: raw.RawClient, options: raw.RawOptions) {
    this.#client = client;
    this.#options = options;
  }

  static async open(options: raw.RawOptions): Promise<Speaker> {
    const speaker = new Speaker(await raw.RawClient.open(options), options);
    const { rows } = await speaker.say({ kind: "simple", text: "select current_user" });
    speaker.login = rows[0] ?? "";
    const answer = await speaker.say({ kind: "simple", text: "select pg_backend_pid()" });
    speaker.process = Number(answer.rows[0] ?? 0);
    return speaker;
  }

  get options(): raw.RawOptions {
    return this.#options;
  }

  close(): void {
    this.#client.close();
  }

  /** Sends a unit and reads until the server is ready again, answering COPY by giving up. Never rejects. */
  say(unit: Unit): Promise<Answer> {
    // A Sync that came before the COPY has been passed over by then.
    const copyEnd = message(fromClient.copyFail, "no data");
    return this.send(bytesOf(unit), unit.kind === "simple" ? copyEnd : Buffer.concat([copyEnd, raw.sync]));
  }

  /** `copyEnd` is sent where the server asks for data. */
  async send(bytes: Uint8Array, copyEnd: Uint8Array = message(fromClient.copyFail, "no data")): Promise<Answer> {
    const received: raw.Received[] = [];
    let end: Answer["end"] = "closed";
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((done) => (timer = setTimeout(() => done(undefined), lateMs)));
    try {
      this.#client.send(bytes);
      for (;;) {
        const next = await Promise.race([this.#client.next(), late]);
        if (next === undefined) {
          end = "late";
          break;
        }
        received.push(next);
        if (next.type === "G") this.#client.send(copyEnd);
        if (next.type === "Z") {
          end = "ready";
          break;
        }
      }
    } catch {
      // The connection is over; what was said before counts.
    } finally {
      clearTimeout(timer);
    }
    return read(received, end);
  }
}

function read(received: readonly raw.Received[], end: Answer["end"]): Answer {
  const refusals = received.flatMap(({ type, body }): Refusal[] => {
    if (type !== "E") return [];
    const fields = errorFields(body);
    const by = fields.has("R") ? "resource" : "gateway";
    return [{ code: fields.get("C") ?? "", message: fields.get("M") ?? "", by }];
  });
  return {
    said: Buffer.concat(received.map(({ body }) => body)).toString("latin1"),
    types: raw.describe(received),
    refusals,
    rows: received.flatMap(({ type, body }) => (type === "D" ? [firstColumn(body)] : [])),
    end,
  };
}

function firstColumn(body: Buffer): string | undefined {
  const length = body.length >= 6 ? body.readInt32BE(2) : -1;
  return length < 0 ? undefined : body.toString("utf8", 6, 6 + length);
}

function bytesOf(unit: Unit): Buffer {
  if (unit.kind === "simple") return raw.query(unit.text);
  return Buffer.concat([...unit.parts.map(partBytes), raw.sync]);
}

function partBytes(part: Part): Buffer {
  switch (part.is) {
    case "parse":
      return message(fromClient.parse, part.name, part.text, int16(part.types?.length ?? 0), ...(part.types ?? []));
    case "bind":
      return raw.bind(part.values, part.name, part.portal);
    case "describe":
      return message(fromClient.describe, Buffer.from(part.what), part.name);
    case "execute":
      return raw.execute(part.rows, part.portal);
    case "close":
      return message(fromClient.close, Buffer.from(part.what), part.name);
  }
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}
