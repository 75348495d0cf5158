/**
 * The channel binding `tls-server-end-point` (RFC 5929, section 4.1): a hash of the server's certificate, by the hash function of the
 * certificate's own signature, SHA-256 in place of MD5 and SHA-1. Certificates whose signature names no single hash have none.
 */
import { createHash } from "node:crypto";

/** Signature algorithms by the DER of their object identifiers (RFC 8017, RFC 5758). */
const hashOf: Readonly<Record<string, string>> = {
  "2a864886f70d010104": "sha256", // md5WithRSAEncryption
  "2a864886f70d010105": "sha256", // sha1WithRSAEncryption
  "2a864886f70d01010b": "sha256",
  "2a864886f70d01010c": "sha384",
  "2a864886f70d01010d": "sha512",
  "2a864886f70d01010e": "sha224",
  "2a8648ce3d0401": "sha256", // ecdsa-with-SHA1
  "2a8648ce3d040301": "sha224",
  "2a8648ce3d040302": "sha256",
  "2a8648ce3d040303": "sha384",
  "2a8648ce3d040304": "sha512",
};

/** The binding of a certificate in DER; `undefined` where it has none. */
export function certificateHash(der: Uint8Array): Buffer | undefined {
  // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { algorithm OBJECT IDENTIFIER, … }, … } (RFC 5280, 4.1)
  const certificate = element(der, 0, 0x30);
  const body = certificate && element(der, certificate.from, 0x30);
  const algorithm = body && element(der, body.to, 0x30);
  const identifier = algorithm && element(der, algorithm.from, 0x06);
  if (identifier === undefined) return undefined;
  const name = hashOf[Buffer.from(der.subarray(identifier.from, identifier.to)).toString("hex")];
  return name === undefined ? undefined : createHash(name).update(der).digest();
}

/** The content of the DER element at `at`, where it has this tag and lies within the bytes. */
function element(der: Uint8Array, at: number, tag: number): { from: number; to: number } | undefined {
  const short = der[at + 1];
  if (der[at] !== tag || short === undefined) return undefined;
  let from = at + 2;
  let length = short;
  if (short >= 0x80) {
    const count = short & 0x7f;
    if (count === 0 || count > 4) return undefined;
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (der[from + i] ?? 0);
    from += count;
  }
  return from + length > der.length ? undefined : { from, to: from + length };
}
