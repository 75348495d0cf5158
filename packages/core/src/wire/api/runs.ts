import { z } from "zod";
import { GrantId, RequestId, RunId, SessionId } from "../../contract/ids.ts";
import { Decision } from "../../documents/decision.ts";
import { Name, plainText, Time } from "../../documents/primitives.ts";
import { Action } from "../../documents/request.ts";
import { pageOf, PageQuery, SubjectRef } from "./conventions.ts";

const RunState = z.enum(["intended", "running", "done", "failed", "unknown"]);

/** How an approved action went, or goes. */
export const RunView = z.object({
  id: RunId,
  state: RunState,
  /** Of the session that it ran in. */
  session: SessionId.optional(),
  rowCount: z.int().optional(),
  /** Where it failed: the resource's own code and words, or one of Cardea's. */
  error: z.object({ code: z.string(), message: z.string() }).optional(),
  /** When it ended. */
  at: Time.optional(),
  /** Of the sealed answer, which its requester can fetch. */
  resultDigest: z.string().optional(),
  /** Where nobody knew what came of it and somebody, or the outpost later, found out. */
  resolved: z.object({ by: SubjectRef.optional(), at: Time, comment: z.string().optional() }).optional(),
});
export type RunView = z.infer<typeof RunView>;

/** A run beside what it is of. */
export const ListedRun = RunView.extend({
  request: RequestId,
  grant: GrantId,
  requester: SubjectRef,
  resource: z.string(),
  /** The action's name. */
  action: z.string(),
});
export type ListedRun = z.infer<typeof ListedRun>;

/** `GET /v1/runs`. */
export const RunsQuery = PageQuery.extend({
  state: RunState.optional(),
  resource: z.string().max(63).optional(),
  /** `all`: everybody's for auditors and administrators, and one's own for anybody else. */
  view: z.enum(["all", "mine"]).default("all"),
});
export type RunsQuery = z.infer<typeof RunsQuery>;
export const RunsPage = pageOf(ListedRun);

/** `POST /v1/runs/{id}/resolve`: what somebody found by looking. */
export const ResolveRun = z.strictObject({ outcome: z.enum(["done", "failed"]), comment: plainText(2_000) });
export type ResolveRun = z.input<typeof ResolveRun>;

/** An action as it is asked for; its name and binding, where given, must be what the outpost finds. */
export const AskedAction = Action.partial({ name: true });
export type AskedAction = z.infer<typeof AskedAction>;

/** `POST /v1/previews`. */
export const PreviewAction = z.strictObject({ resource: Name, action: Action.pick({ type: true, what: true }) });
export type PreviewAction = z.input<typeof PreviewAction>;

/** What an action is and touches, and what policy would say to it; nothing is filed. */
export const PreviewView = z.object({
  action: Action,
  /** Absent where policy refuses, and where the resource gives none. */
  estimate: z.object({ rows: z.number() }).optional(),
  decision: Decision,
});
export type PreviewView = z.infer<typeof PreviewView>;
