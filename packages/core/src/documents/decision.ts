import { z } from "zod";
import { SubjectId } from "../contract/ids.ts";
import { Digest } from "./digest.ts";
import { Cidr, Duration, Name, plainText, Time, Via } from "./primitives.ts";

/** Who may meet a requirement: members of any of the groups, or any of the subjects, or an outside system. */
export const ApproversFrom = z.union([
  z.strictObject({ groups: z.array(Name).min(1).max(100) }),
  z.strictObject({ subjects: z.array(SubjectId).min(1).max(100) }),
  z.strictObject({ external: Name }),
]);
export type ApproversFrom = z.infer<typeof ApproversFrom>;

export const SignedBy = z.enum(["any", "passkey", "ssh"]);
export type SignedBy = z.infer<typeof SignedBy>;

/** What a rule asks of approvers in one stage. All requirements of a stage must be met, by different people. */
export const Requirement = z.strictObject({
  id: z.string().regex(/^[1-9][0-9]?\.[1-9][0-9]?$/, "not a requirement id such as `2.1`"),
  count: z.int().min(1).max(20),
  from: ApproversFrom,
  signed: SignedBy,
  /** `after` this long without being met, `from` may meet it too. Nobody is ever left out by time. */
  escalate: z.strictObject({ after: Duration, from: ApproversFrom }).optional(),
});
export type Requirement = z.infer<typeof Requirement>;

const Stages = z.array(z.array(Requirement).min(1).max(10)).max(10);

/** The limits that hold once approved: asked ones, and the rule's where nothing was asked. */
export const DecidedLimits = z.strictObject({
  duration: Duration,
  sourceIps: z.array(Cidr).min(1).max(100).optional(),
  sessions: z.int().min(1).max(10_000).optional(),
  uses: z.int().min(1).max(1_000_000).optional(),
});
export type DecidedLimits = z.infer<typeof DecidedLimits>;

const Effect = z.enum(["allow", "review", "deny"]);
export type Effect = z.infer<typeof Effect>;

/**
 * What policy answered, in full: outposts compute it again from the same inputs and demand the same bytes.
 */
export const Decision = z.strictObject({
  policy: Digest,
  /** The rule that decided; absent where none did. */
  rule: Name.optional(),
  effect: Effect,
  /** In plain words, why; for a refusal also the smallest thing that could be asked for instead. */
  reasons: z.array(plainText(1_000)).max(50),
  stages: Stages,
  limits: DecidedLimits,
  via: Via,
  /** When the request expires if it is still pending then. */
  expiresAt: Time,
  /** When reminders go out while it is pending. */
  remindAfter: Duration.optional(),
  onPolicyChange: z.enum(["keep", "end"]),
  /** Break-glass: who must review the grant afterwards, and how soon. */
  review: z.strictObject({ within: Duration, from: ApproversFrom }).optional(),
});
export type Decision = z.infer<typeof Decision>;
