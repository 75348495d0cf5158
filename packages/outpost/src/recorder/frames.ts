/**
 * What stands in a file of the spool: frames, each with its length and a checksum, so that a torn end is told from a whole one. A frame holds a
 * piece, or only says where a session's recording stands: each file begins with that of every open session, so that older files can go.
 */
import { crc32 } from "node:zlib";
import { GrantId, SessionId } from "@cardea/core/contract/ids";

/** Where the recording of a session stands: what its pieces so far came to. */
export interface Standing {
  readonly session: SessionId;
  readonly grant: GrantId;
  readonly pieces: number;
  readonly bytes: number;
  /** The digest chain behind the last piece, 32 bytes. */
  readonly chain: Uint8Array;
}

/** `piece`: the last piece that the standing counts. `over`: nothing follows; `cut`: something should have. */
export type Frame = Standing &
  (
    | { readonly is: "piece"; readonly piece: Uint8Array }
    | { readonly is: "standing" }
    | { readonly is: "over" }
    | { readonly is: "cut" }
  );

const kinds = ["piece", "standing", "over", "cut"] as const;
const idBytes = 30;
const chainBytes = 32;
const headBytes = 1 + 2 * idBytes + 4 + 8 + chainBytes;
/** Length and checksum of what follows. */
export const prefixBytes = 8;
/** A piece that is longer is none of ours. */
const maxFrameBytes = headBytes + 3 * 1024 * 1024;

/** The frame's bytes, the piece by itself, as it need not be copied. */
export function frameBytes(frame: Frame): Buffer[] {
  const head = Buffer.alloc(prefixBytes + headBytes);
  const piece =
    frame.is === "piece" ? [Buffer.from(frame.piece.buffer, frame.piece.byteOffset, frame.piece.length)] : [];
  let at = prefixBytes;
  at = head.writeUInt8(kinds.indexOf(frame.is), at);
  at += head.write(frame.session, at, idBytes, "latin1");
  at += head.write(frame.grant, at, idBytes, "latin1");
  at = head.writeUInt32LE(frame.pieces, at);
  at = head.writeDoubleLE(frame.bytes, at);
  head.set(frame.chain, at);
  const checksum = piece.reduce((sum, bytes) => crc32(bytes, sum), crc32(head.subarray(prefixBytes)));
  head.writeUInt32LE(headBytes + (piece[0]?.length ?? 0), 0);
  head.writeUInt32LE(checksum, 4);
  return [head, ...piece];
}

/** What the frame takes in a file. */
export function frameSize(frame: Frame): number {
  return prefixBytes + headBytes + (frame.is === "piece" ? frame.piece.length : 0);
}

/** The frame at this place and where it ends; `undefined` where there is none, or not all of it. */
export function frameAt(bytes: Buffer, at: number): { readonly frame: Frame; readonly end: number } | undefined {
  if (bytes.length - at < prefixBytes + headBytes) return undefined;
  const length = bytes.readUInt32LE(at);
  const from = at + prefixBytes;
  const end = from + length;
  if (length < headBytes || length > maxFrameBytes || end > bytes.length) return undefined;
  if (crc32(bytes.subarray(from, end)) !== bytes.readUInt32LE(at + 4)) return undefined;
  const is = kinds[bytes.readUInt8(from)];
  const session = SessionId.safeParse(bytes.toString("latin1", from + 1, from + 1 + idBytes));
  const grant = GrantId.safeParse(bytes.toString("latin1", from + 1 + idBytes, from + 1 + 2 * idBytes));
  if (is === undefined || !session.success || !grant.success) return undefined;
  const numbers = from + 1 + 2 * idBytes;
  const standing: Standing = {
    session: session.data,
    grant: grant.data,
    pieces: bytes.readUInt32LE(numbers),
    bytes: bytes.readDoubleLE(numbers + 4),
    chain: Uint8Array.from(bytes.subarray(numbers + 12, numbers + 12 + chainBytes)),
  };
  return {
    frame: is === "piece" ? { ...standing, is, piece: bytes.subarray(from + headBytes, end) } : { ...standing, is },
    end,
  };
}

/** How long the frame at this place says that it is, with its prefix; `undefined` where that cannot be read or be true. */
export function frameLengthAt(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < prefixBytes) return undefined;
  const length = bytes.readUInt32LE(at);
  return length < headBytes || length > maxFrameBytes ? undefined : prefixBytes + length;
}
