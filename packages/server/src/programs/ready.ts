import { z } from "zod";

/** What a control-plane process tells the supervisor that forked it. */
export const ControlReady = z.object({
  url: z.string(),
  /** In development mode, while there is no administrator. */
  setupToken: z.string().optional(),
  /** Whether the installation was made by this start. */
  created: z.boolean(),
});
export type ControlReady = z.infer<typeof ControlReady>;

export const OutpostReady = z.object({ outpost: z.string() });
export type OutpostReady = z.infer<typeof OutpostReady>;
