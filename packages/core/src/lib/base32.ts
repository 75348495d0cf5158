/**
 * Crockford's base 32 without padding, most significant bits first. Lower case for ids and native names,
 * upper case for the codes that people read aloud.
 */
const lower = "0123456789abcdefghjkmnpqrstvwxyz";
const values = new Map(Array.from(lower, (char, value) => [char, value]));

/** Encodes the bytes' bits, padded with zero bits on the right to a whole character. */
export function toBase32(bytes: Uint8Array): string {
  let out = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += lower.charAt((buffer >>> bits) & 31);
    }
    buffer &= (1 << bits) - 1;
  }
  if (bits > 0) out += lower.charAt((buffer << (5 - bits)) & 31);
  return out;
}

/** Encodes a non-negative integer in exactly `length` characters. @throws RangeError when it does not fit. */
export function intToBase32(value: number, length: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError("not a non-negative safe integer");
  let rest = value;
  let out = "";
  for (let i = 0; i < length; i++) {
    out = lower.charAt(rest % 32) + out;
    rest = Math.floor(rest / 32);
  }
  if (rest !== 0) throw new RangeError(`${String(value)} does not fit in ${String(length)} characters`);
  return out;
}

/** The integer behind lower-case characters, or `undefined` where they are not base 32 or exceed a safe integer. */
export function base32ToInt(text: string): number | undefined {
  let out = 0;
  for (const char of text) {
    const value = values.get(char);
    if (value === undefined) return undefined;
    out = out * 32 + value;
    if (out > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return out;
}
