import { copyFile, mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newId, type ResourceId } from "@cardea/core/contract/ids";
import { manualClock } from "@cardea/core/lib/clock";
import { noteGrant, sweepGrants } from "./grants.ts";
import {
  addLease,
  changeLease,
  dueLeases,
  leaseCounts,
  nextDueMs,
  removeLease,
  resourcesWithLeases,
  type EndingLease,
  type IntendedLease,
  type LiveLease,
} from "./leases.ts";
import { lockDirectory } from "./lock.ts";
import { Spool } from "./spool.ts";
import { Store } from "./store.ts";

const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };
const clock = manualClock(Date.parse("2026-11-22T09:00:00.000Z"));

let directory: string;
let store: Store;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cardea-test-store-"));
  store = Store.open(join(directory, "store"));
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

function intended(
  resource: ResourceId = newId("resource", clock, random),
  deadlineMs = clock.now() + 60_000,
): IntendedLease {
  const id = newId("lease", clock, random);
  return {
    id,
    grant: newId("grant", clock, random),
    resource,
    nativeName: `cardea_${id}`,
    deadlineMs,
    state: "intended",
  };
}
const live = (lease: IntendedLease): LiveLease => ({ ...lease, state: "live", liveAtMs: clock.now() });
const ending = (lease: IntendedLease | LiveLease, nextAttemptMs: number): EndingLease => {
  const { id, grant, resource, nativeName, deadlineMs } = lease;
  return {
    id,
    grant,
    resource,
    nativeName,
    deadlineMs,
    state: "ending",
    why: "expired",
    over: true,
    tasks: [],
    attempts: 0,
    nextAttemptMs,
    stuck: false,
  };
};

describe("a write", () => {
  test("is on the disk when it resolves: a copy of the file taken then has it", async () => {
    await store.write(() => store.facts.putSync("a", 1));
    await mkdir(join(directory, "copy"));
    await copyFile(join(directory, "store", "data.mdb"), join(directory, "copy", "data.mdb"));
    const copy = Store.open(join(directory, "copy"));
    expect(copy.facts.get("a")).toBe(1);
    await copy.close();
  });

  test("that throws changes nothing, and spoils nothing for those that share its turn", async () => {
    const before = store.write(() => store.facts.putSync("before", 1));
    const bad = store.write(() => {
      store.facts.putSync("bad", 1);
      throw new RangeError("no");
    });
    const after = store.write(() => store.facts.get("before"));
    await expect(bad).rejects.toThrow(RangeError);
    await before;
    expect(await after).toBe(1);
    expect(store.facts.get("bad")).toBeUndefined();
  });

  test("sees what the ones before it wrote in the same turn: of many that compare and set, one wins", async () => {
    const attempts = Array.from({ length: 50 }, (_, index) =>
      store.write(() => {
        if (store.facts.get("once") !== undefined) return false;
        store.facts.putSync("once", index);
        return true;
      }),
    );
    expect((await Promise.all(attempts)).filter((won) => won)).toHaveLength(1);
  });

  test("after the close is refused", async () => {
    await store.close();
    await expect(store.write(() => undefined)).rejects.toMatchObject({ code: "store_failed" });
  });

  test("survives a close and an opening", async () => {
    await store.write(() => store.facts.putSync("a", { deep: [1, "two"] }));
    await store.close();
    store = Store.open(join(directory, "store"));
    expect(store.facts.get("a")).toEqual({ deep: [1, "two"] });
  });

  test("a store of another format is not opened", async () => {
    await store.write(() => store.facts.putSync("format", 99));
    await store.close();
    expect(() => Store.open(join(directory, "store"))).toThrow(
      expect.objectContaining({ code: "data_directory_invalid" }),
    );
    store = Store.open(join(directory, "other"));
  });
});

