import { readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listAudit } from "@cardea/control/audit/list";
import { readRecording } from "@cardea/control/recordings/read";
import { listSessions } from "@cardea/control/sessions/list";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantId, SessionId } from "@cardea/core/contract/ids";
import { RecordingQuery, type RecordingView } from "@cardea/core/wire/api/recordings";
import { AuditQuery } from "@cardea/core/wire/api/operations";
import { SessionsQuery } from "@cardea/core/wire/api/sessions";
import { startTestCluster, type TestCluster } from "./cluster.ts";
import { connectThrough, gatewayPolicy, obtainGatewayKey, psql } from "./gateway-keys.ts";
import {
  quickTuning,
  startLinkedControl,
  startLinkedOutpost,
  until,
  untilReady,
  type LinkedControl,
  type LinkedOutpost,
} from "./linked.ts";

let cluster: TestCluster;
let resource: TestResource;
let linked: LinkedControl;
let outpost: LinkedOutpost;
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  resource = await testResource(cluster);
  linked = await startLinkedControl(cluster, { policy: gatewayPolicy });
  outpost = await startLinkedOutpost(linked, [resource.config], {
    gateway: { postgres: { listen: "127.0.0.1:0" } },
    settings: { version: "0.0.0-test", environment: {}, tuning: quickTuning, recorder: { batchMs: 50 } },
  });
  await untilReady(linked.control, resource.config.name);
}, 60_000);
afterAll(async () => {
  await outpost[Symbol.asyncDispose]();
  await linked[Symbol.asyncDispose]();
  await resource.close();
  await cluster.stop();
});

const never = new AbortController().signal;
type Events = RecordingView["events"];

const read = async (who: string, session: SessionId, query: object = {}): Promise<RecordingView> =>
  readRecording(linked.control, await linked.given.actor(who), session, RecordingQuery.parse(query), never);

async function sessionOf(grant: GrantId): Promise<SessionId> {
  return await until("the session is known", async () => {
    const actor = await linked.given.actor("ada");
    const page = await listSessions(linked.control, actor, SessionsQuery.parse({ grant }));
    return page.items[0]?.id;
  });
}

/** All of it, once all of it has come. */
async function whole(who: string, session: SessionId, values = "false"): Promise<Events> {
  await until("the recording is whole", async () => (await read("ada", session)).state === "whole");
  const events: Events = [];
  for (let from = 0; ;) {
    const part = await read(who, session, { from, values });
    events.push(...part.events);
    if (!part.more) return events;
    from = part.next;
  }
}

const texts = (events: Events): string[] => events.flatMap((event) => (event.type === "action" ? [event.text] : []));
const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: unknown) => (error instanceof CardeaError ? error.code : String(error)),
  );
const spooled = async (): Promise<string[]> => readdir(join(outpost.dataDir, "recordings"));

