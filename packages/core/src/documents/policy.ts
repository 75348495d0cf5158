import { z } from "zod";
import { PolicyId, SubjectId } from "../contract/ids.ts";
import { ApproversFrom, SignedBy } from "./decision.ts";
import { ActionName } from "./pattern.ts";
import { Cidr, Duration, Name, plainText, SubjectKind, Time, Via } from "./primitives.ts";

/**
 * The one readable document that decides. Rules are looked at in order; see `policy/decide.ts` for how exactly.
 * Unknown fields are refused everywhere: a misspelt restriction must not become none.
 */
export const SubjectMatch = z.strictObject({
  kinds: z.array(SubjectKind).min(1).optional(),
  groups: z.array(Name).min(1).optional(),
  ids: z.array(SubjectId).min(1).optional(),
  /** Verified claims only; each value is a glob. */
  claims: z.record(z.string().min(1).max(100), z.string().min(1).max(200)).optional(),
});
export type SubjectMatch = z.infer<typeof SubjectMatch>;

export const ResourceMatch = z.strictObject({
  /** Globs. */
  names: z.array(z.string().min(1).max(100)).min(1).optional(),
  kinds: z.array(Name).min(1).optional(),
  labels: z.record(z.string().min(1).max(63), z.string().min(1).max(100)).optional(),
});
export type ResourceMatch = z.infer<typeof ResourceMatch>;

/** `sql.update`, or `{ name: sql.update, tables: ["public.*"], requireWhere: true }`. */
export const PolicyAction = z.union([
  ActionName,
  z
    .object({ name: ActionName })
    .catchall(z.union([z.array(z.string().min(1).max(256)).min(1).max(1_000), z.literal(true)])),
]);
export type PolicyAction = z.infer<typeof PolicyAction>;

const Permits = z.strictObject({
  /** Role names; `*` is every role. They answer access requests. */
  roles: z
    .array(z.union([Name, z.literal("*")]))
    .min(1)
    .optional(),
  /** They answer action requests. */
  actions: z.array(PolicyAction).min(1).max(1_000).optional(),
});
export type Permits = z.infer<typeof Permits>;

const ruleHead = {
  name: Name,
  description: plainText(500).optional(),
  subjects: SubjectMatch.optional(),
  resources: ResourceMatch.optional(),
  permits: Permits.optional(),
  /** A CEL condition. */
  when: z.string().min(1).max(4_000).optional(),
  /** Says openly that `when` rests on what clients assert. */
  trustAsserted: z.literal(true).optional(),
};

export const DenyRule = z.strictObject({
  ...ruleHead,
  effect: z.literal("deny"),
  message: plainText(1_000),
});
export type DenyRule = z.infer<typeof DenyRule>;

const PolicyRequirement = z.strictObject({
  count: z.int().min(1).max(20),
  from: ApproversFrom,
  signed: SignedBy.optional(),
});
export type PolicyRequirement = z.infer<typeof PolicyRequirement>;

/** A single requirement, or a list that must be met together. */
const PolicyStage = z.union([PolicyRequirement, z.array(PolicyRequirement).min(1).max(10)]);

const grantingFields = {
  ...ruleHead,
  permits: Permits,
  /** Actions that ask again inside the window. */
  hold: z.array(PolicyAction).min(1).max(1_000).optional(),
  require: z
    .strictObject({
      justification: z.strictObject({ minLength: z.int().min(1).max(1_000) }).optional(),
      /** A regular expression that the whole ticket must match. */
      ticket: z.string().min(1).max(200).optional(),
    })
    .optional(),
  limits: z.strictObject({
    maxDuration: Duration,
    sourceIps: z.array(Cidr).min(1).max(100).optional(),
    sessions: z.int().min(1).max(10_000).optional(),
    uses: z.int().min(1).max(1_000_000).optional(),
    /** Absent means `[gateway]`. Writing `direct` accepts what only the resource enforces. */
    via: z.array(Via).min(1).optional(),
  }),
  onPolicyChange: z.enum(["keep", "end"]).optional(),
};

export const AllowRule = z.strictObject({
  ...grantingFields,
  effect: z.literal("allow"),
  /** Considered only for requests that set break-glass; somebody else must review the grant afterwards. */
  breakGlass: z.strictObject({ review: z.strictObject({ within: Duration, from: ApproversFrom }) }).optional(),
});
export type AllowRule = z.infer<typeof AllowRule>;

export const ReviewRule = z.strictObject({
  ...grantingFields,
  effect: z.literal("review"),
  approvals: z.array(PolicyStage).min(1).max(10),
  pending: z
    .strictObject({
      expire: Duration.optional(),
      remind: Duration.optional(),
      escalate: z.strictObject({ after: Duration, to: ApproversFrom }).optional(),
    })
    .optional(),
});
export type ReviewRule = z.infer<typeof ReviewRule>;

export const Rule = z.discriminatedUnion("effect", [DenyRule, AllowRule, ReviewRule]);
export type Rule = z.infer<typeof Rule>;

/** What people write. */
export const PolicyDocument = z.strictObject({
  version: z.literal(1),
  rules: z.array(Rule).max(5_000),
});
export type PolicyDocument = z.infer<typeof PolicyDocument>;

/** What is applied, signed and named by digest in every decision. Versions count up by one. */
export const Policy = z.strictObject({
  v: z.literal(1),
  id: PolicyId,
  version: z.int().min(1),
  at: Time,
  document: PolicyDocument,
});
export type Policy = z.infer<typeof Policy>;
