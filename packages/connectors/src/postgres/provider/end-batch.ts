/**
 * Gathers endings that are asked for at the same time into one. A single one starts at once; while a few are under way the next ones
 * collect, so a storm of endings costs a few round trips and commits a batch instead of each.
 */
import { OutsideError } from "@cardea/core/contract/errors";
import type { Ended } from "../../connector.ts";
import { hasState } from "./faults.ts";

const maxUnderWay = 3;
const maxBatch = 50;
const maxAttempts = 3;

type EndAll = (names: readonly string[]) => Promise<ReadonlyMap<string, Ended>>;

interface Waiting {
  readonly name: string;
  readonly done: (ended: Ended) => void;
  readonly failed: (error: unknown) => void;
}

export class EndBatch {
  readonly #endAll: EndAll;
  #waiting: Waiting[] = [];
  #underWay = 0;

  constructor(endAll: EndAll) {
    this.#endAll = endAll;
  }

  /** Ends one login with whichever others are waiting. An abort stops the waiting, not the ending. */
  async end(name: string, signal: AbortSignal): Promise<Ended> {
    if (signal.aborted) throw new OutsideError("cancelled", "none", "cancelled before anything was sent");
    return new Promise<Ended>((done, fail) => {
      const abort = (): void => fail(new OutsideError("cancelled", "maybe", "cancelled while a login was being ended"));
      signal.addEventListener("abort", abort, { once: true });
      const settled =
        <T>(then: (value: T) => void) =>
        (value: T): void => {
          signal.removeEventListener("abort", abort);
          then(value);
        };
      this.#waiting.push({ name, done: settled(done), failed: settled(fail) });
      this.#start();
    });
  }

  #start(): void {
    while (this.#underWay < maxUnderWay && this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, maxBatch);
      this.#waiting = this.#waiting.slice(maxBatch);
      this.#underWay += 1;
      this.#run(batch)
        .catch((error: unknown) => batch.forEach(({ failed }) => failed(error)))
        .finally(() => {
          this.#underWay -= 1;
          this.#start();
        });
    }
  }

  /** One that cannot be ended must not keep the others: what fails together is tried one by one. */
  async #run(batch: readonly Waiting[]): Promise<void> {
    const outcome = await attempt(() => this.#endAll(batch.map(({ name }) => name)));
    for (const { name, done, failed } of batch) {
      const own = outcome.ok || batch.length === 1 ? outcome : await attempt(() => this.#endAll([name]));
      const ended = own.ok ? own.value.get(name) : undefined;
      if (ended !== undefined) done(ended);
      else failed(own.ok ? new TypeError(`the ending of \`${name}\` has no outcome`) : own.error);
    }
  }
}

type Outcome =
  { readonly ok: true; readonly value: ReadonlyMap<string, Ended> } | { readonly ok: false; readonly error: unknown };

/** Begins again where another process removed a login between two steps: 42704, undefined_object. */
async function attempt(end: () => Promise<ReadonlyMap<string, Ended>>): Promise<Outcome> {
  for (let turn = 1; ; turn++) {
    try {
      return { ok: true, value: await end() };
    } catch (error) {
      if (turn === maxAttempts || !hasState(error, "42704")) return { ok: false, error };
    }
  }
}
