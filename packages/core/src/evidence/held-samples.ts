/** Complete evidence of an exact action that a session waited with, and of its run; for tests, here and in other packages. As `samples.ts` otherwise. */
import { castVote } from "../approval/samples.ts";
import { RunId, SessionId } from "../contract/ids.ts";
import { digestOf } from "../documents/digest.ts";
import type { Run } from "../documents/grant.ts";
import { timeMs, toTime } from "../documents/primitives.ts";
import type { Action } from "../documents/request.ts";
import { sha256 } from "../lib/crypto.ts";
import { sampleFacts, sampleGrantId } from "../policy/samples.ts";
import { dba, sampleScene, security, type Scene, type SceneChanges } from "./samples.ts";

/** Of the outpost of the sample's resource. */
export const outpostSeed = sha256(new TextEncoder().encode("outpost"));

/** An update, as a connector finds it. */
export const sampleAction: Action = {
  type: "sql",
  name: "sql.update",
  what: { database: "orders", statement: "update orders set status = 'paid' where id = 7" },
  binding: {
    lines: ["updates public.orders (status) where id = 7"],
    patterns: [
      { name: "sql.update", tables: ["public.orders"] },
      { name: "sql.select", tables: ["public.orders"] },
    ],
    aspects: [],
    relations: [{ oid: 16_400, schema: "public", name: "orders", reaches: [] }],
  },
};

export const sampleWithin = {
  grant: sampleGrantId(9),
  session: SessionId.parse(`ses_${"1".padStart(26, "0")}`),
};

/** `sampleAction`, with which a session waited until both had approved it; and how it went. */
export function heldScene(changes: SceneChanges = {}): Scene {
  const scene = sampleScene({
    outpost: outpostSeed,
    votes: (request) => [castVote(request, dba, 1), castVote(request, security, 2, { stage: 2 })],
    facts: sampleFacts({ sourceIp: "10.1.2.3" }),
    ...changes,
    asked: { ask: { action: sampleAction }, window: { duration: "5m" }, within: sampleWithin, ...changes.asked },
  });
  return { ...scene, run: sampleRun(scene) };
}

/** One row, two seconds after the beginning. */
export function sampleRun({ grant, request }: Scene, change: Partial<Run> = {}): Run {
  const { within } = request.asked;
  return {
    v: 1,
    id: RunId.parse(`run_${"1".padStart(26, "0")}`),
    grant: digestOf("grant", grant),
    ...(within !== undefined && { session: within.session }),
    binding: sampleAction.binding ?? {},
    outcome: "done",
    rowCount: 1,
    at: toTime(timeMs(grant.window.notBefore) + 2_000),
    ...change,
  };
}
