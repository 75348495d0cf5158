/**
 * Signatures made with an SSH key, as `ssh-keygen -Y sign` writes them (OpenSSH, PROTOCOL.sshsig, version 1), and OpenSSH public keys.
 * Whoever accepts an SSH signature calls this: sign-in, enrolment, and later votes. Ed25519 only. It parses strictly (each value has one
 * writing, nothing may follow the last field) and never trusts the key inside a signature: the caller says which key must have signed.
 */
import { fromBase64 } from "../lib/base64.ts";
import { ed25519KeySize, ed25519SignatureSize, ed25519Verify, sha256, timingSafeEqual } from "../lib/crypto.ts";
import { ok, refused, type Result } from "../lib/result.ts";

/** Longest accepted text of a signature or public key line. An Ed25519 signature has some 300 characters. */
const maxTextLength = 8_000;
const algorithm = "ssh-ed25519";
const magic = "SSHSIG";
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The namespace that keeps a signature over one type of document from passing for another use of the key. */
export function sshNamespace(type: string): string {
  return `cardea-${type}@v1`;
}

export type SshKeyRefusal = "ssh_key_malformed" | "ssh_key_unsupported";

/** The 32 raw bytes behind an OpenSSH public key line (`ssh-ed25519 AAAA… comment`). */
export function parseSshPublicKey(line: string): Result<Uint8Array, SshKeyRefusal> {
  const [type, text] = line.trim().split(/[ \t]+/);
  if (line.length > maxTextLength || type === undefined || text === undefined || /[\r\n]/.test(line.trim())) {
    return refused("ssh_key_malformed", "not an OpenSSH public key line such as `ssh-ed25519 AAAA…`");
  }
  if (type !== algorithm) {
    return refused(
      "ssh_key_unsupported",
      `SSH keys of type \`${type.slice(0, 40)}\` are not supported; make one with \`ssh-keygen -t ed25519\``,
    );
  }
  const blob = fromBase64(text);
  const key = blob === undefined ? undefined : ed25519Field(blob, ed25519KeySize);
  return key === undefined ? refused("ssh_key_malformed", "the base64 part of the SSH public key is damaged") : ok(key);
}

/** What a signature must be: made by this key, for this use, over this message. */
export interface ExpectedSshSignature {
  readonly publicKey: Uint8Array;
  readonly namespace: string;
  readonly message: Uint8Array;
}

export type SshSignatureRefusal = "ssh_signature_malformed" | "ssh_signature_unsupported" | "ssh_signature_mismatch";

/**
 * Checks an armoured signature. `sha512` is SHA-512 (FIPS 180-4), which `ssh-keygen` uses unless told otherwise; SHA-256 is
 * accepted as well.
 */
export function verifySshSignature(
  armoured: string,
  expected: ExpectedSshSignature,
  sha512: (bytes: Uint8Array) => Uint8Array,
): Result<undefined, SshSignatureRefusal> {
  const parsed = parseArmoured(armoured);
  if (parsed === undefined)
    return refused("ssh_signature_malformed", "not an SSH signature as `ssh-keygen -Y sign` writes it");
  if (parsed.hash !== "sha256" && parsed.hash !== "sha512") {
    return refused("ssh_signature_unsupported", "the SSH signature uses another hash than sha256 or sha512");
  }
  const [key, signature] = [
    ed25519Field(parsed.publicKey, ed25519KeySize),
    ed25519Field(parsed.signature, ed25519SignatureSize),
  ];
  if (key === undefined || signature === undefined) {
    return refused("ssh_signature_unsupported", "the SSH signature is not of an Ed25519 key");
  }
  if (parsed.namespace !== expected.namespace) {
    return refused(
      "ssh_signature_mismatch",
      `the SSH signature was made for another use; sign with \`-n ${expected.namespace}\``,
    );
  }
  const digest = parsed.hash === "sha512" ? sha512(expected.message) : sha256(expected.message);
  const signed = concat([
    encoder.encode(magic),
    ...[encoder.encode(parsed.namespace), parsed.reserved, encoder.encode(parsed.hash), digest].flatMap(field),
  ]);
  if (!timingSafeEqual(key, expected.publicKey) || !ed25519Verify(expected.publicKey, signed, signature)) {
    return refused("ssh_signature_mismatch", "the SSH signature is not the enrolled key's over this document");
  }
  return ok(undefined);
}

interface SshSignature {
  readonly publicKey: Uint8Array;
  readonly namespace: string;
  readonly reserved: Uint8Array;
  readonly hash: string;
  readonly signature: Uint8Array;
}

function parseArmoured(text: string): SshSignature | undefined {
  if (text.length > maxTextLength) return undefined;
  const match = /^-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]+)\r?\n-----END SSH SIGNATURE-----\s*$/.exec(
    text,
  );
  const blob = match?.[1] === undefined ? undefined : fromBase64(match[1].replaceAll(/[\r\n]/g, ""));
  if (blob === undefined) return undefined;
  const reader = new Reader(blob);
  if (reader.text(magic.length) !== magic || reader.uint32() !== 1) return undefined;
  const [publicKey, namespace, reserved, hash, signature] = [
    reader.string(),
    reader.string(),
    reader.string(),
    reader.string(),
    reader.string(),
  ];
  if (
    publicKey === undefined ||
    namespace === undefined ||
    reserved === undefined ||
    hash === undefined ||
    signature === undefined ||
    !reader.done
  )
    return undefined;
  const [namespaceText, hashText] = [asText(namespace), asText(hash)];
  if (namespaceText === undefined || hashText === undefined) return undefined;
  return { publicKey, namespace: namespaceText, reserved, hash: hashText, signature };
}

/** The payload of `string "ssh-ed25519", string payload`, where it has the expected length and nothing follows. */
function ed25519Field(blob: Uint8Array, length: number): Uint8Array | undefined {
  const reader = new Reader(blob);
  const [type, payload] = [reader.string(), reader.string()];
  if (type === undefined || payload === undefined || !reader.done) return undefined;
  return asText(type) === algorithm && payload.length === length ? payload : undefined;
}

/** Reads the wire encoding of RFC 4251, section 5. Past the end every read is `undefined`. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  uint32(): number | undefined {
    const bytes = this.#take(4);
    return bytes === undefined ? undefined : new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
  }

  string(): Uint8Array | undefined {
    const length = this.uint32();
    return length === undefined ? undefined : this.#take(length);
  }

  text(length: number): string | undefined {
    const bytes = this.#take(length);
    return bytes === undefined ? undefined : asText(bytes);
  }

  #take(length: number): Uint8Array | undefined {
    if (length > this.#bytes.length - this.#at) {
      // Nothing after a broken length may be believed.
      this.#at = Number.POSITIVE_INFINITY;
      return undefined;
    }
    const bytes = this.#bytes.slice(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }
}

function asText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

function field(bytes: Uint8Array): Uint8Array[] {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length);
  return [length, bytes];
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
