/**
 * The primitives behind every digest, signature and log of Cardea, on plain byte arrays. The only file of `core`
 * that imports `node:crypto`, so that a browser build replaces this one file. Synchronous: nothing here does I/O.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hash,
  timingSafeEqual as equalInConstantTime,
  sign,
  verify,
  type KeyObject,
} from "node:crypto";

/** Bytes of an Ed25519 seed and of a public key (RFC 8032). */
export const ed25519KeySize = 32;

/** Bytes of an Ed25519 signature (RFC 8032). */
export const ed25519SignatureSize = 64;

const gcmTagSize = 16;

/**
 * SHA-256 (FIPS 180-4), 32 bytes. The one-shot `hash` by way of a string of 32 code units takes 0.5 µs for a tree
 * node; the same call answering a `Buffer` took 1.3 µs, `createHash` 1.8 µs (Node 20.20).
 */
export function sha256(bytes: Uint8Array): Uint8Array {
  const digest = hash("sha256", bytes, "binary");
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++) out[i] = digest.charCodeAt(i);
  return out;
}

/** HMAC-SHA-256 (RFC 2104), 32 bytes. */
export function hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", key).update(bytes).digest());
}

/** Compares in time that depends on the lengths only; different lengths are unequal. */
export function timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && equalInConstantTime(a, b);
}

/** The public key of a 32-byte seed (RFC 8032, section 5.1.5). @throws RangeError where the seed has another length. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  const jwk = createPublicKey(privateKeyOf(seed)).export({ format: "jwk" });
  if (jwk.x === undefined) throw new TypeError("an Ed25519 public key exported without its `x`");
  return new Uint8Array(Buffer.from(jwk.x, "base64url"));
}

/** Signs with a 32-byte seed (RFC 8032, section 5.1.6): 64 bytes. @throws RangeError where the seed has another length. */
export function ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, message, privateKeyOf(seed)));
}

/** Whether the signature is the key's over the message. False too where key or signature are not of their length. */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== ed25519KeySize || signature.length !== ed25519SignatureSize) return false;
  return verify(null, message, publicKeyOf(publicKey), signature);
}

/**
 * Importing a key costs as much as using it (0.5 ms for a seed), so imported keys are kept as long as the array that
 * they came from. The copy beside each notices an array that was overwritten since: a stale key must never sign.
 */
interface ImportedKey {
  readonly copy: Uint8Array;
  readonly key: KeyObject;
}

const privateKeys = new WeakMap<Uint8Array, ImportedKey>();
const publicKeys = new WeakMap<Uint8Array, ImportedKey>();

function imported(
  cache: WeakMap<Uint8Array, ImportedKey>,
  bytes: Uint8Array,
  load: (bytes: Uint8Array) => KeyObject,
): KeyObject {
  const found = cache.get(bytes);
  if (found !== undefined && timingSafeEqual(found.copy, bytes)) return found.key;
  const key = load(bytes);
  cache.set(bytes, { copy: Uint8Array.from(bytes), key });
  return key;
}

// PKCS #8 around a raw Ed25519 seed (RFC 8410, section 7).
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

function privateKeyOf(seed: Uint8Array): KeyObject {
  if (seed.length !== ed25519KeySize) throw new RangeError("an Ed25519 seed has 32 bytes");
  return imported(privateKeys, seed, (bytes) =>
    createPrivateKey({ key: Buffer.concat([pkcs8Prefix, bytes]), format: "der", type: "pkcs8" }),
  );
}

function publicKeyOf(publicKey: Uint8Array): KeyObject {
  // As a JWK the import takes 10 µs, as DER 100 µs.
  return imported(publicKeys, publicKey, (bytes) =>
    createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(bytes).toString("base64url") },
      format: "jwk",
    }),
  );
}

/** AES-256-GCM (NIST SP 800-38D): the ciphertext with its tag of 16 bytes behind it. A nonce of 12 bytes serves once under a key. */
export function sealAes256Gcm(
  key: Uint8Array,
  nonce: Uint8Array,
  context: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  cipher.setAAD(context);
  const sealed = new Uint8Array(plaintext.length + gcmTagSize);
  sealed.set(cipher.update(plaintext));
  cipher.final();
  sealed.set(cipher.getAuthTag(), plaintext.length);
  return sealed;
}

/** What was sealed, or `undefined` where key, nonce, context or a single bit is another. */
export function openAes256Gcm(
  key: Uint8Array,
  nonce: Uint8Array,
  context: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < gcmTagSize) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce);
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(-gcmTagSize));
  const plaintext = decipher.update(sealed.subarray(0, -gcmTagSize));
  try {
    decipher.final();
    return plaintext;
  } catch {
    // A tag that does not match is the one reason for which `final` throws.
    return undefined;
  }
}
