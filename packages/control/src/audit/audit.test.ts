import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { AuditLeaf, opensCommitment } from "@cardea/core/documents/audit-leaf";
import { newId } from "@cardea/core/contract/ids";
import { openCheckpoint, type Checkpoint, type LogIdentity } from "@cardea/core/log/checkpoint";
import { parseVerifierKey } from "@cardea/core/log/note";
import type { FetchTile } from "@cardea/core/log/tile-source";
import { verifyGrowth, verifyLog } from "@cardea/core/log/verify";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { scenario, type Scenario } from "@cardea/testing/scenario";
import type { Control } from "../control.ts";
import type { StoredEntry } from "../store/log.ts";
import { transact } from "../store/transaction.ts";
import { checkpoint } from "./checkpoint.ts";
import { eventsAfter, newestIndex } from "./events.ts";
import { demandWholeLog, logGuard } from "./guard.ts";
import { listAudit } from "./list.ts";
import { currentHead, proveEntry, proveGrowth } from "./proofs.ts";
import { record, recordAll, type AuditEvent } from "./record.ts";
import { startSequencer, type Sequencer } from "./sequencer.ts";
import { tile } from "./tile.ts";

let cluster: TestCluster;
let world: TestControl;
let control: Control;
const running: Sequencer[] = [];

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
});
afterAll(() => cluster.stop());

beforeEach(async () => {
  world = await startTestControl(cluster);
  control = world.control;
  return async () => {
    await stopWriters();
    await world.stop();
  };
});

function startWriter(at: TestControl = world): Sequencer {
  const sequencer = startSequencer(at.control, at.database.connect);
  running.push(sequencer);
  return sequencer;
}

async function stopWriters(): Promise<void> {
  await Promise.all(running.splice(0).map((sequencer) => sequencer.close()));
}

const event = (n: number, more: Partial<AuditEvent> = {}): AuditEvent => ({
  type: "request.submitted",
  ids: { request: `req_${n}` },
  data: { n, text: "päivää" },
  ...more,
});

async function log(from: number, count: number, at: Control = control): Promise<void> {
  await transact(at, (tx) =>
    recordAll(
      tx,
      at,
      Array.from({ length: count }, (_, i) => event(from + i)),
    ),
  );
}

async function until<T>(look: () => Promise<T | undefined>, withinMs = 10_000): Promise<T> {
  for (const end = performance.now() + withinMs; ;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error("it did not come");
    await sleep(10);
  }
}

/** Waits until the log has so many entries; its opened head. */
function grownTo(size: number, at: Control = control): Promise<Checkpoint> {
  return until(async () => {
    const head = await currentHead(at);
    return head !== undefined && head.checkpoint.size >= size ? head.checkpoint : undefined;
  });
}

function identity(): LogIdentity {
  const key = parseVerifierKey(control.trust.logKey);
  if (!key.ok) throw new Error(key.detail);
  return { origin: control.trust.origin, key: key.value };
}

const fromDatabase: FetchTile = (path) => tile(control, path);
const fromFiles: FetchTile = (path) => readFile(join(control.settings.logDirectory, path)).catch(() => undefined);

async function published(): Promise<Checkpoint> {
  const opened = openCheckpoint(await readFile(join(control.settings.logDirectory, "checkpoint"), "utf8"), identity());
  if (!opened.ok) throw new Error(opened.detail);
  return opened.value;
}

