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

  get size(): number {
    return this.#known.size + this.#pending.size;
  }

  /**
   * What the name will stand for when the resource comes to a message sent now in `group` (messages up to a Sync, of which a failure
   * cancels the rest). `unsure`: an earlier group's outcome decides it, so that it has to be waited for.
   */
  find(name: string, group: number): T | "unsure" | undefined {
    const pending = this.#pending.size === 0 ? undefined : this.#pending.get(name);
    if (pending === undefined) return this.#known.get(name);
    return pending.group === group ? pending.value : "unsure";
  }

  /** A message was sent that gives the name a meaning, or takes it away. */
  sent(by: Owed, value: T | undefined, group: number): void {
    this.#pending.set(by.name, { by, value, group });
  }

  /** The resource did as `by` said. What was sent after it, or has been forgotten since, decides by itself. */
  done(by: Owed, value: T | undefined): void {
    if (this.#pending.get(by.name)?.by !== by) return;
    this.#pending.delete(by.name);
    if (value === undefined) this.#known.delete(by.name);
    else this.#known.set(by.name, value);
  }

  /** The resource did not. */
  cancelled(by: Owed): void {
    if (this.#pending.get(by.name)?.by === by) this.#pending.delete(by.name);
  }

  /** The names stand for nothing that is known any more. */
  forget(names: readonly string[] | "all"): void {
    if (names === "all") {
      this.#known.clear();
      this.#pending.clear();
    } else {
      for (const name of names) {
        this.#known.delete(name);
        this.#pending.delete(name);
      }
    }
  }

  /** The resource has dropped all that it had. */
  forgetAll(): void {
    this.#known.clear();
  }
}
