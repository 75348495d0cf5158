import { z } from "zod";

/** What a supervisor is to start, and where. */
export const SupervisorOrder = z.strictObject({
  dataDirectory: z.string(),
  port: z.int(),
  samplePort: z.int(),
  gatewayPort: z.int(),
  /** Names of the outpost's pause points, as its environment has them. */
  pauseAt: z.string().optional(),
});
export type SupervisorOrder = z.infer<typeof SupervisorOrder>;

export const FromParent = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("start"), order: SupervisorOrder }),
  z.strictObject({ kind: z.literal("pids") }),
]);
export type FromParent = z.infer<typeof FromParent>;

const Connection = z.object({
  host: z.string(),
  port: z.number(),
  user: z.string(),
  database: z.string(),
  password: z.string().optional(),
});
export type Connection = z.infer<typeof Connection>;

/** Everything that can be killed: ours, and the postmasters of the control plane's database and of the sample shop. */
export const victims = ["supervisor", "control", "outpost", "database", "shop"] as const;
export type Victim = (typeof victims)[number];

export const FromSupervisor = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("ready"), url: z.string(), database: Connection, shop: Connection }),
  z.strictObject({ kind: z.literal("failed"), why: z.string() }),
  z.strictObject({ kind: z.literal("paused"), point: z.string() }),
  z.strictObject({ kind: z.literal("pids"), pids: z.record(z.enum(victims), z.int().optional()) }),
]);
export type FromSupervisor = z.infer<typeof FromSupervisor>;
