/** A statement against a grant's judgement. */
import type { Judgement } from "@cardea/core/documents/grant";
import type { Pattern } from "@cardea/core/documents/pattern";
import { judge, type JudgementOutcome } from "@cardea/core/policy/judgement";
import { overlaps } from "@cardea/core/policy/patterns";
import type { Statement } from "./statement.ts";

/**
 * As core's `judge` over the atoms. What every session may do is always covered. A rule that denies or holds one of the statement's other
 * names (`sql.copy.out` of a copied table) counts as well, without a grant having to cover that name. `count(*)` is covered by any one column.
 */
export function judgeStatement(judgement: Judgement, statement: Statement): JudgementOutcome {
  const atoms = statement.atoms
    .filter(({ name }) => name !== "sql.session")
    .map((atom) => asCovered(judgement, statement, atom));
  if (atoms.length === 0 && statement.aspects.length === 0) return { is: "covered" };
  const outcome: JudgementOutcome = atoms.length === 0 ? { is: "covered" } : judge(judgement, atoms);
  const denial = judgement.denied.find(({ pattern }) => statement.aspects.some((aspect) => overlaps(pattern, aspect)));
  if (denial !== undefined && outcome.is !== "denied") return { is: "denied", message: denial.message };
  const held = judgement.hold.some((pattern) => statement.aspects.some((aspect) => overlaps(pattern, aspect)));
  return outcome.is === "covered" && held ? { is: "held" } : outcome;
}

/** Where any one column will do, that of one which the grant covers. */
function asCovered(judgement: Judgement, { anyColumn }: Statement, atom: Pattern): Pattern {
  for (const column of anyColumn.get(atom) ?? []) {
    const narrow: Pattern = { ...atom, facets: { ...atom.facets, columns: { matcher: "set", values: [column] } } };
    if (judge(judgement, [narrow]).is === "covered") return narrow;
  }
  return atom;
}
