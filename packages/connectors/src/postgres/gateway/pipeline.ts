/**
 * What the two directions of a session share: what is owed, which names stand for what, where the transaction is. The client's side adds
 * to it as it sends, the server's side takes away as answers come. Whoever must act when nothing is under way waits for `quiet`.
 */
import { fromClient, message, transaction } from "./messages.ts";
import { Names } from "./names.ts";
import { OwedQueue, type Owed } from "./owed.ts";
import type { Recording } from "./recording.ts";
import type { Portal, Statement } from "./statement.ts";

export class Pipeline {
  readonly owed = new OwedQueue();
  readonly statements = new Names<Statement>();
  readonly portals = new Names<Portal>();
  readonly recording: Recording;
  readonly #sendUp: (bytes: Buffer) => void;
  /** Counts the groups of extended messages that the client has begun, each ended by a Sync. */
  group = 0;
  /** The last group in which anything ran but what opens a transaction. */
  ranInGroup = -1;
  /** Something was sent in this group that no Sync has followed yet: the server may still keep answers back. */
  groupOpen = false;
  /** Something in the open group failed or was refused: we, like the resource, ignore what the client sends up to its Sync. */
  skipping = false;
  /** The next ReadyForQuery is kept back: the transaction around an approved statement is ours and ends first. */
  withheld = false;
  /** The resource takes COPY data now. */
  copyIn = false;
  /** The last word of ReadyForQuery: I, T or E. */
  status: number = transaction.idle;
  #whenQuiet: (() => void) | undefined;

  constructor(recording: Recording, sendUp: (bytes: Buffer) => void) {
    this.recording = recording;
    this.#sendUp = sendUp;
  }

  /**
   * Calls back once nothing is owed, at once where that is so already. One at a time. `synced`: not before the open group, if any,
   * has ended either; else the server is asked to hold no answers back. `answering`: neither while the server ignores what is sent.
   */
  quiet(synced: boolean, then: () => void, answering = false): void {
    const wait = (): void => {
      const open = this.groupOpen && (synced || (answering && this.skipping));
      if (this.owed.size > 0 || open) this.#whenQuiet = wait;
      else then();
    };
    if (this.owed.size > 0 && this.groupOpen && !synced) this.#sendUp(flush);
    wait();
  }

  /** To be called when something has been answered and the stream stands between two messages. */
  settle(): void {
    const waiting = this.#whenQuiet;
    if (waiting === undefined) return;
    this.#whenQuiet = undefined;
    waiting();
  }

  /** The message at the front failed inside an extended group: everything up to the Sync is void. */
  fail(words: { readonly code: string; readonly message: string }, bytes: number): void {
    const { cancelled, synced } = this.owed.cancelToSync();
    for (const [index, item] of cancelled.entries()) {
      this.#void(item);
      if (item.action > 0) {
        const error =
          index === 0 ? words : { code: words.code, message: "not run: an earlier message of its group failed" };
        this.recording.outcome(item.action, "failed", 0, index === 0 ? bytes : 0, error);
      }
    }
    this.copyIn = false;
    if (!synced) this.skipping = true;
  }

  /** The session is over: what was under way may have happened. */
  abandon(): void {
    for (let item = this.owed.shift(); item !== undefined; item = this.owed.shift())
      if (item.action > 0) this.recording.outcome(item.action, "unknown", 0, 0);
  }

  #void(item: Owed): void {
    if (item.kind === "parse" || item.kind === "closeStatement") this.statements.cancelled(item);
    else if (item.kind === "bind" || item.kind === "closePortal") this.portals.cancelled(item);
  }
}

const flush = message(fromClient.flush);

/** What goes up in the place of a refused message. It fails in the server's grammar, in every state, and so fails the transaction. */
const poison = "cardea refused a statement of this session";
/** In the place of a simple query. */
export const poisonedQuery = message(fromClient.query, poison);
/** In the place of an extended message. The name keeps the unnamed statement as it is; none is made. */
export const poisonedParse = message(fromClient.parse, "cardea", poison, Uint8Array.of(0, 0));
