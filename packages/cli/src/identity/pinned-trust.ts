/**
 * Which trust document is believed: the file that the user names, else the one kept when they signed in first, else what the server says now,
 * which proves no more than that the server agrees with itself. Whoever uses it says which it was.
 */
import { join } from "node:path";
import type { Trust } from "@cardea/core/documents/trust";
import type { CardeaClient } from "@cardea/sdk/client";
import { parseTrust } from "@cardea/sdk/verify-evidence";
import { readUserJson } from "../user-files.ts";
import type { Context } from "../context.ts";
import { readPrivateJson, writePrivate } from "./private-file.ts";

export interface BelievedTrust {
  readonly trust: Trust;
  /** Whose word it is, to be told: `trust.json`, `the trust kept at sign-in`, `the server's own word`. */
  readonly source: string;
}

/** Kept at the first sign-in and not replaced: another control plane under the same address is noticed. */
export async function keepTrust(directory: string, trust: Trust): Promise<void> {
  if ((await readPrivateJson(trustFile(directory))) === undefined)
    await writePrivate(trustFile(directory), `${JSON.stringify(trust, null, 2)}\n`);
}

/** From a file or from the sign-in; `undefined` where there is neither. @throws CardeaError `usage`, `evidence_trust` */
export async function offlineTrust(context: Context, file: string | undefined): Promise<BelievedTrust | undefined> {
  if (file !== undefined) return { trust: parseTrust(await readUserJson(context, file)), source: file };
  const kept = await readPrivateJson(trustFile((await context.home()).directory));
  return kept === undefined ? undefined : { trust: parseTrust(kept), source: "the trust document kept at sign-in" };
}

/** As `offlineTrust`, and at last the server's. */
export async function believedTrust(
  context: Context,
  file: string | undefined,
  client: CardeaClient,
): Promise<BelievedTrust> {
  return (
    (await offlineTrust(context, file)) ?? {
      trust: await client.trust(),
      source: `the word of the server at ${client.transport.baseUrl} alone`,
    }
  );
}

export function trustFile(directory: string): string {
  return join(directory, "trust.json");
}
