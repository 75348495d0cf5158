/** The parameters of a statement as they are on the wire, read for people: what follows the names in a Bind message of PostgreSQL's protocol. */

/** A text, nothing, or the bytes of a value that is no text. */
export type Parameter = string | null | { readonly base64: string };

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** In their order; `undefined` for bytes that do not have this form. */
export function readParameters(bytes: Uint8Array): Parameter[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  try {
    const formats: number[] = [];
    const values: Parameter[] = [];
    let at = 2;
    for (let left = view.getUint16(0); left > 0; left--, at += 2) formats.push(view.getUint16(at));
    let left = view.getUint16(at);
    for (at += 2; left > 0; left--) {
      const length = view.getInt32(at);
      at += 4;
      if (length === -1) {
        values.push(null);
        continue;
      }
      if (length < 0 || at + length > bytes.length) return undefined;
      const format = formats.length > 1 ? formats[values.length] : formats[0];
      values.push(valueOf(bytes.subarray(at, at + length), format));
      at += length;
    }
    return values;
  } catch (error) {
    // Read beyond the end.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Format 1 is binary; a text that is none of UTF-8 is shown as bytes too. */
function valueOf(bytes: Uint8Array, format: number | undefined): Parameter {
  if (format !== 1) {
    try {
      return decoder.decode(bytes);
    } catch {
      // Not UTF-8, the one reason for which it throws.
    }
  }
  return { base64: Buffer.from(bytes).toString("base64") };
}
