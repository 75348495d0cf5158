/**
 * Messages of the PostgreSQL protocol, version 3, as bytes: building whole ones, reading the fields of short ones. A message is one
 * byte of type, four bytes of length that count themselves, and a body; the first of a connection has no type.
 * (PostgreSQL documentation, "Frontend/Backend Protocol", "Message Formats".)
 */

/** Types that a client sends. */
export const fromClient = {
  bind: 0x42, // B
  close: 0x43, // C
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyFail: 0x66, // f
  describe: 0x44, // D
  execute: 0x45, // E
  flush: 0x48, // H
  functionCall: 0x46, // F
  parse: 0x50, // P
  password: 0x70, // p: every answer to an authentication request
  query: 0x51, // Q
  sync: 0x53, // S
  terminate: 0x58, // X
} as const;

/** Types that a server sends. */
export const fromServer = {
  authentication: 0x52, // R
  backendKeyData: 0x4b, // K
  bindComplete: 0x32, // 2
  closeComplete: 0x33, // 3
  commandComplete: 0x43, // C
  copyBothResponse: 0x57, // W
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyInResponse: 0x47, // G
  copyOutResponse: 0x48, // H
  dataRow: 0x44, // D
  emptyQueryResponse: 0x49, // I
  errorResponse: 0x45, // E
  functionCallResponse: 0x56, // V
  negotiateProtocolVersion: 0x76, // v
  noData: 0x6e, // n
  noticeResponse: 0x4e, // N
  notificationResponse: 0x41, // A
  parameterDescription: 0x74, // t
  parameterStatus: 0x53, // S
  parseComplete: 0x31, // 1
  portalSuspended: 0x73, // s
  readyForQuery: 0x5a, // Z
  rowDescription: 0x54, // T
} as const;

/** State of the transaction in ReadyForQuery. */
export const transaction = { idle: 0x49, open: 0x54, failed: 0x45 } as const;

/** Type and length. */
export const headerSize = 5;

/** A message of the parts: texts end in a zero byte, numbers are 32 bits, bytes stand for themselves. */
export function message(type: number | undefined, ...parts: readonly (string | number | Uint8Array)[]): Buffer {
  const head = type === undefined ? 0 : 1;
  let size = head + 4;
  for (const part of parts) {
    if (typeof part === "string") size += Buffer.byteLength(part) + 1;
    else size += typeof part === "number" ? 4 : part.length;
  }
  const bytes = Buffer.allocUnsafe(size);
  if (type !== undefined) bytes[0] = type;
  bytes.writeInt32BE(size - head, head);
  let at = head + 4;
  for (const part of parts) {
    if (typeof part === "string") {
      at += bytes.write(part, at);
      bytes[at++] = 0;
    } else if (typeof part === "number") {
      at = bytes.writeInt32BE(part, at);
    } else {
      bytes.set(part, at);
      at += part.length;
    }
  }
  return bytes;
}

/** An error or notice. The code is an SQLSTATE (PostgreSQL documentation, Appendix A). */
export interface Words {
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  /** Where in the statement, in characters from 1. */
  readonly position?: number;
}

/** An ErrorResponse. After `FATAL` the server closes the connection. */
export function errorResponse(severity: "ERROR" | "FATAL", words: Words): Buffer {
  return message(fromServer.errorResponse, ...fields(severity, words), end);
}

/** A NoticeResponse: shown by the client, without consequence. */
export function noticeResponse(text: string, hint?: string): Buffer {
  const words = { code: "00000", message: text, ...(hint === undefined ? {} : { hint }) };
  return message(fromServer.noticeResponse, ...fields("NOTICE", words), end);
}

const end = Uint8Array.of(0);

function fields(severity: string, words: Words): string[] {
  const list = [`S${severity}`, `V${severity}`, `C${words.code}`, `M${clean(words.message)}`];
  if (words.detail !== undefined) list.push(`D${clean(words.detail)}`);
  if (words.hint !== undefined) list.push(`H${clean(words.hint)}`);
  if (words.position !== undefined) list.push(`P${words.position}`);
  return list;
}

/** A text of the protocol ends at its first zero byte. */
function clean(text: string): string {
  return text.replaceAll("\0", "\uFFFD");
}

/** The zero byte that ends the text at `from`, or -1 where there is none before `to`. */
export function textEnd(bytes: Buffer, from: number, to: number): number {
  const at = bytes.indexOf(0, from);
  return at < 0 || at >= to ? -1 : at;
}

/** The fields of an ErrorResponse or NoticeResponse by their letter; what is malformed is left out. */
export function errorFields(body: Buffer): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (let at = 0; at < body.length && body[at] !== 0;) {
    const stop = textEnd(body, at + 1, body.length);
    if (stop < 0) break;
    found.set(String.fromCharCode(body[at] ?? 0), body.toString("utf8", at + 1, stop));
    at = stop + 1;
  }
  return found;
}

/** The client does not keep to the protocol. */
export class Malformed extends Error {
  override readonly name = "Malformed";
}
