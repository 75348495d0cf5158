/** Statements about the session itself: transactions, settings, prepared statements, cursors, notifications. */
import { constantText } from "./condition.ts";
import { expressions } from "./expression.ts";
import { emptyScope } from "./scope.ts";
import { settingVerdict } from "./settings.ts";
import type { Effect } from "./statement.ts";
import { flagIn, literalText, nodeIn, nodesIn, numberIn, textIn, type Node, type Tree } from "./tree.ts";
import type { Work } from "./work.ts";

type TransactionStep = Extract<Effect, { is: "transaction" }>["step"];

const steps: ReadonlyMap<string, TransactionStep> = new Map([
  ["TRANS_STMT_BEGIN", "begin"],
  ["TRANS_STMT_START", "begin"],
  ["TRANS_STMT_COMMIT", "commit"],
  ["TRANS_STMT_ROLLBACK", "rollback"],
  ["TRANS_STMT_SAVEPOINT", "savepoint"],
  ["TRANS_STMT_RELEASE", "release"],
  ["TRANS_STMT_ROLLBACK_TO", "rollback to"],
]);

export function transaction(work: Work, fields: Tree): string {
  const step = steps.get(textIn(fields, "kind") ?? "");
  if (step === undefined) {
    work.refuse("never_judged", "two-phase commit would outlive the session and its key", "use `commit`");
    return "transaction";
  }
  work.effects.push({ is: "transaction", step, chain: flagIn(fields, "chain") });
  return step;
}

/** `set`, `reset`, and what `alter system` and the like wrap: only those of the session come here. */
export function setVariable(work: Work, fields: Tree): void {
  const kind = textIn(fields, "kind");
  const name = (textIn(fields, "name") ?? "").toLowerCase();
  const scope = flagIn(fields, "is_local") ? "transaction" : "session";
  switch (kind) {
    case "VAR_SET_VALUE":
      applySetting(work, name, nodesIn(fields, "args").map(settingText), scope);
      return;
    case "VAR_SET_DEFAULT":
    case "VAR_RESET":
      applySetting(work, name, undefined, scope);
      return;
    case "VAR_RESET_ALL":
      work.effects.push({ is: "settings reset" });
      return;
    case "VAR_SET_MULTI":
      // `set transaction …`, `set session characteristics …`, `set transaction snapshot …`.
      if (!["transaction", "session characteristics", "transaction snapshot"].includes(name))
        unknownSetting(work, name);
      return;
    case "VAR_SET_CURRENT":
    default:
      unknownSetting(work, name);
  }
}

/** Notes a changed setting, or refuses it. Values that are no literals are `undefined`. */
export function applySetting(
  work: Work,
  name: string,
  values: readonly (string | undefined)[] | undefined,
  scope: "session" | "transaction",
): void {
  const known = values?.filter((value) => value !== undefined);
  switch (settingVerdict(name, known?.length === 1 ? known[0] : undefined, values === undefined)) {
    case "pinned":
      work.refuse(
        "never_judged",
        `\`${name}\` is fixed for the session`,
        "ask for the access you need as a role or as a statement",
      );
      return;
    case "admin":
      work.administration = true;
      break;
    case "free":
      break;
  }
  work.effects.push({ is: "setting", name, value: known, scope });
}

function unknownSetting(work: Work, name: string): void {
  work.refuse("unknown_form", `\`set ${name}\` in this form is not known here`);
}

function settingText(node: Node): string | undefined {
  if (node.kind === "TypeCast") return nodeIn(node.fields, "arg") && settingText(nodeIn(node.fields, "arg") ?? node);
  return literalText(node) ?? constantText(node);
}

export function discard(work: Work, fields: Tree): void {
  switch (textIn(fields, "target")) {
    case "DISCARD_ALL":
      work.effects.push({ is: "discard", what: "all" });
      return;
    case "DISCARD_PLANS":
      work.effects.push({ is: "discard", what: "plans" });
      return;
    case "DISCARD_TEMP":
      work.effects.push({ is: "discard", what: "temporary" });
      return;
    case "DISCARD_SEQUENCES":
      work.effects.push({ is: "discard", what: "sequences" });
      return;
    default:
      work.refuse("unknown_form", "`discard` in this form is not known here");
  }
}

export function cursor(work: Work, kind: string, fields: Tree): void {
  const name = textIn(fields, "portalname");
  const step = kind === "FetchStmt" ? "fetch" : "close";
  work.effects.push({ is: "cursor", step, name, withHold: false });
}

/** `with hold` in the options of `declare`. */
const withHold = 0x0020;

export function declareCursor(work: Work, fields: Tree): void {
  const name = textIn(fields, "portalname");
  work.effects.push({ is: "cursor", step: "open", name, withHold: (numberIn(fields, "options") & withHold) !== 0 });
}

export function execute(work: Work, fields: Tree): void {
  expressions(work, nodesIn(fields, "params"), emptyScope);
  work.effects.push({ is: "execute", name: textIn(fields, "name") ?? "" });
}
