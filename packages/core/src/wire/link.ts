import { z } from "zod";
import { AuditType } from "../contract/audit-types.ts";
import { SealedKey, SealedResult } from "./delivery.ts";
import {
  EventId,
  GrantId,
  LeaseId,
  OutpostId,
  RequestId,
  ResourceId,
  SessionId,
  TaskId,
  TokenId,
} from "../contract/ids.ts";
import { Configuration } from "../documents/configuration.ts";
import { Policy } from "../documents/policy.ts";
import { Base64Url, JsonValue, Name, plainText, Time } from "../documents/primitives.ts";
import { Run } from "../documents/grant.ts";
import { PublicPrivileges } from "../documents/public-privileges.ts";
import { Action } from "../documents/request.ts";
import { ResourceSpec } from "../documents/resource-spec.ts";
import { RosterHead, RosterProof } from "../documents/roster.ts";
import { Signature } from "../documents/signature.ts";
import { Trust } from "../documents/trust.ts";

/**
 * The link: one WebSocket that the outpost dials. JSON text frames, one message each. Tasks and state go down; receipts and events
 * come up. Everything that carries an id is delivered at least once and is idempotent by that id: the control plane repeats a task
 * until it is receipted, the outpost repeats a receipt or event until it is acknowledged.
 */
export const maxLinkMessageBytes = 8 * 1024 * 1024;

export const EndReason = z.enum(["expired", "released", "revoked", "spent", "voided"]);
export type EndReason = z.infer<typeof EndReason>;

/** First frames. Each side signs both nonces under its own key (digest type `link`), so neither can be replayed. */
export const LinkHello = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("hello"), nonce: Base64Url.min(32), controlKey: Base64Url.length(43) }),
  z.strictObject({
    kind: z.literal("prove"),
    outpost: OutpostId,
    nonce: Base64Url.min(32),
    signature: Signature,
  }),
  z.strictObject({
    /**
     * Instead of `prove`, once: enrols with a one-time token. `token` is its id; that the outpost holds its secret is shown by `tokenProof`,
     * so that whoever stands between learns nothing that enrols. `sealKey` is the outpost's HPKE public key.
     */
    kind: z.literal("enrol"),
    token: TokenId,
    tokenExpiresAt: Time,
    tokenProof: Base64Url.length(43),
    name: Name,
    nonce: Base64Url.min(32),
    identityKey: Base64Url.length(43),
    sealKey: Base64Url.length(87),
    signature: Signature,
  }),
  z.strictObject({
    kind: z.literal("welcome"),
    outpost: OutpostId,
    trust: Trust,
    /** 32 bytes from which the outpost's mark keys and resource ids follow (`outpost-marks.ts`); at enrolment only, sealed to `sealKey`. */
    markSeed: SealedKey.optional(),
    /** Over the trust document. */
    trustSignature: Signature,
    /** Over both nonces. */
    signature: Signature,
  }),
  z.strictObject({ kind: z.literal("refused"), code: z.string().max(64), detail: z.string().max(1_000) }),
]);
export type LinkHello = z.infer<typeof LinkHello>;

/** Hashes that prove a checkpoint a continuation of the log of size `from`. */
export const Consistency = z.strictObject({ from: z.int().min(0), hashes: z.array(Base64Url.length(43)).max(128) });
export type Consistency = z.infer<typeof Consistency>;

/** What entitles the outpost to configure anything: the control plane's signature over the document. */
export const ConfigurationAuthority = z.strictObject({ document: Configuration, signature: Signature });
export type ConfigurationAuthority = z.infer<typeof ConfigurationAuthority>;

export const Task = z.discriminatedUnion("type", [
  /**
   * `evidence` is parsed by `verifyEvidence`, once. `consistency` joins the evidence's checkpoint and the last one that this link carried, from
   * the older to the newer.
   */
  z.strictObject({
    type: z.literal("issue"),
    id: TaskId,
    grant: GrantId,
    evidence: z.unknown(),
    consistency: Consistency.optional(),
  }),
  z.strictObject({ type: z.literal("end"), id: TaskId, grant: GrantId, why: EndReason }),
  /** Runs the grant's one action: in the session that the request names in `within`, or by itself. As `issue` otherwise. */
  z.strictObject({
    type: z.literal("run"),
    id: TaskId,
    grant: GrantId,
    evidence: z.unknown(),
    consistency: Consistency.optional(),
  }),
  /** A held action's request is filed and waits: what to tell the client. `nonce` is that of its `asked`, by which the outpost knows the hold. */
  z.strictObject({
    type: z.literal("filed"),
    id: TaskId,
    session: SessionId,
    nonce: Base64Url.max(64),
    request: RequestId,
    code: z.string().max(20),
    words: plainText(1_000),
  }),
  /** A held action will not run: refused by policy or people, expired, or withdrawn. */
  z.strictObject({
    type: z.literal("settle"),
    id: TaskId,
    session: SessionId,
    nonce: Base64Url.max(64),
    verdict: z.enum(["refused", "expired", "withdrawn"]),
    words: plainText(2_000),
  }),
  /** Says what an action is and touches, before it is asked for. */
  z.strictObject({
    type: z.literal("preview"),
    id: TaskId,
    resource: Name,
    action: Action.pick({ type: true, what: true }),
  }),
  z.strictObject({ type: z.literal("close"), id: TaskId, session: SessionId, why: plainText(200) }),
  z.strictObject({ type: z.literal("check"), id: TaskId, resource: Name }),
  /** A resource's configuration, sealed to the outpost's key, or nothing where the document removes the resource. */
  z.strictObject({
    type: z.literal("configure"),
    id: TaskId,
    authority: ConfigurationAuthority,
    sealed: SealedKey.optional(),
  }),
]);
export type Task = z.infer<typeof Task>;

