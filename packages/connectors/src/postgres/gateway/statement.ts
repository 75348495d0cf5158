/**
 * A statement as it was judged. Whatever the client prepares, binds or runs is one of these: nothing reaches the resource by a name that
 * does not stand for a judged text.
 */
import type { Action } from "@cardea/core/documents/request";
import type { Pattern } from "@cardea/core/documents/pattern";
import type { Words } from "./messages.ts";

/** What is asked of the judge. */
export interface StatementText {
  /** One statement, or by the simple protocol several. */
  readonly text: string;
  /** Object ids of the parameters' types as far as the client fixed them; 0 for the others. */
  readonly parameterTypes: readonly number[];
}

export type Decision = (
  | {
      readonly is: "covered";
      /** Running it may change what later statements mean or what is prepared: nothing later is judged before it has ended. */
      readonly changes: boolean;
      /** It may run code of the database's own, which may move the search path from inside without anybody being told. */
      readonly mayMove?: boolean;
      /** What it touches, for counting what is used: the same array for the same judged text. */
      readonly uses: readonly Pattern[];
      /** It only opens a transaction. */
      readonly begins?: boolean;
      /** Names of the protocol's that may stand for something else once it is sent. */
      readonly forgets?: {
        readonly statements: readonly string[] | "all";
        readonly portals: readonly string[] | "all";
      };
    }
  | {
      readonly is: "held";
      readonly changes: boolean;
      readonly mayMove?: boolean;
      /** The action request's, as of the moment when it was judged; the gateway adds the parameters to its `what`. */
      readonly action: Action;
      /** It is done or undone as a whole with the transaction that it runs in. */
      readonly traceable: boolean;
      /** It has names without a schema. */
      readonly looksUp: boolean;
      readonly uses: readonly Pattern[];
    }
  | { readonly is: "denied"; readonly words: Words }
) & {
  /** It holds for this once: the same text is judged again. */
  readonly once?: boolean;
};

/** Judges the statements of one session. */
export interface StatementJudge {
  /** At once where possible, since the client waits for a promise. Never rejects for what a client wrote. */
  judge(statement: StatementText): Decision | Promise<Decision>;
  /**
   * Something ran that `changes`: forget what was known of the session's state. `undoable`: inside a transaction, whose end may take the
   * change back, or make an end of it.
   */
  changed(undoable: boolean): void;
  /** Whether names are looked up along another path than when facts were last asked for. */
  moved(): Promise<boolean>;
}

export interface Statement {
  readonly text: string;
  readonly parameterTypes: readonly number[];
  readonly decision: Decision;
  /** Of the session when it was judged; a later one needs another judgement. */
  readonly epoch: number;
}

/** An opened portal: what runs when it is executed. */
export interface Portal {
  readonly statement: Statement;
  /** The number under which its first execution is recorded. */
  readonly action: number;
  /** The Bind's body after the two names, where it was not too large to hold. */
  readonly parameters: Uint8Array | undefined;
  /** A later execution, of a portal fetched in portions, gets a number of its own. */
  executed: boolean;
}
