/** The relay's two directions fed by hand, without sockets: any cut of the stream gives the same bytes on the other side. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ClientMessages } from "./client-messages.ts";
import { ClientSide } from "./client-side.ts";
import * as raw from "./fixture/raw-client.ts";
import { everythingCovered } from "./fixture/gateway-host.ts";
import { Hold } from "./hold.ts";
import { Judgements } from "./judgements.ts";
import { errorResponse, fromServer, message } from "./messages.ts";
import { Pipeline, poisonedParse, poisonedQuery } from "./pipeline.ts";
import { Recording } from "./recording.ts";
import { ServerSide } from "./server-side.ts";
import type { StatementJudge } from "./statement.ts";
import { defaultLimits } from "./settings.ts";

interface Rig {
  readonly client: ClientSide;
  readonly server: ServerSide;
  readonly up: Buffer[];
  readonly down: Buffer[];
  readonly violations: string[];
}

function rig(): Rig {
  const up: Buffer[] = [];
  const down: Buffer[] = [];
  const violations: string[] = [];
  const sendUp = (bytes: Buffer): void => void up.push(Buffer.from(bytes));
  const session = { record: () => undefined, hold: () => Promise.reject(new Error("nothing is held")) };
  const pipeline = new Pipeline(new Recording(session, { now: () => 0 }), sendUp);
  const judge: StatementJudge = {
    judge: (statement) =>
      statement.text.includes("forbidden")
        ? { is: "denied", words: { code: "42501", message: "no" } }
        : everythingCovered(statement),
    changed: () => undefined,
    moved: () => Promise.resolve(false),
  };
  const judgements = new Judgements(judge, false);
  const server = new ServerSide(
    pipeline,
    {
      sendDown: (bytes) => void down.push(Buffer.from(bytes)),
      sendUp,
      copyBegan: () => undefined,
      parameter: () => undefined,
      violated: (what) => void violations.push(what),
    },
    false,
  );
  const fault = (error: unknown): void => void violations.push(String(error));
  const hold = new Hold(
    session,
    pipeline,
    judgements,
    server,
    { end: () => undefined, fault },
    { keepAliveMs: 1_000, serverVersion: 18 },
  );
  const messages = new ClientMessages(pipeline, judgements, hold, { ...defaultLimits, statementBytes: 20_000 });
  const client = new ClientSide(messages, {
    sendUp,
    reading: () => undefined,
    terminated: () => undefined,
    violated: (what) => void violations.push(what),
    fault,
  });
  return { client, server, up, down, violations };
}

const sent: readonly (readonly [Buffer, Buffer | undefined])[] = [
  [raw.query("select 1"), undefined],
  [raw.query("select forbidden"), poisonedQuery],
  [raw.parse("select $1", "a"), undefined],
  [raw.bind(["x".repeat(30_000)], "a"), undefined],
  [raw.execute(), undefined],
  [raw.sync, undefined],
  [raw.parse("select forbidden"), poisonedParse],
  [raw.bind(), Buffer.alloc(0)],
  [raw.bind(["y".repeat(30_000)]), Buffer.alloc(0)],
  [raw.copyData("z".repeat(40_000)), Buffer.alloc(0)],
  [raw.sync, undefined],
  [raw.query(`select '${"w".repeat(30_000)}'`), poisonedQuery],
  [raw.copyData("c".repeat(50_000)), undefined],
  [raw.copyDone, undefined],
  [raw.query("select 2"), undefined],
];
const clientBytes = Buffer.concat(sent.map(([bytes]) => bytes));
const upBytes = Buffer.concat(sent.map(([bytes, instead]) => instead ?? bytes));

const row = (size: number): Buffer => message(fromServer.dataRow, Buffer.alloc(size, 1));
const ready = message(fromServer.readyForQuery, Buffer.from("I"));
const done = message(fromServer.commandComplete, "SELECT 1");
const syntaxError = errorResponse("ERROR", { code: "42601", message: "syntax error" });
const refusal = errorResponse("ERROR", { code: "42501", message: "no" });
const answered: readonly (readonly [Buffer, Buffer | undefined])[] = [
  [message(fromServer.rowDescription, Buffer.alloc(40)), undefined],
  [row(10), undefined],
  [row(100_000), undefined],
  [done, undefined],
  [ready, undefined],
  [syntaxError, refusal],
  [ready, undefined],
];
const answerBytes = Buffer.concat(answered.map(([bytes]) => bytes));
const downBytes = Buffer.concat(answered.map(([bytes, instead]) => instead ?? bytes));

describe("from the client", () => {
  // Only where something could go wrong: around each message's beginning, header and end.
  const edges = new Set<number>();
  for (let at = 0, index = 0; index < sent.length; at += sent[index]?.[0].length ?? 0, index++) {
    for (let offset = -3; offset < 40; offset++) edges.add(Math.min(Math.max(0, at + offset), clientBytes.length));
  }
  test("every cut in two", () => {
    for (const cut of edges) {
      const { client, up, violations } = rig();
      client.receive(clientBytes.subarray(0, cut));
      client.receive(clientBytes.subarray(cut));
      expect(violations).toEqual([]);
      expect(Buffer.concat(up).equals(upBytes), `cut at ${cut}`).toBe(true);
    }
  });

  test("any pieces, single bytes among them", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 200 }), (sizes) => {
        const { client, up } = rig();
        for (let at = 0, index = 0; at < clientBytes.length; index++) {
          const size = sizes[index % sizes.length] ?? 1;
          client.receive(clientBytes.subarray(at, at + size));
          at += size;
        }
        expect(Buffer.concat(up).equals(upBytes)).toBe(true);
      }),
      { numRuns: 100 },
    );
    const { client, up } = rig();
    for (const byte of clientBytes) client.receive(Buffer.from([byte]));
    expect(Buffer.concat(up).equals(upBytes)).toBe(true);
  });

  test("random bytes end in a violation, never in a fault or in anything that was not judged", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(sent.length - 1), (noise, index) => {
        const { client, up } = rig();
        const start = sent[index]?.[0] ?? Buffer.alloc(0);
        try {
          client.receive(Buffer.concat([start, noise]));
        } catch (error) {
          expect(error).toHaveProperty("name", "Malformed");
        }
        expect(Buffer.concat(up).includes("forbidden")).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("from the resource", () => {
  const asked = (): Rig => {
    const made = rig();
    made.client.receive(raw.query("select 1"));
    made.client.receive(raw.query("select forbidden"));
    return made;
  };
  test("every cut in two", () => {
    for (let cut = 0; cut <= answerBytes.length; cut += cut > 150 && cut < answerBytes.length - 150 ? 997 : 1) {
      const { server, down, violations } = asked();
      server.receive(answerBytes.subarray(0, cut));
      server.receive(answerBytes.subarray(cut));
      expect(violations).toEqual([]);
      expect(Buffer.concat(down).equals(downBytes), `cut at ${cut}`).toBe(true);
    }
  });

  test("a word of ours never cuts a message in two", () => {
    const notice = message(fromServer.noticeResponse, Buffer.from([0]));
    for (let cut = 0; cut <= answerBytes.length; cut += cut > 150 && cut < answerBytes.length - 150 ? 997 : 1) {
      const { server, down } = asked();
      server.receive(answerBytes.subarray(0, cut));
      server.inject(notice);
      server.receive(answerBytes.subarray(cut));
      const types: string[] = [];
      const all = Buffer.concat(down);
      for (let at = 0; at < all.length; at += 1 + all.readUInt32BE(at + 1))
        types.push(String.fromCharCode(all[at] ?? 0));
      expect(types.filter((type) => type !== "N").join("")).toBe("TDDCZEZ");
      expect(types).toContain("N");
    }
  });

  test("answers that nothing was asked for are not passed on", () => {
    for (const unasked of [
      done,
      ready,
      message(fromServer.parseComplete),
      message(fromServer.copyBothResponse, Buffer.alloc(3)),
      message(0x52, 0),
    ]) {
      const { server, down, violations } = rig();
      server.receive(unasked);
      expect(violations).toHaveLength(1);
      expect(down).toEqual([]);
    }
  });
});
