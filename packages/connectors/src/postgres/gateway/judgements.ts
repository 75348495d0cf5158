/**
 * Every text that the session has shown, with its judgement: judged once, found again by its bytes or its shape. What was judged before
 * something changed the session's state is not found again.
 */
import { isUtf8 } from "node:buffer";
import { shapeOf } from "./shape.ts";
import type { Decision, Statement, StatementJudge } from "./statement.ts";

/** As many texts as one session remembers; then it begins anew. */
const remembered = 1_000;

/** Text of a statement somewhere in a message. Types: four bytes each, after the text's zero and their two bytes of count. */
export interface Written {
  readonly bytes: Buffer;
  readonly from: number;
  /** Where the text's zero stands. */
  readonly to: number;
  /** Where the types end; `to` for a simple query. */
  readonly typesTo: number;
}

export class Judgements {
  readonly #judge: StatementJudge;
  readonly #known = new Map<string, Statement>();
  #epoch = 0;
  #undoable = false;

  /** Whether the server reports a changed search path, by the time of the next ReadyForQuery. */
  readonly pathIsReported: boolean;

  constructor(judge: StatementJudge, pathIsReported: boolean) {
    this.#judge = judge;
    this.pathIsReported = pathIsReported;
  }

  /** The statement with its judgement, where it is known or known at once. Else a promise after which it is. */
  find({ bytes, from, to, typesTo }: Written): Statement | Promise<void> {
    const shape = typesTo === to ? shapeOf(bytes, from, to) : undefined;
    const alike = shape === undefined ? undefined : this.#known.get(shape);
    if (alike !== undefined) return alike;
    const key = `=${bytes.toString("latin1", from, typesTo)}`;
    const known = this.#take(key);
    if (known !== undefined) return known;
    if (!isUtf8(bytes.subarray(from, to)))
      return { text: bytes.toString("utf8", from, to), ...notUtf8, epoch: this.#epoch };
    return this.#ask(key, shape, bytes.toString("utf8", from, to), typesOf(bytes, to, typesTo));
  }

  /** The statement judged anew, if its judgement is of an earlier state, or was for once. */
  refresh(statement: Statement): Statement | Promise<void> {
    if (statement.epoch === this.#epoch && statement.decision.once !== true) return statement;
    const { text, parameterTypes } = statement;
    const key = keyOf(text, parameterTypes);
    return this.#take(key) ?? this.#ask(key, undefined, text, parameterTypes);
  }

  /** The statement judged anew, under the session's state as it is now. */
  async again(statement: Statement): Promise<Statement> {
    this.changed();
    for (;;) {
      const found = this.refresh(statement);
      if ("decision" in found) return found;
      await found;
    }
  }

  /** Nothing that was judged before is believed any more. `undoable`: the end of the transaction may take back what changed. */
  changed(undoable = this.#undoable): void {
    this.#undoable = undoable;
    this.#epoch += 1;
    this.#known.clear();
    this.#judge.changed(undoable);
  }

  /** As `changed` where names are looked up along another path than before. */
  async lookWhetherMoved(): Promise<void> {
    if (await this.#judge.moved()) this.changed();
  }

  #take(key: string): Statement | undefined {
    const known = this.#known.get(key);
    if (known?.decision.once === true) this.#known.delete(key);
    return known;
  }

  #ask(
    key: string,
    shape: string | undefined,
    text: string,
    parameterTypes: readonly number[],
  ): Statement | Promise<void> {
    const epoch = this.#epoch;
    const remember = (decision: Decision, later: boolean): Statement => {
      const statement = { text, parameterTypes, decision, epoch };
      if (decision.once === true && !later) return statement;
      if (this.#known.size >= remembered) this.#known.clear();
      // An answer that comes after a change is of the past.
      if (epoch === this.#epoch) this.#known.set(shape !== undefined && sharable(statement) ? shape : key, statement);
      return statement;
    };
    const decision = this.#judge.judge({ text, parameterTypes });
    return "then" in decision ? decision.then((later) => void remember(later, true)) : remember(decision, false);
  }
}

/** The key under which `find` looks for it. */
function keyOf(text: string, parameterTypes: readonly number[]): string {
  const bytes = Buffer.from(text);
  if (parameterTypes.length === 0) return `=${bytes.toString("latin1")}`;
  const types = Buffer.alloc(3 + 4 * parameterTypes.length);
  types.writeUInt16BE(parameterTypes.length, 1);
  for (const [index, type] of parameterTypes.entries()) types.writeUInt32BE(type, 3 + 4 * index);
  return `=${bytes.toString("latin1")}${types.toString("latin1")}`;
}

/** Whether others of the same shape have the same judgement: it binds to no value, and no value changes the session. */
function sharable({ text, decision }: Statement): boolean {
  return decision.is === "covered" && !decision.changes && /^\s*(?:select|insert|update|delete)\s/i.test(text);
}

const notUtf8 = {
  parameterTypes: [],
  decision: {
    is: "denied",
    words: {
      code: "22021",
      message: "the statement is not valid UTF-8",
      hint: "this gateway reads statements as UTF-8",
    },
  },
} as const satisfies Pick<Statement, "parameterTypes" | "decision">;

function typesOf(bytes: Buffer, to: number, typesTo: number): number[] {
  const types: number[] = [];
  for (let at = to + 3; at + 4 <= typesTo; at += 4) types.push(bytes.readUInt32BE(at));
  return types;
}
