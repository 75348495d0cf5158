import { CardeaError } from "@cardea/core/contract/errors";
import { fromBase64Url, parseBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import type { Control } from "../control.ts";
import { keyedHash, matchesKeyedHash } from "../store/sealed.ts";

/**
 * Cursors as callers see them: what a list gave as the place to go on from, with our keyed hash, bound to the list. So a list is only ever
 * asked to go on from a place that it named itself.
 */
export function sealCursor(control: Pick<Control, "keys">, list: string, position: string): string {
  return `${toBase64Url(new TextEncoder().encode(position))}.${keyedHash(control, "cursor", { list, position })}`;
}

/** @throws CardeaError `invalid_request` for anything that `sealCursor` did not make for this list */
export function openCursor(control: Pick<Control, "keys">, list: string, cursor: string): string {
  const [text = "", hash = ""] = cursor.split(".");
  const position = parseBase64Url(text) === undefined ? "" : new TextDecoder().decode(fromBase64Url(text));
  if (position !== "" && matchesKeyedHash(control, "cursor", { list, position }, hash)) return position;
  throw new CardeaError("invalid_request", "the cursor is not one of this list; start again without it", {
    pointers: [{ path: "query.cursor", message: "not given out by this list" }],
  });
}
