/** Texts that were parsed lately, for all sessions of a gateway: what the parser says depends on the text alone. */
import { parse, type ParsedText } from "../spec/statement/parser.ts";
import type { Refusal } from "../spec/statement/refusal.ts";

/** Trees are large; sessions keep their decisions by themselves. */
const kept = 500;
const longestKept = 10_000;

export class ParsedTexts {
  #recent = new Map<string, ParsedText | Refusal>();
  /** Those of before; what is asked for again moves over. */
  #older = new Map<string, ParsedText | Refusal>();

  get(text: string): ParsedText | Refusal {
    const recent = this.#recent.get(text);
    if (recent !== undefined) return recent;
    const parsed = this.#older.get(text) ?? parse(text);
    // The parser's own faults pass.
    if (text.length > longestKept || (parsed.is === "refused" && parsed.code === "parser_fault")) return parsed;
    if (this.#recent.size >= kept) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(text, parsed);
    return parsed;
  }
}
