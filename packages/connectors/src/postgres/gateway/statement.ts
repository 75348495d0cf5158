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
      /** The action request's; the gateway adds the parameters to its binding. */
      readonly action: Action;
      readonly patterns: readonly Pattern[];
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
  /** Something ran that `changes`: forget what was known of the session's state. */
  changed(): void;
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
