import { z } from "zod";
import { AuditLeaf } from "../../documents/audit-leaf.ts";
import { Decision } from "../../documents/decision.ts";
import { Policy } from "../../documents/policy.ts";
import { JsonValue, Name, plainText, Time } from "../../documents/primitives.ts";
import { PublicPrivileges } from "../../documents/public-privileges.ts";
import { ResourceSpec } from "../../documents/resource-spec.ts";
import { SealedKey } from "../delivery.ts";
import { EventId, OutpostId, RequestId, ResourceId } from "../../contract/ids.ts";
import { MissingPrivilege } from "../link.ts";
import { pageOf, PageQuery, SubjectRef } from "./conventions.ts";

/** What the caller could ask for here, as policy stands: a preview, decided anew for each request. */
export const RoleOffer = z.object({
  role: z.string(),
  description: z.string().optional(),
  effect: z.enum(["allow", "review", "deny"]),
  words: z.string(),
  maxDuration: z.string().optional(),
  via: z.array(z.string()),
});
export const ResourceView = z.object({
  id: ResourceId,
  name: z.string(),
  kind: z.string(),
  labels: z.record(z.string(), z.string()),
  owners: z.array(z.string()),
  outpost: z.object({ id: OutpostId, name: z.string(), connected: z.boolean() }),
  state: z.enum(["ready", "degraded", "unreachable", "invalid", "unknown"]),
  detail: z.string().optional(),
  missing: z.array(MissingPrivilege),
  warnings: z.array(z.string()),
  version: z.string().optional(),
  spec: ResourceSpec.optional(),
  specDigest: z.string().optional(),
  /** What every login there has anyway. Of one resource, and for those who could get a login there or operate Cardea. */
  publicPrivileges: PublicPrivileges.optional(),
  offers: z.array(RoleOffer),
});
export type ResourceView = z.infer<typeof ResourceView>;
export const ResourcesPage = pageOf(ResourceView);

/** `PUT /v1/resources/{name}`: the configuration, sealed by the caller to the outpost's key. */
export const ApplyResource = z.strictObject({ outpost: OutpostId, sealed: SealedKey });
export type ApplyResource = z.input<typeof ApplyResource>;

export const OutpostView = z.object({
  id: OutpostId,
  name: z.string(),
  connected: z.boolean(),
  identityKey: z.string(),
  sealKey: z.string(),
  enrolledAt: Time,
  lastSeenAt: Time.optional(),
  leases: z.object({ live: z.int(), ending: z.int(), stuck: z.int() }).optional(),
});
export type OutpostView = z.infer<typeof OutpostView>;
export const OutpostsPage = pageOf(OutpostView);
/** `POST /v1/outposts/enrolments`. The token carries the control plane's URL and its key's hash; single use, 15 minutes. */
export const EnrolmentToken = z.object({ token: z.string(), expiresAt: Time });
/** `name`: that of an outpost which is rebuilt, or of a new one; absent: a free one. */
export const CreateEnrolmentToken = z.strictObject({ name: Name.optional() });

export const PolicyView = z.object({
  policy: Policy,
  digest: z.string(),
  source: z.string(),
  appliedBy: SubjectRef.optional(),
});
export type PolicyView = z.infer<typeof PolicyView>;
export const PolicyProblem = z.object({
  severity: z.enum(["error", "warning"]),
  code: z.string(),
  rule: z.string().optional(),
  line: z.int().optional(),
  column: z.int().optional(),
  message: z.string(),
  hint: z.string().optional(),
});
export type PolicyProblem = z.infer<typeof PolicyProblem>;
/** `POST /v1/policy/plans`. */
export const PlanPolicy = z.strictObject({ source: z.string().max(1_048_576) });
export const PolicyPlan = z.object({
  valid: z.boolean(),
  problems: z.array(PolicyProblem),
  /** The version that it would replace; `apply` refuses when another came in between. */
  base: z.int(),
  added: z.array(z.string()),
  removed: z.array(z.string()),
  changed: z.array(z.string()),
  /** Pending requests whose decision would differ and which would therefore expire. */
  expires: z.array(RequestId),
});
export type PolicyPlan = z.infer<typeof PolicyPlan>;
/** `POST /v1/policy`. */
export const ApplyPolicy = z.strictObject({ source: z.string().max(1_048_576), base: z.int().min(0) });
export type ApplyPolicy = z.input<typeof ApplyPolicy>;
/** `POST /v1/policy/simulations`: past requests under another policy. */
export const SimulatePolicy = z.strictObject({
  source: z.string().max(1_048_576),
  since: Time.optional(),
  limit: z.int().min(1).max(10_000).default(1_000),
});
export const Simulation = z.object({
  considered: z.int(),
  newlyAllowed: z.array(z.object({ request: RequestId, before: Decision, after: Decision })),
  newlyRefused: z.array(z.object({ request: RequestId, before: Decision, after: Decision })),
  otherwiseChanged: z.array(z.object({ request: RequestId, before: Decision, after: Decision })),
});
export type Simulation = z.infer<typeof Simulation>;

/** An entry of the log with the data beside it, as far as the caller may see it. */
export const AuditEntry = z.object({
  index: z.int(),
  leaf: AuditLeaf,
  data: z.record(z.string(), JsonValue).optional(),
  salt: z.string().optional(),
  actor: SubjectRef.optional(),
  words: z.string(),
});
export type AuditEntry = z.infer<typeof AuditEntry>;
export const AuditQuery = PageQuery.extend({
  type: z.string().max(64).optional(),
  id: z.string().max(80).optional(),
  from: Time.optional(),
  to: Time.optional(),
  order: z.enum(["asc", "desc"]).default("desc"),
  after: z.coerce.number().int().min(0).optional(),
});
export type AuditQuery = z.infer<typeof AuditQuery>;
export const AuditPage = pageOf(AuditEntry);

/** `GET /v1/events`, server-sent: `id` is the log index, so `Last-Event-ID` resumes without a gap. */
export const StreamedEvent = z.object({
  index: z.int(),
  at: Time,
  type: z.string(),
  ids: z.record(z.string(), z.string()),
});
export type StreamedEvent = z.infer<typeof StreamedEvent>;

export const CreateWebhook = z.strictObject({
  url: z.url().max(2_000),
  events: z.array(z.string().max(64)).max(50).default([]),
  label: plainText(100).default(""),
});
export type CreateWebhook = z.input<typeof CreateWebhook>;
export const WebhookView = z.object({
  id: EventId,
  url: z.string(),
  events: z.array(z.string()),
  label: z.string(),
  createdAt: Time,
  lastDeliveredAt: Time.optional(),
  failing: z.boolean(),
  detail: z.string().optional(),
});
export type WebhookView = z.infer<typeof WebhookView>;
/** `secret`: Standard Webhooks, `whsec_…`, shown once. */
export const CreatedWebhook = WebhookView.extend({ secret: z.string() });
export const WebhooksPage = pageOf(WebhookView);
