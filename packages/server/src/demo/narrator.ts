/** Tells the demo step by step, and stops at the first step that does not hold. */
import { styleText } from "node:util";
import { monotonicMs } from "../processes/system.ts";

type Style = Parameters<typeof styleText>[0];

export class Narrator {
  #step = 0;
  readonly #out: NodeJS.WriteStream;
  readonly #startedMs = monotonicMs();

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  get steps(): number {
    return this.#step;
  }

  get seconds(): number {
    return (monotonicMs() - this.#startedMs) / 1_000;
  }

  /** One step: what it shows, and the work that proves it. What the work answers is told. @throws what the work throws, after naming the step */
  async step<T>(title: string, work: () => Promise<T>, tell: (result: T) => string = () => ""): Promise<T> {
    this.#step += 1;
    const began = monotonicMs();
    try {
      const result = await work();
      const words = tell(result);
      const took = `${(monotonicMs() - began).toFixed(0)} ms`;
      this.#out.write(
        `${this.#style("green", "✓")} ${String(this.#step).padStart(2)}. ${title} ${this.#style("gray", took)}\n${words === "" ? "" : `       ${words.replaceAll("\n", "\n       ")}\n`}`,
      );
      return result;
    } catch (error) {
      this.#out.write(`${this.#style("red", "✗")} ${String(this.#step).padStart(2)}. ${title}\n`);
      throw error;
    }
  }

  say(words: string): void {
    this.#out.write(`${words}\n`);
  }

  #style(style: Style, text: string): string {
    return this.#out.isTTY ? styleText(style, text) : text;
  }
}

/** @throws Error with the words unless it holds */
export function holds(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(`this does not hold: ${otherwise}`);
}
