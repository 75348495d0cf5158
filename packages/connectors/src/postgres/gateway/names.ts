/**
 * Names of prepared statements or of portals and what they stand for at the resource. A name counts as taken or freed only once the
 * resource has said so: a Parse that fails leaves the older statement under its name, and a later Bind would run that one.
 */
import type { Owed } from "./owed.ts";

interface Pending<T> {
  readonly by: Owed;
  readonly value: T | undefined;
  readonly group: number;
}

export class Names<T> {
  readonly #known = new Map<string, T>();
  readonly #pending = new Map<string, Pending<T>>();
  /** The empty name, apart: most clients use no other, and a Map that shrinks and grows for each message costs more than all else here. */
  #unnamed: T | undefined;
  #unnamedPending: Pending<T> | undefined;

  /** Names other than the empty one. */
  get size(): number {
    return this.#known.size + this.#pending.size;
  }

  /**
   * What the name will stand for when the resource comes to a message sent now in `group` (messages up to a Sync, of which a failure
   * cancels the rest). `unsure`: an earlier group's outcome decides it, so that it has to be waited for.
   */
  find(name: string, group: number): T | "unsure" | undefined {
    const pending = this.#pendingOf(name);
    if (pending === undefined) return name === "" ? this.#unnamed : this.#known.get(name);
    return pending.group === group ? pending.value : "unsure";
  }

  /** A message was sent that gives the name a meaning, or takes it away. */
  sent(by: Owed, value: T | undefined, group: number): void {
    if (by.name === "") this.#unnamedPending = { by, value, group };
    else this.#pending.set(by.name, { by, value, group });
  }

  /** The resource did as `by` said. What was sent after it, or has been forgotten since, decides by itself. */
  done(by: Owed, value: T | undefined): void {
    const { name } = by;
    if (this.#pendingOf(name)?.by !== by) return;
    this.#settled(name);
    if (name === "") this.#unnamed = value;
    else if (value === undefined) this.#known.delete(name);
    else this.#known.set(name, value);
  }

  /** The resource did not. */
  cancelled(by: Owed): void {
    if (this.#pendingOf(by.name)?.by === by) this.#settled(by.name);
  }

  /** The names stand for nothing that is known any more. */
  forget(names: readonly string[] | "all"): void {
    if (names === "all") {
      this.forgetAll();
      this.#pending.clear();
      this.#unnamedPending = undefined;
      return;
    }
    for (const name of names) {
      this.#settled(name);
      if (name === "") this.#unnamed = undefined;
      else this.#known.delete(name);
    }
  }

  /** The resource has dropped all that it had. */
  forgetAll(): void {
    this.#unnamed = undefined;
    // Even an empty Map gets a new table.
    if (this.#known.size > 0) this.#known.clear();
  }

  #pendingOf(name: string): Pending<T> | undefined {
    if (name === "") return this.#unnamedPending;
    return this.#pending.size === 0 ? undefined : this.#pending.get(name);
  }

  #settled(name: string): void {
    if (name === "") this.#unnamedPending = undefined;
    else this.#pending.delete(name);
  }
}
