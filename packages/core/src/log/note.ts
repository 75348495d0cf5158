/**
 * Signed notes with Ed25519 keys (C2SP signed-note): a text, an empty line, and lines of signatures. Checkpoints are
 * notes. A note's text means nothing until `openNote` has found a known key's signature on it.
 */
import { fromBase64, toBase64 } from "../lib/base64.ts";
import { ed25519KeySize, ed25519PublicKey, ed25519Sign, ed25519Verify, sha256 } from "../lib/crypto.ts";
import { fromHex, toHex } from "../lib/hex.ts";
import { ok, refused, type Result } from "../lib/result.ts";

/** Bytes of the largest note that is looked at; the standard asks for some limit. */
export const maxNoteBytes = 1_000_000;

/** Signature lines of the longest note that is looked at; the standard asks for 16 or more. */
export const maxNoteSignatures = 64;

/** Name and id of a key; together they say which key signed, though only the signature proves it. */
export interface NoteKey {
  readonly name: string;
  /** The first four bytes of a hash over name, algorithm and public key, as an unsigned number. */
  readonly id: number;
}

export interface NoteVerifier extends NoteKey {
  verify(text: Uint8Array, signature: Uint8Array): boolean;
}

export interface NoteSigner extends NoteKey {
  /** The key's public half as text, `name+id+key`: what verifiers pin. */
  readonly verifierKey: string;
  sign(text: Uint8Array): Uint8Array;
}

/** A note that at least one known key has signed. */
export interface OpenedNote {
  /** The signed text, its last newline included. */
  readonly text: string;
  /** The known keys whose signatures were verified, in the note's order. */
  readonly signedBy: readonly NoteKey[];
}

export type VerifierKeyRefusal = "key_malformed" | "key_id_mismatch" | "key_type_unsupported";

export type NoteRefusal =
  "note_too_large" | "note_malformed" | "note_duplicate_signature" | "note_bad_signature" | "note_unsigned";

// The standard's byte for Ed25519. Cosignatures of witnesses (4) will be a second kind of verifier beside it.
const ed25519Type = 0x01;
const keyIdSize = 4;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const signaturePrefix = "— ";

/** A signer from a 32-byte Ed25519 seed. @throws RangeError for a name with white space or `+`, or another length of seed. */
export function noteSigner(name: string, seed: Uint8Array): NoteSigner {
  if (!isKeyName(name)) throw new RangeError("a key name is not empty and holds no white space and no plus");
  const publicKey = ed25519PublicKey(seed);
  const id = ed25519KeyId(name, publicKey);
  return {
    name,
    id,
    verifierKey: `${name}+${toHex(keyIdBytes(id))}+${toBase64(Uint8Array.of(ed25519Type, ...publicKey))}`,
    sign: (text) => ed25519Sign(seed, text),
  };
}

/** Parses a verifier key, `name+id+key`, and checks that the id is that of name and key. */
export function parseVerifierKey(text: string): Result<NoteVerifier, VerifierKeyRefusal> {
  // The name holds no plus, but base 64 does.
  const [, name, idHex, keyBase64] = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/su.exec(text) ?? [];
  const key = keyBase64 === undefined ? undefined : fromBase64(keyBase64);
  if (name === undefined || idHex === undefined || key === undefined || !isKeyName(name)) {
    return refused("key_malformed", "a verifier key has the form `name+id+key`: 8 hex digits, then base 64");
  }
  const [type] = key;
  if (type !== ed25519Type) {
    return refused("key_type_unsupported", `key type \`${type}\` is not Ed25519 (\`${ed25519Type}\`)`);
  }
  const publicKey = key.slice(1);
  if (publicKey.length !== ed25519KeySize) {
    return refused("key_malformed", `an Ed25519 key has 32 bytes, not \`${publicKey.length}\``);
  }
  const id = ed25519KeyId(name, publicKey);
  if (id !== readKeyId(fromHex(idHex))) {
    return refused("key_id_mismatch", `the id \`${idHex}\` is not that of this name and key; was it copied whole?`);
  }
  return ok({
    name,
    id,
    verify: (message, signature) => ed25519Verify(publicKey, message, signature),
  });
}

/** Signs a text with every signer. @throws RangeError where the text does not end in a newline or holds control characters. */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  if (!isNoteText(text)) throw new RangeError("a note's text ends in a newline and holds no control characters");
  const message = encoder.encode(text);
  const lines = signers.map((signer) => {
    const signature = Uint8Array.of(...keyIdBytes(signer.id), ...signer.sign(message));
    return `${signaturePrefix}${signer.name} ${toBase64(signature)}\n`;
  });
  return `${text}\n${lines.join("")}`;
}

