/** Requests that wait and votes on them, for tests, here and in other packages; nothing that runs imports it. */
import { VoteId, type SubjectId } from "../contract/ids.ts";
import { digestOf } from "../documents/digest.ts";
import { ReviewRule } from "../documents/policy.ts";
import { toTime, timeMs, type Time } from "../documents/primitives.ts";
import type { Asked, Request } from "../documents/request.ts";
import type { RosterEntry } from "../documents/roster.ts";
import type { Vote } from "../documents/vote.ts";
import { sampleAsked, samplePolicy, sampleRequest, sampleTime } from "../policy/samples.ts";
import type { Entries } from "./standing.ts";

/** `sampleTime` and this many minutes. */
export function minutes(count: number): Time {
  return toTime(timeMs(sampleTime) + count * 60_000);
}

/** A request for `write` that one review rule decides; it expires after 8 hours. */
export function waitingRequest(
  approvals: unknown,
  over: { readonly asked?: Partial<Asked>; readonly pending?: object } = {},
): Request {
  const rule = ReviewRule.parse({
    name: "writers",
    permits: { roles: ["write", "read"], actions: ["sql.*"] },
    limits: { maxDuration: "4h" },
    effect: "review",
    approvals,
    pending: { expire: "8h", ...over.pending },
  });
  return sampleRequest(samplePolicy([rule]), sampleAsked({ ask: { role: "write" }, ...over.asked }));
}

/** The n-th vote, an approval a minute after filing for each n, unless said otherwise. */
export function castVote(request: Request, approver: SubjectId, n: number, over: Partial<Vote> = {}): Vote {
  return {
    v: 1,
    id: VoteId.parse(`vot_${n.toString().padStart(26, "0")}`),
    request: digestOf("request", request),
    stage: 1,
    approver,
    verdict: "approve",
    comment: "",
    at: minutes(n),
    expiresAt: minutes(n + 24 * 60),
    nonce: "AAAAAAAAAAAAAAAAAAAAAA",
    ...over,
  };
}

export function rosterOf(...entries: readonly RosterEntry[]): Entries {
  return (subject) => entries.find((entry) => entry.subject === subject);
}
