import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { HeldAction, HoldVerdict } from "@cardea/connectors/gateway";
import { systemClock as clock, systemRandom as random } from "@cardea/connectors/postgres/fixture/system";
import { newId } from "@cardea/core/contract/ids";
import { digestOf } from "@cardea/core/documents/digest";
import { verifyDigest } from "@cardea/core/documents/signature";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { ed25519PublicKey } from "@cardea/core/lib/crypto";
import { refused } from "@cardea/core/lib/result";
import { ActionHeld } from "@cardea/core/wire/action-events";
import type { LinkEvent } from "@cardea/core/wire/link";
import type { ResourceHost } from "../resources/host.ts";
import { defaultTuning } from "../settings.ts";
import type { OpenKey } from "../store/keys.ts";
import { Spool } from "../store/spool.ts";
import { Store } from "../store/store.ts";
import type { TrustState } from "../trust/trust-state.ts";
import { Holds } from "./holds.ts";
import { Recent } from "./recent.ts";
import type { WaitingSession } from "./waiting.ts";

const identity = random.bytes(32);
const identityKey = toBase64Url(ed25519PublicKey(identity));
const outpost = newId("outpost", clock, random);

let directory: string;
let store: Store;
let spool: Spool;
let holds: Holds;
let notNow: ReturnType<TrustState["whyNotNow"]>;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cardea-test-holds-"));
  store = Store.open(directory);
  spool = new Spool(store, clock, random);
  notNow = undefined;
  holds = new Holds({
    store,
    teller: { spool, outpost },
    trust: { whyNotNow: () => notNow },
    keys: { identity, identityKey },
    tuning: { ...defaultTuning, maxSleepMs: 20, unheardMs: 50 },
    random,
    log: pino({ level: "silent" }),
  });
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

const terms = { holdMs: 60_000, transactionHoldMs: 60_000, recordsOutput: false };

async function session(change: Partial<typeof terms> = {}): Promise<WaitingSession> {
  const grant = newId("grant", clock, random);
  const request = {
    asked: {
      requester: { id: newId("subject", clock, random), kind: "human" },
      resource: "orders",
      justification: "refund",
      ticket: "OPS-1",
    },
  };
  // Of a key and of a host as much as waiting reads.
  const key = { id: grant, state: "open", grant: { id: grant, limits: { sourceIps: ["10.0.0.0/8"] } }, request };
  const host = {
    id: newId("resource", clock, random),
    runsActions: true,
    behindGateway: { terms: { ...terms, ...change } },
  };
  await store.write(() => store.keys.putSync(grant, key as unknown as OpenKey));
  return {
    id: newId("session", clock, random),
    key: key as unknown as OpenKey,
    host: host as unknown as ResourceHost,
    login: { lease: newId("lease", clock, random), nativeName: "cardea_x", deadlineMs: clock.now() + 600_000 },
    sourceAddress: "10.1.2.3",
    closed: new AbortController().signal,
    recent: new Recent(),
    filed: () => undefined,
  };
}

function held(statement = "update orders set a = 1"): HeldAction {
  const action = { type: "sql", name: "sql.update", what: { statement }, binding: { kind: "update" } };
  return { action, patterns: [], inTransaction: false };
}

const events = () => spool.after("event", 0, 100).map(({ message }) => message as LinkEvent);
const asked = async (at = 0) => {
  await vi.waitFor(() => expect(events().filter(({ type }) => type === "action.held").length).toBeGreaterThan(at));
  return ActionHeld.parse(events().filter(({ type }) => type === "action.held")[at]?.data).asked;
};
const withdrawn = () =>
  events()
    .filter(({ type }) => type === "action.withdrawn")
    .map(({ data }) => data["why"]);

/** Begins to wait. */
function wait(where: WaitingSession, what = held()) {
  const told: string[] = [];
  const client = new AbortController();
  const verdict = holds.hold(where, what, (words) => void told.push(words), client.signal);
  return { told, verdict, leave: () => client.abort() };
}

