/** Makes a failing script smaller for as long as it fails in the same way: first whole units, then pieces of their texts. */
import type { Unit } from "./speaker.ts";

/** `fails` may be asked so often. */
const maxTries = 150;

export async function shrink(
  units: readonly Unit[],
  fails: (units: readonly Unit[]) => Promise<boolean>,
): Promise<readonly Unit[]> {
  let tries = 0;
  let least = units;
  const better = async (candidate: readonly Unit[]): Promise<boolean> => {
    if (candidate.length === 0 || tries >= maxTries) return false;
    tries += 1;
    if (!(await fails(candidate))) return false;
    least = candidate;
    return true;
  };
  for (let at = least.length - 1; at >= 0; at -= 1) await better(least.filter((_, index) => index !== at));
  for (let at = 0; at < least.length; at += 1) {
    const parts = (): number => {
      const unit = least[at];
      return unit?.kind === "extended" ? unit.parts.length : 0;
    };
    for (let part = parts() - 1; part >= 0; part -= 1)
      await better(least.map((unit, index) => (index === at ? withoutPart(unit, part) : unit)));
    for (let size = 16; size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; ;) {
        const tokens = tokensOf(textOf(least[at]));
        if (from >= tokens.length) break;
        const shorter = [...tokens.slice(0, from), ...tokens.slice(from + size)].join("");
        if (!(await better(least.map((unit, index) => (index === at ? withText(unit, shorter) : unit))))) from += size;
      }
    }
  }
  return least;
}

/** Words, quoted pieces, white space and single signs. */
export function tokensOf(text: string): readonly string[] {
  return text.match(/\s+|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\w*\$|\w+|[^\s\w]/gu) ?? [];
}

function withoutPart(unit: Unit, at: number): Unit {
  return unit.kind === "simple" ? unit : { ...unit, parts: unit.parts.filter((_, index) => index !== at) };
}

/** The statements of a unit. */
export function textOf(unit: Unit | undefined): string {
  if (unit === undefined) return "";
  if (unit.kind === "simple") return unit.text;
  return unit.parts.map((part) => (part.is === "parse" ? part.text : "")).join("");
}

/** Only units with one text can be made shorter. */
function withText(unit: Unit, text: string): Unit {
  if (unit.kind === "simple") return { ...unit, text };
  if (unit.parts.filter(({ is }) => is === "parse").length !== 1) return unit;
  return { ...unit, parts: unit.parts.map((part) => (part.is === "parse" ? { ...part, text } : part)) };
}