describe("what passes through a gateway", () => {
  test("is told again: statements, rows, errors, refusals, and what closed it", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource, { role: "write" });
    const { client } = await connectThrough(key);
    await client.query("select id, status from orders where id > 0");
    await client.query("insert into orders (status) values ($1)", ["s3cret-value"]);
    await client.query("select 1 / 0").catch(() => undefined);
    await client.query("drop table orders").catch(() => undefined);
    await client.end();
    const session = await sessionOf(grant);
    const events = await whole("ada", session);
    expect(texts(events)).toEqual(
      expect.arrayContaining([
        "select id, status from orders where id > 0",
        "insert into orders (status) values ($1)",
        "select 1 / 0",
      ]),
    );
    const outcomes = events.flatMap((event) => (event.type === "outcome" ? [event] : []));
    expect(outcomes.map(({ outcome, rows, error }) => [outcome, rows, error])).toEqual(
      expect.arrayContaining([
        ["done", 3, undefined],
        ["done", 1, undefined],
        ["failed", 0, "22012"],
      ]),
    );
    expect(events.filter(({ type }) => type === "refused" || type === "held")).toMatchObject([
      { text: "drop table orders" },
    ]);
    expect(events.at(-1)).toMatchObject({ type: "closed", why: "client" });
    // Values are elsewhere.
    expect(JSON.stringify(events)).not.toContain("s3cret-value");
    expect(events.some(({ type }) => type === "parameters" || type === "message")).toBe(false);
  }, 60_000);

  test("its values are for auditors, and no file, log entry or row holds a statement in the clear", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource, { role: "write" });
    const { client } = await connectThrough(key);
    await client.query("insert into orders (status) values ($1) -- m4rked", ["s3cret-value"]);
    await client.query("select status::int from orders where status = $1", ["s3cret-value"]).catch(() => undefined);
    await client.end();
    const session = await sessionOf(grant);
    const events = await whole("audrey", session, "true");
    const data = events.flatMap((event) => (event.type === "parameters" ? [event] : []));
    expect(data.map(({ list }) => list)).toEqual([["s3cret-value"], ["s3cret-value"]]);
    expect(events.flatMap((event) => (event.type === "message" ? [event.text] : []))).toEqual([
      expect.stringContaining("s3cret-value"),
    ]);
    for (const who of ["ada", "root"]) expect(await codeOf(read(who, session, { values: "true" }))).toBe("forbidden");
    expect(await codeOf(read("eve", session))).toBe("not_found");
    const { directory } = linked.control.settings.recordings;
    const month = (await readdir(directory))[0] ?? "";
    const path = join(directory, month, `${session}.recording`);
    const bytes = await readFile(path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    for (const one of ["s3cret-value", "m4rked", "insert into"]) expect(bytes.includes(one)).toBe(false);
    const spool = join(outpost.dataDir, "recordings");
    for (const name of await spooled()) {
      expect((await stat(join(spool, name))).mode & 0o777).toBe(0o600);
      expect((await readFile(join(spool, name))).includes("m4rked")).toBe(false);
    }
    const logged = JSON.stringify(await linked.world.sql("select * from audit_entries"));
    expect(logged).toContain("recording.read");
    expect(logged).not.toContain("m4rked");
  }, 60_000);

  test("each reading is an entry of the log, and calls that follow each other are one", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource);
    const { client } = await connectThrough(key);
    await client.end();
    const session = await sessionOf(grant);
    await whole("root", session);
    await read("root", session, { from: 5_000_000 });
    await read("audrey", session, { values: "true" });
    const auditor = await linked.given.actor("audrey");
    const query = AuditQuery.parse({ type: "recording.read", id: session });
    const entries = await until("they are logged", async () => {
      const { items } = await listAudit(linked.control, auditor, query);
      return items.length === 3 && items;
    });
    expect(entries.map(({ actor, data }) => [actor?.name, data?.["values"]]).sort()).toEqual([
      ["ada", false],
      ["audrey", true],
      ["root", false],
    ]);
  }, 60_000);

  test("comes while it happens", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource);
    const { client } = await connectThrough(key);
    const session = await sessionOf(grant);
    type Part = Awaited<ReturnType<typeof read>>;
    /** Reads on from there, as somebody who follows does, to the part that has it. */
    const follow = async (from: number, has: (part: Part) => boolean): Promise<Part> => {
      for (let at = from; ;) {
        const part = await read("ada", session, { from: at, wait: 30 });
        if (has(part)) return part;
        at = part.next;
      }
    };
    const first = await read("ada", session);
    const waiting = follow(first.next, ({ events }) => texts(events).length > 0);
    await client.query("select 'tail' from orders");
    const part = await waiting;
    expect(texts(part.events)).toEqual(["select 'tail' from orders"]);
    expect(part.state).toBe("live");
    const last = follow(part.next, ({ events }) => events.at(-1)?.type === "closed");
    await client.end();
    expect((await last).session).toBe(session);
  }, 60_000);

  test("COPY is told with its bytes, and its rows are values", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource, { role: "write" });
    const { err } = await psql(key, "copy orders (status) from stdin;\nc0pied-1\nc0pied-2\n\\.\n");
    expect(err).toBe("");
    const session = await sessionOf(grant);
    const events = await whole("ada", session);
    expect(events.filter(({ type }) => type === "moved")).toMatchObject([
      { direction: "input", bytes: expect.any(Number) as number },
    ]);
    const values = await whole("audrey", session, "true");
    const input = values.flatMap((event) => (event.type === "input" ? [Buffer.from(event.data, "base64url")] : []));
    expect(Buffer.concat(input).toString("latin1")).toContain("c0pied-2");
  }, 60_000);
});

