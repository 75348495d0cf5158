import { CardeaError } from "@cardea/core/contract/errors";
import { GrantId, RequestId, RunId, SessionId } from "@cardea/core/contract/ids";

/** @throws CardeaError `usage` */
export function requestId(text: string): RequestId {
  const parsed = RequestId.safeParse(text);
  if (!parsed.success) throw new CardeaError("usage", `\`${text}\` is not a request id (req_…)`);
  return parsed.data;
}

/** @throws CardeaError `usage` */
export function grantId(text: string): GrantId {
  // A key has its grant's id under another prefix.
  const parsed = GrantId.safeParse(text.replace(/^key_/, "gra_"));
  if (!parsed.success) throw new CardeaError("usage", `\`${text}\` is not a grant or key id (gra_…, key_…)`);
  return parsed.data;
}

/** @throws CardeaError `usage` */
export function sessionId(text: string): SessionId {
  const parsed = SessionId.safeParse(text);
  if (!parsed.success) throw new CardeaError("usage", `\`${text}\` is not a session id (ses_…)`);
  return parsed.data;
}

/** @throws CardeaError `usage` */
export function runId(text: string): RunId {
  const parsed = RunId.safeParse(text);
  if (!parsed.success) throw new CardeaError("usage", `\`${text}\` is not a run id (run_…)`);
  return parsed.data;
}
