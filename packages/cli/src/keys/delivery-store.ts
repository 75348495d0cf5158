/**
 * The private halves of delivery keys, one 0600 file per request, kept until the grant is over. Losing one means asking again:
 * nobody else can open what was sealed to it.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import type { RequestId } from "@cardea/core/contract/ids";
import { newDeliveryKey, type DeliveryKey } from "@cardea/sdk/delivery-key";
import { z } from "zod";
import { readPrivateJson, writePrivate } from "../identity/private-file.ts";

const File = z.object({ publicKey: z.string(), privateKey: z.string() });

/** Makes a pair and keeps it before the request is filed, so that no crash loses the key of a filed request. */
export async function makeDeliveryKey(directory: string): Promise<DeliveryKey> {
  const key = await newDeliveryKey();
  await writePrivate(pathOf(directory, key.publicKey), JSON.stringify(key));
  return key;
}

/** The private half for a request's `deliverTo`. @throws CardeaError `key_lost` */
export async function findDeliveryKey(
  directory: string,
  publicKey: string | undefined,
  request: RequestId,
): Promise<DeliveryKey> {
  if (publicKey !== undefined) {
    const parsed = File.safeParse(await readPrivateJson(pathOf(directory, publicKey)));
    if (parsed.success && parsed.data.publicKey === publicKey) return parsed.data;
  }
  throw new CardeaError(
    "key_lost",
    `the private delivery key of ${request} is not on this machine; ask again from here`,
  );
}

/** Once nothing more can come that was sealed to it. */
export async function forgetDeliveryKey(directory: string, publicKey: string | undefined): Promise<void> {
  if (publicKey !== undefined) await rm(pathOf(directory, publicKey), { force: true });
}

function pathOf(directory: string, publicKey: string): string {
  // Base64url is safe in file names; the first byte of an uncompressed point is always 4, so it is left out.
  return join(directory, "delivery", `${publicKey.slice(2, 46)}.json`);
}
