import type { CastVote, RequestView } from "@cardea/core/wire/api/requests";
import type { z } from "zod";
import { checkNarrowing } from "@cardea/core/approval/effective";
import { mayVote } from "@cardea/core/approval/eligible";
import type { Entries } from "@cardea/core/approval/standing";
import { decisionStands } from "@cardea/core/approval/still-stands";
import { tally, type Tally } from "@cardea/core/approval/tally";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type RequestId } from "@cardea/core/contract/ids";
import { timeMs, toTime, type Time } from "@cardea/core/documents/primitives";
import type { Request } from "@cardea/core/documents/request";
import type { Vote } from "@cardea/core/documents/vote";
import { durationMs } from "@cardea/core/lib/duration";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { reportingAlterations } from "../audit/altered.ts";
import { demandWholeLog } from "../audit/guard.ts";
import { recordAll } from "../audit/record.ts";
import type { Actor, Control } from "../control.ts";
import { demandSignIn } from "../people/demand.ts";
import { rosterIn } from "../people/roster.ts";
import { demandPolicy, policyByDigest } from "../policy/current.ts";
import { insertVote, manyVotes, maybeOneRequestLocked, type StoredRequest } from "../store/requests.ts";
import { resourceById, specByDigest } from "../store/resources.ts";
import { signDocument, type Signed } from "../store/signed.ts";
import { transact } from "../store/transaction.ts";
import { expireIn } from "./expire.ts";
import { settle, type Ground, type Outcome, type Voting } from "./settle.ts";
import { maySee, requestIds, requestView } from "./view.ts";
import { demandWhole, rememberVotes } from "./whole.ts";

/** Votes on one request, replaced ones included. Evidence holds at most 200. */
const maxVotes = 100;

/**
 * An approver's yes or no, for exactly the digest that they saw. The request's row is locked, so of votes, withdrawal and expiry at once
 * one comes first and the others meet what it left. The vote that meets the last stage makes the grant in the same transaction.
 * @throws CardeaError `not_found`, `token_forbidden`, `conflict` for another digest, `self_approval`, `not_an_approver`, `already_voted`,
 * `request_not_pending`, `request_expired`, `narrowing_…`, `policy_denied` where policy would not decide the same now, `log_rolled_back`;
 * `evidence_signature`, `evidence_mismatch` where rows were altered
 */
export async function castVote(
  control: Control,
  actor: Actor,
  id: RequestId,
  input: z.output<typeof CastVote>,
): Promise<RequestView> {
  demandSignIn(actor);
  demandWholeLog(control);
  const current = await demandPolicy(control);
  const voting = transact(control, async (tx): Promise<Outcome> => {
    const request = await maybeOneRequestLocked(tx, control.keys, id);
    const roster = await rosterIn(tx, control);
    const votes = request === undefined ? [] : await manyVotes(tx, control.keys, id);
    if (request === undefined || !maySee(actor, roster, request, votes))
      throw new CardeaError("not_found", `there is no request \`${id}\`, or you may not see it`);
    return await vote({ tx, control, actor, input, request, votes, roster, current });
  });
  const outcome = await reportingAlterations(control, voting);
  if ("refusal" in outcome) throw outcome.refusal;
  await rememberVotes(control, outcome.request, outcome.votes.length);
  return requestView({ ...outcome, actor: actor.subject, nowMs: control.clock.now() });
}

