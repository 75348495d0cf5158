import { z } from "zod";
import { Grant } from "../../documents/grant.ts";
import { plainText, Time } from "../../documents/primitives.ts";
import { SealedKey } from "../delivery.ts";
import { GrantId, KeyId, RequestId } from "../../contract/ids.ts";
import { EndReason } from "../link.ts";
import { pageOf, PageQuery, SubjectRef, WaitQuery } from "./conventions.ts";

const GrantState = z.enum(["scheduled", "issuing", "active", "ending", "ended", "failed"]);

export const GrantView = z.object({
  id: GrantId,
  request: RequestId,
  key: KeyId.optional(),
  state: GrantState,
  /** Why it ended, or the code of its failure. */
  why: z.string().optional(),
  detail: z.string().optional(),
  requester: SubjectRef,
  resource: z.string(),
  role: z.string().optional(),
  /** Of an action, its name; such a grant has a run and no key. */
  action: z.string().optional(),
  digest: z.string(),
  document: Grant,
  /** The native login at the resource, once made. */
  nativeName: z.string().optional(),
  lease: z
    .object({
      state: z.enum(["intended", "live", "ending", "gone"]),
      stuck: z.boolean(),
      detail: z.string().optional(),
    })
    .optional(),
  /** Of a gateway's key, where a grant is shown by itself or listed: connections open now, and all that were ever made. */
  sessions: z.object({ open: z.int(), opened: z.int() }).optional(),
  reviewOwed: z.boolean(),
  issuedAt: Time.optional(),
  endedAt: Time.optional(),
});
export type GrantView = z.infer<typeof GrantView>;

export const GrantsQuery = PageQuery.extend({
  state: GrantState.optional(),
  resource: z.string().max(63).optional(),
  /** `live`: not yet ended or failed. */
  view: z.enum(["all", "mine", "live", "to-review"]).default("all"),
});
export type GrantsQuery = z.infer<typeof GrantsQuery>;
export const GrantsPage = pageOf(GrantView);

export const GrantQuery = WaitQuery.extend({ since: GrantState.optional() });

/** `POST /v1/grants/{id}/revoke`. */
export const RevokeGrant = z.strictObject({ comment: plainText(2_000).default("") });
export type RevokeGrant = z.input<typeof RevokeGrant>;

/** `POST /v1/grants/{id}/reviews`. */
export const CastReview = z.strictObject({ verdict: z.enum(["justified", "misuse"]), comment: plainText(2_000) });
export type CastReview = z.input<typeof CastReview>;

/** `GET /v1/grants/{id}/key?wait=30`. Each fetch is in the log. */
export const KeyView = z.object({ grant: GrantId, digest: z.string(), sealed: SealedKey, notAfter: Time });
export type KeyView = z.infer<typeof KeyView>;
export const EndView = z.object({ grant: GrantId, state: GrantState, why: EndReason.optional() });
