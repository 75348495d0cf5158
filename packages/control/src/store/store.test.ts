import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { sql } from "kysely";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { transitions } from "@cardea/core/lifecycle/states";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { scenario } from "@cardea/testing/scenario";
import type { Control } from "../control.ts";
import { openDatabase } from "./connection.ts";
import { ensurePartitions } from "./log.ts";
import { migrate } from "./migrate.ts";
import { Recent } from "./recent.ts";
import { openSigned, readSigned, signDocument, signedColumns } from "./signed.ts";
import { afterCommit, beforeCommit, transact } from "./transaction.ts";
import { startWake } from "./wake.ts";

const log = pino({ level: "silent" });
let cluster: TestCluster;
let world: TestControl;
let control: Control;

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  world = await startTestControl(cluster);
  control = world.control;
});
afterAll(async () => {
  await world.stop();
  await cluster.stop();
});

/** The constraint that PostgreSQL named, or the SQLSTATE. */
async function refusal(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
    return "accepted";
  } catch (error) {
    return (error as { constraint?: string; code?: string }).constraint ?? (error as { code?: string }).code;
  }
}

describe("states", () => {
  test("the database's legal steps are those of the core", async () => {
    const rows = await world.sql("select lifecycle, from_state, to_state from state_transition");
    const stored = rows.map(
      (row) => `${String(row["lifecycle"])}: ${String(row["from_state"])} → ${String(row["to_state"])}`,
    );
    const lifecycles: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = transitions;
    const core = Object.entries(lifecycles).flatMap(([lifecycle, steps]) =>
      Object.entries(steps).flatMap(([from, to]) => to.map((state) => `${lifecycle}: ${from} → ${state}`)),
    );
    expect(stored.sort()).toEqual(core.sort());
  });

  test("an illegal step cannot be stored, whatever the statement claims to come from", async () => {
    const given = await scenario(control);
    const request = await given.submit("ada");
    const allowed = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    expect(
      await refusal(
        world.sql(
          "update requests set state = 'approved', previous_state = 'pending', decided_at = now() where id = $1",
          [request.id],
        ),
      ),
    ).toBe("accepted");
    expect(
      await refusal(
        world.sql("update requests set state = 'pending', previous_state = null, decided_at = null where id = $1", [
          request.id,
        ]),
      ),
    ).toBe("requests_state_legal");
    expect(
      await refusal(
        world.sql("update requests set state = 'denied', previous_state = 'pending' where id = $1", [request.id]),
      ),
    ).toBe("requests_state_legal");
    expect(
      await refusal(world.sql("update grants set state = 'ended', why = 'expired' where id = $1", [allowed.grant?.id])),
    ).toBe("grants_state_legal");
    expect(await refusal(world.sql("update grants set state = 'active' where id = $1", [allowed.grant?.id]))).toBe(
      "accepted",
    );
    expect(await refusal(world.sql("update grants set state = 'issuing' where id = $1", [allowed.grant?.id]))).toBe(
      "grants_state_legal",
    );
  });
});

describe("migrations", () => {
  let directory: string;
  let url: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "cardea-migrations-"));
    ({ url } = await cluster.createDatabase());
    return () => rm(directory, { recursive: true });
  });

  async function migrated(): Promise<unknown> {
    const database = openDatabase({ connection: url }, log);
    try {
      await migrate(database.connect, log, pathToFileURL(`${directory}/`));
      return "migrated";
    } catch (error) {
      return (error as { code: string }).code;
    } finally {
      await database.close();
    }
  }

  const count = async () => {
    const database = openDatabase({ connection: url }, log);
    const { rows } = await sql<{ n: number }>`select count(*) as n from t`.execute(database.db);
    await database.close();
    return rows[0]?.n;
  };

  test("each is applied once, also by processes that start at once", async () => {
    await writeFile(join(directory, "0001_table.sql"), "create table t (x integer);");
    await writeFile(join(directory, "0002_row.sql"), "insert into t values (1);");
    expect(await Promise.all([migrated(), migrated(), migrated()])).toEqual(["migrated", "migrated", "migrated"]);
    expect(await migrated()).toBe("migrated");
    expect(await count()).toBe(1);
  });

  test("one that fails leaves nothing of itself, and is tried again", async () => {
    await writeFile(join(directory, "0001_table.sql"), "create table t (x integer);");
    await writeFile(join(directory, "0002_row.sql"), "insert into t values (1); insert into nothing values (1);");
    expect(await migrated()).toBe("42P01");
    expect(await count()).toBe(0);
    await writeFile(join(directory, "0002_row.sql"), "insert into t values (1);");
    expect(await migrated()).toBe("migrated");
    expect(await count()).toBe(1);
  });

  test("an applied file that changed, or one of a newer version, stops the start", async () => {
    await writeFile(join(directory, "0001_table.sql"), "create table t (x integer);");
    await writeFile(join(directory, "0002_row.sql"), "insert into t values (1);");
    await migrated();
    await writeFile(join(directory, "0001_table.sql"), "create table t (x bigint);");
    expect(await migrated()).toBe("setting_invalid");
    await writeFile(join(directory, "0001_table.sql"), "create table t (x integer);");
    await rm(join(directory, "0002_row.sql"));
    expect(await migrated()).toBe("setting_invalid");
  });

  test("ours apply to an empty database of the oldest and of the embedded version", async () => {
    await cp(new URL("../../src/store/migrations/", import.meta.url), directory, { recursive: true });
    expect(await migrated()).toBe("migrated");
    await using newer = await startTestCluster({ version: 18 });
    ({ url } = await newer.createDatabase());
    expect(await migrated()).toBe("migrated");
  });
});

