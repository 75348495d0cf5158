/** Base 64 with padding, standard alphabet (RFC 4648, section 4). */
export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/**
 * The bytes behind the text, or `undefined` unless it is exactly what `toBase64` writes: no white space, no missing
 * padding, no stray bits behind the last byte. So one value has one text, and signed text cannot be bent unnoticed.
 */
export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const binary = atob(text);
  const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
  return btoa(binary) === text ? bytes : undefined;
}
