/** So many at once, the others in the order in which they came. */
export class Lane {
  readonly #width: number;
  readonly #queue: (() => void)[] = [];
  #busy = 0;

  constructor(width: number) {
    this.#width = width;
  }

  get free(): number {
    return this.#width - this.#busy;
  }

  /** Runs the work when there is room. @throws whatever the work throws, or the signal's reason where that comes first */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      this.#busy--;
      this.#queue.shift()?.();
    }
  }

  #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#busy < this.#width) {
      this.#busy++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener("abort", leave);
        this.#busy++;
        resolve();
      };
      const leave = (): void => {
        this.#queue.splice(this.#queue.indexOf(enter), 1);
        // `throwIfAborted` would throw the same.
        reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
      };
      this.#queue.push(enter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}
