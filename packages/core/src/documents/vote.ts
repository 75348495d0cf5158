import { z } from "zod";
import { GrantId, ReviewId, SubjectId, VoteId } from "../contract/ids.ts";
import { Digest } from "./digest.ts";
import { Patterns } from "./pattern.ts";
import { Base64Url, Cidr, Duration, plainText, Time } from "./primitives.ts";

/** An approver takes part of the scope away. It outlives the vote that carried it. */
export const Narrowing = z.strictObject({
  duration: Duration.optional(),
  permissions: Patterns.min(1).optional(),
  sourceIps: z.array(Cidr).min(1).max(100).optional(),
});
export type Narrowing = z.infer<typeof Narrowing>;

export const Verdict = z.enum(["approve", "deny"]);
export type Verdict = z.infer<typeof Verdict>;

/** An approver's yes or no to exactly one request. It counts only for the stage that is open at `at`. */
export const Vote = z.strictObject({
  v: z.literal(1),
  id: VoteId,
  request: Digest,
  /** One-based. */
  stage: z.int().min(1).max(10),
  approver: SubjectId,
  verdict: Verdict,
  narrowing: Narrowing.optional(),
  comment: plainText(2_000),
  at: Time,
  expiresAt: Time,
  nonce: Base64Url.min(16).max(64),
});
export type Vote = z.infer<typeof Vote>;

/** What somebody else found when looking back at a break-glass grant. */
export const Review = z.strictObject({
  v: z.literal(1),
  id: ReviewId,
  grant: z.strictObject({ id: GrantId, digest: Digest }),
  reviewer: SubjectId,
  verdict: z.enum(["justified", "misuse"]),
  comment: plainText(2_000),
  at: Time,
});
export type Review = z.infer<typeof Review>;
