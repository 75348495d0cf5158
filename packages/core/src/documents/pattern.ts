import { z } from "zod";

/**
 * A permission is a pattern over actions: a dotted name, which may end in `.*`, and facets that restrict it. A facet that
 * is absent restricts nothing. Each facet names the matcher that compares it, so that comparing needs no connector.
 */
export const Matcher = z.enum([
  /** Exact strings. */
  "set",
  /** Dotted names, each of which may end in `.*` (`public.orders`, `public.*`). */
  "names",
  /** One boolean: `true` is a demand on the action. */
  "flag",
]);
export type Matcher = z.infer<typeof Matcher>;

export const Facet = z.discriminatedUnion("matcher", [
  z.strictObject({ matcher: z.literal("set"), values: z.array(z.string().min(1).max(256)).min(1).max(10_000) }),
  z.strictObject({ matcher: z.literal("names"), values: z.array(z.string().min(1).max(256)).min(1).max(10_000) }),
  z.strictObject({ matcher: z.literal("flag"), value: z.literal(true) }),
]);
export type Facet = z.infer<typeof Facet>;

/** `sql.select`, `sql.ddl.*`, `sql.*`. */
export const ActionName = z
  .string()
  .regex(/^[a-z][a-z0-9]*(?:\.[a-z][a-z0-9]*)*(?:\.\*)?$/, "not an action name such as `sql.select` or `sql.*`")
  .max(100);

export const Pattern = z.strictObject({
  name: ActionName,
  facets: z.record(z.string().regex(/^[a-z][a-zA-Z]{0,30}$/), Facet).optional(),
});
export type Pattern = z.infer<typeof Pattern>;

export const Patterns = z.array(Pattern).max(1_000);