async function vote(voting: Voting): Promise<Outcome> {
  const { tx, control, actor, input, request, votes, roster } = voting;
  const { document, digest } = request.signed;
  if (request.state !== "pending") throw alreadyDecided(request);
  if (document.decision.expiresAt <= toTime(control.clock.now())) {
    await expireIn(tx, control, roster, request, "timed_out");
    return {
      refusal: new CardeaError(
        "request_expired",
        `the request expired at ${document.decision.expiresAt}; it must be asked again`,
      ),
    };
  }
  await demandWhole(tx, control, request, votes);
  if (input.digest !== digest)
    throw new CardeaError("conflict", "the request is not the one that you saw: its digest differs; look at it again");
  if (votes.length >= maxVotes)
    throw new CardeaError("rate_limited", `the request has ${maxVotes} votes; withdraw it and ask again`);

  // Never before the last vote, whatever the clock does: the latest vote counts, and which that is must not change.
  const at = toTime(Math.max(control.clock.now(), ...votes.map((cast) => timeMs(cast.document.at) + 1)));
  const entries: Entries = (subject) => roster.entry(subject);
  const { verdict, narrowing } = input;
  const before = count(document, votes, entries, at);
  const allowed = mayVote({
    request: document,
    tally: before,
    approver: actor.subject,
    verdict,
    entries,
    now: at,
    ...(narrowing !== undefined && { narrowing }),
  });
  if (!allowed.ok) throw new CardeaError(allowed.code, allowed.detail);
  const ground = await groundOf(voting);
  if ("refusal" in ground) return ground;

  const cast = signVote(voting, allowed.value.stage, at);
  const all = [...votes, cast];
  await insertVote(tx, document.id, cast);
  await recordAll(tx, control, [votedEvent(document, cast, actor)]);
  control.wake.signal("requests", tx);
  return await settle(voting, ground, all, before, count(document, all, entries, at));
}

function count(request: Request, votes: readonly Signed<Vote>[], entries: Entries, now: Time): Tally {
  return tally({ request, votes: votes.map((vote) => vote.document), entries, now });
}

function alreadyDecided({ state, decidedAt }: StoredRequest): CardeaError {
  const code = state === "expired" ? "request_expired" : "request_not_pending";
  return new CardeaError(code, `the request was ${state} at ${decidedAt ?? "an unknown time"}`);
}

/** What the request was decided on, after making sure that an approval would still mean the same. A denial needs no such thing. */
async function groundOf({
  tx,
  control,
  input,
  request,
  roster,
  current,
}: Voting): Promise<Ground | { readonly refusal: CardeaError }> {
  const { document } = request.signed;
  const spec = await specByDigest(tx, document.resource.specDigest);
  const policy = await policyByDigest(control, document.decision.policy);
  if (spec === undefined || policy === undefined)
    throw new CardeaError(
      "evidence_mismatch",
      "what the request was decided on is not stored any more; it must be asked again",
    );
  const ground = { spec: spec.document, policy };
  if (input.verdict === "deny") return ground;

  const newest = await resourceById(tx, document.resource.id);
  if (newest?.specDigest !== document.resource.specDigest) {
    await expireIn(tx, control, roster, request, "resource_changed");
    return {
      refusal: new CardeaError(
        "request_expired",
        `\`${document.asked.resource}\` changed since the request was filed; it must be asked again`,
      ),
    };
  }
  const stands = decisionStands({
    request: document,
    spec: ground.spec,
    policy: policy.signed.document,
    current: current.signed.document,
    entries: (subject) => roster.entry(subject),
    nowMs: control.clock.now(),
  });
  if (!stands.ok)
    throw new CardeaError("policy_denied", stands.detail, {
      extra: { request: document.id, reasons: [stands.detail] },
    });
  const narrowing = input.narrowing === undefined ? undefined : checkNarrowing(document, ground.spec, input.narrowing);
  if (narrowing !== undefined) throw new CardeaError(narrowing.code, narrowing.detail);
  return ground;
}

function signVote({ control, actor, input, request }: Voting, stage: number, at: Time): Signed<Vote> {
  const { document, digest } = request.signed;
  const { decision, asked } = document;
  const begins = Math.max(timeMs(decision.expiresAt), timeMs(asked.window.start ?? decision.expiresAt));
  const vote: Vote = {
    v: 1,
    id: newId("vote", control.clock, control.random),
    request: digest,
    stage,
    approver: actor.subject,
    verdict: input.verdict,
    ...(input.narrowing !== undefined && { narrowing: input.narrowing }),
    comment: input.comment,
    at,
    // It stands as long as the latest window that it can lead to.
    expiresAt: toTime(begins + durationMs(decision.limits.duration)),
    nonce: toBase64Url(control.random.bytes(16)),
  };
  return signDocument(control.keys, "vote", vote);
}

function votedEvent(request: Request, { document, digest }: Signed<Vote>, actor: Actor) {
  const { verdict, stage, narrowing, comment } = document;
  return {
    type: "request.voted" as const,
    ids: { vote: document.id, approver: document.approver, ...requestIds(request) },
    data: { vote: digest, verdict, stage, narrowing, comment, sourceIp: actor.sourceIp },
    actor: actor.subject,
    at: document.at,
  };
}
