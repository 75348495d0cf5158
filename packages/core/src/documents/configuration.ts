import { z } from "zod";
import { OutpostId, ResourceId, SubjectId } from "../contract/ids.ts";
import { Digest } from "./digest.ts";
import { Name, Time } from "./primitives.ts";

const head = {
  v: z.literal(1),
  resource: ResourceId,
  name: Name,
  outpost: OutpostId,
  /** Counts up for each resource, its removals and returns included; numbers may be left out. */
  version: z.int().min(1),
  /** The administrator who applied or removed it. */
  by: SubjectId,
  at: Time,
};

/**
 * The control plane's word, under its signature, on how one resource is configured from now on. `content` is the digest (type `sealed`) of
 * the configuration as it was sealed to the outpost: sealing hides it from others, and says nothing of who sealed it.
 */
export const Configuration = z.union([
  z.strictObject({ ...head, content: Digest }),
  z.strictObject({ ...head, removed: z.literal(true) }),
]);
export type Configuration = z.infer<typeof Configuration>;
