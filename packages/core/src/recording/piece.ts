/**
 * A recording as it is stored and carried: pieces in order, each of at most one message of the link. Piece 0 is the head: whose session it is, and the
 * keys of its strands, sealed to the control plane's recording key. Every other piece holds two sections, one for each strand, encrypted
 * under that strand's key with AES-256-GCM; which piece of which session a section belongs to is bound to it. The digest chain over all pieces
 * ends in the session's `session.closed`, so in the log.
 */
import { z } from "zod";
import { GrantId, ResourceId, SessionId } from "../contract/ids.ts";
import { Base64Url, Time } from "../documents/primitives.ts";
import { sha256 } from "../lib/crypto.ts";
import { toHex } from "../lib/hex.ts";

/** `events`: what was done. `values`: parameters, and what went in and came out. Each has a key of its own. */
export const strands = ["events", "values"] as const;
export type Strand = (typeof strands)[number];

/** What is sealed to the recording key is sealed for this strand (HPKE's `info`) … */
export const sealInfo: Readonly<Record<Strand, string>> = {
  events: "cardea/recording/events/v1",
  values: "cardea/recording/values/v1",
};

/** … and for this session of this grant (its `aad`): who may read it follows from the grant. */
export function sealContext({ session, grant }: { readonly session: SessionId; readonly grant: GrantId }): string {
  return `${session} ${grant}`;
}

const SealedStrandKey = z.strictObject({ enc: Base64Url.max(200), ciphertext: Base64Url.max(200) });

/** Piece 0, as JSON. */
export const RecordingHead = z.strictObject({
  v: z.literal(1),
  session: SessionId,
  grant: GrantId,
  resource: ResourceId,
  at: Time,
  /** Whether all input and output is recorded; else none of the output, and the first of each action's input. */
  output: z.boolean(),
  /** Which recording key: the first 16 hexadecimal digits of the SHA-256 of its public point. */
  recordingKey: z.string().regex(/^[0-9a-f]{16}$/),
  keys: z.strictObject({ events: SealedStrandKey, values: SealedStrandKey }),
});
export type RecordingHead = z.infer<typeof RecordingHead>;

const headPiece = 0;
const strandsPiece = 1;

/** AES-256-GCM. */
export const strandKeyBytes = 32;

/** The first byte of a section's plaintext: whether the strand's bytes follow as they are, or deflated (RFC 1951). */
export const sectionForms = { stored: 0, deflated: 1 } as const;

/** Of a strand in one piece, before it is compressed: whoever opens one need not expand more. */
export const maxSectionBytes = 2 * 1024 * 1024;

/** A piece opened as far as it can be without keys. */
export type Piece =
  | { readonly is: "head"; readonly head: RecordingHead }
  /** Ciphertext with its tag; empty where the strand has nothing in this piece. */
  | { readonly is: "strands"; readonly events: Uint8Array; readonly values: Uint8Array };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function headBytes(head: RecordingHead): Uint8Array {
  const json = encoder.encode(JSON.stringify(head));
  const bytes = new Uint8Array(1 + json.length);
  bytes[0] = headPiece;
  bytes.set(json, 1);
  return bytes;
}

/** Kind, the length of the first section (four bytes, least significant first), the sections. */
export function strandsBytes(events: Uint8Array, values: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + events.length + values.length);
  bytes[0] = strandsPiece;
  new DataView(bytes.buffer).setUint32(1, events.length, true);
  bytes.set(events, 5);
  bytes.set(values, 5 + events.length);
  return bytes;
}

/** `undefined` for what is no piece. */
export function parsePiece(bytes: Uint8Array): Piece | undefined {
  if (bytes[0] === headPiece) {
    try {
      return { is: "head", head: RecordingHead.parse(JSON.parse(decoder.decode(bytes.subarray(1)))) };
    } catch {
      return undefined;
    }
  }
  if (bytes[0] !== strandsPiece || bytes.length < 5) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(1, true);
  if (5 + length > bytes.length) return undefined;
  return { is: "strands", events: bytes.subarray(5, 5 + length), values: bytes.subarray(5 + length) };
}

/** Never twice the same under one key: a strand has a key of its own in each session, and one section in each piece. */
export function sectionNonce(strand: Strand, index: number): Uint8Array {
  const nonce = new Uint8Array(12);
  nonce[0] = strands.indexOf(strand);
  new DataView(nonce.buffer).setUint32(8, index);
  return nonce;
}

/** What a section belongs to, bound to it as additional data. */
export function sectionContext(session: SessionId, strand: Strand, index: number): Uint8Array {
  return encoder.encode(`cardea/recording/v1\0${session}\0${strand}\0${String(index)}`);
}

/** The name of a recording key. */
export function recordingKeyName(publicKey: Uint8Array): string {
  return toHex(sha256(publicKey)).slice(0, 16);
}

/** Where the chain of a session's recording begins. */
export function chainStart(session: SessionId): Uint8Array {
  return sha256(encoder.encode(`cardea/recording/v1\0${session}`));
}

/** The chain with the next piece: the hash of what it was, and of the piece's own hash. */
export function chained(before: Uint8Array, piece: Uint8Array): Uint8Array {
  const both = new Uint8Array(64);
  both.set(before);
  both.set(sha256(piece), 32);
  return sha256(both);
}

/** As `session.closed` carries it. */
export function chainDigest(chain: Uint8Array): string {
  return `sha256:${toHex(chain)}`;
}
