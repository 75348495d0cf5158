import { CardeaError } from "@cardea/core/contract/errors";
import type { Vote } from "@cardea/core/documents/vote";
import { isRemembered, remember } from "../audit/remembered.ts";
import type { Control, Tx } from "../control.ts";
import { oneRequestTrace } from "../store/log.ts";
import type { StoredRequest } from "../store/requests.ts";
import type { Signed } from "../store/signed.ts";

/**
 * Makes sure, before a vote is counted, that no vote was taken away and that what ended the request was not undone, by what the log and the
 * memory outside the database say. Either is enough: the log's rows can be deleted too, and a crash can lose the newest place.
 * @throws CardeaError `evidence_mismatch`
 */
export async function demandWhole(
  tx: Tx,
  control: Control,
  request: StoredRequest,
  votes: readonly Signed<Vote>[],
): Promise<void> {
  // Each once, and none that was moved here from another request.
  const own = votes.filter((vote) => vote.document.request === request.signed.digest);
  const stored = new Set(own.map((vote) => vote.document.id)).size;
  const [trace, taken] = [await oneRequestTrace(tx, request.id), await isRemembered(control, placeOf(request, stored))];
  if (trace.settled) throw altered(request, "it was decided already");
  if (trace.voted > stored || taken) throw altered(request, "it had votes, or an end, that are not stored any more");
}

/** Remembers that this vote was cast, by how many there are with it. */
export function rememberVotes(control: Control, request: StoredRequest, count: number): Promise<void> {
  return take(control, request, count - 1);
}

/** Remembers that the request is over: the place of a next vote is taken. */
export function rememberEnd(control: Control, request: StoredRequest, votes: number): Promise<void> {
  return take(control, request, votes);
}

/** For as long as somebody could vote: the request's own signed deadline. */
function take(control: Control, request: StoredRequest, place: number): Promise<void> {
  return remember(control, placeOf(request, place), request.signed.document.decision.expiresAt);
}

function placeOf({ id }: StoredRequest, place: number): { readonly kind: "votes"; readonly name: string } {
  return { kind: "votes", name: `${id}.${String(place)}` };
}

function altered({ id }: StoredRequest, why: string): CardeaError {
  return new CardeaError("evidence_mismatch", `the rows of request \`${id}\` were altered: ${why}`, {
    extra: { altered: id },
  });
}
