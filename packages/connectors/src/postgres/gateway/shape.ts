/**
 * Statements that differ only in small whole numbers mean the same to every judgement, so they share one: without this, a client that
 * writes its values into the text would have each text parsed. Only for text in which nothing but letters, digits and plain punctuation
 * stands, so that no quoting, comment or escape has to be understood. A number counts when it is of at most nine digits (an `int4`
 * whatever its value, so that no other function is chosen for it) and stands alone.
 */

/** 1: plain; 2: a digit; 3: continues a name or a number; 4: plain unless doubled, when it begins a comment. */
const kinds = new Uint8Array(256);
for (const char of " \n\t,;()=<>*+") kinds[char.charCodeAt(0)] = 1;
for (const char of "0123456789") kinds[char.charCodeAt(0)] = 2;
for (const char of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.$") kinds[char.charCodeAt(0)] = 3;

kinds["-".charCodeAt(0)] = 4;

const longestShape = 4_096;
const longestNumber = 9;
const zero = 0x30;
const scratch = Buffer.allocUnsafe(longestShape);

/** The text's shape as a key, or `undefined` for a text that has none but itself. */
export function shapeOf(bytes: Buffer, from: number, to: number): string | undefined {
  if (to - from > longestShape) return undefined;
  let out = 0;
  let at = from;
  while (at < to) {
    const byte = bytes[at] ?? 0;
    const kind = kinds[byte];
    if (kind === 1 || (kind === 4 && bytes[at + 1] !== byte)) {
      scratch[out++] = byte;
      at++;
    } else if (kind === 0 || kind === 4) {
      return undefined;
    } else {
      // A word: a name, a keyword, a number, or what begins like one and is something else.
      const start = at;
      let digits = true;
      for (let inside = kind; inside === 2 || inside === 3; inside = kinds[bytes[at] ?? 0] ?? 0) {
        if (inside === 3) digits = false;
        at++;
        if (at === to) break;
      }
      if (digits && at - start <= longestNumber) {
        scratch[out++] = zero;
      } else {
        for (let i = start; i < at; i++) scratch[out++] = bytes[i] ?? 0;
      }
    }
  }
  return scratch.toString("latin1", 0, out);
}
