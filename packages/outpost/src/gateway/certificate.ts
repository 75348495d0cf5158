/**
 * X.509 certificates (RFC 5280) on P-256, as far as an outpost that nobody gave one needs them: an authority of its own, which keys carry to
 * their holders, and short-lived certificates for the names by which its gateways are reached. Encoding only; it reads and writes no file.
 */
import { createECDH, createHash, createPrivateKey, createPublicKey, sign, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { toBase64 } from "@cardea/core/lib/base64";
import type { Random } from "@cardea/core/lib/random";

export interface CertificateRequest {
  /** The common name of who the certificate is about. */
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly issuer: { readonly name: string; readonly key: KeyObject };
  readonly serial: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Host names and addresses it is for; an authority's certificate has none. */
  readonly names: readonly string[] | "authority";
}

/** A new P-256 key. */
export function newP256Key(random: Random): KeyObject {
  for (;;) {
    const secret = random.bytes(32);
    const curve = createECDH("prime256v1");
    try {
      curve.setPrivateKey(secret);
    } catch {
      // Not below the group's order: one in 2^32.
      continue;
    }
    const point = curve.getPublicKey();
    const coordinate = (from: number): string => point.subarray(from, from + 32).toString("base64url");
    const d = Buffer.from(secret).toString("base64url");
    return createPrivateKey({
      format: "jwk",
      key: { kty: "EC", crv: "P-256", x: coordinate(1), y: coordinate(33), d },
    });
  }
}

/** Makes and signs a certificate: PEM. */
export function newCertificate(request: CertificateRequest): string {
  const { subject, publicKey, issuer, serial, notBeforeMs, notAfterMs } = request;
  const info = publicKey.export({ type: "spki", format: "der" });
  const body = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))),
    integer(serial),
    ecdsaWithSha256,
    commonName(issuer.name),
    sequence(time(notBeforeMs), time(notAfterMs)),
    commonName(subject),
    info,
    tagged(0xa3, sequence(...extensions(request, info))),
  );
  const signature = sign("sha256", body, issuer.key);
  const der = sequence(body, ecdsaWithSha256, bits(signature));
  const lines = toBase64(der).match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function extensions({ names, issuer }: CertificateRequest, info: Buffer): Buffer[] {
  const authority = createPublicKey(issuer.key).export({ type: "spki", format: "der" });
  const identifiers = [
    extension("551d0e", false, octets(keyId(info))),
    extension("551d23", false, sequence(tagged(0x80, keyId(authority)))),
  ];
  if (names === "authority")
    return [
      // CA, and no further authority below it.
      extension("551d13", true, sequence(tagged(0x01, Buffer.of(0xff)), integer(Uint8Array.of(0)))),
      // keyCertSign
      extension("551d0f", true, Buffer.from("03020204", "hex")),
      ...identifiers,
    ];
  return [
    extension("551d13", true, sequence()),
    // digitalSignature
    extension("551d0f", true, Buffer.from("03020780", "hex")),
    // serverAuth
    extension("551d25", false, sequence(Buffer.from("06082b06010505070301", "hex"))),
    extension("551d11", false, sequence(...names.map(alternativeName))),
    ...identifiers,
  ];
}

function alternativeName(name: string): Buffer {
  switch (isIP(name)) {
    case 4:
      return tagged(0x87, Buffer.from(name.split(".").map(Number)));
    case 6:
      return tagged(0x87, ipv6Bytes(name));
    default:
      return tagged(0x82, Buffer.from(name, "ascii"));
  }
}

function ipv6Bytes(address: string): Buffer {
  // The URL parser writes every IPv6 address in hexadecimal groups.
  const text = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = "", tail] = text.split("::");
  const groups = (part: string | undefined): string[] => (part === undefined || part === "" ? [] : part.split(":"));
  const [first, last] = [groups(head), groups(tail)];
  const all = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => "0"), ...last];
  return Buffer.from(all.map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** The first 20 bytes of a SHA-256, over the key with its algorithm; any method will do (RFC 5280, section 4.2.1.2). */
function keyId(info: Uint8Array): Buffer {
  return createHash("sha256").update(info).digest().subarray(0, 20);
}

// DER (ITU-T X.690).
const ecdsaWithSha256 = Buffer.from("300a06082a8648ce3d040302", "hex");

function tagged(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.of(tag), length(content.length), content]);
}

function length(bytes: number): Buffer {
  if (bytes < 0x80) return Buffer.of(bytes);
  return bytes < 0x100 ? Buffer.of(0x81, bytes) : Buffer.of(0x82, bytes >> 8, bytes & 0xff);
}

function sequence(...contents: Uint8Array[]): Buffer {
  return tagged(0x30, ...contents);
}

function octets(...contents: Uint8Array[]): Buffer {
  return tagged(0x04, ...contents);
}

function bits(content: Uint8Array): Buffer {
  return tagged(0x03, Buffer.of(0), content);
}

/** Positive, whatever its first bit. */
function integer(bytes: Uint8Array): Buffer {
  const at = bytes.findIndex((byte) => byte !== 0);
  const significant = at < 0 ? Uint8Array.of(0) : bytes.subarray(at);
  return tagged(0x02, (significant[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), significant]) : significant);
}

function commonName(name: string): Buffer {
  const attribute = sequence(Buffer.from("0603550403", "hex"), tagged(0x0c, Buffer.from(name, "utf8")));
  return sequence(tagged(0x31, attribute));
}

/** Two digits of the year before 2050, four from then on (RFC 5280, section 4.1.2.5). */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.[0-9]{3}/g, "");
  return digits < "2050" ? tagged(0x17, Buffer.from(digits.slice(2))) : tagged(0x18, Buffer.from(digits));
}

function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  const oid = tagged(0x06, Buffer.from(id, "hex"));
  return sequence(oid, ...(critical ? [tagged(0x01, Buffer.of(0xff))] : []), octets(value));
}