describe("the log", () => {
  test("holds every committed event once, in order, and nothing of what was undone", async () => {
    startWriter();
    await log(0, 3);
    await transact(control, async (tx) => {
      await record(tx, control, event(99));
      throw new Error("undone");
    }).catch(() => undefined);
    await log(3, 2);
    await grownTo(5);
    const rows = await world.sql("select index, data from audit_entries order by index");
    expect(rows.map((row) => [row["index"], (JSON.parse(String(row["data"])) as { n: number }).n])).toEqual([
      ["0", 0],
      ["1", 1],
      ["2", 2],
      ["3", 3],
      ["4", 4],
    ]);
    expect(await world.sql("select count(*)::int as n from audit_pending")).toEqual([{ n: 0 }]);
  });

  test("verifies from its tiles alone, in the database and as files, over several tiles and partitions of work", async () => {
    startWriter();
    for (const [from, count] of [
      [0, 1],
      [1, 254],
      [255, 1],
      [256, 1],
      [257, 600],
    ] as const) {
      await log(from, count);
      const head = await grownTo(from + count);
      expect(await verifyLog(fromDatabase, head)).toMatchObject({ ok: true });
    }
    const head = await grownTo(857);
    let seen = 0;
    expect(await verifyLog(fromDatabase, head, { onEntries: (_, entries) => (seen += entries.length) })).toMatchObject({
      ok: true,
    });
    expect(seen).toBe(857);
    await stopWriters();
    const filed = await published();
    expect(filed.size).toBe(857);
    expect(await verifyLog(fromFiles, filed)).toMatchObject({ ok: true });
    // Full tiles have taken the place of the partial ones.
    expect((await readdir(join(control.settings.logDirectory, "tile/0"))).sort()).toEqual([
      "000",
      "001",
      "002",
      "003.p",
    ]);
  });

  test("commits a lone event without waiting for company", async () => {
    startWriter();
    await log(0, 1);
    await grownTo(1);
    const times: number[] = [];
    for (let n = 1; n <= 20; n++) {
      const woken = control.wake.wait("log", 5_000, new AbortController().signal);
      const started = performance.now();
      await log(n, 1);
      await woken;
      times.push(performance.now() - started);
    }
    // Generous: the poll, which must not be what brings it about, comes once a second.
    expect(times.sort((a, b) => a - b)[10]).toBeLessThan(200);
  });

  test("proves one event, and its growth, against the signed head", async () => {
    startWriter();
    const id = newId("event", control.clock, control.random);
    await log(0, 300);
    await transact(control, (tx) => record(tx, control, event(300, { eventId: id })));
    await log(301, 10);
    await grownTo(311);
    const head = await currentHead(control);
    if (head === undefined) throw new Error("no head");
    const [row] = await world.sql("select index::int, leaf, salt, data from audit_entries where event_id = $1", [id]);
    const proof = await proveEntry(control, head, row as unknown as StoredEntry);
    expect(proof).toMatchObject({
      index: 300,
      leaf: { type: "request.submitted", ids: { request: "req_300", event: id } },
      data: { n: 300 },
    });
    expect(proof !== undefined && opensCommitment(proof.leaf, proof.salt, proof.data)).toBe(true);
    expect(await proveEntry(control, head, { ...(row as unknown as StoredEntry), index: 311 })).toBeUndefined();
    expect(await proveGrowth(control, head, 17)).toBeInstanceOf(Array);
    expect(await proveGrowth(control, head, 312)).toBeUndefined();
  });

  test("an event that an outpost reports twice stands there once, in whatever order commits and batches come", async () => {
    const id = newId("event", control.clock, control.random);
    const report = () => transact(control, (tx) => record(tx, control, event(0, { eventId: id })));
    await Promise.all([report(), report()]);
    startWriter();
    await grownTo(1);
    await report();
    await log(1, 1);
    await grownTo(2);
    await until(async () => ((await world.sql("select from audit_pending")).length === 0 ? true : undefined));
    expect(await world.sql("select count(*)::int as n from audit_entries")).toEqual([{ n: 2 }]);
  });

  test("data can be erased: proofs stay valid, and the entry says nothing any more", async () => {
    const given = await scenario(control);
    startWriter();
    await log(0, 5);
    const before = await until(async () => {
      const head = await currentHead(control);
      return head !== undefined && (await world.sql("select from audit_pending")).length === 0
        ? head.checkpoint
        : undefined;
    });
    await world.sql("update audit_entries set salt = null, data = null where refs @> array['req_2']");
    expect(await verifyLog(fromDatabase, before)).toMatchObject({ ok: true });
    const { items } = await listAudit(control, await given.actor("audrey"), { id: "req_2", limit: 10, order: "desc" });
    expect(items).toHaveLength(1);
    expect(items[0]).not.toHaveProperty("data");
    expect(items[0]?.leaf.ids["request"]).toBe("req_2");
  });
});