describe("what is asked for", () => {
  test("is in the requester's name and the key's limits, signed, with what the session did before", async () => {
    const where = await session();
    for (let at = 0; at < 12; at++) where.recent.note(`select ${String(at)}\u0000${"x".repeat(600)}`);
    const { verdict, leave } = wait(where);
    const { nonce, ...rest } = await asked();
    expect(rest).toEqual({
      requester: where.key.request.asked.requester,
      resource: "orders",
      ask: { action: held().action },
      justification: "refund",
      ticket: "OPS-1",
      window: { duration: "5m" },
      limits: { sourceIps: ["10.0.0.0/8"] },
      within: { grant: where.key.id, session: where.id },
    });
    const [event] = events();
    const { signature, recent } = ActionHeld.parse(event?.data);
    expect(verifyDigest(signature, "outpost", ed25519PublicKey(identity), digestOf("asked", { nonce, ...rest }))).toBe(
      true,
    );
    expect(event?.ids).toEqual({ outpost, resource: where.host.id, grant: where.key.id, session: where.id });
    expect(recent).toHaveLength(10);
    expect(recent[0]).toMatch(/^select 2x{400,}$/);
    leave();
    await verdict;
  });

  test("is found by exactly what it is, and by nothing else", async () => {
    const { verdict, leave } = wait(await session());
    const real = await asked();
    expect(holds.find(real)?.asked).toEqual(real);
    const forged = [
      { ...real, ask: { action: { ...held("drop table orders").action } } },
      { ...real, nonce: `${real.nonce}x` },
      { ...real, justification: "another" },
      { ...real, within: { ...real.within, session: newId("session", clock, random) } },
    ];
    for (const one of forged) expect(holds.find(one as typeof real)).toBeUndefined();
    expect(holds.find({ ...real, within: undefined })).toBeUndefined();
    leave();
    await verdict;
    expect(holds.find(real)).toBeUndefined();
  });
});

describe("waiting ends", () => {
  test("as the control plane says, once", async () => {
    const where = await session();
    const { told, verdict } = wait(where);
    const { nonce } = await asked();
    const task = { id: newId("task", clock, random), session: where.id };
    const request = newId("request", clock, random);
    holds.filed({ ...task, type: "filed", nonce: "other", request, code: "C", words: "not for this" });
    for (const words of ["waits for dba", "again"])
      holds.filed({ ...task, type: "filed", nonce, request, code: "C", words });
    await holds.settle({ ...task, type: "settle", nonce: "other", verdict: "expired", words: "" });
    await holds.settle({ ...task, type: "settle", nonce, verdict: "refused", words: "no" });
    await holds.settle({ ...task, type: "settle", nonce, verdict: "expired", words: "late" });
    expect(await verdict).toEqual({ is: "refused", words: "no" });
    expect(told).toEqual(["waits for dba"]);
    expect(withdrawn()).toEqual([]);
    expect([...store.holds.getKeys({})]).toEqual([]);
  });

  test("when its client does not want it any more, also right away", async () => {
    const where = await session();
    const first = wait(where);
    await asked();
    first.leave();
    expect(await first.verdict).toMatchObject({ is: "withdrawn" });
    const second = wait(where);
    second.leave();
    expect(await second.verdict).toMatchObject({ is: "withdrawn" });
    expect(withdrawn()).toEqual(["withdrawn", "withdrawn"]);
  });

  test("when its time is up, sooner in a transaction", async () => {
    const where = await session({ holdMs: 2_000, transactionHoldMs: 1_000 });
    const { verdict } = wait(where, { ...held(), inTransaction: true });
    const expired: HoldVerdict = await verdict;
    expect(expired).toMatchObject({ is: "expired" });
    expect("words" in expired && expired.words).toMatch(/within 1s.*roll the transaction back.*for 2s/);
    expect(withdrawn()).toEqual(["timed_out"]);
  });

  test("when the control plane's word has become too old", async () => {
    const { told, verdict } = wait(await session());
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(told[0]).toContain("has not answered yet");
    notNow = refused("state_stale", "the last word is older than the grace");
    expect(await verdict).toMatchObject({
      is: "refused",
      words: expect.stringContaining("older than the grace") as string,
    });
    expect(withdrawn()).toEqual(["withdrawn"]);
  });

  test("with its process: the next one withdraws it", async () => {
    const { verdict, leave } = wait(await session());
    const { nonce } = await asked();
    await holds.start();
    expect(events().at(-1)).toMatchObject({ type: "action.withdrawn", data: { nonce, why: "session_closed" } });
    expect([...store.holds.getKeys({})]).toEqual([]);
    leave();
    await verdict;
  });
});

describe("nobody waits", () => {
  test("twice in one session", async () => {
    const where = await session();
    const first = wait(where);
    await asked();
    expect(await wait(where).verdict).toMatchObject({
      is: "refused",
      words: expect.stringContaining("already") as string,
    });
    first.leave();
    await first.verdict;
    expect(events().filter(({ type }) => type === "action.held")).toHaveLength(1);
  });

  test.each<[string, RegExp, (where: WaitingSession) => unknown, HeldAction?]>([
    ["with what is too long", /too long/, () => undefined, held("x".repeat(2_000_000))],
    ["for what cannot come", /older than the grace/, () => (notNow = refused("state_stale", "older than the grace"))],
    ["with a key that is over", /the grant is over/, ({ key }) => store.write(() => store.keys.removeSync(key.id))],
    [
      "where nothing can be asked for",
      /cannot be asked for here/,
      ({ host }) => Object.assign(host, { runsActions: false }),
    ],
  ])("%s", async (_, words, change, what) => {
    const where = await session();
    await change(where);
    const verdict = await wait(where, what).verdict;
    expect(verdict.is).toBe("refused");
    expect("words" in verdict && verdict.words).toMatch(words);
    expect(events()).toEqual([]);
  });
});
