/**
 * Runs of single actions as the outpost keeps them, one a grant, and the actions that sessions wait with. A run is written before anything of it
 * is done, and again before anything is sent that may have an effect: what a crash leaves says whether it can have happened. Changes run inside
 * `Store.write`.
 */
import type { GrantId, LeaseId, ResourceId, RunId, SessionId, TaskId } from "@cardea/core/contract/ids";
import type { Digest } from "@cardea/core/documents/digest";
import type { Run } from "@cardea/core/documents/grant";
import { canMove } from "@cardea/core/lifecycle/states";
import type { Receipt } from "@cardea/core/wire/link";
import type { Store } from "./store.ts";

interface RunCommon {
  readonly id: RunId;
  readonly grant: GrantId;
  readonly resource: ResourceId;
  /** The login that it runs with: its session's, or one of its own. */
  readonly lease: LeaseId;
  readonly session?: SessionId;
  /** Who asked for it; a repeated task is answered by the receipt. */
  readonly task: TaskId;
}

interface Underway extends RunCommon {
  /** Of the grant's document. */
  readonly digest: Digest;
  readonly binding: Run["binding"];
}

/** Nothing was sent. */
export type IntendedRun = Underway & { readonly state: "intended" };
/** It may have happened. `trace`: by what the resource may know whether it did. */
export type RunningRun = Underway & { readonly state: "running"; readonly trace?: string };
/** Told by the receipt. */
export type SettledRun = RunCommon & {
  readonly state: "done" | "failed" | "unknown";
  readonly trace?: string;
  readonly receipt: Receipt;
};
export type RunRecord = IntendedRun | RunningRun | SettledRun;

/** An action that a session waits with, by the nonce of what was asked. */
export interface HoldRecord {
  readonly grant: GrantId;
  readonly resource: ResourceId;
  readonly session: SessionId;
}

/** Adds an intent. @throws TypeError where the grant has a run */
export function addRun(store: Store, run: IntendedRun): void {
  if (store.runs.get(run.grant) !== undefined) throw new TypeError(`grant \`${run.grant}\` has a run`);
  store.runs.putSync(run.grant, run);
}

/** Replaces what the caller has just read in the same transaction. @throws TypeError for a step that the table of states does not have */
export function changeRun(store: Store, before: RunRecord, after: RunRecord): void {
  if (!canMove("run", before.state, after.state))
    throw new TypeError(`a run does not go from \`${before.state}\` to \`${after.state}\``);
  store.runs.putSync(after.grant, after);
}

/** Runs of which not everything is known yet. */
export function openRuns(store: Store): (IntendedRun | RunningRun | SettledRun)[] {
  return [...store.runs.getRange({})]
    .map(({ value }) => value)
    .filter(({ state }) => state === "intended" || state === "running" || state === "unknown");
}
