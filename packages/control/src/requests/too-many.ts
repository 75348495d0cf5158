import { CardeaError } from "@cardea/core/contract/errors";
import type { Asked } from "@cardea/core/documents/request";
import type { Tx } from "../control.ts";
import { lockRequester, onePendingCount } from "../store/requests.ts";

/** Requests of one subject that may wait at once. */
export const maxPendingRequests = 50;

/** Why no further request of this subject may wait; exact until the transaction ends. */
export async function whyTooMany(tx: Tx, { requester }: Asked): Promise<string | undefined> {
  await lockRequester(tx, requester.id);
  if ((await onePendingCount(tx, requester.id)) < maxPendingRequests) return undefined;
  return `${maxPendingRequests} of your requests are pending; withdraw some with \`cardea withdraw\``;
}

/** @throws CardeaError `request_limit` */
export async function refuseTooMany(tx: Tx, asked: Asked): Promise<void> {
  const why = await whyTooMany(tx, asked);
  if (why !== undefined) throw new CardeaError("request_limit", why);
}
