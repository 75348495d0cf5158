/**
 * What follows from an outpost's mark seed: the ids of its resources and the keys of the marks that native names bear. The seed follows
 * from the installation's key and the outpost's name, so an outpost that is rebuilt under its name recognises what the lost one left.
 */
import { toBase32 } from "../lib/base32.ts";
import { hmacSha256 } from "../lib/crypto.ts";
import { idPrefixes, type ResourceId } from "./ids.ts";

const encoder = new TextEncoder();

/** Bytes of a mark seed and of a mark key. */
export const markSeedSize = 32;

/** HPKE `info` of a mark seed on its way to the outpost; the additional data is the outpost's name. */
export const markSeedInfo = "cardea/mark-seed/v1";

/** HPKE `info` of a resource's configuration on its way to the outpost; the additional data is the resource's name. */
export const configureInfo = "cardea/configure/v1";

/** The seed of the outpost with this name. */
export function markSeedOf(installationKey: Uint8Array, outpostName: string): Uint8Array {
  return hmacSha256(installationKey, encoder.encode(`cardea/mark-seed/v1\0${outpostName}`));
}

/** The id of a resource: the same name at the same outpost always has the same one. Shaped as a UUIDv8 (RFC 9562, section 5.8). */
export function resourceIdOf(markSeed: Uint8Array, name: string): ResourceId {
  const bytes = hmacSha256(markSeed, encoder.encode(`cardea/resource-id/v1\0${name}`)).slice(0, 16);
  bytes[6] = 0x80 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  // 26 base-32 characters behind the prefix: the form of a `ResourceId`.
  return `${idPrefixes.resource}_${toBase32(bytes)}` as ResourceId;
}

/** The key of the marks on native names at this resource. */
export function markKeyOf(markSeed: Uint8Array, resource: ResourceId): Uint8Array {
  return hmacSha256(markSeed, encoder.encode(`cardea/mark-key/v1\0${resource}`));
}