/** What the outpost must know to judge by itself. Sent on change and every 10 s; never accepted backwards. */
export const LinkState = z.strictObject({
  kind: z.literal("state"),
  at: Time,
  expiresAt: Time,
  /** Left out where this link carried the same version before. */
  policy: z.strictObject({ policy: Policy, signature: Signature }).optional(),
  roster: z.strictObject({ head: RosterHead, signature: Signature }),
  entries: z.array(RosterProof).max(10_000),
  /** Absent only while the log has no entries. */
  checkpoint: z.string().max(4_000).optional(),
  consistency: Consistency.optional(),
  /** The HPKE public key (P-256, uncompressed point) to which the keys of recordings are sealed. */
  recordingKey: Base64Url.length(87).optional(),
});
export type LinkState = z.infer<typeof LinkState>;

export const MissingPrivilege = z.strictObject({
  what: plainText(500),
  /** What the resource's owner would run. */
  fix: plainText(4_000).optional(),
});
export type MissingPrivilege = z.infer<typeof MissingPrivilege>;

/** A resource as the outpost found it. */
export const ResourceReport = z.strictObject({
  resource: ResourceId,
  name: Name,
  state: z.enum(["ready", "degraded", "unreachable", "invalid"]),
  spec: ResourceSpec.optional(),
  specSignature: Signature.optional(),
  /** The inventory whose digest the specification names; absent where it is too long to keep. */
  publicPrivileges: PublicPrivileges.optional(),
  missing: z.array(MissingPrivilege).max(100),
  warnings: z.array(plainText(1_000)).max(100),
  version: plainText(200).optional(),
  detail: plainText(1_000).optional(),
});
export type ResourceReport = z.infer<typeof ResourceReport>;

export const TaskResult = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("issued"),
    grant: GrantId,
    /** The login that the key is. A key of a gateway is none: each of its sessions has a lease of its own. */
    lease: LeaseId.optional(),
    nativeName: z.string().max(128).optional(),
    sealed: SealedKey,
    at: Time,
  }),
  /** Nothing of the grant is left at the resource. */
  z.strictObject({ type: z.literal("ended"), grant: GrantId, why: EndReason, at: Time }),
  z.strictObject({ type: z.literal("closed") }),
  /** The action's one run is over, or nobody knows how it ended; signed by the outpost. `sealed`: the answer, to the request's `deliverTo`. */
  z.strictObject({
    type: z.literal("ran"),
    grant: GrantId,
    run: Run,
    signature: Signature,
    error: z.strictObject({ code: z.string().max(64), message: plainText(2_000) }).optional(),
    sealed: SealedResult.optional(),
  }),
  /** A `filed` or `settle` was heard. */
  z.strictObject({ type: z.literal("noted") }),
  z.strictObject({
    type: z.literal("previewed"),
    action: Action,
    estimate: z.strictObject({ rows: z.number().min(0) }).optional(),
  }),
  z.strictObject({ type: z.literal("checked"), report: ResourceReport }),
  z.strictObject({ type: z.literal("configured"), report: ResourceReport }),
  /** The resource is not configured at the outpost any more. */
  z.strictObject({ type: z.literal("removed"), resource: ResourceId }),
]);
export type TaskResult = z.infer<typeof TaskResult>;

/** The answer to one task, spooled until acknowledged. */
export const Receipt = z.strictObject({
  kind: z.literal("receipt"),
  id: EventId,
  task: TaskId,
  outcome: z.union([
    z.strictObject({ ok: z.literal(true), result: TaskResult }),
    z.strictObject({
      ok: z.literal(false),
      code: z.string().max(64),
      detail: plainText(2_000),
      retryable: z.boolean(),
    }),
  ]),
});
export type Receipt = z.infer<typeof Receipt>;

/** Something that happened at the outpost, spooled until acknowledged. */
export const LinkEvent = z.strictObject({
  kind: z.literal("event"),
  id: EventId,
  at: Time,
  type: AuditType,
  ids: z.record(z.string().max(32), z.string().max(80)),
  data: z.record(z.string().max(64), JsonValue),
});
export type LinkEvent = z.infer<typeof LinkEvent>;

/**
 * A piece of a session's recording, in order from 0, spooled until acknowledged. `bytes` are encrypted by the outpost (docs/reference/recordings.md).
 */
export const RecordingPiece = z.strictObject({
  kind: z.literal("recording"),
  id: EventId,
  session: SessionId,
  grant: GrantId,
  index: z.int().min(0).max(10_000_000),
  bytes: Base64Url.max(3_000_000),
});
export type RecordingPiece = z.infer<typeof RecordingPiece>;

export const LeaseCounts = z.strictObject({ live: z.int().min(0), ending: z.int().min(0), stuck: z.int().min(0) });
export type LeaseCounts = z.infer<typeof LeaseCounts>;

export const FromControl = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("task"), task: Task }),
  LinkState,
  /** Receipts and events that are applied and committed. */
  z.strictObject({ kind: z.literal("ack"), ids: z.array(EventId).min(1).max(1_000) }),
  z.strictObject({ kind: z.literal("ping"), at: Time }),
]);
export type FromControl = z.infer<typeof FromControl>;

export const FromOutpost = z.discriminatedUnion("kind", [
  Receipt,
  LinkEvent,
  RecordingPiece,
  /** Reports on start, on change and after `configure`; the newest counts. */
  z.strictObject({ kind: z.literal("report"), report: ResourceReport }),
  /** Right after the welcome, in answer to each ping, and when a state was refused: where the next consistency proof begins. */
  z.strictObject({ kind: z.literal("pong"), at: Time, checkpointSize: z.int().min(0), leases: LeaseCounts }),
]);
export type FromOutpost = z.infer<typeof FromOutpost>;
