/**
 * The secret that opens a gateway and nothing else: `cardea_`, 30 random base-62 characters, and 6 of a checksum, so that scanners of code
 * and logs know one when they see it, and a mistyped one is told from a wrong one without asking anybody. The checksum protects nothing.
 */
import type { Random } from "../lib/random.ts";

const prefix = "cardea_";
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const randomLength = 30;
const checksumLength = 6;
const form = /^cardea_[0-9A-Za-z]{36}$/;

/** Bytes from here on would favour the first characters of the alphabet, so they are passed over. */
const fairBytes = 256 - (256 % alphabet.length);

/** A new key, of 178 random bits. */
export function newGatewayKey(random: Random): string {
  let body = "";
  while (body.length < randomLength) {
    for (const byte of random.bytes(randomLength)) {
      if (byte < fairBytes && body.length < randomLength) body += alphabet.charAt(byte % alphabet.length);
    }
  }
  return prefix + body + checksum(prefix + body);
}

/** Whether the text has the form of a gateway's key, checksum included. Says nothing of whether there is such a key. */
export function isGatewayKey(text: string): boolean {
  return form.test(text) && text.endsWith(checksum(text.slice(0, prefix.length + randomLength)));
}

/** CRC-32 of everything before it, in base 62, most significant character first. */
function checksum(text: string): string {
  let rest = crc32(text);
  let written = "";
  for (let at = 0; at < checksumLength; at++) {
    written = alphabet.charAt(rest % alphabet.length) + written;
    rest = Math.floor(rest / alphabet.length);
  }
  return written;
}

/** CRC-32 as in ISO 3309 and zlib, of ASCII text. */
function crc32(text: string): number {
  let crc = 0xffff_ffff;
  for (let at = 0; at < text.length; at++) {
    crc ^= text.charCodeAt(at);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0xedb8_8320;
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}
