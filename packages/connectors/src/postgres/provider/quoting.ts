/**
 * Names and values inside SQL text. Utility statements (`CREATE ROLE`, `GRANT`) take no parameters, so everything that Cardea puts
 * into them passes through here. Both functions are safe under any `standard_conforming_strings`, and refuse what PostgreSQL cannot hold
 * instead of letting it be cut short.
 */
import { maxIdentifierBytes } from "../spec/table-name.ts";

/** A name in double quotes. @throws RangeError for an empty name, one over 63 bytes, or one that is not a text of PostgreSQL's */
export function quoteIdent(name: string): string {
  checkText(name);
  if (name === "") throw new RangeError("a name cannot be empty");
  // A longer one would be truncated with a notice, and then mean another object.
  if (Buffer.byteLength(name) > maxIdentifierBytes)
    throw new RangeError(`a name cannot exceed ${maxIdentifierBytes} bytes`);
  return `"${name.replaceAll('"', '""')}"`;
}

/** Characters that steer a terminal or reorder what it shows. */
export const invisible = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** As `quoteIdent`, for SQL that a person reads and runs: characters that cannot be seen stand as numbers. */
export function quoteIdentVisibly(name: string): string {
  const quoted = quoteIdent(name);
  if (quoted.search(invisible) < 0) return quoted;
  return `U&${quoted.replaceAll("\\", "\\\\").replaceAll(invisible, (character) => `\\${hex(character)}`)}`;
}

/** Four digits: all of `invisible` is in the basic plane. */
export function hex(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).padStart(4, "0");
}

/** A text value in quotes; with a backslash in it, in the escape form, which means the same under every setting. */
export function quoteLiteral(value: string): string {
  checkText(value);
  const doubled = value.replaceAll("'", "''");
  return doubled.includes("\\") ? ` E'${doubled.replaceAll("\\", "\\\\")}'` : `'${doubled}'`;
}

/** The texts as an array of the type `text[]`. */
export function quoteTexts(values: readonly string[]): string {
  return `array[${values.map(quoteLiteral).join(", ")}]::text[]`;
}

/** Object ids as an array of the type `oid[]`. @throws RangeError for what is no object id */
export function quoteOids(values: readonly number[]): string {
  for (const value of values) {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) throw new RangeError("not an object id");
  }
  return `array[${values.join(", ")}]::oid[]`;
}

function checkText(text: string): void {
  if (text.includes("\0")) throw new RangeError("PostgreSQL has no text with a zero byte");
  if (!text.isWellFormed()) throw new RangeError("a lone surrogate has no UTF-8 form");
}
