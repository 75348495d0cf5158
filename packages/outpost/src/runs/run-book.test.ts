import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemRandom } from "@cardea/connectors/postgres/fixture/system";
import { newId, type GrantId } from "@cardea/core/contract/ids";
import { digestOf, type Digest } from "@cardea/core/documents/digest";
import { verifyDigest } from "@cardea/core/documents/signature";
import type { Verified } from "@cardea/core/evidence/verify";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { manualClock } from "@cardea/core/lib/clock";
import { ed25519PublicKey } from "@cardea/core/lib/crypto";
import { Receipt, TaskResult } from "@cardea/core/wire/link";
import { noteGrant, sweepGrants } from "../store/grants.ts";
import { openRuns } from "../store/runs.ts";
import { Spool } from "../store/spool.ts";
import { Store } from "../store/store.ts";
import { RunBook, type RunOrder } from "./run-book.ts";

const clock = manualClock(Date.UTC(2026, 10, 22));
const identity = systemRandom.bytes(32);
const identityKey = toBase64Url(ed25519PublicKey(identity));
const outpost = newId("outpost", clock, systemRandom);
const dayMs = 86_400_000;

let directory: string;
let store: Store;
let spool: Spool;
let book: RunBook;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cardea-test-runs-"));
  store = Store.open(directory);
  spool = new Spool(store, clock, systemRandom);
  const persist = (): void => undefined;
  book = new RunBook({
    store,
    teller: { spool, outpost },
    trust: { persist },
    keys: { identity, identityKey },
    clock,
    random: systemRandom,
  });
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

function orderOf(grant: GrantId = newId("grant", clock, systemRandom)): RunOrder {
  // What the book reads of what was verified.
  const verified = { evidence: { grant: { id: grant } }, digests: { grant: digestOf("grant", { id: grant }) } };
  return {
    task: newId("task", clock, systemRandom),
    verified: verified as unknown as Verified,
    action: { type: "sql", name: "sql.update", what: { statement: "update t set a = 1" }, binding: { kind: "update" } },
    resource: newId("resource", clock, systemRandom),
    lease: newId("lease", clock, systemRandom),
    deadlineMs: clock.now() + 300_000,
    session: newId("session", clock, systemRandom),
  };
}

const told = (lane: "receipt" | "event") => spool.after(lane, 0, 100).map(({ message }) => message);
const ran = (at: number) => {
  const receipt = Receipt.parse(told("receipt")[at]);
  if (!receipt.outcome.ok || receipt.outcome.result.type !== "ran") throw new Error("no `ran`");
  return { receipt, result: TaskResult.parse(receipt.outcome.result) as typeof receipt.outcome.result };
};

describe("a run", () => {
  test("uses its grant, once, whatever tries", async () => {
    const order = orderOf();
    const grant = order.verified.evidence.grant.id;
    await store.write(() => book.intend(order));
    expect(store.grants.get(grant)).toMatchObject({ state: "over" });
    await expect(store.write(() => book.intend(order))).rejects.toMatchObject({ code: "evidence_replayed" });
    const ended = orderOf();
    await store.write(() =>
      noteGrant(store, ended.verified.evidence.grant.id, { state: "over", untilMs: order.deadlineMs }),
    );
    await expect(store.write(() => book.intend(ended))).rejects.toMatchObject({ code: "evidence_replayed" });
  });

  test("is told when it starts and how it went, signed, and nothing after that", async () => {
    const order = orderOf();
    const grant = order.verified.evidence.grant.id;
    const run = await store.write(() => book.intend(order));
    await store.write(() => book.start(grant, "742@00000001"));
    expect(told("event")).toMatchObject([
      {
        type: "run.started",
        ids: { outpost, grant, run: run.id, session: order.session },
        data: { trace: "742@00000001" },
      },
    ]);
    await store.write(() => book.settle(grant, { outcome: "done", rows: 3 }));
    await store.write(() => book.settle(grant, { outcome: "failed" }));
    expect(told("receipt")).toHaveLength(1);
    const { receipt, result } = ran(0);
    expect(receipt.task).toBe(order.task);
    expect(result.run).toEqual({
      v: 1,
      id: run.id,
      grant: order.verified.digests.grant,
      session: order.session,
      binding: { kind: "update" },
      outcome: "done",
      rowCount: 3,
      at: "2026-11-22T00:00:00.000Z",
    });
    const digest: Digest = digestOf("run", result.run);
    expect(verifyDigest(result.signature, "outpost", ed25519PublicKey(identity), digest)).toBe(true);
    expect(store.runs.get(grant)).toMatchObject({ state: "done", receipt: { id: receipt.id } });
    await expect(store.write(() => book.start(grant, undefined))).rejects.toMatchObject({ code: "hold_gone" });
  });

  test("that was never sent did not happen, though nobody saw its end", async () => {
    const order = orderOf();
    const grant = order.verified.evidence.grant.id;
    await store.write(() => book.intend(order));
    const error = { code: "x".repeat(100), message: "\u0000\u202ewords" };
    await store.write(() => book.settle(grant, { outcome: "unknown", error }));
    expect(ran(0).result).toMatchObject({
      run: { outcome: "failed" },
      error: { code: "x".repeat(64), message: "words" },
    });
    expect(openRuns(store)).toEqual([]);
  });

  test("that nobody knows of can be found out about later, once", async () => {
    const order = orderOf();
    const grant = order.verified.evidence.grant.id;
    const run = await store.write(() => book.intend(order));
    await store.write(() => book.start(grant, "742"));
    await store.write(() => book.settle(grant, { outcome: "unknown" }));
    expect(ran(0).result.run.outcome).toBe("unknown");
    expect(openRuns(store)).toMatchObject([{ grant, state: "unknown", trace: "742" }]);
    await store.write(() => book.settle(grant, { outcome: "unknown" }));
    for (const outcome of ["done", "failed"] as const) await store.write(() => book.settle(grant, { outcome }));
    expect(told("event").slice(1)).toMatchObject([
      { type: "run.resolved", ids: { grant, run: run.id }, data: { outcome: "done" } },
    ]);
    expect(told("receipt")).toHaveLength(1);
    expect(openRuns(store)).toEqual([]);
  });

  test("names its answer by what is delivered", async () => {
    const order = orderOf();
    const grant = order.verified.evidence.grant.id;
    const sealed = { enc: "AAAA", ciphertext: "BBBB" };
    await store.write(() => book.intend(order));
    await store.write(() => book.start(grant, undefined));
    await store.write(() => book.settle(grant, { outcome: "done", sealed }));
    expect(ran(0).result).toMatchObject({ sealed, run: { resultDigest: digestOf("sealed", sealed) } });
  });

  test("is forgotten with its grant", async () => {
    const order = orderOf();
    const grant = order.verified.evidence.grant.id;
    await store.write(() => book.intend(order));
    await sweepGrants(store, clock.now() + 6 * dayMs);
    expect(store.runs.get(grant)).toBeDefined();
    await sweepGrants(store, clock.now() + 8 * dayMs);
    expect([store.runs.get(grant), store.grants.get(grant)]).toEqual([undefined, undefined]);
  });
});
