/**
 * The run of an approved action outside any session: with a login that is made for it and ends with it. What was approved is looked at again
 * first; the answer leaves sealed to who asked.
 */
import type { Logger } from "pino";
import type { ActionOrder, ActionOutcome } from "@cardea/connectors/connector";
import { resultInfo, maxResultBytes, type SealedResult } from "@cardea/core/wire/delivery";
import { CardeaError, OutsideError } from "@cardea/core/contract/errors";
import { newId, type TaskId } from "@cardea/core/contract/ids";
import { newNativeName } from "@cardea/core/contract/native-name";
import { actionText, type Action } from "@cardea/core/documents/request";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { Ender } from "../leases/ender.ts";
import { tellLease, type Teller } from "../leases/events.ts";
import type { InHand } from "../leases/in-hand.ts";
import { refusalOf, type Judged } from "../leases/judge.ts";
import { pausePoint } from "../pause-points.ts";
import { sealTo } from "../sealing.ts";
import type { Tuning } from "../settings.ts";
import { addLease, changeLease, type IntendedLease, type LiveLease } from "../store/leases.ts";
import type { Store } from "../store/store.ts";
import { maxTimerMs } from "../timer.ts";
import type { SteadyClock } from "../trust/steady-clock.ts";
import type { Resolver } from "./resolver.ts";
import type { RunBook, RunEnd } from "./run-book.ts";

export interface OwnRunOptions {
  readonly store: Store;
  readonly teller: Teller;
  readonly book: RunBook;
  readonly resolver: Resolver;
  readonly steady: SteadyClock;
  readonly ender: Ender;
  readonly inHand: InHand;
  readonly tuning: Tuning;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface OwnRunOrder extends Judged {
  readonly task: TaskId;
  readonly action: Action;
}

/**
 * From the second look to the end; rejects only where nothing was intended. A stop of the outpost leaves it to the next start.
 * @throws CardeaError `binding_changed`, `action_refused`, `evidence_replayed`, `store_failed`, `resource_…`
 */
export async function runByItself(options: OwnRunOptions, order: OwnRunOrder, closing: AbortSignal): Promise<void> {
  const { store, book, resolver, ender, inHand, steady, log } = options;
  const { host, deadlineMs, verified } = order;
  await checkUnchanged(options, order, closing);
  const lease = await intend(options, order);
  const wanted = inHand.take(lease.id);
  try {
    await pausePoint("run.intended");
    const leftMs = Math.max(0, Math.min(deadlineMs - steady.deadlineMs(), maxTimerMs));
    const actionOrder: ActionOrder = {
      lease: lease.id,
      nativeName: lease.nativeName,
      notAfterMs: deadlineMs,
      action: order.action,
    };
    const started = (trace: string | undefined): Promise<void> => start(options, order, lease, trace);
    const signal = AbortSignal.any([closing, wanted]);
    const outcome = await host.callActions("running an action", leftMs, signal, (actions, within) =>
      actions.run(actionOrder, started, within),
    );
    await pausePoint("run.ran");
    const end = await endOf(order, outcome);
    const lost = outcome.outcome === "unknown" && store.runs.get(lease.grant)?.state === "running";
    await store.write(() => {
      if (!lost) book.settle(lease.grant, end);
      ender.beginLogin(lease.id, "spent");
    });
    if (lost) resolver.take(lease.grant);
    await pausePoint("run.settled");
  } catch (error) {
    if (closing.aborted) return;
    log.warn({ err: error, grant: verified.evidence.grant.id }, "an approved action was not run to its end");
    const { code, detail } = refusalOf(error, "the action could not be run");
    // Providers that throw say that it did not happen, unless they do not know.
    const unsure = error instanceof OutsideError && error.effect === "maybe";
    const lost = unsure && store.runs.get(lease.grant)?.state === "running";
    await store.write(() => {
      if (!lost) book.settle(lease.grant, { outcome: "failed", error: { code, message: detail } });
      ender.beginLogin(lease.id, "spent");
    });
    if (lost) resolver.take(lease.grant);
  } finally {
    inHand.release(lease.id);
    ender.poke();
  }
}

/** What its names stand for must be what was approved. */
async function checkUnchanged(
  { tuning }: OwnRunOptions,
  { host, action }: OwnRunOrder,
  closing: AbortSignal,
): Promise<void> {
  const { type, what } = action;
  const { action: now } = await host.callActions("previewing an action", tuning.createMs, closing, (actions, within) =>
    actions.preview({ type, what }, within),
  );
  if (actionText(now) !== actionText(action))
    throw new CardeaError(
      "binding_changed",
      "what it touches changed after it was approved, so it did not run; ask again",
    );
}

async function intend(
  { store, teller, book, clock, random }: OwnRunOptions,
  { host, verified, action, task, deadlineMs }: OwnRunOrder,
): Promise<IntendedLease> {
  const lease: IntendedLease = {
    id: newId("lease", clock, random),
    grant: verified.evidence.grant.id,
    resource: host.id,
    nativeName: newNativeName(host.markKey, deadlineMs, random).name,
    deadlineMs,
    state: "intended",
  };
  await store.write(() => {
    book.intend({ task, verified, action, resource: host.id, lease: lease.id, deadlineMs });
    addLease(store, lease);
    tellLease(teller, "lease.intended", lease);
  });
  return lease;
}

/** The login is there, and what it is for is about to be sent. */
async function start(
  { store, teller, book, steady, clock }: OwnRunOptions,
  { deadlineMs }: OwnRunOrder,
  lease: IntendedLease,
  trace: string | undefined,
): Promise<void> {
  await store.write(() => {
    const current = store.leases.get(lease.id);
    if (current?.state !== "intended" || steady.deadlineMs() >= deadlineMs)
      throw new CardeaError("grant_ended", "the grant ended before it ran");
    const live: LiveLease = { ...current, state: "live", liveAtMs: clock.now() };
    changeLease(store, current, live);
    tellLease(teller, "lease.live", live);
    book.start(lease.grant, trace);
  });
  await pausePoint("run.running");
}

async function endOf({ verified }: OwnRunOrder, { outcome, rows, error, result }: ActionOutcome): Promise<RunEnd> {
  const end: RunEnd = { outcome, ...(rows !== undefined && { rows }), ...(error !== undefined && { error }) };
  const { deliverTo } = verified.evidence.request.asked;
  if (result === undefined || deliverTo === undefined) return end;
  if (result.length > maxResultBytes)
    return { ...end, error: { code: "result_too_large", message: "the answer is too long to be delivered" } };
  try {
    const sealed: SealedResult = await sealTo(deliverTo, resultInfo, verified.digests.grant, result);
    return { ...end, sealed };
  } catch {
    // It has run: what cannot be delivered does not change that.
    return {
      ...end,
      error: {
        code: "delivery_key_invalid",
        message: "the answer could not be sealed: the delivery key is not a point of P-256",
      },
    };
  }
}
