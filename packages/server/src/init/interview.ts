/** Asks the newcomer, as far as the flags have not answered. With `--yes` nothing is asked: defaults, or a refusal that names the flag. */
import { cancel, password, select, text } from "@clack/prompts";
import { CardeaError } from "@cardea/core/contract/errors";

export interface Question {
  readonly flag: string;
  readonly message: string;
  readonly given: string | undefined;
  readonly fallback?: string;
  readonly check: (text: string) => string | undefined;
}

export class Interview {
  readonly #silent: boolean;

  constructor(silent: boolean) {
    this.#silent = silent;
  }

  get silent(): boolean {
    return this.#silent;
  }

  /** @throws CardeaError `usage` for a given answer that will not do, or for none with `--yes`; `cancelled` */
  async ask({ flag, message, given, fallback, check }: Question): Promise<string> {
    const known = given ?? (this.#silent ? fallback : undefined);
    if (known !== undefined) {
      const problem = check(known);
      if (problem !== undefined) throw new CardeaError("usage", `${flag}: \`${known}\` will not do: ${problem}`);
      return known;
    }
    if (this.#silent) throw new CardeaError("usage", `${flag} is missing: ${message}`);
    const answer = await text({
      message,
      ...(fallback !== undefined && { placeholder: fallback, defaultValue: fallback }),
      validate: (value) => check(value === undefined || value === "" ? (fallback ?? "") : value),
    });
    return this.#given(answer);
  }

  async askSecret(message: string): Promise<string> {
    return this.#given(await password({ message }));
  }

  async choose(
    message: string,
    options: readonly { readonly value: string; readonly label: string; readonly hint?: string }[],
  ): Promise<string> {
    return this.#given(await select({ message, options: [...options] }));
  }

  #given(answer: string | symbol): string {
    if (typeof answer === "string") return answer;
    cancel("nothing was written");
    throw new CardeaError("cancelled", "nothing was written");
  }
}
