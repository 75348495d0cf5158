/** A map that keeps the values used last and forgets the rest: for what can always be read or verified again. */
export class Recent<Key, Value> {
  readonly #max: number;
  /** Least recently used first. */
  readonly #values = new Map<Key, Value>();

  constructor(max: number) {
    this.#max = max;
  }

  get(key: Key): Value | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    this.#values.delete(key);
    this.#values.set(key, value);
    return value;
  }

  set(key: Key, value: Value): void {
    this.#values.delete(key);
    this.#values.set(key, value);
    const [oldest] = this.#values.keys();
    if (this.#values.size > this.#max && oldest !== undefined) this.#values.delete(oldest);
  }

  values(): Iterable<Value> {
    return this.#values.values();
  }
}
