/**
 * PostgreSQL's own grammar (that of 18, in WASM) behind a boundary that never throws. Called by the gateway for each new text; the answer
 * depends on the text alone, so it may be kept by text. It parses and checks that every form in the tree is known; it judges nothing.
 */
import { createRequire } from "node:module";
import type * as LibPgQuery from "libpg-query";
import { excessOf } from "./effort.ts";
import { refusal, type Refusal } from "./refusal.ts";
import { checkShape } from "./shapes.ts";
import { isTree, unwrap, numberIn, type Node } from "./tree.ts";

/** UTF-8 bytes of one text. */
export const maxTextBytes = 1 << 20;
/** Statements in one text. */
const maxStatements = 200;

export interface ParsedText {
  readonly is: "parsed";
  readonly text: string;
  readonly statements: readonly ParsedStatement[];
}

export interface ParsedStatement {
  readonly node: Node;
  /** UTF-16 offsets into the text. */
  readonly start: number;
  readonly end: number;
}

const require = createRequire(import.meta.url);
let library: typeof LibPgQuery | undefined;

/** Loads the parser; once, before the first {@link parse}. */
export async function loadParser(): Promise<void> {
  // The CommonJS entry, because it can be forgotten: a parser that broke is replaced by a new one.
  const loaded = require("libpg-query") as typeof LibPgQuery;
  await loaded.loadModule();
  library = loaded;
}

/** A parser that failed as a program cannot be trusted with the next text. */
function replaceParser(): void {
  library = undefined;
  for (const path of Object.keys(require.cache)) {
    if (/[\\/]libpg-query[\\/]/.test(path)) Reflect.deleteProperty(require.cache, path);
  }
  // Until then, and for as long as it fails, texts are refused.
  loadParser().catch(() => undefined);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of a message, which the server must read as UTF-8 too. `bytes`: without the ending NUL. */
export function readText(bytes: Uint8Array): { readonly is: "text"; readonly text: string } | Refusal {
  if (bytes.byteLength > maxTextBytes) return tooLarge();
  if (bytes.includes(0)) return refusal("not_text", "the statement contains a NUL byte");
  try {
    return { is: "text", text: decoder.decode(bytes) };
  } catch {
    return refusal("not_text", "the statement is not valid UTF-8");
  }
}

/** The statements of a text, each form in them known. */
export function parse(text: string): ParsedText | Refusal {
  if (text.length > maxTextBytes || Buffer.byteLength(text) > maxTextBytes) return tooLarge();
  // A NUL would end the text for the parser, and something else would be judged than runs.
  if (text.includes("\0") || !text.isWellFormed()) return refusal("not_text", "the statement is not valid text");
  const excess = excessOf(text);
  if (excess === "depth") return tooDeep();
  if (excess === "tokens") return refusal("too_large", "the statement has too many parts", "use parameters, or copy");
  if (library === undefined) return refusal("parser_fault", "the parser is being loaded", "try again in a moment");
  if (text === "") return { is: "parsed", text, statements: [] };
  let tree: unknown;
  try {
    tree = library.parseSync(text);
  } catch (error) {
    if (library.hasSqlDetails(error)) return syntaxError(error);
    replaceParser();
    return refusal("parser_fault", "the statement could not be parsed", "write it in a simpler way");
  }
  return readTree(text, tree);
}

function readTree(text: string, tree: unknown): ParsedText | Refusal {
  const list: readonly unknown[] = isTree(tree) && Array.isArray(tree["stmts"]) ? tree["stmts"] : [];
  if (list.length > maxStatements) {
    return refusal("too_large", `more than ${maxStatements} statements in one text`, "send fewer at a time");
  }
  const offsets = utf16Offsets(text);
  const statements: ParsedStatement[] = [];
  for (const raw of list) {
    const fault = isTree(raw) ? checkShape(raw["stmt"]) : { is: "unknown" as const, what: "nothing" };
    if (fault?.is === "deep") return tooDeep();
    if (fault !== undefined)
      return refusal("unknown_form", `\`${fault.what}\` is not known here`, "write it another way");
    const fields = isTree(raw) ? raw : {};
    const node = unwrap(fields["stmt"]);
    if (node === undefined) continue;
    const start = numberIn(fields, "stmt_location");
    const length = numberIn(fields, "stmt_len");
    statements.push({ node, start: offsets(start), end: length === 0 ? text.length : offsets(start + length) });
  }
  return { is: "parsed", text, statements };
}

/** The parser counts bytes. */
function utf16Offsets(text: string): (bytes: number) => number {
  const bytes = Buffer.from(text);
  if (bytes.byteLength === text.length) return (offset) => offset;
  return (offset) => bytes.toString("utf8", 0, offset).length;
}

function syntaxError(error: LibPgQuery.SqlError): Refusal {
  const { message, cursorPosition } = error.sqlDetails ?? { message: error.message, cursorPosition: 0 };
  if (message.startsWith("memory exhausted") || message.startsWith("stack depth limit exceeded")) return tooDeep();
  return refusal("syntax_error", message, undefined, cursorPosition + 1);
}

function tooLarge(): Refusal {
  return refusal(
    "too_large",
    `the statement is longer than ${maxTextBytes} bytes`,
    "send large values as parameters or by copy",
  );
}

function tooDeep(): Refusal {
  return refusal("too_deep", "the statement is nested too deeply", "write it in smaller parts");
}
