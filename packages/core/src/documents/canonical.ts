/**
 * RFC 8785 (JSON Canonicalization Scheme): one text for one value, so that everybody hashes and signs the same bytes.
 * ECMAScript's own number and string forms are the ones the standard prescribes; what is left is the order of keys.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** Canonical text. A key whose value is `undefined` is absent. @throws TypeError for what JSON cannot hold. */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) throw new TypeError("text with a lone surrogate has no canonical form");
      return JSON.stringify(value);
    case "boolean":
      return value ? "true" : "false";
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`the number ${String(value)} has no JSON form`);
      return JSON.stringify(value);
    case "object":
      if (value === null) return "null";
      // `Array.from` visits holes, which then throw like any `undefined`; `map` would leave nothing between two commas.
      if (Array.isArray(value)) return `[${Array.from(value, canonicalJson).join(",")}]`;
      return canonicalObject(value);
    default:
      throw new TypeError(`a ${typeof value} has no JSON form`);
  }
}

function canonicalObject(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null)
    throw new TypeError("only plain objects have a canonical form");
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    // RFC 8785 orders keys by UTF-16 code units, which is what `<` compares.
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${members.map(([key, member]) => `${canonicalJson(key)}:${canonicalJson(member)}`).join(",")}}`;
}
