/** What the torture run and the process of its outpost tell one another. */
import { z } from "zod";

/** What a process holds, after it has collected its garbage. */
export const Held = z.strictObject({
  kind: z.literal("held"),
  rssBytes: z.number(),
  heapBytes: z.number(),
  /** Memory outside the heap that buffers stand in. */
  bufferBytes: z.number(),
  /** Sockets, timers and so on that keep the process alive, by their kind. */
  resources: z.record(z.string(), z.number()),
  files: z.number(),
});
export type Held = z.infer<typeof Held>;

export const FromOutpost = z.discriminatedUnion("kind", [z.strictObject({ kind: z.literal("ready") }), Held]);
export const ToOutpost = z.strictObject({ kind: z.literal("hold") });
