/**
 * Who this outpost is: its keys, and since it enrolled its id, the trust document that it pins and its mark seed. Each is a 0600 file in the
 * data directory, written whole or not at all. Whoever reads them can be this outpost; nothing else of ours holds a secret at rest.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { OutpostId } from "@cardea/core/contract/ids";
import type { Digest } from "@cardea/core/documents/digest";
import { Base64Url, Name } from "@cardea/core/documents/primitives";
import { signDigest, type Signature } from "@cardea/core/documents/signature";
import { Trust } from "@cardea/core/documents/trust";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { ed25519PublicKey, sha256 } from "@cardea/core/lib/crypto";
import { toHex } from "@cardea/core/lib/hex";
import type { Random } from "@cardea/core/lib/random";
import { sealKeyPair, type SealKeyPair } from "./sealing.ts";
import { readWhole, writeWhole } from "./whole-file.ts";

/** Keys that exist before the outpost is enrolled. */
export interface Keys {
  /** Ed25519 seed: proves the outpost on the link, and signs specifications. */
  readonly identity: Uint8Array;
  readonly identityKey: string;
  readonly seal: SealKeyPair;
}

const Membership = z.strictObject({
  v: z.literal(1),
  outpost: OutpostId,
  name: Name,
  url: z.string().max(500),
  trust: Trust,
  markSeed: Base64Url.length(43),
});
/** What enrolment gave. */
export type Membership = z.infer<typeof Membership>;

const KeyFile = z.strictObject({ v: z.literal(1), identity: Base64Url.length(43), seal: Base64Url.length(43) });

const keysFile = "keys.json";
const membershipFile = "membership.json";

/** The keys, made at the first start. @throws CardeaError `data_directory_invalid` for a file that is not one of ours */
export async function openKeys(directory: string, random: Random): Promise<Keys> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, keysFile);
  let found = await readWhole(path, KeyFile);
  if (found === undefined) {
    found = { v: 1, identity: toBase64Url(random.bytes(32)), seal: toBase64Url(random.bytes(32)) };
    await writeWhole(path, JSON.stringify(found));
  }
  const identity = fromBase64Url(found.identity);
  return {
    identity,
    identityKey: toBase64Url(ed25519PublicKey(identity)),
    seal: await sealKeyPair(fromBase64Url(found.seal)),
  };
}

/** The outpost's word on a document. */
export function signAsOutpost(
  { identity, identityKey }: Pick<Keys, "identity" | "identityKey">,
  digest: Digest,
): Signature {
  const credential = toHex(sha256(fromBase64Url(identityKey))).slice(0, 16);
  return signDigest("outpost", credential, identity, digest);
}

/** `undefined` before the outpost is enrolled. @throws CardeaError `data_directory_invalid` */
export function readMembership(directory: string): Promise<Membership | undefined> {
  return readWhole(join(directory, membershipFile), Membership);
}

export function writeMembership(directory: string, membership: Membership): Promise<void> {
  return writeWhole(join(directory, membershipFile), JSON.stringify(membership));
}
