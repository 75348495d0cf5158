/**
 * Benchmarks and torture runs have one shape: a named exercise that measures, judges itself against its target and
 * reports figures. This file holds that shape and the command line around it; `bench/` and `torture/` bring a catalog
 * and call {@link runExercise} from their `main.ts`. It never decides what passes: the exercise does.
 */
import { parseArgs } from "node:util";

/** What an exercise found. Printed as the last line, so everything in it must survive JSON. */
export interface ExerciseResult {
  readonly name: string;
  /** Whether every target was met. */
  readonly pass: boolean;
  /** What was measured, with units in the names (`p50Ms`, `rowsPerSecond`, `ratioToPeer`). */
  readonly figures: Readonly<Record<string, number | string | boolean | null>>;
}

/** What an exercise is given. */
export interface ExerciseOptions {
  /** How long to go on, where the exercise has no natural end; undefined leaves it to the exercise. */
  readonly seconds: number | undefined;
  /** What stood after the name and `--seconds N` on the command line, for the exercise to read. */
  readonly args: readonly string[];
  /** Aborted by Ctrl-C and SIGTERM: stop, take down what was started, and report what there is. */
  readonly signal: AbortSignal;
  /** Tells the person at the terminal; never a line of the result. */
  readonly say: (line: string) => void;
}

/** One file of `bench/src` or `torture/src` exports this. Whatever `run` starts, it also stops. */
export interface Exercise {
  readonly run: (options: ExerciseOptions) => Promise<ExerciseResult>;
}

/** Exercises by name; loaded only when named. */
export type ExerciseCatalog = Readonly<Record<string, () => Promise<Exercise>>>;

/**
 * Runs the exercise that `argv` names (`NAME [--seconds N] [ARGS]`) and prints its result as one JSON line, the last
 * one. Without a name it lists what there is.
 *
 * @returns the exit code: 0 passed, 1 short of a target or failed, 2 not understood
 */
export async function runExercise(kind: string, catalog: ExerciseCatalog, argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  const load = name === undefined || !Object.hasOwn(catalog, name) ? undefined : catalog[name];
  if (name === undefined || load === undefined) {
    if (name !== undefined) say(`no ${kind} \`${name}\``);
    const names = Object.keys(catalog).sort();
    say(`usage: npm run ${kind} -- NAME [--seconds N]`);
    say(names.length === 0 ? "there is none yet" : `NAME is one of ${names.join(", ")}`);
    return 2;
  }
  const options = readOptions(rest);
  if (typeof options === "string") {
    say(options);
    return 2;
  }
  const aborted = new AbortController();
  const abort = (): void => {
    aborted.abort();
  };
  process.once("SIGINT", abort).once("SIGTERM", abort);
  try {
    const exercise = await load();
    const result = await exercise.run({ ...options, signal: aborted.signal, say });
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return result.pass ? 0 : 1;
  } catch (error) {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    const result: ExerciseResult = { name, pass: false, figures: {} };
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return 1;
  } finally {
    process.off("SIGINT", abort).off("SIGTERM", abort);
  }
}

/** `--seconds N` is ours, wherever it stands; everything else is the exercise's. */
function readOptions(args: readonly string[]): Pick<ExerciseOptions, "seconds" | "args"> | string {
  const { values, tokens } = parseArgs({
    args: [...args],
    options: { seconds: { type: "string" } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  if (values.seconds === undefined) return { seconds: undefined, args };
  const seconds = Number(values.seconds);
  if (!Number.isFinite(seconds) || seconds <= 0)
    return `--seconds wants a number above 0, not \`${String(values.seconds)}\``;
  const taken = new Set<number>();
  for (const token of tokens) {
    if (token.kind !== "option" || token.name !== "seconds") continue;
    taken.add(token.index);
    if (token.value !== undefined && !token.inlineValue) taken.add(token.index + 1);
  }
  return { seconds, args: args.filter((_, index) => !taken.has(index)) };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
