import { CardeaError } from "@cardea/core/contract/errors";

/** Nothing of the contract is deeper than a dozen levels; schemas recurse, so depth is refused before they see it. */
const maxDepth = 40;

/**
 * Parses a body. An empty one is no body at all.
 * @throws CardeaError `invalid_json`, or `too_large` where arrays and objects are nested deeper than 40
 */
export function parseJsonBody(text: string): unknown {
  if (text === "") return undefined;
  if (depthOf(text) > maxDepth) throw new CardeaError("too_large", `the body is nested deeper than ${maxDepth} levels`);
  try {
    return JSON.parse(text, refusePrototypes);
  } catch (cause) {
    if (cause instanceof CardeaError) throw cause;
    throw new CardeaError("invalid_json", "the body is not JSON", { cause });
  }
}

/** How deep brackets outside of strings go; exact for JSON, and whatever else it counts is refused by the parser. */
function depthOf(text: string): number {
  let [depth, deepest, quoted] = [0, 0, false];
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (quoted) {
      if (char === 0x5c) i++;
      else if (char === 0x22) quoted = false;
    } else if (char === 0x22) quoted = true;
    else if (char === 0x5b || char === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (char === 0x5d || char === 0x7d) depth--;
  }
  return deepest;
}

function refusePrototypes(key: string, value: unknown): unknown {
  if (key === "__proto__") throw new CardeaError("invalid_json", "the body has a key that is not allowed: `__proto__`");
  return value;
}
