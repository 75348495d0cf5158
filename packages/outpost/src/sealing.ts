/** HPKE (RFC 9180) in base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: the one suite of everything sealed in Cardea. */
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from "@hpke/core";
import type { SealedKey } from "@cardea/core/wire/delivery";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";

const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
// @hpke/core declares its keys as `CryptoKey`, a name that only a browser's library knows: what WebCrypto imports.
type Key = Awaited<ReturnType<typeof globalThis.crypto.subtle.importKey>>;

const encoder = new TextEncoder();

/** Seals to an uncompressed P-256 point, base64url. `info` names the purpose, `aad` what it belongs to. Rejects for a key that is no point. */
export async function sealTo(publicKey: string, info: string, aad: string, plaintext: Uint8Array): Promise<SealedKey> {
  // A `CryptoKey`, see `Key`.
  const recipientPublicKey = (await suite.kem.deserializePublicKey(fromBase64Url(publicKey))) as Key;
  const { enc, ct } = await suite.seal(
    { recipientPublicKey, info: encoder.encode(info) },
    plaintext,
    encoder.encode(aad),
  );
  return { enc: toBase64Url(new Uint8Array(enc)), ciphertext: toBase64Url(new Uint8Array(ct)) };
}

/** Opens what was sealed to the private key. `undefined` for anything else. */
export async function openSealed(
  privateKey: Uint8Array,
  info: string,
  aad: string,
  { enc, ciphertext }: SealedKey,
): Promise<Uint8Array | undefined> {
  try {
    // A `CryptoKey`, see `Key`.
    const recipientKey = (await suite.kem.deserializePrivateKey(privateKey)) as Key;
    const opened = await suite.open(
      { recipientKey, enc: fromBase64Url(enc), info: encoder.encode(info) },
      fromBase64Url(ciphertext),
      encoder.encode(aad),
    );
    return new Uint8Array(opened);
  } catch {
    return undefined;
  }
}

export interface SealKeyPair {
  readonly privateKey: Uint8Array;
  /** Uncompressed point, base64url. */
  readonly publicKey: string;
}

/** Derives the pair from 32 random bytes (RFC 9180, section 7.1.3). */
export async function sealKeyPair(seed: Uint8Array): Promise<SealKeyPair> {
  // What the KEM derives is a pair of those.
  const { privateKey, publicKey } = (await suite.kem.deriveKeyPair(seed)) as { privateKey: Key; publicKey: Key };
  return {
    privateKey: new Uint8Array(await suite.kem.serializePrivateKey(privateKey)),
    publicKey: toBase64Url(new Uint8Array(await suite.kem.serializePublicKey(publicKey))),
  };
}
