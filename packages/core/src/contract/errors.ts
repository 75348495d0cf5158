/**
 * The one table of everything that Cardea refuses or fails at. A code is stable for ever; the words may improve. The HTTP
 * status, the CLI's exit and whether trying again can help follow from the code, so that nobody decides them twice.
 *
 * Exits: 1 fault, 2 usage, 3 denied, 4 still pending, 5 ended or expired.
 */
interface ErrorRow {
  readonly status: number;
  readonly exit: 1 | 2 | 3 | 4 | 5;
  readonly retryable: boolean;
  /** What the code means to somebody who has never seen it. */
  readonly title: string;
}

function row(status: number, exit: ErrorRow["exit"], title: string, retryable = false): ErrorRow {
  return { status, exit, retryable, title };
}

export const errors = {
  // What was sent
  invalid_request: row(400, 2, "the input does not have the required form"),
  invalid_json: row(400, 2, "the body is not JSON"),
  too_large: row(413, 2, "the input is larger than allowed"),
  unsupported_media_type: row(415, 2, "the body is not of a supported type"),
  not_found: row(404, 2, "there is no such thing, or you may not see it"),
  method_not_allowed: row(405, 2, "the method is not offered here"),
  idempotency_conflict: row(409, 2, "the idempotency key was used before with another body"),
  conflict: row(409, 1, "something else changed it at the same time", true),
  rate_limited: row(429, 1, "too many calls; wait and try again", true),

  // Who sent it
  unauthenticated: row(401, 3, "sign in first"),
  sign_in_expired: row(401, 5, "the sign-in is over; sign in again"),
  forbidden: row(403, 3, "you may not do this"),
  token_forbidden: row(403, 3, "API tokens may not do this; sign in as a person"),
  subject_inactive: row(403, 3, "the subject is not active"),
  credential_unknown: row(401, 3, "the credential is not enrolled"),
  signature_invalid: row(401, 3, "the signature does not verify"),
  challenge_invalid: row(401, 3, "the challenge is unknown, used or expired"),
  invitation_invalid: row(403, 3, "the invitation is unknown, used or expired"),
  roster_invalid: row(503, 1, "the stored people do not verify against their signed head; ask an administrator"),

  // Requests
  resource_unknown: row(404, 2, "no such resource"),
  role_unknown: row(422, 2, "no such role on this resource"),
  policy_denied: row(403, 3, "policy refuses the request"),
  delivery_key_required: row(422, 2, "a direct key needs a delivery key to be sealed to"),
  delivery_key_invalid: row(422, 2, "the delivery key is not a P-256 point"),
  start_in_past: row(422, 2, "the window starts in the past"),
  start_too_far: row(422, 2, "the window starts too far in the future"),
  extends_invalid: row(422, 2, "only one's own active grant on the same resource and role can be extended"),
  request_limit: row(429, 1, "too many requests are pending for this subject; withdraw some", true),
  request_not_pending: row(409, 5, "the request has been decided already"),
  request_expired: row(409, 5, "the request expired before it was decided"),
  request_pending: row(409, 4, "the request is still waiting for approval", true),

  action_refused: row(422, 2, "this action cannot be asked for"),
  binding_changed: row(409, 1, "what the action's names stand for is not what was shown or approved; it did not run"),
  hold_gone: row(409, 5, "nobody waits for this action any more; it did not run"),
  run_unknown: row(502, 1, "the action may have been done, and nobody knows yet"),
  result_too_large: row(422, 2, "the action's answer is longer than allowed; it was not done"),

  // Votes
  self_approval: row(403, 3, "nobody approves their own or their agent's request"),
  not_an_approver: row(403, 3, "the open stage does not ask for you"),
  already_voted: row(409, 3, "you have voted on this request with the same verdict"),
  narrowing_invalid: row(422, 2, "the narrowing is wider than the request"),
  narrowing_unenforceable: row(422, 2, "the resource cannot enforce this narrowing"),
  narrowing_exact: row(422, 2, "an exact action cannot be narrowed, only refused"),
  vote_signature_required: row(403, 3, "the rule demands a signature of a kind this vote does not carry"),

  // Grants and keys
  grant_not_active: row(409, 5, "the grant is not active"),
  grant_ended: row(410, 5, "the grant is over"),
  grant_failed: row(502, 1, "the key could not be made"),
  key_not_ready: row(409, 4, "the key is not made yet", true),
  key_lost: row(410, 5, "the private delivery key is not here; ask again"),
  review_not_owed: row(409, 2, "this grant waits for no review"),
  self_review: row(403, 3, "nobody reviews their own grant"),

  // Policy
  policy_invalid: row(422, 2, "the policy is invalid"),
  policy_stale: row(409, 1, "the policy changed since the plan was made; plan again", true),
  condition_failed: row(403, 3, "a condition could not be evaluated, so it refuses"),

  // Recordings
  recording_unavailable: row(404, 2, "there is no recording of this session, or its key is gone"),
  recording_broken: row(422, 1, "the recording is not the one whose digest the log holds"),

  // Evidence and trust
  evidence_invalid: row(422, 1, "the evidence does not have the required form"),
  evidence_signature: row(422, 1, "a document of the evidence is not signed by whom it must be"),
  evidence_mismatch: row(422, 1, "two documents of the evidence do not belong together"),
  evidence_decision: row(422, 1, "policy, evaluated again, decides otherwise"),
  evidence_quorum: row(422, 1, "the votes do not meet every stage"),
  evidence_grant: row(422, 1, "the grant permits something else than what was approved"),
  evidence_log: row(422, 1, "the log does not prove the approval"),
  evidence_roster: row(422, 1, "the roster does not prove a subject's standing"),
  evidence_trust: row(422, 1, "the evidence was made for another installation"),
  evidence_expired: row(422, 5, "the grant's window is over"),
  evidence_early: row(422, 4, "the grant's window has not begun", true),
  evidence_replayed: row(409, 1, "the grant was issued before"),
  evidence_stale: row(422, 1, "the evidence rests on something older than what was seen before"),
  log_rolled_back: row(503, 1, "the stored log is older than what was published; issuing stops until it is resolved"),
  log_inconsistent: row(422, 1, "the log is not a continuation of what was seen before"),

  // Outposts and resources
  enrolment_invalid: row(403, 3, "the enrolment token is unknown, used or expired"),
  outpost_unknown: row(404, 2, "no such outpost"),
  outpost_unreachable: row(503, 1, "the outpost's link is down", true),
  link_refused: row(403, 1, "the other side of the link did not prove its key"),
  link_message_invalid: row(400, 1, "a message of the link does not have the required form"),
  task_unknown: row(404, 1, "no such task"),
  clock_unsure: row(503, 1, "the clock stepped; nothing new is issued until it is sure again", true),
  state_stale: row(503, 1, "the control plane's state is older than the grace allows", true),
  store_failed: row(500, 1, "the outpost's store cannot be written", true),

  resource_config_invalid: row(422, 2, "the resource's configuration is invalid"),
  configuration_invalid: row(
    422,
    1,
    "the control plane did not sign exactly this configuration for this resource and outpost",
  ),
  configuration_stale: row(409, 1, "the outpost has seen a newer configuration of the resource"),
  resource_in_use: row(409, 1, "the resource still has grants or keys; end them first"),
  resource_unreachable: row(503, 1, "the resource cannot be reached", true),
  resource_timeout: row(504, 1, "the resource did not answer in time", true),
  resource_unauthorized: row(502, 1, "the resource refuses the administrator's credential"),
  resource_privilege_missing: row(502, 1, "the resource's administrator lacks a privilege"),
  resource_too_old: row(422, 1, "the resource's version is not supported"),
  resource_role_unsafe: row(422, 2, "the native role may not be given to a direct key"),
  resource_busy: row(503, 1, "the resource's breaker is open after repeated failures", true),
  resource_fault: row(502, 1, "the resource failed", true),
  lease_stuck: row(502, 1, "something of the lease cannot be removed yet", true),

  // Around
  setting_invalid: row(500, 2, "a setting is invalid"),
  port_taken: row(500, 2, "a port is taken by another process"),
  already_running: row(500, 2, "another process uses the data directory"),
  data_directory_invalid: row(500, 2, "the data directory cannot be used"),
  not_development: row(403, 2, "this works in development mode only"),
  unreachable: row(503, 1, "the control plane cannot be reached", true),
  database_unavailable: row(503, 1, "the control plane's database cannot be reached", true),
  cancelled: row(499, 1, "it was cancelled"),
  timeout: row(504, 1, "it took too long", true),
  usage: row(400, 2, "the command was written wrongly"),
  internal: row(500, 1, "something is broken in Cardea; the log has the details"),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errors;

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errors, text);
}

/** Where in the input something is wrong, as a path of keys, with words. */
export interface ErrorPointer {
  readonly path: string;
  readonly message: string;
}

export interface ErrorDetails extends ErrorOptions {
  readonly pointers?: readonly ErrorPointer[];
  /** Further members for the problem document; never a secret. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** The base of everything that Cardea throws: a code of the table, words for a person and, privately, the cause. */
export class CardeaError extends Error {
  override readonly name: string = "CardeaError";
  readonly code: ErrorCode;
  readonly pointers: readonly ErrorPointer[];
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.pointers = details.pointers ?? [];
    this.extra = details.extra ?? {};
  }
}

/** A fault of something outside, which says whether the effect may have happened nevertheless. */
export class OutsideError extends CardeaError {
  override readonly name = "OutsideError";
  /** `none`: it certainly did not happen. `maybe`: it may have. */
  readonly effect: "none" | "maybe";

  constructor(code: ErrorCode, effect: "none" | "maybe", message: string, details: ErrorDetails = {}) {
    super(code, message, details);
    this.effect = effect;
  }
}
