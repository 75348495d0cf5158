/**
 * What an outpost tells of held actions and of runs, beside the ids `outpost, resource, grant, session` or `grant, run`: the data of the events
 * `action.held`, `action.withdrawn`, `run.started` and `run.resolved`. An event is heard once by its id, a hold once by its nonce.
 */
import { z } from "zod";
import { Base64Url } from "../documents/primitives.ts";
import { Asked } from "../documents/request.ts";
import { Signature } from "../documents/signature.ts";

/** For how long an approved held action may begin: at once, or never. What `asked.window.duration` of every held action says. */
export const heldWindow = "5m";

/** Statements of the session shown to approvers, and characters of each. */
export const maxRecent = 10;
export const maxRecentLength = 500;

/** An action waits in a session. `signature`: the outpost's over the digest (type `asked`) of `asked`. */
export const ActionHeld = z.object({
  asked: Asked,
  signature: Signature,
  /** What the session did before, the last one last; as the client sent it. */
  recent: z.array(z.string().max(maxRecentLength)).max(maxRecent),
});
export type ActionHeld = z.infer<typeof ActionHeld>;

/** Nobody waits for it any more. */
export const ActionWithdrawn = z.object({
  nonce: Base64Url.max(64),
  why: z.enum(["withdrawn", "timed_out", "session_closed"]),
});
export type ActionWithdrawn = z.infer<typeof ActionWithdrawn>;

/** What came of a run of which nobody knew. */
export const RunResolved = z.object({ outcome: z.enum(["done", "failed"]) });
export type RunResolved = z.infer<typeof RunResolved>;
