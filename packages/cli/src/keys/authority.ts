/**
 * The authority that signed a gateway's certificate comes with the key, and clients want it as a file. It is no secret, but whoever could
 * change the file could stand in for the gateway, so it is its owner's alone.
 */
import { join } from "node:path";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { sha256 } from "@cardea/core/lib/crypto";
import { toHex } from "@cardea/core/lib/hex";
import { writePrivate } from "../identity/private-file.ts";

/** Writes the authority into the folder, under a name that follows from it; undefined where the key came without one. */
export async function keepAuthority({ endpoint }: DeliveredKey, directory: string): Promise<string | undefined> {
  const pem = endpoint["ca"];
  if (typeof pem !== "string" || pem === "") return undefined;
  const path = join(directory, `gateway-${toHex(sha256(new TextEncoder().encode(pem))).slice(0, 16)}.pem`);
  await writePrivate(path, pem);
  return path;
}