describe("one writer", () => {
  test("at a time works; another takes over when it goes", async () => {
    await using other = world.another();
    const first = startWriter();
    await log(0, 1);
    await grownTo(1);
    startWriter(other);
    await log(1, 50);
    await grownTo(51);
    await first.close();
    await log(51, 50, other.control);
    await grownTo(101, other.control);
    expect(await verifyLog(fromDatabase, await grownTo(101))).toMatchObject({ ok: true });
  });

  test("whose connection is cut goes on where the commit left it", async () => {
    startWriter();
    for (let n = 0; n < 200; n += 10) {
      await log(n, 10);
      if (n % 50 === 0)
        await world.sql(
          "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and objid = $1",
          [0x63617202 & 0xffffffff],
        );
    }
    const head = await grownTo(200);
    expect(head.size).toBe(200);
    expect(await verifyLog(fromDatabase, head)).toMatchObject({ ok: true });
    const entries = await world.sql("select (data::jsonb ->> 'n')::int as n from audit_entries order by index");
    expect(entries.map((row) => row["n"])).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  test("that starts with files behind the database brings them up", async () => {
    startWriter();
    await log(0, 10);
    await grownTo(10);
    await stopWriters();
    const early = await mkdtemp(join(tmpdir(), "cardea-log-"));
    await cp(control.settings.logDirectory, early, { recursive: true });
    startWriter();
    await log(10, 700);
    await grownTo(710);
    await stopWriters();
    await using later = world.another({ settings: { ...control.settings, logDirectory: early } });
    startWriter(later);
    await until(async () =>
      (await readFile(join(early, "checkpoint"), "utf8")).includes("\n710\n") ? true : undefined,
    );
    await stopWriters();
    const opened = openCheckpoint(await readFile(join(early, "checkpoint"), "utf8"), identity());
    expect(
      opened.ok && (await verifyLog((path) => readFile(join(early, path)).catch(() => undefined), opened.value)),
    ).toMatchObject({ ok: true });
    await rm(early, { recursive: true });
  });
});

describe("a database administrator", () => {
  test("who puts a row into the queue, or back into it, puts nothing into the log but that it happened", async () => {
    startWriter();
    await log(0, 1);
    await grownTo(1);
    await stopWriters();
    const forged = JSON.stringify({
      at: "2026-11-22T09:00:00.000Z",
      data: {},
      ids: { grant: "gra_x" },
      type: "grant.created",
    });
    await world.sql("insert into audit_pending (event_id, event, mac) values ('evt_forged', $1, $2)", [
      forged,
      Buffer.alloc(32),
    ]);
    await log(1, 1);
    await world.sql(
      "update audit_pending set event = replace(event, '\"n\":1', '\"n\":7') where event like '%\"n\":1%'",
    );
    startWriter();
    const head = await grownTo(3);
    expect(await verifyLog(fromDatabase, head)).toMatchObject({ ok: true });
    const types = await world.sql("select type from audit_entries order by index");
    expect(types.map((row) => row["type"])).toEqual(["request.submitted", "security.refused", "security.refused"]);
  });

  test("who replays a queued row that was logged adds nothing", async () => {
    await log(0, 1);
    const [row] = await world.sql("select event_id, event, mac from audit_pending");
    startWriter();
    await grownTo(1);
    await world.sql("insert into audit_pending (event_id, event, mac) values ($1, $2, $3)", [
      row?.["event_id"],
      row?.["event"],
      row?.["mac"],
    ]);
    await log(1, 1);
    expect((await grownTo(2)).size).toBe(2);
    await until(async () => ((await world.sql("select from audit_pending")).length === 0 ? true : undefined));
    expect(await world.sql("select count(*)::int as n from audit_entries")).toEqual([{ n: 2 }]);
  });

  test("who alters data beside an entry shows it to nobody", async () => {
    const given = await scenario(control);
    startWriter();
    await log(0, 1);
    await until(async () =>
      (await world.sql("select from audit_entries where refs @> array['req_0']")).length === 1 ? true : undefined,
    );
    await world.sql('update audit_entries set data = \'{"n":1,"text":"bent"}\' where refs @> array[\'req_0\']');
    const { items } = await listAudit(control, await given.actor("audrey"), { id: "req_0", limit: 10, order: "desc" });
    expect(items[0]).not.toHaveProperty("data");
  });

  test("who rewrites, reorders or removes entries does not verify any more", async () => {
    startWriter();
    await log(0, 300);
    const head = await grownTo(300);
    await stopWriters();
    await world.sql("update audit_entries set leaf = replace(leaf, 'req_7\"', 'req_8\"') where refs @> array['req_7']");
    expect(await verifyLog(fromDatabase, head)).toMatchObject({ ok: false, code: "tile_mismatch" });
    await world.sql("delete from audit_entries where index = 5");
    expect(await verifyLog(fromDatabase, head)).toMatchObject({ ok: false, code: "tile_missing" });
    // What was published stands.
    expect(await verifyLog(fromFiles, await published())).toMatchObject({ ok: true });
  });

  const rollbacks: readonly (readonly [string, string])[] = [
    ["removes the newest entries and puts the old head back", "old head"],
    ["removes everything", "empty"],
    ["puts a head there that the log key did not sign", "forged"],
    ["alters the newest entries under the head", "bent"],
  ];
  test.each(rollbacks)("who %s stops issuing, in this process and after a restart", async (_, how) => {
    startWriter();
    await log(0, 10);
    const [old] = await until(async () => {
      await grownTo(10);
      return world.sql("select size, checkpoint from log_head");
    });
    await log(10, 10);
    const head = await grownTo(20);
    await stopWriters();
    demandWholeLog(control);
    if (how === "old head") {
      await world.sql("delete from audit_entries where index >= 10");
      await world.sql("update log_head set size = $1, checkpoint = $2", [old?.["size"], old?.["checkpoint"]]);
    }
    if (how === "empty") await world.sql("truncate audit_entries, log_head, log_tiles");
    if (how === "forged")
      await world.sql("update log_head set checkpoint = replace(checkpoint, E'\\n20\\n', E'\\n21\\n'), size = 21");
    if (how === "bent") await world.sql("update audit_entries set leaf_hash = sha256('x') where index = 15");

    await using restarted = world.another();
    for (const process of how === "bent" ? [restarted] : [world, restarted]) {
      startWriter(process);
      await log(20, 1, process.control);
      await until(async () => ((await logGuard(process.control)).refusal === undefined ? undefined : true));
      expect(() => demandWholeLog(process.control)).toThrow(expect.objectContaining({ code: "log_rolled_back" }));
      if (how !== "bent") await expect(checkpoint(process.control)).rejects.toMatchObject({ code: "log_rolled_back" });
      await stopWriters();
    }
    // Nothing was signed over it, and what was published is what it was.
    expect((await published()).size).toBe(head.size);
  });

  test("whose restored backup is undone again lets issuing go on", async () => {
    startWriter();
    await log(0, 10);
    await grownTo(10);
    const [old] = await world.sql("select size, checkpoint from log_head");
    await log(10, 10);
    await grownTo(20);
    await stopWriters();
    const [whole] = await world.sql("select size, checkpoint from log_head");
    await world.sql("update log_head set size = $1, checkpoint = $2", [old?.["size"], old?.["checkpoint"]]);
    await expect(checkpoint(control)).rejects.toMatchObject({ code: "log_rolled_back" });
    await world.sql("update log_head set size = $1, checkpoint = $2", [whole?.["size"], whole?.["checkpoint"]]);
    startWriter();
    await log(20, 1);
    expect((await grownTo(21)).size).toBe(21);
    demandWholeLog(control);
  });

  test("a published head that is not ours is not taken for one", async () => {
    startWriter();
    await log(0, 1);
    await grownTo(1);
    await stopWriters();
    await writeFile(join(control.settings.logDirectory, "checkpoint"), "cardea.test/log\n1\nAAAA\n\n");
    await using restarted = world.another();
    await expect(currentHead(restarted.control)).rejects.toMatchObject({ code: "log_rolled_back" });
  });
});

describe("readers", () => {
  let given: Scenario;

  beforeEach(async () => {
    given = await scenario(control);
    startWriter();
    await given.submit("ada");
    await given.submit("bob");
    await until(async () => ((await world.sql("select from audit_pending")).length === 0 ? true : undefined));
  });

  test("see the whole log as auditors and administrators, what names them as members", async () => {
    const ada = await given.actor("ada");
    const all = await listAudit(control, await given.actor("audrey"), { limit: 200, order: "asc" });
    expect(all.items.map((entry) => entry.index)).toEqual(
      Array.from({ length: all.items.length }, (_, index) => index),
    );
    expect((await listAudit(control, await given.actor("root"), { limit: 200, order: "asc" })).items).toHaveLength(
      all.items.length,
    );
    const own = await listAudit(control, ada, { limit: 200, order: "asc" });
    expect(own.items.length).toBeGreaterThan(0);
    expect(own.items.every((entry) => Object.values(entry.leaf.ids).includes(ada.subject))).toBe(true);
    expect(
      (await listAudit(control, await given.actor("eve"), { limit: 200, order: "asc", type: "request.submitted" }))
        .items,
    ).toEqual([]);
    expect((await eventsAfter(control, ada, -1, 100)).map((one) => one.index)).toEqual(
      own.items.map((entry) => entry.index),
    );
  });

  test("page without gaps or repeats, both ways, and resume after any index", async () => {
    const audrey = await given.actor("audrey");
    for (const order of ["asc", "desc"] as const) {
      const seen: number[] = [];
      for (let cursor: string | undefined; ;) {
        const page = await listAudit(control, audrey, { limit: 3, order, ...(cursor !== undefined && { cursor }) });
        seen.push(...page.items.map((entry) => entry.index));
        cursor = page.next;
        if (cursor === undefined) break;
      }
      const expected = Array.from({ length: (await newestIndex(control)) + 1 }, (_, index) => index);
      expect(seen).toEqual(order === "asc" ? expected : expected.reverse());
    }
    const newest = await newestIndex(control);
    expect((await eventsAfter(control, audrey, newest - 2, 100)).map((one) => one.index)).toEqual([newest - 1, newest]);
    await expect(listAudit(control, audrey, { limit: 3, order: "asc", cursor: "x" })).rejects.toMatchObject({
      code: "invalid_request",
    });
  });

  test("find entries by type and by any id, and personal words are never in a leaf", async () => {
    const audrey = await given.actor("audrey");
    const { items } = await listAudit(control, audrey, { type: "request.submitted", limit: 10, order: "asc" });
    expect(items).toHaveLength(2);
    expect(items[0]?.data).toMatchObject({ justification: "refund case 4711", role: "write" });
    const found = await listAudit(control, audrey, {
      id: items[0]?.leaf.ids["request"] ?? "",
      limit: 10,
      order: "asc",
    });
    expect(found.items.map((entry) => entry.leaf.type)).toEqual(["request.submitted"]);
    const leaves = await world.sql("select leaf from audit_entries");
    for (const row of leaves) {
      expect(AuditLeaf.safeParse(JSON.parse(String(row["leaf"]))).success).toBe(true);
      expect(String(row["leaf"])).not.toMatch(/refund|ada|bob|10\.1\.2\.3/);
    }
  });
});

test("heads only ever continue each other", async () => {
  startWriter();
  const heads: Checkpoint[] = [];
  for (let n = 0; n < 12; n++) {
    await log(n * 37, 37);
    heads.push(await grownTo((n + 1) * 37));
  }
  for (const [index, older] of heads.entries()) {
    const newer = heads[index + 1];
    if (newer !== undefined) expect(await verifyGrowth(fromDatabase, older, newer)).toMatchObject({ ok: true });
  }
});

test("an event too large for the log is refused before anything is stored", async () => {
  const storing = transact(control, (tx) => record(tx, control, event(0, { data: { text: "x".repeat(300_000) } })));
  await expect(storing).rejects.toMatchObject({ code: "too_large" });
  const ids = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`id${n}`, "x".repeat(80)]));
  await expect(transact(control, (tx) => record(tx, control, event(0, { ids })))).rejects.toMatchObject({
    code: "too_large",
  });
  expect(await world.sql("select from audit_pending")).toEqual([]);
});