/**
 * Opens a note. Signatures by unknown keys are ignored; each one by a known key must verify, and be the only one by
 * that key; at least one is needed. @throws RangeError where two of the verifiers share both name and id.
 */
export function openNote(
  note: string | Uint8Array,
  verifiers: readonly NoteVerifier[],
): Result<OpenedNote, NoteRefusal> {
  const parsed = parseNote(note);
  if (!parsed.ok) return parsed;
  const { text, signatures } = parsed.value;
  const known = new Map(verifiers.map((verifier) => [keyLabel(verifier), verifier]));
  if (known.size !== verifiers.length) throw new RangeError("two verifiers share name and id");

  const message = encoder.encode(text);
  const signedBy = new Map<string, NoteKey>();
  for (const { name, id, signature } of signatures) {
    const label = keyLabel({ name, id });
    const verifier = known.get(label);
    if (verifier === undefined) continue;
    if (signedBy.has(label)) {
      return refused("note_duplicate_signature", `the key \`${label}\` signed the note more than once`);
    }
    if (!verifier.verify(message, signature)) {
      return refused("note_bad_signature", `the signature by the key \`${label}\` does not verify`);
    }
    signedBy.set(label, { name, id });
  }
  if (signedBy.size === 0) return refused("note_unsigned", "no known key has signed the note");
  return ok({ text, signedBy: [...signedBy.values()] });
}

interface ParsedNote {
  readonly text: string;
  readonly signatures: readonly (NoteKey & { readonly signature: Uint8Array })[];
}

function parseNote(note: string | Uint8Array): Result<ParsedNote, "note_too_large" | "note_malformed"> {
  // Of a string these are code units, each at most three bytes.
  if (note.length > maxNoteBytes) {
    return refused("note_too_large", `a note of more than ${maxNoteBytes} bytes`);
  }
  const content = typeof note === "string" ? note : decodeText(note);
  if (content === undefined || !isNoteText(content)) {
    return refused("note_malformed", "a note is UTF-8 without control characters and ends in a newline");
  }
  const blank = content.lastIndexOf("\n\n");
  if (blank === -1 || blank + 2 === content.length) {
    return refused("note_malformed", "a note has an empty line and, behind it, a line for each signature");
  }
  const lines = content.slice(blank + 2, -1).split("\n");
  if (lines.length > maxNoteSignatures) {
    return refused("note_too_large", `a note of more than ${maxNoteSignatures} signatures`);
  }
  const signatures = [];
  for (const line of lines) {
    const signature = parseSignatureLine(line);
    if (signature === undefined) {
      return refused("note_malformed", "a signature line has the form `— name base64`");
    }
    signatures.push(signature);
  }
  return ok({ text: content.slice(0, blank + 1), signatures });
}

function parseSignatureLine(line: string): ParsedNote["signatures"][number] | undefined {
  if (!line.startsWith(signaturePrefix)) return undefined;
  const [name, base64, ...rest] = line.slice(signaturePrefix.length).split(" ");
  if (name === undefined || base64 === undefined || rest.length > 0 || !isKeyName(name)) return undefined;
  const bytes = fromBase64(base64);
  if (bytes === undefined || bytes.length <= keyIdSize) return undefined;
  return { name, id: readKeyId(bytes), signature: bytes.slice(keyIdSize) };
}

function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

// A lone surrogate has no UTF-8 form: encoding would replace it, and the signature would be over another text.
function isNoteText(text: string): boolean {
  return text.endsWith("\n") && !/[\u0000-\u0009\u000b-\u001f]|\p{Surrogate}/u.test(text);
}

function isKeyName(name: string): boolean {
  return name.length > 0 && !/[\p{White_Space}+]/u.test(name);
}

function ed25519KeyId(name: string, publicKey: Uint8Array): number {
  return readKeyId(sha256(Uint8Array.of(...encoder.encode(`${name}\n`), ed25519Type, ...publicKey)));
}

function keyLabel({ name, id }: NoteKey): string {
  return `${name}+${toHex(keyIdBytes(id))}`;
}

function keyIdBytes(id: number): Uint8Array {
  const bytes = new Uint8Array(keyIdSize);
  new DataView(bytes.buffer).setUint32(0, id);
  return bytes;
}

function readKeyId(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, keyIdSize).getUint32(0);
}
