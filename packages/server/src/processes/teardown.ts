/**
 * What was started, to be ended in reverse. Node 20 knows `Symbol.asyncDispose` but not yet `AsyncDisposableStack`; this is the
 * part of it that we use.
 */
export class Teardown implements AsyncDisposable {
  #steps: (() => PromiseLike<void> | void)[] = [];

  use<T extends AsyncDisposable>(resource: T): T {
    this.#steps.push(() => resource[Symbol.asyncDispose]());
    return resource;
  }

  defer(step: () => PromiseLike<void> | void): void {
    this.#steps.push(step);
  }

  /** Hands everything over: this one has nothing left to end. */
  move(): Teardown {
    const next = new Teardown();
    next.#steps = this.#steps;
    this.#steps = [];
    return next;
  }

  /** Ends everything, whatever fails on the way. @throws what failed, or an AggregateError */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, "several things could not be ended");
  }
}
