/** What is wrong with a policy, and where. The shape that parsing and checking share, and that the CLI and the editor show. */
export interface Problem {
  /** An `error` keeps the policy from being applied; a `warning` is shown. */
  readonly severity: "error" | "warning";
  readonly code: ProblemCode;
  /** What is wrong, in one clause. */
  readonly message: string;
  /** What to write instead. */
  readonly hint?: string;
  /** The name of the rule that it is in. */
  readonly rule?: string;
  /** Keys and indexes from the top of the document. */
  readonly path: Path;
  /** One-based, where the document was read from text. */
  readonly line?: number;
  readonly column?: number;
}

export type Path = readonly (string | number)[];

export type ProblemCode =
  // Reading
  | "too_large"
  | "yaml_invalid"
  | "duplicate_key"
  | "unknown_field"
  | "missing_field"
  | "invalid_value"
  | "duplicate_rule"
  // Checking
  | "condition_invalid"
  | "asserted_untrusted"
  | "regex_invalid"
  | "permits_nothing"
  | "pending_too_long"
  | "pending_unreached"
  | "signature_unsupported"
  | "external_unsupported"
  | "via_not_offered"
  | "limit_unenforceable"
  | "hold_over_native_role"
  | "facet_unknown"
  | "role_unknown"
  | "group_unknown"
  | "subject_unknown"
  | "resource_unmatched"
  | "rule_shadowed"
  | "approvers_missing"
  | "approvers_only_requesters";

/** Makes the problems of one rule; the path starts at the rule. */
export type Report = (
  severity: Problem["severity"],
  code: ProblemCode,
  path: Path,
  message: string,
  hint?: string,
) => Problem;
