import type { RecorderLimits } from "./recorder/limits.ts";

/** What the composition root tells the outpost. */
export interface OutpostSettings {
  /** Of this build; for the log. */
  readonly version: string;
  /** Where `{ env: NAME }` in `outpost.yaml` is looked up. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly tuning?: Partial<Tuning>;
  readonly recorder?: Partial<RecorderLimits>;
}

/** Times and limits, in milliseconds unless said otherwise. */
export interface Tuning {
  /** Whole time for making one login, sealing included; also for lending one a privilege, or taking it back. */
  readonly createMs: number;
  /** Somebody waits for it. */
  readonly previewMs: number;
  readonly endMs: number;
  readonly inspectMs: number;
  readonly listMs: number;
  /** Between looks at a resource that is well. */
  readonly inspectEveryMs: number;
  readonly reconcileEveryMs: number;
  /** For so long an unexplained login whose deadline has not passed is only watched. */
  readonly strangerGraceMs: number;
  /** Failed attempts after which a lease is flagged as stuck. */
  readonly stuckAfter: number;
  readonly endRetryMs: { readonly first: number; readonly max: number };
  /** Consecutive failures to reach a resource that open its breaker. */
  readonly breakerAfter: number;
  readonly breakerMs: { readonly first: number; readonly max: number };
  /** The wall clock and the monotonic one may part by so much between two looks. */
  readonly clockStepMs: number;
  /** The control plane's clock and this one may differ by so much. */
  readonly clockSkewMs: number;
  /** The longest sleep: a step of the clock is noticed after it. */
  readonly maxSleepMs: number;
  readonly redialMs: { readonly first: number; readonly max: number };
  /** After another process with the same keys took the link over: time for a person to see it. */
  readonly replacedMs: number;
  /** Without a word from the control plane for so long the link is taken for broken. */
  readonly silenceMs: number;
  /** At a stop, logins of sessions are ended for so long before the rest is left to the next start. */
  readonly stopMs: number;
  /** Events wait so long for company; receipts do not. */
  readonly eventDelayMs: number;
  /** A client that waits for an approval is told when the control plane has not answered for so long. */
  readonly unheardMs: number;
  /** What came of a run whose end nobody saw is looked up for so long before it is called unknown; then now and then. */
  readonly resolveMs: number;
  readonly resolveRetryMs: { readonly first: number; readonly max: number };
}

export const defaultTuning: Tuning = {
  createMs: 20_000,
  previewMs: 10_000,
  endMs: 30_000,
  inspectMs: 20_000,
  listMs: 60_000,
  inspectEveryMs: 60_000,
  reconcileEveryMs: 60_000,
  strangerGraceMs: 30_000,
  stuckAfter: 5,
  endRetryMs: { first: 250, max: 60_000 },
  breakerAfter: 5,
  breakerMs: { first: 1_000, max: 30_000 },
  clockStepMs: 2_000,
  clockSkewMs: 30_000,
  maxSleepMs: 1_000,
  redialMs: { first: 100, max: 3_000 },
  replacedMs: 30_000,
  silenceMs: 30_000,
  stopMs: 3_000,
  eventDelayMs: 200,
  unheardMs: 3_000,
  resolveMs: 30_000,
  resolveRetryMs: { first: 250, max: 300_000 },
};
