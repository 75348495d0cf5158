/**
 * The record of runs: intended before anything is done, running before anything is sent, and at last how it went, signed and told by the task's
 * receipt. Each method is one step inside `Store.write`, with all that has to be remembered with it; it has no effect outside.
 */
import { CardeaError } from "@cardea/core/contract/errors";
import {
  newId,
  type GrantId,
  type LeaseId,
  type ResourceId,
  type SessionId,
  type TaskId,
} from "@cardea/core/contract/ids";
import { digestOf } from "@cardea/core/documents/digest";
import type { Run } from "@cardea/core/documents/grant";
import { toPlainText, toTime } from "@cardea/core/documents/primitives";
import type { Action } from "@cardea/core/documents/request";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { SealedResult } from "@cardea/core/wire/delivery";
import type { Verified } from "@cardea/core/evidence/verify";
import { signAsOutpost, type Keys } from "../identity.ts";
import type { Teller } from "../leases/events.ts";
import { noteGrant } from "../store/grants.ts";
import { addRun, changeRun, type IntendedRun, type RunningRun, type SettledRun } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import type { TrustState } from "../trust/trust-state.ts";
import { tellResolved, tellStarted } from "./events.ts";

export interface RunBookOptions {
  readonly store: Store;
  readonly teller: Teller;
  readonly trust: Pick<TrustState, "persist">;
  readonly keys: Pick<Keys, "identity" | "identityKey">;
  readonly clock: Clock;
  readonly random: Random;
}

/** What is to be run, by whom it was asked for, and with which login. */
export interface RunOrder {
  readonly task: TaskId;
  readonly verified: Verified;
  readonly action: Action;
  readonly resource: ResourceId;
  readonly lease: LeaseId;
  readonly deadlineMs: number;
  readonly session?: SessionId;
}

/** How it went. */
export interface RunEnd {
  readonly outcome: Run["outcome"];
  readonly rows?: number;
  readonly error?: { readonly code: string; readonly message: string };
  readonly sealed?: SealedResult;
}

export class RunBook {
  readonly #options: RunBookOptions;

  constructor(options: RunBookOptions) {
    this.#options = options;
  }

  /** The grant is used by it. @throws CardeaError `evidence_replayed` */
  intend({ task, verified, action, resource, lease, deadlineMs, session }: RunOrder): IntendedRun {
    const { store, trust, clock, random } = this.#options;
    const { grant } = verified.evidence;
    if (store.grants.get(grant.id) !== undefined || store.runs.get(grant.id) !== undefined)
      throw new CardeaError("evidence_replayed", "the grant is over, or was used meanwhile");
    const run: IntendedRun = {
      id: newId("run", clock, random),
      grant: grant.id,
      digest: verified.digests.grant,
      resource,
      lease,
      task,
      binding: action.binding ?? {},
      state: "intended",
      ...(session !== undefined && { session }),
    };
    addRun(store, run);
    // An end that is asked for finds the login of a run that made one; a session's is the session's.
    const own = session === undefined ? { lease } : {};
    noteGrant(store, grant.id, { state: "over", untilMs: deadlineMs, ...own });
    trust.persist();
    return run;
  }

  /** It may have happened from here on. @throws CardeaError `hold_gone` where it was settled meanwhile */
  start(grant: GrantId, trace: string | undefined): void {
    const { store, teller } = this.#options;
    const run = store.runs.get(grant);
    if (run?.state !== "intended") throw new CardeaError("hold_gone", "the run was given up before it began");
    const running: RunningRun = { ...run, state: "running", ...(trace !== undefined && { trace }) };
    changeRun(store, run, running);
    tellStarted(teller, running);
  }

  /** Tells how it went; once. A run that was called unknown can still be found out about. */
  settle(grant: GrantId, end: RunEnd): void {
    const { store, teller } = this.#options;
    const run = store.runs.get(grant);
    switch (run?.state) {
      case "intended":
      case "running":
        this.#settle(run, end);
        return;
      case "unknown": {
        const { outcome } = end;
        if (outcome === "unknown") return;
        changeRun(store, run, { ...run, state: outcome });
        tellResolved(teller, run, outcome);
        return;
      }
      case "done":
      case "failed":
      case undefined:
        return;
    }
  }

  #settle(run: IntendedRun | RunningRun, { outcome, rows, error, sealed }: RunEnd): void {
    const { store, teller, keys, clock } = this.#options;
    const { id, grant, digest, binding, session, resource, lease, task } = run;
    const document: Run = {
      v: 1,
      id,
      grant: digest,
      ...(session !== undefined && { session }),
      binding,
      // What was never sent did not happen.
      outcome: outcome === "unknown" && run.state === "intended" ? "failed" : outcome,
      ...(rows !== undefined && { rowCount: rows }),
      // Of the ciphertext: that of a short answer would tell it to whoever guesses.
      ...(sealed !== undefined && { resultDigest: digestOf("sealed", sealed) }),
      at: toTime(clock.now()),
    };
    const receipt = teller.spool.receipt(task, {
      type: "ran",
      grant,
      run: document,
      signature: signAsOutpost(keys, digestOf("run", document)),
      ...(error !== undefined && {
        error: { code: error.code.slice(0, 64), message: toPlainText(error.message, 2_000) },
      }),
      ...(sealed !== undefined && { sealed }),
    });
    const settled: SettledRun = {
      id,
      grant,
      resource,
      lease,
      task,
      state: document.outcome,
      receipt,
      ...(session !== undefined && { session }),
      ...(run.state === "running" && run.trace !== undefined && { trace: run.trace }),
    };
    if (run.state === "intended" && settled.state === "done") changeRun(store, run, { ...run, state: "running" });
    changeRun(store, store.runs.get(grant) ?? run, settled);
  }
}