describe("a transaction", () => {
  beforeAll(async () => {
    await world.sql("create table cells (name text primary key, n integer not null)");
    await world.sql("insert into cells values ('a', 0), ('b', 0)");
  });

  test("that deadlocks with another is run again, and both commit", async () => {
    let runs = 0;
    const both = ["a", "b"];
    let met = 0;
    let meet: () => void = () => undefined;
    const meeting = new Promise<void>((resolve) => (meet = resolve));
    const crossing = (order: readonly string[]) =>
      transact(control, async (tx) => {
        runs += 1;
        for (const [place, name] of order.entries()) {
          await sql`update cells set n = n + 1 where name = ${name}`.execute(tx);
          if (place === 0 && (met += 1) === 2) meet();
          if (place === 0 && runs <= 2) await meeting;
        }
      });
    await Promise.all([crossing(both), crossing([...both].reverse())]);
    expect(runs).toBeGreaterThan(2);
    expect(await world.sql("select n from cells order by name")).toEqual([{ n: 2 }, { n: 2 }]);
  });

  test("does what waits for its end inside it, and what waits for its commit only after it", async () => {
    const order: string[] = [];
    await transact(control, async (tx) => {
      afterCommit(tx, () => order.push("after"));
      beforeCommit(tx, async () => {
        await sql`update cells set n = 100`.execute(tx);
        order.push("before");
      });
      order.push("work");
      return Promise.resolve();
    });
    expect(order).toEqual(["work", "before", "after"]);
    expect(await world.sql("select distinct n from cells")).toEqual([{ n: 100 }]);
  });

  test("that fails tells nobody, and is not run again", async () => {
    let runs = 0;
    let told = false;
    const failing = transact(control, async (tx) => {
      runs += 1;
      afterCommit(tx, () => (told = true));
      beforeCommit(tx, () => Promise.reject(new Error("no")));
      await sql`update cells set n = 200`.execute(tx);
    });
    await expect(failing).rejects.toThrow("no");
    expect([runs, told]).toEqual([1, false]);
    expect(await world.sql("select distinct n from cells")).toEqual([{ n: 100 }]);
  });

  test("on a database that is away says so", async () => {
    const away = openDatabase({ connection: "postgresql://nobody@127.0.0.1:1/nothing" }, log);
    await expect(transact({ ...control, db: away.db }, (tx) => sql`select 1`.execute(tx))).rejects.toMatchObject({
      code: "database_unavailable",
    });
    await expect(away.connect()).rejects.toMatchObject({ code: "database_unavailable" });
    await away.close();
  });
});

