/** What kind of statement a node is: sends it to the part that knows it, and says what holds for the statement as a whole. */
import type { ActionName } from "../actions.ts";
import { definition } from "./definition.ts";
import { expressions } from "./expression.ts";
import { select } from "./query.ts";
import { emptyScope } from "./scope.ts";
import { isConfidential } from "./settings.ts";
import { cursor, declareCursor, discard, execute, setVariable, transaction } from "./session.ts";
import { setConfig } from "./set-config.ts";
import type { Hold, Statement } from "./statement.ts";
import { flagIn, nodeIn, nodesIn, textIn, treeIn, type Node } from "./tree.ts";
import { call, copy, lockTables, notify, truncate } from "./utility.ts";
import type { Work } from "./work.ts";
import { insert, merge, remove, update } from "./write.ts";

export interface Outline {
  readonly kind: string;
  /** Actions on the database as a whole. */
  readonly wide?: readonly ActionName[];
  /** Further names for what is done to its tables. */
  readonly aspects?: readonly ActionName[];
  readonly hold?: Hold;
  readonly alone?: boolean;
  readonly ddl?: boolean;
  readonly inner?: Statement;
}

/** Analyses a statement inside this one, by itself; `undefined`: refused or to be asked again, which `work` then says. */
export type Nested = (node: Node | undefined) => Statement | undefined;

const ofSession = never("it is about the session itself", "send it outside a request");

export function outline(work: Work, node: Node, nested: Nested): Outline {
  const { kind, fields } = node;
  switch (kind) {
    case "SelectStmt": {
      const into = treeIn(fields, "intoClause");
      if (into !== undefined) return intoTable(work, node);
      const rest = setConfig(work, fields);
      if (rest !== undefined) {
        select(work, rest, emptyScope);
        return { kind: "set", hold: ofSession };
      }
      select(work, fields, emptyScope);
      return { kind: "select" };
    }
    case "InsertStmt":
      insert(work, fields, emptyScope);
      return { kind: "insert" };
    case "UpdateStmt":
      update(work, fields, emptyScope);
      return { kind: "update" };
    case "DeleteStmt":
      remove(work, fields, emptyScope);
      return { kind: "delete" };
    case "MergeStmt":
      merge(work, fields, emptyScope);
      return { kind: "merge", aspects: ["sql.merge"] };
    case "CopyStmt":
      copy(work, fields);
      return flagIn(fields, "is_from")
        ? { kind: "copy in", aspects: ["sql.copy.in"] }
        : { kind: "copy out", aspects: ["sql.copy.out"] };
    case "TruncateStmt":
      return { kind: "truncate", wide: truncate(work, fields), ddl: flagIn(fields, "restart_seqs") };
    case "LockStmt":
      lockTables(work, fields);
      return { kind: "lock table" };
    case "CallStmt":
      call(work, fields);
      return { kind: "call" };
    case "DoStmt":
      work.refuse("never_judged", "what a `do` block does is not in its text", "send its statements one by one");
      return { kind: "do" };
    default:
      return aroundOthers(work, node, nested) ?? aboutSession(work, node) ?? defines(work, node);
  }
}

function intoTable(work: Work, { fields }: Node): Outline {
  const { intoClause, ...query } = fields;
  const node: Node = { kind: "CreateTableAsStmt", fields: { query: { SelectStmt: query }, into: intoClause } };
  return defines(work, node);
}

/** Statements that carry another one. */
function aroundOthers(work: Work, { kind, fields }: Node, nested: Nested): Outline | undefined {
  switch (kind) {
    case "PrepareStmt": {
      const inner = nested(nodeIn(fields, "query"));
      expressions(work, nodesIn(fields, "argtypes"), emptyScope);
      work.effects.push({ is: "prepare", name: textIn(fields, "name") ?? "" });
      return around("prepare", inner, never("it would run later, when nobody looks", "send the statement itself"));
    }
    case "ExecuteStmt": {
      execute(work, fields);
      const name = textIn(fields, "name") ?? "";
      const inner = work.context.prepared(name);
      if (inner === undefined) {
        work.refuse("missing_statement", `this session has no prepared statement \`${name}\``, "prepare it first");
      }
      return around("execute", inner, never("what it runs is not in its text", "send the statement itself"));
    }
    case "DeclareCursorStmt": {
      const inner = nested(nodeIn(fields, "query"));
      declareCursor(work, fields);
      return around("declare", inner, never("its rows would be fetched later", "send the query itself"));
    }
    case "ExplainStmt": {
      const inner = nested(nodeIn(fields, "query"));
      return { ...around("explain", inner, inner?.hold ?? { is: "may" }), alone: inner?.transaction === "never" };
    }
    default:
      return undefined;
  }
}

function around(kind: string, inner: Statement | undefined, hold: Hold): Outline {
  return inner === undefined ? { kind, hold } : { kind, hold, inner, ddl: inner.ddl };
}

function aboutSession(work: Work, { kind, fields }: Node): Outline | undefined {
  const outlined = (name: string): Outline => ({ kind: name, hold: ofSession });
  switch (kind) {
    case "TransactionStmt":
      return outlined(transaction(work, fields));
    case "VariableSetStmt":
      setVariable(work, fields);
      return outlined("set");
    case "VariableShowStmt":
      if (isConfidential(textIn(fields, "name"))) work.administration ||= work.seesSettings;
      return outlined("show");
    case "DiscardStmt":
      discard(work, fields);
      return { ...outlined("discard"), alone: textIn(fields, "target") === "DISCARD_ALL" };
    case "ConstraintsSetStmt":
      return outlined("set constraints");
    case "DeallocateStmt":
      work.effects.push({ is: "deallocate", name: flagIn(fields, "isall") ? undefined : textIn(fields, "name") });
      return outlined("deallocate");
    case "FetchStmt":
    case "ClosePortalStmt":
      cursor(work, kind, fields);
      return outlined(kind === "FetchStmt" ? "fetch" : "close");
    case "ListenStmt":
      // Others' messages; off unless a role has everything.
      work.administration = true;
      work.effects.push({ is: "listen", channel: textIn(fields, "conditionname") });
      return outlined("listen");
    case "UnlistenStmt":
      work.effects.push({ is: "unlisten", channel: textIn(fields, "conditionname") });
      return outlined("unlisten");
    case "NotifyStmt":
      notify(work, fields);
      return { kind: "notify" };
    default:
      return undefined;
  }
}

function defines(work: Work, node: Node): Outline {
  const defined = definition(work, node);
  if (defined === undefined) {
    work.refuse("unknown_form", `\`${node.kind}\` is not known here`);
    return { kind: "unknown" };
  }
  const { kind, wide, temporary, alone } = defined;
  return { kind: kind.label, wide, alone, ddl: !temporary, hold: holdOf(kind.plants === true, temporary) };
}

function holdOf(plants: boolean, temporary: boolean): Hold {
  if (plants) {
    return {
      ...never(
        "it leaves code behind that runs later, with other rights",
        "ask for it as a request of its own, outside the session",
      ),
      outside: true,
    };
  }
  return temporary
    ? never("temporary tables change what names mean in the session", "ask for a role that may create them")
    : { is: "may" };
}

export function never(why: string, instead: string): Extract<Hold, { is: "never" }> {
  return { is: "never", why, instead };
}
