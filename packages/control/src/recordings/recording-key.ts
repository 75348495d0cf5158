/**
 * The recording key: outposts seal to it the keys of every session that they record, so that neither they nor whoever reads their disks, the link, the
 * database or the recordings' files can read what was recorded. Its private half is a file of its own beside the other keys.
 */
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from "@hpke/core";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { recordingKeyName, sealContext, sealInfo, type RecordingHead, type Strand } from "@cardea/core/recording/piece";

export interface RecordingKey {
  /** As heads of recordings call it. */
  readonly name: string;
  /** Uncompressed point, base64url. */
  readonly publicKey: string;
  readonly privateKey: Uint8Array;
}

// @hpke/core declares its keys as `CryptoKey`, a name that only a browser's library knows: what WebCrypto imports.
type Key = Awaited<ReturnType<typeof globalThis.crypto.subtle.importKey>>;

/** HPKE (RFC 9180) in base mode, the suite of everything sealed in Cardea. */
const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const encoder = new TextEncoder();

/** Derives the pair from 32 random bytes (RFC 9180, section 7.1.3). */
export async function recordingKeyOf(seed: Uint8Array): Promise<RecordingKey> {
  // What the KEM derives is a pair of those.
  const pair = (await suite.kem.deriveKeyPair(seed)) as { privateKey: Key; publicKey: Key };
  const publicKey = new Uint8Array(await suite.kem.serializePublicKey(pair.publicKey));
  return {
    name: recordingKeyName(publicKey),
    publicKey: toBase64Url(publicKey),
    privateKey: new Uint8Array(await suite.kem.serializePrivateKey(pair.privateKey)),
  };
}

/** The key of one strand; `undefined` where it is not sealed to this key, for that strand and the session and grant of the head. */
export async function openStrandKey(
  { privateKey }: RecordingKey,
  head: RecordingHead,
  strand: Strand,
): Promise<Uint8Array | undefined> {
  const { enc, ciphertext } = head.keys[strand];
  try {
    // A `CryptoKey`, see `Key`.
    const recipientKey = (await suite.kem.deserializePrivateKey(privateKey)) as Key;
    const opened = await suite.open(
      { recipientKey, enc: fromBase64Url(enc), info: encoder.encode(sealInfo[strand]) },
      fromBase64Url(ciphertext),
      encoder.encode(sealContext(head)),
    );
    return new Uint8Array(opened);
  } catch {
    return undefined;
  }
}
