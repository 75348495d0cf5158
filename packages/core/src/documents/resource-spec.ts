import { z } from "zod";
import { OutpostId, ResourceId } from "../contract/ids.ts";
import { Digest } from "./digest.ts";
import { Matcher, Patterns } from "./pattern.ts";
import { Name, plainText, Via } from "./primitives.ts";

/** Who enforces a limit on a key of one `via`: Cardea's gateway, the resource itself, or nobody. */
const Enforcer = z.enum(["gateway", "native", "none"]);
export type Enforcer = z.infer<typeof Enforcer>;

export const limitNames = ["expiry", "sourceIps", "sessions", "uses", "hold", "closesSessions"] as const;
export type LimitName = (typeof limitNames)[number];

export const LimitEnforcers = z.strictObject({
  expiry: Enforcer,
  sourceIps: Enforcer,
  sessions: Enforcer,
  uses: Enforcer,
  hold: Enforcer,
  closesSessions: Enforcer,
});
export type LimitEnforcers = z.infer<typeof LimitEnforcers>;

/** What a connector can do, as data: shared code asks this and never the connector's name. */
export const Capabilities = z.strictObject({
  /** A `via` that is absent is not on offer. */
  vias: z.strictObject({ gateway: LimitEnforcers.optional(), direct: LimitEnforcers.optional() }),
  /** The facets its patterns may carry, and what compares each. */
  facets: z.record(z.string(), Matcher),
  /** Can list what bears the resource's mark. */
  listsOwn: z.boolean(),
  /** Can find out afterwards whether an `unknown` run happened. */
  resolvesUnknown: z.boolean(),
  /** Bytes. */
  maxNameLength: z.int().min(1),
  /** Calls to the resource at once. */
  concurrency: z.int().min(1),
});
export type Capabilities = z.infer<typeof Capabilities>;

export const RoleSpec = z.strictObject({
  patterns: Patterns.min(1),
  /** By which ways a key with this role can be issued. */
  vias: z.array(Via).min(1),
  /** For each `via`: whether a narrowing of the patterns is enforced too. */
  narrows: z.array(Via),
  description: plainText(500).optional(),
});
export type RoleSpec = z.infer<typeof RoleSpec>;

/** What an outpost says of a resource, compiled by the connector and signed by the outpost. Holds no secret and no address. */
export const ResourceSpec = z.strictObject({
  v: z.literal(1),
  id: ResourceId,
  name: Name,
  kind: Name,
  outpost: OutpostId,
  labels: z.record(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/), z.string().max(100)),
  owners: z.strictObject({ groups: z.array(Name).max(100) }),
  capabilities: Capabilities,
  roles: z.record(Name, RoleSpec),
  /** Digest of the inventory of what the resource gives to every login. */
  publicPrivileges: Digest,
});
export type ResourceSpec = z.infer<typeof ResourceSpec>;
