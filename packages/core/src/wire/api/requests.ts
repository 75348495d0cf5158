import { z } from "zod";
import { AskedLimits, Request } from "../../documents/request.ts";
import { Narrowing, Verdict, Vote } from "../../documents/vote.ts";
import { Signature } from "../../documents/signature.ts";
import { Base64Url, Duration, JsonValue, Name, plainText, Time, Via } from "../../documents/primitives.ts";
import { GrantId, RequestId, SubjectId } from "../../contract/ids.ts";
import { pageOf, PageQuery, SubjectRef, WaitQuery } from "./conventions.ts";
import { GrantView } from "./grants.ts";
import { AskedAction, RunView } from "./runs.ts";

/** `POST /v1/requests`. What is left out is filled in: the nonce, and the requester from the sign-in. */
export const SubmitRequest = z.strictObject({
  resource: Name,
  ask: z.union([z.strictObject({ role: Name }), z.strictObject({ action: AskedAction })]),
  justification: plainText(2_000).default(""),
  ticket: plainText(200).optional(),
  window: z.strictObject({ start: Time.optional(), duration: Duration }),
  limits: AskedLimits.optional(),
  via: Via.optional(),
  deliverTo: Base64Url.length(87).optional(),
  extends: GrantId.optional(),
  breakGlass: z.literal(true).optional(),
  /** What the client says of itself (a pipeline's job URL, an agent's conversation); labelled as asserted everywhere. */
  asserted: z.record(z.string().max(100), JsonValue).optional(),
  /** Only where the requester signs `asked` themselves. */
  nonce: Base64Url.min(16).max(64).optional(),
});
export type SubmitRequest = z.input<typeof SubmitRequest>;
export type SubmitRequestParsed = z.output<typeof SubmitRequest>;

const RequestState = z.enum(["pending", "approved", "denied", "withdrawn", "expired"]);

/** A requirement as it stands, in words and for programs. */
const RequirementView = z.object({
  id: z.string(),
  count: z.int(),
  missing: z.int(),
  /** `1 of dba`. */
  words: z.string(),
  /** Who could meet it now; shortened to 20. */
  candidates: z.array(SubjectRef),
});
export const StageView = z.object({
  stage: z.int(),
  state: z.enum(["met", "open", "later"]),
  requirements: z.array(RequirementView),
});
export type StageView = z.infer<typeof StageView>;

export const VoteView = z.object({ approver: SubjectRef, vote: Vote, counts: z.boolean() });

export const RequestView = z.object({
  id: RequestId,
  state: RequestState,
  /** `policy_changed`, `timed_out`, `refused_by_policy`, … where the state alone does not say. */
  why: z.string().optional(),
  requester: SubjectRef,
  digest: z.string(),
  /** Twelve characters to compare, `K7QD-9MXT-2F4H`. */
  code: z.string(),
  document: Request,
  /** `needs 1 of dba, then 1 of security`. */
  words: z.string(),
  stages: z.array(StageView),
  votes: z.array(VoteView),
  grant: GrantView.optional(),
  /** Of an action, from the beginning of its one run. */
  run: RunView.optional(),
  /** Whether the asking person may vote now, and why not. */
  mayVote: z.boolean(),
  mayVoteWhy: z.string().optional(),
  decidedAt: Time.optional(),
});
export type RequestView = z.infer<typeof RequestView>;

export const RequestsQuery = PageQuery.extend({
  state: RequestState.optional(),
  resource: Name.optional(),
  requester: SubjectId.optional(),
  /** `mine`: filed by the caller. `to-approve`: waiting for the caller's vote. */
  view: z.enum(["all", "mine", "to-approve"]).default("all"),
});
export type RequestsQuery = z.infer<typeof RequestsQuery>;
export const RequestsPage = pageOf(RequestView);

/**
 * `GET /v1/requests/{id}?wait=30&since=pending`: answers when the state or the number of votes differs from `since`; an approved action whose
 * run is not over is news to `since=approved` once it is.
 */
export const RequestQuery = WaitQuery.extend({ since: z.string().max(100).optional() });

/** `POST /v1/requests/{id}/votes`. */
export const CastVote = z.strictObject({
  verdict: Verdict,
  /** The digest that the approver saw; a vote never counts for anything else. */
  digest: z.string(),
  narrowing: Narrowing.optional(),
  comment: plainText(2_000).default(""),
  signature: Signature.optional(),
});
export type CastVote = z.input<typeof CastVote>;
