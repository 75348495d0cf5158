/**
 * Delivery keys: a fresh pair per request. The outpost seals the secret to the public half (HPKE, RFC 9180); only the holder of
 * the private half ever reads it. WebCrypto alone, so the same code runs in Node and in a browser.
 */
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from "@hpke/core";
import { DeliveredKey, hpkeInfo, resultInfo, type SealedKey, type SealedResult } from "@cardea/core/wire/delivery";
import { CardeaError } from "@cardea/core/contract/errors";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";

/** The private half as it is stored, 32 bytes in base64url, and the public half as it goes into a request. */
export interface DeliveryKey {
  readonly publicKey: string;
  readonly privateKey: string;
}

// @hpke/core declares its keys as `CryptoKey`, a name that only a browser's library knows: what WebCrypto imports.
type Key = Awaited<ReturnType<typeof globalThis.crypto.subtle.importKey>>;

const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const encoder = new TextEncoder();

export async function newDeliveryKey(): Promise<DeliveryKey> {
  // What the KEM generates is a pair of those.
  const pair = (await suite.kem.generateKeyPair()) as { publicKey: Key; privateKey: Key };
  const [publicKey, privateKey] = await Promise.all([
    suite.kem.serializePublicKey(pair.publicKey),
    suite.kem.serializePrivateKey(pair.privateKey),
  ]);
  return { publicKey: toBase64Url(new Uint8Array(publicKey)), privateKey: toBase64Url(new Uint8Array(privateKey)) };
}

/** Opens a sealed key. @throws CardeaError `key_lost` where it was sealed to another key or for another grant. */
export async function openSealedKey(sealed: SealedKey, privateKey: string, grantDigest: string): Promise<DeliveredKey> {
  return DeliveredKey.parse(JSON.parse(await open(sealed, privateKey, grantDigest, hpkeInfo, "key")));
}

/**
 * Opens an action's answer: JSON in its connector's form, for SQL `{ columns, rows, command }`.
 * @throws CardeaError `key_lost` where it was sealed to another key or for another grant
 */
export async function openSealedResult(sealed: SealedResult, privateKey: string, grantDigest: string): Promise<string> {
  return await open(sealed, privateKey, grantDigest, resultInfo, "answer");
}

async function open(
  sealed: SealedKey,
  privateKey: string,
  grantDigest: string,
  info: string,
  what: "key" | "answer",
): Promise<string> {
  try {
    // A `CryptoKey`, see `Key`.
    const recipientKey = (await suite.kem.deserializePrivateKey(bufferOf(fromBase64Url(privateKey)))) as Key;
    const plaintext = await suite.open(
      { recipientKey, enc: bufferOf(fromBase64Url(sealed.enc)), info: bufferOf(encoder.encode(info)) },
      bufferOf(fromBase64Url(sealed.ciphertext)),
      bufferOf(encoder.encode(grantDigest)),
    );
    return new TextDecoder("utf-8", { fatal: true }).decode(plaintext);
  } catch (cause) {
    throw new CardeaError(
      "key_lost",
      `the ${what} was sealed to another delivery key or for another grant; ask again`,
      { cause },
    );
  }
}

/** Seals bytes to a public key; the twin of the outpost's sealing, used for resource configurations and in tests. */
export async function sealTo(
  publicKey: string,
  plaintext: Uint8Array,
  additionalData: string,
  info: string,
): Promise<SealedKey> {
  // A `CryptoKey`, see `Key`.
  const recipientPublicKey = (await suite.kem.deserializePublicKey(bufferOf(fromBase64Url(publicKey)))) as Key;
  const { enc, ct } = await suite.seal(
    { recipientPublicKey, info: bufferOf(encoder.encode(info)) },
    bufferOf(plaintext),
    bufferOf(encoder.encode(additionalData)),
  );
  return { enc: toBase64Url(new Uint8Array(enc)), ciphertext: toBase64Url(new Uint8Array(ct)) };
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
