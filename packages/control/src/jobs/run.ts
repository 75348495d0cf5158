/**
 * What happens by time or follows from a change, without anybody calling: pending requests expire, remind and escalate; scheduled grants begin;
 * windows end; requests and grants are looked at again when policy or people change. Jobs only call use cases, each of which locks its row
 * and looks again, so any number of processes run them at once. Nothing relies on a job having run: deadlines are checked wherever
 * they matter.
 */
import { toTime } from "@cardea/core/documents/primitives";
import { databaseFault } from "../store/connection.ts";
import { reportingAlterations } from "../audit/altered.ts";
import type { Control } from "../control.ts";
import { beginGrant, expireGrant, rejudgeGrant } from "../grants/judge.ts";
import { currentRoster } from "../people/roster.ts";
import { policyInForce } from "../policy/current.ts";
import { oldRecordings, removeRecording } from "../recordings/sweep.ts";
import { expireRequest } from "../requests/expire.ts";
import { rejudgeRequest } from "../requests/rejudge.ts";
import { escalate, remindOf } from "../requests/remind.ts";
import { manyDueGrants, manyUnjudgedGrants } from "../store/grants.ts";
import { manyDueRequests, manyUnjudgedRequests } from "../store/requests.ts";

export interface Jobs {
  /** Finishes what is at hand. */
  close(): Promise<void>;
}

/** How late something can be that only time brings about. */
const tickMs = 1_000;
const atOnce = 200;
/** How long the outpost has to report an end that it makes by its own clock, before it is asked for it. */
const endGraceMs = 15_000;

/** Starts in the background; never throws. */
export function startJobs(control: Control): Jobs {
  const closing = new AbortController();
  const running = run(control, closing.signal);
  return {
    close: async () => {
      closing.abort();
      await running;
    },
  };
}

async function run(control: Control, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // Listening starts before looking, so that a change in between is not slept over.
    const stop = new AbortController();
    const woken = Promise.race(
      (["policy", "people"] as const).map((channel) =>
        control.wake.wait(channel, tickMs, AbortSignal.any([signal, stop.signal])),
      ),
    );
    await runOnce(control);
    await woken;
    stop.abort();
  }
}

/** Everything that is due now, once. A job that fails is logged and stays due. */
export async function runOnce(control: Control): Promise<void> {
  const now = toTime(control.clock.now());
  const { db } = control;
  await each(
    control,
    "rejudge requests",
    async () => {
      const policy = await policyInForce(control);
      return policy === undefined ? [] : await manyUnjudgedRequests(db, policy.signed.document.version, atOnce);
    },
    rejudgeRequest,
  );
  await each(
    control,
    "rejudge grants",
    async () => {
      const [policy, roster] = await Promise.all([policyInForce(control), currentRoster(control)]);
      return policy === undefined
        ? []
        : await manyUnjudgedGrants(db, policy.signed.document.version, roster.head.version, atOnce);
    },
    rejudgeGrant,
  );
  await each(control, "expire requests", () => manyDueRequests(db, "expires_at", now, atOnce), expireRequest);
  await each(control, "remind", () => manyDueRequests(db, "remind_at", now, atOnce), remindOf);
  await each(control, "escalate", () => manyDueRequests(db, "escalate_at", now, atOnce), escalate);
  await each(control, "begin grants", () => manyDueGrants(db, "not_before", now, atOnce), beginGrant);
  await each(
    control,
    "expire grants",
    () => manyDueGrants(db, "not_after", toTime(control.clock.now() - endGraceMs), atOnce),
    expireGrant,
  );
  await each(control, "remove recordings", () => oldRecordings(control, atOnce), removeRecording);
}

/** Finds what is due and does it, one after the other; a full batch is followed by the next look. What was done once is not done again in one run. */
async function each<Id extends string>(
  control: Control,
  job: string,
  find: () => Promise<readonly Id[]>,
  act: (control: Control, id: Id) => Promise<void>,
): Promise<void> {
  const done = new Set<Id>();
  try {
    for (;;) {
      const found = await find();
      const fresh = found.filter((id) => !done.has(id));
      for (const id of fresh) {
        done.add(id);
        await reportingAlterations(control, act(control, id)).catch((error: unknown) =>
          control.log.error({ err: error, job, id }, "a job failed; it stays due"),
        );
      }
      if (found.length < atOnce || fresh.length === 0) return;
    }
  } catch (error) {
    control.log[databaseFault(error) === undefined ? "error" : "warn"](
      { err: error, job },
      "a job could not look for what is due",
    );
  }
}
