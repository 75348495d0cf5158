import { z } from "zod";
import { parseDuration } from "../lib/duration.ts";
import { parseCidr } from "../lib/cidr.ts";

/** An instant: RFC 3339, UTC, exactly three digits of milliseconds. Text order is time order. */
export const Time = z
  .string()
  .regex(/^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$/, "not a time such as `2026-11-22T15:04:05.000Z`")
  .refine((text) => !Number.isNaN(Date.parse(text)), "no such instant")
  .brand<"time">();
export type Time = z.infer<typeof Time>;

export function toTime(ms: number): Time {
  // `toISOString` writes this very form for the years that `Time` accepts.
  return new Date(ms).toISOString() as Time;
}

/** Milliseconds since the Unix epoch. */
export function timeMs(time: Time): number {
  return Date.parse(time);
}

/** A written duration (`90s 15m 4h 2d`). */
export const Duration = z.string().refine((text) => parseDuration(text).ok, "not a duration such as `90s`, `15m`, `4h` or `2d`");

/** Names of resources, groups, roles and rules: what people type, so short and unambiguous. */
export const Name = z.string().regex(/^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/, "not a name: lower-case letters, digits, `.`, `_` and `-`, 63 at most");

/** An address or a network in CIDR form, host bits zero. */
export const Cidr = z.string().max(64).refine((text) => parseCidr(text) !== undefined, "not an address or network such as `10.0.0.0/8`");

/** Text that a person wrote: visible characters, line breaks and tabs; nothing that can reorder or hide what a terminal shows. */
export function plainText(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .refine((text) => text.isWellFormed() && !unsafeText.test(text), "holds control, bidirectional or invalid characters");
}
// eslint-disable-next-line no-control-regex -- naming control characters is the purpose
const unsafeText = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/;

export const Base64Url = z.string().regex(/^[A-Za-z0-9_-]*$/, "not base64url without padding");

export const Via = z.enum(["gateway", "direct"]);
export type Via = z.infer<typeof Via>;

export const SubjectKind = z.enum(["human", "workload", "agent"]);
export type SubjectKind = z.infer<typeof SubjectKind>;

/** Values that facts and claims may hold; depth and size are capped where a document is parsed. */
export const JsonValue = z.json();
