/** Grants that their requester has already, so that nobody is asked again. */
import type { RequestView } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import type { WishOptions } from "../commands/wish-options.ts";
import type { Context } from "../context.ts";
import { findDeliveryKey } from "./delivery-store.ts";

/** A grant with less than this left is not worth a connection. */
const worthMs = 10_000;

/** Options that say how a new request is to be. */
const ofTheirOwn = ["for", "ticket", "start", "sessions", "sourceIp", "breakGlass"] as const;

/**
 * The request of a live grant of this role whose key can be opened on this machine, the one that ends last. None where the options
 * want something of their own: whoever gives a reason or a window asks anew.
 */
export async function grantInHand(
  context: Context,
  resource: string,
  options: WishOptions,
): Promise<RequestView | undefined> {
  const { role, via } = options;
  if (options.why !== "" || ofTheirOwn.some((name) => options[name] !== undefined)) return undefined;
  const client = await context.client();
  const { directory } = await context.home();
  const { items } = await client.grants({ view: "mine", state: "active", resource, limit: 50 });
  const fitting = items
    .filter(
      (grant) =>
        grant.role === role &&
        (via === undefined || grant.document.via === via) &&
        Date.parse(grant.document.window.notAfter) - context.nowMs() > worthMs,
    )
    .sort((a, b) => b.document.window.notAfter.localeCompare(a.document.window.notAfter));
  for (const { request } of fitting) {
    const view = await client.request(request);
    if (await isOpenable(directory, view)) return view;
  }
  return undefined;
}

async function isOpenable(directory: string, { id, document }: RequestView): Promise<boolean> {
  try {
    await findDeliveryKey(directory, document.asked.deliverTo, id);
    return true;
  } catch (error) {
    if (error instanceof CardeaError && error.code === "key_lost") return false;
    throw error;
  }
}
