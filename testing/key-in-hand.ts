/** From a wish to an opened key, as a program does it that keeps its delivery key in memory. For benchmarks and torture runs. */
import type { ClientConfig } from "pg";
import type { RequestView, SubmitRequest } from "@cardea/core/wire/api/requests";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import type { GrantId } from "@cardea/core/contract/ids";
import type { CardeaClient } from "@cardea/sdk/client";
import { newDeliveryKey, openSealedKey, type DeliveryKey } from "@cardea/sdk/delivery-key";

/** The resource of a development installation. */
export const sampleResource = "sample-shop";

export type Wish = Omit<SubmitRequest, "resource" | "deliverTo" | "via"> & { readonly resource?: string };

export interface FiledRequest {
  readonly view: RequestView;
  readonly delivery: DeliveryKey;
}

export interface KeyInHand {
  readonly request: RequestView;
  readonly grant: GrantId;
  readonly key: DeliveredKey;
}

/** A wish for the role `read`, which the sample policy allows engineers at once. */
export function readWish(duration = "10m"): Wish {
  return { ask: { role: "read" }, justification: "looking at orders", window: { duration } };
}

/** A wish for the role `write`, which a database administrator and then security must approve. */
export function writeWish(duration = "10m"): Wish {
  return { ask: { role: "write" }, justification: "repairing order 4711", window: { duration } };
}

/** Files a request for a direct key. @throws ApiError as policy answers */
export async function fileRequest(client: CardeaClient, wish: Wish, idempotencyKey?: string): Promise<FiledRequest> {
  const delivery = await newDeliveryKey();
  const view = await client.submit(
    { resource: sampleResource, ...wish, via: "direct", deliverTo: delivery.publicKey },
    idempotencyKey,
  );
  return { view, delivery };
}

/** Waits for the key of an approved request and opens it. @throws ApiError `key_not_ready`, `grant_failed`, `grant_ended` */
export async function takeKey(
  client: CardeaClient,
  { view, delivery }: FiledRequest,
  waitSeconds = 20,
): Promise<KeyInHand> {
  // The view may be from before the approval.
  const request = view.grant === undefined ? await client.request(view.id) : view;
  if (request.grant === undefined) throw new Error(`${request.id} is ${request.state} and has no grant`);
  const sealed = await client.key(request.grant.id, { wait: waitSeconds });
  return {
    request,
    grant: request.grant.id,
    key: await openSealedKey(sealed.sealed, delivery.privateKey, sealed.digest),
  };
}

/** Both in one, for what policy allows at once. */
export async function obtainKey(client: CardeaClient, wish: Wish): Promise<KeyInHand> {
  return await takeKey(client, await fileRequest(client, wish));
}

/** How a PostgreSQL client connects with a key. */
export function connectionOf(key: DeliveredKey): ClientConfig {
  const { host, port, databases, database } = key.endpoint;
  const named = database ?? databases;
  return {
    host: String(host),
    port: Number(port),
    database: Array.isArray(named) ? named[0] : String(named),
    user: key.user,
    password: key.secret,
    connectionTimeoutMillis: 5_000,
  };
}
