import { z } from "zod";
import { Time } from "../../documents/primitives.ts";

/** RFC 9457. `code` is stable and says everything a program needs; the words are for people. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  instance: z.string().optional(),
  retryable: z.boolean(),
  pointers: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  /** For refusals by policy: the request that was recorded, and its reasons. */
  request: z.string().optional(),
  reasons: z.array(z.string()).optional(),
});
export type Problem = z.infer<typeof Problem>;

/** Newest first unless said otherwise; `next` is absent on the last page. */
export const PageQuery = z.object({
  cursor: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export type PageQuery = z.infer<typeof PageQuery>;

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), next: z.string().optional() });
}
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next?: string | undefined;
}

/** Somebody, as shown. */
export const SubjectRef = z.object({ id: z.string(), name: z.string(), kind: z.enum(["human", "workload", "agent"]) });
export type SubjectRef = z.infer<typeof SubjectRef>;

/** `wait`: answer when something changed, or after so many seconds; 0 answers at once. */
export const WaitQuery = z.object({ wait: z.coerce.number().int().min(0).max(60).default(0) });

export const Meta = z.object({
  version: z.string(),
  development: z.boolean(),
  publicUrl: z.string(),
  origin: z.string(),
  trust: z.string(),
  time: Time,
});
export type Meta = z.infer<typeof Meta>;
