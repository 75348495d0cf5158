/**
 * The private halves of delivery keys, one 0600 file per request, kept until the grant is over. Losing one means asking again:
 * nobody else can open what was sealed to it.
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import type { RequestId } from "@cardea/core/contract/ids";
import { newDeliveryKey, type DeliveryKey } from "@cardea/sdk/delivery-key";
import { z } from "zod";
import { writePrivate } from "../identity/identity.ts";

const File = z.object({ publicKey: z.string(), privateKey: z.string(), notAfter: z.string().optional() });

/** Makes a pair and keeps it under its public key before the request is filed, so a crash in between loses nothing that matters. */
export async function makeDeliveryKey(directory: string): Promise<DeliveryKey> {
  const key = await newDeliveryKey();
  await writePrivate(pathOf(directory, key.publicKey), JSON.stringify(key));
  return key;
}

/** The private half for a request's `deliverTo`. @throws CardeaError `key_lost` */
export async function findDeliveryKey(directory: string, publicKey: string | undefined, request: RequestId): Promise<DeliveryKey> {
  if (publicKey !== undefined) {
    const text = await readFile(pathOf(directory, publicKey), "utf8").catch(() => undefined);
    if (text !== undefined) return File.parse(JSON.parse(text));
  }
  throw new CardeaError("key_lost", `the private delivery key of ${request} is not on this machine; ask again from here`);
}

export async function forgetDeliveryKey(directory: string, publicKey: string | undefined): Promise<void> {
  if (publicKey !== undefined) await rm(pathOf(directory, publicKey), { force: true });
}

/** How many are kept; for housekeeping. */
export async function countDeliveryKeys(directory: string): Promise<number> {
  return (await readdir(join(directory, "delivery")).catch(() => [])).length;
}

function pathOf(directory: string, publicKey: string): string {
  // Base64url is safe in file names; the first byte of an uncompressed point is always 4, so it is left out.
  return join(directory, "delivery", `${publicKey.slice(2, 46)}.json`);
}
