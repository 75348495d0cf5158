/** Actions asked for outside of a session, on the real store. The outpost that says what they are is played by the test. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Receipt } from "@cardea/core/wire/link";
import type { TaskId } from "@cardea/core/contract/ids";
import { digestOf, type Digest } from "@cardea/core/documents/digest";
import { toTime } from "@cardea/core/documents/primitives";
import type { Action } from "@cardea/core/documents/request";
import { manualClock, type ManualClock } from "@cardea/core/lib/clock";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { scenario, type Scenario } from "@cardea/testing/scenario";
import { startSequencer, type Sequencer } from "../audit/sequencer.ts";
import type { Control } from "../control.ts";
import { assembleEvidence } from "../evidence/assemble.ts";
import { applyMessages } from "../link/inbox.ts";
import { fetchResult } from "../runs/result.ts";
import { takeConnection } from "../store/outposts.ts";
import { previewAction } from "./preview.ts";
import { actionPolicy, named, playOutpost, update, type PlayedOutpost } from "@cardea/testing/played-outpost";

let cluster: TestCluster;
let world: TestControl;
let control: Control;
let sequencer: Sequencer;
let clock: ManualClock;
let given: Scenario;
let play: PlayedOutpost;

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  clock = manualClock(Date.parse("2026-11-22T09:00:00.000Z"));
  world = await startTestControl(cluster, { clock });
  control = world.control;
  given = await scenario(control, actionPolicy);
  sequencer = startSequencer(control, world.database.connect);
  play = await playOutpost(world, given, clock);
});
afterAll(async () => {
  await sequencer.close();
  await world.stop();
  await cluster.stop();
});
beforeEach(async () => {
  await takeConnection(control.db, given.outpost, "link", play.now(), toTime(clock.now() + 3_600_000));
});

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

describe("an action asked for outside of a session", () => {
  /** Touches nothing but what the rule permits. */
  const plain: Action = { ...named("sql.update"), what: update.what };
  const { type, what } = plain;

  /** Plays the outpost that is asked what an action is. */
  async function previewing<T>(work: Promise<T>, outcome: Receipt["outcome"] = found(plain)): Promise<T> {
    const over = new AbortController();
    const answering = (async () => {
      while (!over.signal.aborted) {
        const [open] = (await play.tasks("preview")).filter(({ state }) => state === "open");
        if (open !== undefined) {
          await applyMessages(control, play.outpost, [play.answer(open["task"] as TaskId, outcome)]);
          return;
        }
        await new Promise((done) => setTimeout(done, 5));
      }
    })();
    try {
      return await work;
    } finally {
      over.abort();
      await answering;
    }
  }
  function found(action: Action): Receipt["outcome"] {
    return { ok: true, result: { type: "previewed", action, estimate: { rows: 3 } } };
  }
  const submit = (input: object = {}, name = "ada") =>
    given.submit(name, { ask: { action: { type, what } }, window: { duration: "5m" }, ...input });
  const filed = async () => Number((await world.sql("select count(*) as n from requests"))[0]?.["n"]);

  test("is filed with what the outpost finds, and nothing is left of the question", async () => {
    const view = await previewing(submit());
    expect(view).toMatchObject({ state: "pending", document: { asked: { ask: { action: plain } } } });
    expect(view.document.facts.verified["preview"]).toEqual({ estimate: { rows: 3 } });
    expect(view.document.decision).toMatchObject({ rule: "engineers-update", via: "gateway" });
    expect(await world.sql("select 1 from tasks where type = 'preview'")).toEqual([]);
    const [told] = await world.sql("select words from notifications where request_id = $1", [view.id]);
    expect(told?.["words"]).toBe(
      "ada asks for one action: update public.orders … on prod-orders and needs your approval: refund case 4711",
    );
  });

  test("runs once approved, and its answer is for its requester alone", async () => {
    const { id } = await previewing(submit());
    expect(await code(fetchResult(control, await given.actor("ada"), id))).toBe("not_found");
    const { grant } = await play.vote("dan", id);
    if (grant === undefined) throw new Error("it is approved");
    const sealed = { enc: "AAAA", ciphertext: "QUJD" };
    const told = play.ended(
      { grant: grant.id, digest: grant.digest as Digest },
      { binding: plain.binding ?? {}, resultDigest: digestOf("sealed", sealed) },
    );
    const other = { ...told, sealed: { ...sealed, ciphertext: "QUJE" } };
    expect(await play.receipt(await play.runTask(grant.id), other)).toEqual([]);
    await play.receipt(await play.runTask(grant.id), { ...told, sealed });
    expect(await fetchResult(control, await given.actor("ada"), id)).toEqual(sealed);
    for (const name of ["dan", "root", "audrey", "robo"])
      expect(await code(fetchResult(control, await given.actor(name), id)), name).toBe("not_found");
    expect((await play.types(id)).filter((type) => type === "result.delivered")).toHaveLength(1);
    expect((await play.show("dan", id)).run).toMatchObject({ state: "done", resultDigest: digestOf("sealed", sealed) });
    await world.sql('update run_results set sealed = \'{"enc":"AAAA","ciphertext":"QUJE"}\' where run_id = $1', [
      told.run.id,
    ]);
    expect(await code(fetchResult(control, await given.actor("ada"), id))).toBe("evidence_mismatch");
    // Whoever alters the run's document with it has everything but the outpost's signature.
    const forged = digestOf("sealed", { enc: "AAAA", ciphertext: "QUJE" });
    await world.sql("update runs set document = replace(document, $1, $2) where id = $3", [
      digestOf("sealed", sealed),
      forged,
      told.run.id,
    ]);
    expect(await code(fetchResult(control, await given.actor("ada"), id))).toBe("evidence_signature");
  });

  test("whose row was altered is no evidence of anything", async () => {
    const { id } = await previewing(submit());
    const { grant } = await play.vote("dan", id);
    if (grant === undefined) throw new Error("it is approved");
    await play.receipt(
      await play.runTask(grant.id),
      play.ended(
        { grant: grant.id, digest: grant.digest as Digest },
        { binding: plain.binding ?? {}, outcome: "failed" },
      ),
    );
    await play.untilLogged(grant.id, "audit");
    await world.sql("update runs set document = replace(document, '\"failed\"', '\"done\"') where grant_id = $1", [
      grant.id,
    ]);
    expect(await code(assembleEvidence(control, grant.id, "audit"))).toBe("evidence_signature");
  });

  test("that is not what its caller says of it is not filed", async () => {
    const before = await filed();
    const asks = [
      { type, what, name: "sql.select" },
      { type, what, binding: { patterns: [] } },
    ];
    for (const action of asks) expect(await code(previewing(submit({ ask: { action } })))).toBe("binding_changed");
    // Nor is what the outpost says of something else.
    const other = found({ ...plain, what: { database: "orders", statement: "drop table orders" } });
    expect(await code(previewing(submit(), other))).toBe("binding_changed");
    expect(await code(previewing(submit({ ask: { action: plain } })))).toBe("done");
    expect(await filed()).toBe(before + 1);
  });

  test("that the outpost refuses to look at is not filed, with its words", async () => {
    const refusal = {
      ok: false as const,
      code: "action_refused",
      detail: "a multi-statement string; send one",
      retryable: false,
    };
    const before = await filed();
    expect(await code(previewing(submit(), refusal))).toBe("action_refused");
    expect(await code(previewing(submit(), { ...refusal, code: "resource_unreachable", retryable: true }))).toBe(
      "resource_unreachable",
    );
    expect(await code(previewing(submit(), { ...refusal, code: "made_up" }))).toBe("resource_fault");
    expect(await filed()).toBe(before);
  });

  test("is not filed while the outpost is away", async () => {
    clock.advance(7_200_000);
    const before = await filed();
    expect(await code(submit())).toBe("outpost_unreachable");
    expect(await filed()).toBe(before);
  });

  test("is not even looked at for somebody whom no rule lets ask", async () => {
    expect(await code(submit({}, "sam"))).toBe("policy_denied");
    expect(await world.sql("select 1 from tasks where type = 'preview'")).toEqual([]);
  });

  test("that policy refuses is stored without what there is behind its names", async () => {
    const refused = previewing(submit(), found({ ...named("sql.delete"), what }));
    expect(await code(refused)).toBe("policy_denied");
    const [row] = await world.sql("select document from requests order by id desc limit 1");
    expect(String(row?.["document"])).toContain("sql.delete");
    expect(String(row?.["document"])).not.toContain("estimate");
  });

  test("neither extends nor is longer than one can read", async () => {
    const place = await play.connect();
    expect(await code(submit({ extends: place.grant }))).toBe("extends_invalid");
    await expect(submit({ ask: { action: { type, what: { statement: "x".repeat(600_000) } } } })).rejects.toThrow(
      /longer than/,
    );
  });

  test("can be seen before it is asked for: nothing is filed", async () => {
    const before = await filed();
    const preview = async (name: string, action = plain) =>
      previewing(
        previewAction(control, await given.actor(name), { resource: "prod-orders", action: { type, what } }),
        found(action),
      );
    expect(await preview("ada")).toMatchObject({
      action: plain,
      estimate: { rows: 3 },
      decision: { effect: "review", rule: "engineers-update" },
    });
    const refused = await preview("ada", { ...named("sql.delete"), what });
    expect(refused).toMatchObject({ decision: { effect: "deny", rule: "no-delete" } });
    expect(refused).not.toHaveProperty("estimate");
    expect(
      await code(previewAction(control, await given.actor("sam"), { resource: "prod-orders", action: { type, what } })),
    ).toBe("policy_denied");
    expect(await filed()).toBe(before);
  });

  test("of one subject is looked at a few at a time", async () => {
    const asking = Array.from({ length: 5 }, () => code(submit()));
    const settledFirst = await Promise.race(asking);
    expect(settledFirst).toBe("rate_limited");
    const over = new AbortController();
    const all = Promise.all(asking).finally(() => over.abort());
    while (!over.signal.aborted) {
      for (const open of (await play.tasks("preview")).filter(({ state }) => state === "open"))
        await applyMessages(control, play.outpost, [play.answer(open["task"] as TaskId, found(plain))]);
      await new Promise((done) => setTimeout(done, 5));
    }
    expect((await all).filter((one) => one === "done")).toHaveLength(4);
  });
});
