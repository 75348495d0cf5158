import { refused, ok, type Result } from "./result.ts";

/** Durations as people write them: one whole number and one unit of `s m h d`, such as `90s 15m 4h 2d`. */
const pattern = /^([1-9][0-9]{0,6})(s|m|h|d)$/;
const unitMs: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The longest duration anything may have: 366 days. */
export const maxDurationMs = 366 * 86_400_000;

/** Milliseconds of a written duration. */
export function parseDuration(text: string): Result<number, "invalid_duration"> {
  const match = pattern.exec(text);
  const [, count, unit] = match ?? [];
  const factor = unit === undefined ? undefined : unitMs[unit];
  if (count === undefined || factor === undefined) {
    return refused(
      "invalid_duration",
      `\`${text.slice(0, 40)}\` is not a duration, write for example \`90s\`, \`15m\`, \`4h\` or \`2d\``,
    );
  }
  const ms = Number(count) * factor;
  if (ms > maxDurationMs) return refused("invalid_duration", `\`${text}\` is longer than 366 days`);
  return ok(ms);
}

/** Milliseconds of a duration that a schema has already accepted. @throws TypeError for any other text. */
export function durationMs(text: string): number {
  const parsed = parseDuration(text);
  if (!parsed.ok) throw new TypeError(parsed.detail);
  return parsed.value;
}

/** The shortest exact writing of whole seconds; fractions of a second are cut off. */
export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds > 0 && seconds % 86_400 === 0) return `${String(seconds / 86_400)}d`;
  if (seconds > 0 && seconds % 3_600 === 0) return `${String(seconds / 3_600)}h`;
  if (seconds > 0 && seconds % 60 === 0) return `${String(seconds / 60)}m`;
  return `${String(seconds)}s`;
}
