/**
 * Whether a grant may be acted on here and now: what keys and runs have in common. The evidence is judged as if nobody had before, and the
 * resource must still be what the request was decided on. That a grant is used once is for the caller, in the transaction that uses it.
 */
import { CardeaError, errors, type ErrorCode } from "@cardea/core/contract/errors";
import type { GrantId, ResourceId } from "@cardea/core/contract/ids";
import { timeMs } from "@cardea/core/documents/primitives";
import type { Verified } from "@cardea/core/evidence/verify";
import { ok, refused, type Refused, type Result } from "@cardea/core/lib/result";
import type { Consistency } from "@cardea/core/wire/link";
import type { ResourceHost } from "../resources/host.ts";
import type { Tuning } from "../settings.ts";
import type { Failure } from "../store/spool.ts";
import type { TrustState } from "../trust/trust-state.ts";
import { whyOutdated } from "./outdated.ts";

export interface JudgeOptions {
  readonly trust: TrustState;
  readonly hostOf: (resource: ResourceId) => ResourceHost | undefined;
  readonly tuning: Tuning;
}

/** What a task brings. */
export interface Shown {
  readonly grant: GrantId;
  readonly evidence?: unknown;
  readonly consistency?: Consistency | undefined;
}

export interface Judged {
  readonly host: ResourceHost;
  readonly verified: Verified;
  readonly deadlineMs: number;
}

/** Judges what a task shows; waits for the first look at the resource, until the signal. */
export async function judgeShown(
  { trust, hostOf, tuning }: JudgeOptions,
  shown: Shown,
  signal: AbortSignal,
): Promise<Result<Judged, ErrorCode>> {
  const notNow = trust.whyNotNow();
  if (notNow !== undefined) return notNow;
  const verified = trust.admit(shown.evidence, shown.consistency);
  if (!verified.ok) return verified;
  const { grant, spec } = verified.evidence;
  if (grant.id !== shown.grant) return refused("evidence_mismatch", "the task names another grant than its evidence");
  const host = hostOf(spec.id);
  if (host === undefined) return refused("resource_unknown", `\`${spec.name}\` is not configured at this outpost`);
  await host.lookedAt(AbortSignal.any([signal, AbortSignal.timeout(tuning.createMs)]));
  const role = "role" in grant.permissions ? grant.permissions.role : undefined;
  const not = host.whyNotIssuing() ?? whyOutdated(host, spec, role);
  if (not !== undefined) return not;
  return ok({ host, verified, deadlineMs: timeMs(grant.window.notAfter) });
}

/** Refusals that pass with time, though their codes in general do not. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["evidence_stale", "clock_unsure", "state_stale"]);

/** A refusal as a task's receipt says it. */
export function failureOf({ code, detail }: Refused<ErrorCode>): Failure {
  return { code, detail, retryable: passing.has(code) || errors[code].retryable };
}

/** A fault as a refusal; `what`: what could not be done, such as `the key could not be made`. */
export function refusalOf(error: unknown, what: string): Refused<ErrorCode> {
  if (error instanceof CardeaError) return refused(error.code, error.message);
  if (error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError"))
    return refused("resource_timeout", `${what} in time`);
  return refused("internal", what);
}
