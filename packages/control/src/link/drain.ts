/** Does work in batches, one after the other: what arrives meanwhile forms the next. So a burst costs as little as it can, and one item waits for nothing. */
export class Drain<T> {
  readonly #work: (batch: readonly T[]) => Promise<void>;
  readonly #onFault: (error: unknown) => void;
  readonly #maxBatch: number;
  #queue: T[] = [];
  #open = false;
  #running: Promise<void> | undefined;

  /** Nothing is done before `open`. After a fault the rest of the queue is not looked at again. */
  constructor(maxBatch: number, work: (batch: readonly T[]) => Promise<void>, onFault: (error: unknown) => void) {
    this.#maxBatch = maxBatch;
    this.#work = work;
    this.#onFault = onFault;
  }

  get size(): number {
    return this.#queue.length;
  }

  push(item: T): void {
    this.#queue.push(item);
    this.#run();
  }

  open(): void {
    this.#open = true;
    this.#run();
  }

  /** Resolves once what runs now is done. */
  async settled(): Promise<void> {
    await this.#running;
  }

  #run(): void {
    if (!this.#open || this.#running !== undefined || this.#queue.length === 0) return;
    const batch = this.#queue.slice(0, this.#maxBatch);
    this.#queue = this.#queue.slice(batch.length);
    this.#running = this.#work(batch).then(
      () => {
        this.#running = undefined;
        this.#run();
      },
      (error: unknown) => {
        this.#running = undefined;
        this.#open = false;
        this.#onFault(error);
      },
    );
  }
}
