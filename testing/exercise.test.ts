import { afterEach, describe, expect, test, vi } from "vitest";
import { runExercise, type ExerciseOptions, type ExerciseResult } from "./exercise.ts";

const printed: string[] = [];
vi.spyOn(process.stdout, "write").mockImplementation((text) => printed.push(String(text)) > 0);
vi.spyOn(process.stderr, "write").mockReturnValue(true);
afterEach(() => {
  printed.length = 0;
});

const given: ExerciseOptions[] = [];
const exercise = (result: ExerciseResult | Error) => () =>
  Promise.resolve({
    run: (options: ExerciseOptions) => {
      given.push(options);
      return result instanceof Error ? Promise.reject(result) : Promise.resolve(result);
    },
  });
const catalog = {
  good: exercise({ name: "good", pass: true, figures: { p50Ms: 1.5 } }),
  short: exercise({ name: "short", pass: false, figures: {} }),
  broken: exercise(new Error("no server")),
};

describe("the last line and the exit code agree", () => {
  test.each([
    ["good", 0, { name: "good", pass: true, figures: { p50Ms: 1.5 } }],
    ["short", 1, { name: "short", pass: false, figures: {} }],
    ["broken", 1, { name: "broken", pass: false, figures: {} }],
  ])("%s", async (name, code, line) => {
    expect(await runExercise("bench", catalog, [name])).toBe(code);
    expect(printed).toHaveLength(1);
    expect(JSON.parse(printed[0] ?? "")).toEqual(line);
  });
});

test.each([[[]], [["absent"]], [["toString"]], [["good", "--seconds", "0"]], [["good", "--seconds", "soon"]]])(
  "%j is not understood and prints no result",
  async (argv) => {
    expect(await runExercise("bench", catalog, argv)).toBe(2);
    expect(printed).toEqual([]);
  },
);

test.each([
  [["--seconds", "5", "--quick"], 5, ["--quick"]],
  [["--clients", "8", "--seconds=0.5"], 0.5, ["--clients", "8"]],
  [["simple"], undefined, ["simple"]],
])("%j is split into ours and the exercise's", async (args, seconds, rest) => {
  await runExercise("torture", catalog, ["good", ...args]);
  expect(given.at(-1)).toMatchObject({ seconds, args: rest });
});