describe("with the link down", () => {
  test("sessions are recorded on, and all of it comes later; the spool is empty then", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource);
    const { client } = await connectThrough(key);
    const session = await sessionOf(grant);
    await client.query("select 'before' from orders");
    await linked.hangUp();
    for (let i = 0; i < 20; i++) {
      await client.query(`select 'during ${String(i)}' from orders`);
      await new Promise((done) => setTimeout(done, 20));
    }
    await client.end();
    await linked.pickUp();
    const events = await whole("ada", session);
    expect(texts(events).filter((text) => text.includes("during"))).toHaveLength(20);
  }, 60_000);

  test("an outpost that is started again sends what it had", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource);
    const { client } = await connectThrough(key);
    const session = await sessionOf(grant);
    await linked.hangUp();
    await client.query("select 'kept' from orders");
    await client.end();
    outpost = await outpost.restart();
    await linked.pickUp();
    await untilReady(linked.control, resource.config.name);
    expect(texts(await whole("ada", session))).toEqual(["select 'kept' from orders"]);
  }, 60_000);
});

describe("a stored recording", () => {
  async function recorded(): Promise<{ session: SessionId; path: string; bytes: Buffer }> {
    const { grant, key } = await obtainGatewayKey(linked, resource);
    const { client } = await connectThrough(key);
    for (let i = 0; i < 4; i++) {
      await client.query(`select ${String(i)} from orders`);
      await new Promise((done) => setTimeout(done, 120));
    }
    await client.end();
    const session = await sessionOf(grant);
    await whole("ada", session);
    const { directory } = linked.control.settings.recordings;
    const month = (await readdir(directory))[0] ?? "";
    const path = join(directory, month, `${session}.recording`);
    return { session, path, bytes: await readFile(path) };
  }
  /** Its pieces with their prefixes. */
  function piecesOf(bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 8 + bytes.readUInt32LE(at);
      pieces.push(bytes.subarray(at, end));
      at = end;
    }
    return pieces;
  }

  test("that was changed in any way is not shown", async () => {
    const { session, path, bytes } = await recorded();
    const pieces = piecesOf(bytes);
    expect(pieces.length).toBeGreaterThan(3);
    const other = await recorded();
    const [head, one, two] = pieces as [Buffer, Buffer, Buffer];
    const flipped = Buffer.from(bytes);
    const last = flipped.length - 1;
    flipped[last] = (flipped[last] ?? 0) ^ 1;
    const renumbered = Buffer.from(two);
    renumbered.writeUInt32LE(1, 4);
    const attacks: Readonly<Record<string, Buffer>> = {
      "a piece dropped": Buffer.concat([head, ...pieces.slice(2)]),
      "two pieces swapped": Buffer.concat([head, two, one, ...pieces.slice(3)]),
      "one twice": Buffer.concat([head, one, one, ...pieces.slice(3)]),
      "one in the place of another": Buffer.concat([head, renumbered, ...pieces.slice(2)]),
      "a bit": flipped,
      "cut short": bytes.subarray(0, bytes.length - 1),
      "cut behind a piece": Buffer.concat(pieces.slice(0, -1)),
      "another session's": other.bytes,
      "another session's piece": Buffer.concat([head, piecesOf(other.bytes)[1] ?? one, ...pieces.slice(2)]),
      empty: Buffer.alloc(0),
    };
    for (const [name, attack] of Object.entries(attacks)) {
      await writeFile(path, attack);
      expect([name, await codeOf(read("ada", session))]).toEqual([name, "recording_broken"]);
      // Nor from its middle on.
      const middle = read("audrey", session, { from: head.length, values: "true" });
      expect([name, await codeOf(middle)]).toEqual([name, "recording_broken"]);
    }
    await writeFile(path, bytes);
    expect(await codeOf(read("ada", session))).toBe("none");
    await rename(path, `${path}.gone`);
    expect(await codeOf(read("ada", session))).toBe("recording_unavailable");
  }, 60_000);

  test("cannot be read with another recording key", async () => {
    const { session } = await recorded();
    const { recordingKeyOf } = await import("@cardea/control/recordings/recording-key");
    const { control, given } = linked;
    const foreign = { ...control, keys: { ...control.keys, recording: await recordingKeyOf(new Uint8Array(32)) } };
    const reading = readRecording(foreign, await given.actor("ada"), session, RecordingQuery.parse({}), never);
    expect(await codeOf(reading)).toBe("recording_unavailable");
  }, 60_000);
});
