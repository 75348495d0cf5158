/**
 * The legal transitions of everything that lives in steps. The control plane's database holds the same tables and refuses
 * any other transition by foreign key; a test proves the two equal. A state is a word of this table and nothing else.
 */
export const transitions = {
  request: {
    pending: ["approved", "denied", "withdrawn", "expired"],
    approved: [],
    denied: [],
    withdrawn: [],
    expired: [],
  },
  grant: {
    scheduled: ["issuing", "ended"],
    issuing: ["active", "ending", "failed"],
    active: ["ending"],
    ending: ["ended"],
    ended: [],
    failed: [],
  },
  lease: {
    intended: ["live", "ending"],
    live: ["ending"],
    ending: ["gone"],
    gone: [],
  },
  run: {
    intended: ["running", "failed"],
    running: ["done", "failed", "unknown"],
    unknown: ["done", "failed"],
    done: [],
    failed: [],
  },
  session: {
    open: ["closed"],
    closed: [],
  },
} as const;

export type Lifecycle = keyof typeof transitions;
export type StateOf<L extends Lifecycle> = keyof (typeof transitions)[L] & string;
export type RequestState = StateOf<"request">;
export type GrantState = StateOf<"grant">;
export type LeaseState = StateOf<"lease">;

/** Why a grant is over. */
export const endReasons = ["expired", "released", "revoked", "spent", "voided"] as const;

/** Whether the table allows the step. */
export function canMove<L extends Lifecycle>(lifecycle: L, from: StateOf<L>, to: StateOf<L>): boolean {
  // Each row of the table lists states of its own lifecycle only.
  const row = transitions[lifecycle][from] as readonly string[];
  return row.includes(to);
}

/** The states from which there is no way on. */
export function finalStates<L extends Lifecycle>(lifecycle: L): readonly StateOf<L>[] {
  // The keys of a lifecycle's table are its states.
  const states = Object.keys(transitions[lifecycle]) as StateOf<L>[];
  return states.filter((state) => states.every((next) => !canMove(lifecycle, state, next)));
}
