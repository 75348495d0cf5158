import { z } from "zod";
import { GrantId, RunId, SessionId, type KeyId } from "../contract/ids.ts";
import { Digest } from "./digest.ts";
import { Pattern, Patterns } from "./pattern.ts";
import { Cidr, Name, plainText, Time, Via } from "./primitives.ts";
import { Action, ActionBinding } from "./request.ts";

/**
 * The policy's answer for every single action, compiled once so that a gateway needs no round trip. Looked at in the
 * order of the fields; what nothing matches is denied.
 */
export const Judgement = z.strictObject({
  denied: z.array(z.strictObject({ pattern: Pattern, message: plainText(1_000) })).max(1_000),
  hold: Patterns,
  covered: Patterns,
  askable: Patterns,
});
export type Judgement = z.infer<typeof Judgement>;

/** What a grant permits: a role as narrowed to patterns, or one exact action. */
export const Permissions = z.union([
  z.strictObject({ role: Name, patterns: Patterns }),
  z.strictObject({ action: Action }),
]);
export type Permissions = z.infer<typeof Permissions>;

/** An approved request with its absolute window and effective permissions. */
export const Grant = z.strictObject({
  v: z.literal(1),
  id: GrantId,
  request: Digest,
  votes: z.array(Digest).max(200),
  window: z.strictObject({ notBefore: Time, notAfter: Time }),
  permissions: Permissions,
  limits: z.strictObject({
    sourceIps: z.array(Cidr).min(1).max(100).optional(),
    sessions: z.int().min(1).optional(),
    uses: z.int().min(1).optional(),
  }),
  via: Via,
  judgement: Judgement,
});
export type Grant = z.infer<typeof Grant>;

/** An access grant has exactly one key, so the key's id is the grant's under its own prefix. */
export function keyIdOf(grant: GrantId): KeyId {
  // The body of an id does not depend on its prefix.
  return `key_${grant.slice("gra_".length)}` as KeyId;
}

/** The grant whose key it is. */
export function grantOf(key: KeyId): GrantId {
  // See `keyIdOf`.
  return `gra_${key.slice("key_".length)}` as GrantId;
}

/** One execution of an approved action, written once it has ended and signed by the outpost that ran it. */
export const Run = z.strictObject({
  v: z.literal(1),
  id: RunId,
  grant: Digest,
  session: SessionId.optional(),
  binding: ActionBinding,
  outcome: z.enum(["done", "failed", "unknown"]),
  rowCount: z.int().min(0).optional(),
  /** Of the sealed answer (digest type `sealed`): the answer itself could be guessed from a digest of it. */
  resultDigest: Digest.optional(),
  at: Time,
});
export type Run = z.infer<typeof Run>;