describe("a stored document", () => {
  const Note = z.strictObject({ id: z.string(), text: z.string() });

  test("is believed for the control plane's signature over exactly its bytes, and for nothing else", () => {
    const { keys } = control;
    const signed = signDocument(keys, "review", { id: "a", text: "fine" });
    const columns = signedColumns(signed);
    const row = { ...columns, signatures: JSON.parse(columns.signatures) as unknown, id: "a" };
    expect(readSigned(keys, "review", Note, row).document).toEqual({ id: "a", text: "fine" });

    const stranger = { ...keys, signing: { ...keys.signing, seed: control.random.bytes(32) } };
    const forged = signedColumns(signDocument(stranger, "review", { id: "a", text: "bent" }));
    // The forger's own process cached it as verified: it shares our public key here, so it must be looked at by another key's cache.
    const elsewhere = { ...keys, signing: { ...keys.signing, publicKey: Uint8Array.from(keys.signing.publicKey) } };
    const altered = [
      { ...row, document: row.document.replace("fine", "bent") },
      { ...row, document: row.document.replace("fine", "bent"), digest: forged.digest },
      { ...row, ...forged, signatures: JSON.parse(forged.signatures) as unknown },
      { ...row, signatures: [] },
      { ...row, signatures: "nonsense" },
      { ...row, document: "{" },
      { ...row, id: "b" },
    ];
    for (const one of altered)
      expect(() => readSigned(elsewhere, "review", Note, one), JSON.stringify(one)).toThrow(
        expect.objectContaining({ code: "evidence_signature" }),
      );
    // Of another type the same bytes have another digest.
    expect(openSigned(elsewhere.signing.publicKey, "vote", Note, row)).toBeUndefined();
  });

  test("verified before is verified again where anything of it differs", () => {
    const { keys } = control;
    const columns = signedColumns(signDocument(keys, "review", { id: "a", text: "seen" }));
    const row = { ...columns, signatures: JSON.parse(columns.signatures) as unknown, id: "a" };
    readSigned(keys, "review", Note, row);
    expect(() => readSigned(keys, "review", Note, { ...row, document: row.document.replace("seen", "bent") })).toThrow(
      expect.objectContaining({ code: "evidence_signature" }),
    );
    expect(() => readSigned(keys, "review", Note, { ...row, signatures: [] })).toThrow(
      expect.objectContaining({ code: "evidence_signature" }),
    );
  });
});

describe("hints", () => {
  const never = new AbortController().signal;

  test("reach the same process at once, and another one by the database", async () => {
    await using other = world.another();
    await delivered(world, other);
    const here = control.wake.wait("grants", 5_000, never).then(() => "here");
    const there = other.control.wake.wait("grants", 5_000, never).then(() => "there");
    const started = performance.now();
    control.wake.signal("grants");
    expect(await Promise.all([here, there])).toEqual(["here", "there"]);
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  test("of a transaction are given once it has committed, and never for one that was undone", async () => {
    let heard = 0;
    const unsubscribe = control.wake.subscribe("policy", () => (heard += 1));
    await transact(control, (tx) => {
      control.wake.signal("policy", tx);
      expect(heard).toBe(0);
      return Promise.resolve();
    });
    expect(heard).toBe(1);
    await transact(control, (tx) => {
      control.wake.signal("policy", tx);
      return Promise.reject(new Error("undone"));
    }).catch(() => undefined);
    expect(heard).toBe(1);
    unsubscribe();
    control.wake.signal("policy");
    expect(heard).toBe(1);
  });

  test("are listened for again after the connection broke", async () => {
    await using other = world.another();
    await delivered(world, other);
    await world.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen %' or query like 'select pg_notify%'",
    );
    await delivered(world, other, 10_000);
  });

  test("waiting ends with its time or its signal", async () => {
    const wake = startWake({ random: control.random, log });
    await wake.wait("log", 10, never);
    const aborting = new AbortController();
    const waiting = wake.wait("log", 60_000, aborting.signal);
    aborting.abort();
    await waiting;
    await wake.wait("log", 60_000, aborting.signal);
    await wake.close();
  });

  /** Signals from one process until the other hears it. */
  async function delivered(from: TestControl, to: TestControl, withinMs = 5_000): Promise<void> {
    const heard = { yet: false };
    const unsubscribe = to.control.wake.subscribe("people", () => (heard.yet = true));
    for (const until = performance.now() + withinMs; !heard.yet;) {
      if (performance.now() > until) throw new Error("the hint never came");
      from.control.wake.signal("people");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    unsubscribe();
  }
});

test("the log's partitions are made ahead of the entries that need them, once", async () => {
  const client = await world.database.connect();
  expect(await ensurePartitions(client, 0, 10)).toBe(1_000_000);
  expect(await ensurePartitions(client, 999_990, 1_000_010)).toBe(2_000_000);
  expect(await ensurePartitions(client, 0, 2_000_000)).toBe(3_000_000);
  await client.end();
  const rows = await world.sql(
    "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'audit_entries'::regclass order by 1",
  );
  expect(rows.map((row) => row["name"])).toEqual(["audit_entries_p0", "audit_entries_p1", "audit_entries_p2"]);
});

test("what was used last is kept, the rest forgotten", () => {
  const recent = new Recent<string, number>(2);
  recent.set("a", 1);
  recent.set("b", 2);
  expect(recent.get("a")).toBe(1);
  recent.set("c", 3);
  expect([recent.get("a"), recent.get("b"), recent.get("c")]).toEqual([1, undefined, 3]);
});
