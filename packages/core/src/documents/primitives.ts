import { z } from "zod";
import { parseDuration } from "../lib/duration.ts";
import { parseCidr } from "../lib/cidr.ts";

/** An instant: RFC 3339, UTC, exactly three digits of milliseconds. Text order is time order. */
export const Time = z
  .string()
  .regex(
    /^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$/,
    "not a time such as `2026-11-22T15:04:05.000Z`",
  )
  .refine(isInstant, "no such instant")
  .brand<"time">();
export type Time = z.infer<typeof Time>;

/** Engines read `2026-02-30` as the second of March; one instant has one text here, so only what is written back the same is taken. */
function isInstant(text: string): boolean {
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text;
}

export function toTime(ms: number): Time {
  // `toISOString` writes this very form for the years that `Time` accepts.
  return new Date(ms).toISOString() as Time;
}

/** Milliseconds since the Unix epoch. */
export function timeMs(time: Time): number {
  return Date.parse(time);
}

/** A written duration (`90s 15m 4h 2d`). */
export const Duration = z
  .string()
  .refine((text) => parseDuration(text).ok, "not a duration such as `90s`, `15m`, `4h` or `2d`");

/** Names of resources, groups, roles and rules: what people type, so short and unambiguous. */
export const Name = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/,
    "not a name: lower-case letters, digits, `.`, `_` and `-`, 63 at most",
  );

/** An address or a network in CIDR form, host bits zero. */
export const Cidr = z
  .string()
  .max(64)
  .refine((text) => parseCidr(text) !== undefined, "not an address or network such as `10.0.0.0/8`");

/** Text that a person wrote: visible characters, line breaks and tabs; nothing that can reorder or hide what a terminal shows. */
export function plainText(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .refine(
      (text) => text.isWellFormed() && !unsafeText.test(text),
      "holds control, bidirectional or invalid characters",
    );
}
// Controls but line feed and tab; what reorders (marks, embeddings, isolates); what hides (zero width but the joiners that scripts and emoji
// need, invisible operators, tags); separators that some take for line ends.
const unsafeText =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;
const everyUnsafe = new RegExp(unsafeText, "gu");

/** The text without what `plainText` refuses: line feeds and tabs stay. For words that others made and that must be shown nevertheless. */
export function toPlainText(text: string, maxLength: number): string {
  return text.toWellFormed().replace(everyUnsafe, "").slice(0, maxLength).toWellFormed();
}

export const Base64Url = z.string().regex(/^[A-Za-z0-9_-]*$/, "not base64url without padding");

export const Via = z.enum(["gateway", "direct"]);
export type Via = z.infer<typeof Via>;

export const SubjectKind = z.enum(["human", "workload", "agent"]);
export type SubjectKind = z.infer<typeof SubjectKind>;

/** Values that facts and claims may hold; depth and size are capped where a document is parsed. */
export const JsonValue = z.json();
export type JsonValue = z.infer<typeof JsonValue>;
