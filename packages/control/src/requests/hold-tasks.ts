/** What the session that keeps an action waiting is told through its outpost. A request that no session waits for has nobody to tell. */
import type { OutpostId, SessionId } from "@cardea/core/contract/ids";
import { shortCode } from "@cardea/core/documents/digest";
import { toPlainText } from "@cardea/core/documents/primitives";
import type { Request } from "@cardea/core/documents/request";
import { describeWhoIsAsked } from "@cardea/core/policy/describe";
import type { Control, Tx } from "../control.ts";
import type { StoredGrant } from "../store/grants.ts";
import { maybeOneHold } from "../store/requests.ts";
import type { Signed } from "../store/signed.ts";
import { enqueueTask } from "../store/tasks.ts";

/** As much as the outpost's tasks hold. */
const maxFiledWords = 1_000;
const maxSettledWords = 2_000;

/** A session that waits, as its outpost knows it. */
export interface Hold {
  readonly outpost: OutpostId;
  readonly session: SessionId;
  readonly nonce: string;
}

/** Will not run. */
export type HoldVerdict = "refused" | "expired" | "withdrawn";

function holdOf({ asked: { within, nonce }, resource }: Request): Hold | undefined {
  return within === undefined ? undefined : { outpost: resource.outpost, session: within.session, nonce };
}

/** The request is filed: for whom it waits, and what they would type. */
export async function tellHold(tx: Tx, control: Control, { document, digest }: Signed<Request>): Promise<void> {
  const hold = holdOf(document);
  if (hold === undefined) return;
  const { outpost, ...waiting } = hold;
  const code = shortCode(digest);
  const words = `waits for ${describeWhoIsAsked(document.decision.stages)}: \`cardea approve ${document.id}\` (code ${code}); cancel (Ctrl-C) to withdraw it`;
  await enqueueTask(tx, control, outpost, {
    type: "filed",
    ...waiting,
    request: document.id,
    code,
    words: toPlainText(words, maxFiledWords),
  });
}

/** The request came to nothing. */
export async function settleRequest(
  tx: Tx,
  control: Control,
  { document }: Signed<Request>,
  verdict: HoldVerdict,
  words: string,
): Promise<void> {
  const hold = holdOf(document);
  if (hold !== undefined) await settleHold(tx, control, hold, verdict, words);
}

/** The grant of a held action is over without its run. By columns, since ending must work whatever somebody altered; at worst a session is told too much. */
export async function settleGrant(
  tx: Tx,
  control: Control,
  { request, role, outpost }: StoredGrant,
  verdict: HoldVerdict,
  words: string,
): Promise<void> {
  const hold = role === undefined ? await maybeOneHold(tx, request) : undefined;
  if (hold !== undefined) await settleHold(tx, control, { ...hold, outpost }, verdict, words);
}

export async function settleHold(
  tx: Tx,
  control: Control,
  { outpost, session, nonce }: Hold,
  verdict: HoldVerdict,
  words: string,
): Promise<void> {
  await enqueueTask(tx, control, outpost, {
    type: "settle",
    session,
    nonce,
    verdict,
    words: toPlainText(words, maxSettledWords),
  });
}
