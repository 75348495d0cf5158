import { z } from "zod";
import { AuditLeaf } from "./audit-leaf.ts";
import { Digest } from "./digest.ts";
import { Grant, Run } from "./grant.ts";
import { Policy } from "./policy.ts";
import { Base64Url, JsonValue } from "./primitives.ts";
import { PublicPrivileges } from "./public-privileges.ts";
import { Request } from "./request.ts";
import { ResourceSpec } from "./resource-spec.ts";
import { RosterHead, RosterProof } from "./roster.ts";
import { Signature } from "./signature.ts";
import { Vote } from "./vote.ts";

/** A leaf of the log with its opened data and the way up to the checkpoint's root. */
export const LogProof = z.strictObject({
  leaf: AuditLeaf,
  data: z.record(z.string(), JsonValue),
  /** 32 bytes. */
  salt: Base64Url.length(43),
  index: z.int().min(0),
  path: z.array(Base64Url.length(43)).max(64),
});
export type LogProof = z.infer<typeof LogProof>;

/** Everything needed to check a grant offline. */
export const Evidence = z.strictObject({
  v: z.literal(1),
  request: Request,
  votes: z.array(Vote).max(200),
  grant: Grant,
  /** How the grant's action went, once it is over and for who looks back; proves nothing of the grant, and a grant holds without it. */
  run: Run.optional(),
  /** Signatures by the digest of the document that they are over; of a held action also the outpost's over `asked`. */
  signatures: z.record(z.string(), z.array(Signature).max(10)),
  policy: Policy,
  /** The policy that decides now, where the request's rule says `onPolicyChange: end` or deny rules have changed. */
  current: Policy.optional(),
  spec: ResourceSpec,
  /** The inventory whose digest the specification names; proves nothing of the grant, and a grant holds without it. */
  publicPrivileges: PublicPrivileges.optional(),
  roster: z.strictObject({ head: RosterHead, entries: z.array(RosterProof).max(300) }),
  trust: Digest,
  log: z.strictObject({ checkpoint: z.string().max(4_000), proofs: z.array(LogProof).max(300) }),
});
export type Evidence = z.infer<typeof Evidence>;