describe("leases", () => {
  test("are due by resource in the order of time; an intent at once, an ending at its next attempt", async () => {
    const resource = newId("resource", clock, random);
    const other = intended();
    const [late, early, orphan, retried] = [
      intended(resource, 3_000),
      intended(resource, 2_000),
      intended(resource, 9_000),
      intended(resource, 1),
    ];
    await store.write(() => {
      for (const lease of [late, early, orphan, retried, other]) addLease(store, lease);
      for (const lease of [late, early, other]) changeLease(store, lease, live(lease));
      changeLease(store, retried, ending(retried, 2_500));
    });
    expect([...dueLeases(store, resource, 10_000)]).toEqual([orphan.id, early.id, retried.id, late.id]);
    expect([...dueLeases(store, resource, 2_000)]).toEqual([orphan.id, early.id]);
    expect(nextDueMs(store, resource)).toBe(0);
    expect(nextDueMs(store, other.resource)).toBe(other.deadlineMs);
    expect(new Set(resourcesWithLeases(store))).toEqual(new Set([resource, other.resource]));
  });

  test("are counted through every step, and gone ones leave nothing", async () => {
    const lease = intended();
    const stuck = { ...ending(live(lease), 5), stuck: true };
    await store.write(() => addLease(store, lease));
    expect(leaseCounts(store)).toEqual({ live: 0, ending: 0, stuck: 0 });
    await store.write(() => changeLease(store, lease, live(lease)));
    expect(leaseCounts(store)).toEqual({ live: 1, ending: 0, stuck: 0 });
    await store.write(() => changeLease(store, live(lease), stuck));
    expect(leaseCounts(store)).toEqual({ live: 0, ending: 1, stuck: 1 });
    await store.write(() => removeLease(store, stuck));
    expect(leaseCounts(store)).toEqual({ live: 0, ending: 0, stuck: 0 });
    expect(resourcesWithLeases(store)).toEqual([]);
    expect([...store.names.getKeys({})]).toEqual([]);
  });

  test("take only the steps of the table", async () => {
    const lease = intended();
    await store.write(() => addLease(store, lease));
    await store.write(() => changeLease(store, lease, ending(lease, 1)));
    await expect(store.write(() => changeLease(store, ending(lease, 1), live(lease)))).rejects.toThrow(
      "a lease does not go from `ending` to `live`",
    );
    expect(store.leases.get(lease.id)?.state).toBe("ending");
  });
});

describe("the spool", () => {
  test("keeps its order across a restart and forgets what was acknowledged", async () => {
    const first = new Spool(store, clock, random);
    await store.write(() => {
      first.event("lease.live", { lease: "a" }, {});
      first.event("lease.gone", { lease: "a" }, {});
    });
    const [one] = first.after("event", 0, 10);
    first.acknowledge(one === undefined ? [] : [one.place]);
    await first.settle();
    await store.close();
    store = Store.open(join(directory, "store"));
    const second = new Spool(store, clock, random);
    await store.write(() => second.event("lease.stuck", { lease: "b" }, {}));
    expect(second.after("event", 0, 10).map(({ message }) => (message.kind === "event" ? message.type : ""))).toEqual([
      "lease.gone",
      "lease.stuck",
    ]);
  });

  test("never gives a place twice while the process lives, also when it runs empty", async () => {
    const spool = new Spool(store, clock, random);
    await store.write(() => spool.event("lease.live", {}, {}));
    const [one] = spool.after("event", 0, 10);
    spool.acknowledge(one === undefined ? [] : [one.place]);
    await store.write(() => spool.event("lease.gone", {}, {}));
    expect(spool.after("event", one?.place[1] ?? 0, 10)).toHaveLength(1);
  });

  test("cleans the words of a failure of what could move a terminal or break the link", async () => {
    const spool = new Spool(store, clock, random);
    await store.write(() =>
      spool.failure(newId("task", clock, random), {
        code: "resource_fault",
        detail: `\u001b[2J\u202egnp.exe${"x".repeat(5_000)}\ud800`,
        retryable: true,
      }),
    );
    const [told] = spool.after("receipt", 0, 1);
    const outcome = told?.message.kind === "receipt" ? told.message.outcome : undefined;
    expect(outcome).toMatchObject({ ok: false, code: "resource_fault" });
    expect(JSON.stringify(outcome)).not.toMatch(/u001b|u202e|\ud800/);
  });
});

test("grants that are long over are forgotten, others are not", async () => {
  const [old, recent, used] = [
    newId("grant", clock, random),
    newId("grant", clock, random),
    newId("grant", clock, random),
  ];
  const dayMs = 86_400_000;
  await store.write(() => {
    noteGrant(store, old, { state: "over", untilMs: clock.now() - 8 * dayMs });
    noteGrant(store, recent, { state: "over", untilMs: clock.now() - 6 * dayMs });
    noteGrant(store, used, { state: "issuing", lease: newId("lease", clock, random), untilMs: 0 });
  });
  expect(await sweepGrants(store, clock.now())).toBe(false);
  expect([store.grants.get(old), store.grants.get(recent)?.state, store.grants.get(used)?.state]).toEqual([
    undefined,
    "over",
    "issuing",
  ]);
  expect([...store.over.getKeys({})].map(([, grant]) => grant)).toEqual([recent]);
});

describe("a data directory", () => {
  test("is one process's", async () => {
    const lock = await lockDirectory(directory, process.pid);
    await expect(lockDirectory(directory, process.pid)).rejects.toMatchObject({ code: "already_running" });
    await lock.release();
    await (await lockDirectory(directory, process.pid)).release();
  });

  test("is free after its process was killed, also where another process has its number now", async () => {
    await writeFile(join(directory, "lock"), "999999999 1");
    await (await lockDirectory(directory, process.pid)).release();
    await writeFile(join(directory, "lock"), `${String(process.pid)} 1`);
    await (await lockDirectory(directory, process.pid)).release();
  });
});
