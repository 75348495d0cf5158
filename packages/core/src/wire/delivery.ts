import { z } from "zod";
import { Base64Url, Time, Via } from "../documents/primitives.ts";

/**
 * A key on its way. Sealed by the outpost with HPKE (RFC 9180) in base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, to the
 * public key in the request; the additional data is the grant's digest in ASCII. The control plane relays ciphertext.
 */
export const SealedKey = z.strictObject({
  /** The encapsulated key. */
  enc: Base64Url.max(200),
  ciphertext: Base64Url.max(20_000),
});
export type SealedKey = z.infer<typeof SealedKey>;

export const hpkeInfo = "cardea/delivery/v1";

/** What the requester finds inside. The endpoint's fields are the connector's. */
export const DeliveredKey = z.strictObject({
  via: Via,
  kind: z.string().max(63),
  user: z.string().max(128),
  secret: z.string().max(1_000),
  endpoint: z.record(z.string().max(64), z.union([z.string().max(1_000), z.number(), z.array(z.string().max(1_000))])),
  notAfter: Time,
});
export type DeliveredKey = z.infer<typeof DeliveredKey>;
