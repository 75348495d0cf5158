import { Lexer } from "yaml";

const maxFlowDepth = 50;
const maxIndentation = 200;
const maxIndicators = 20;

/**
 * Whether a YAML text nests deeper than any policy does. Asked before it is parsed: the parser recurses, and near the end of the stack V8 may
 * abort the whole process (seen with 10,000 times `- `) instead of throwing. The lexer does not recurse, and stops at the first excess.
 *
 * INVARIANT: in block style each level stands at least one column further in, so indentation and the indicators of one line bound the depth.
 */
export function nestsTooDeeply(text: string): boolean {
  if (new RegExp(`^[ \\t]{${String(maxIndentation + 1)}}`, "m").test(text)) return true;
  let depth = 0;
  let indicators = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === "[" || token === "{") depth += 1;
    else if (token === "]" || token === "}") depth = Math.max(0, depth - 1);
    else if (token.endsWith("\n")) indicators = 0;
    else if (depth === 0 && (token === "-" || token === "?" || token === ":")) indicators += 1;
    if (depth > maxFlowDepth || indicators > maxIndicators) return true;
  }
  return false;
}
