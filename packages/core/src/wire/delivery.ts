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

/** Bytes of an action's answer, at most; a run whose answer is longer fails and changes nothing. */
export const maxResultBytes = 2 * 1024 * 1024;

/** The answer of an action's run, sealed as a key is, with `resultInfo`. */
export const SealedResult = z.strictObject({
  enc: Base64Url.max(200),
  ciphertext: Base64Url.max(3_000_000),
});
export type SealedResult = z.infer<typeof SealedResult>;

export const resultInfo = "cardea/result/v1";

export const hpkeInfo = "cardea/delivery/v1";

/** Long enough for a certificate authority of a gateway in PEM, and for all of an endpoint to fit into the ciphertext. */
const maxEndpointText = 8_000;

/**
 * What the requester finds inside. The endpoint's fields are the connector's; `ca` is always the PEM of the authority that signed the gateway's
 * certificate, where that is not one that everybody knows. `via: gateway`: `user` is the key's id and `secret` the key (`contract/gateway-key.ts`),
 * which opens that gateway and nothing else.
 */
export const DeliveredKey = z.strictObject({
  via: Via,
  kind: z.string().max(63),
  user: z.string().max(128),
  secret: z.string().max(1_000),
  endpoint: z.record(
    z.string().max(64),
    z.union([z.string().max(maxEndpointText), z.number(), z.array(z.string().max(1_000))]),
  ),
  notAfter: Time,
});
export type DeliveredKey = z.infer<typeof DeliveredKey>;
