/**
 * `bench -- policy`: how long one decision takes where a policy has a thousand rules, and what making a policy ready costs before the first.
 * Beside it, in the same run, what a decision would cost if nothing were kept between decisions: the policy compiled anew for each.
 */
import { setImmediate } from "node:timers/promises";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Policy } from "@cardea/core/documents/policy";
import { digestOf } from "@cardea/core/documents/digest";
import { compilePolicy } from "@cardea/core/policy/compile";
import { decide } from "@cardea/core/policy/decide";
import { parsePolicy } from "@cardea/core/policy/parse";
import { sampleTime } from "@cardea/core/policy/samples";
import { validatePolicy } from "@cardea/core/policy/validate";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { medianOf, rounded, spreadOf, type Spread } from "../figures.ts";
import { largePolicy, policyText, questions, type Question } from "./large-installation.ts";

const targetP99Ms = 1;
const ruleCount = 1_000;
const blockCount = 5;

export async function run({ args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const short = parseArgs({ args: [...args], options: { short: { type: "boolean", default: false } } }).values.short;
  const rounds = short ? 5_000 : 50_000;
  const policy = largePolicy(ruleCount);
  const asked = questions(997);

  const cold = measureCold(policy, short ? 5 : 20);
  say(
    `reading ${String(ruleCount)} rules takes ${String(rounded(cold.parseMs))} ms, checking them ${String(rounded(cold.validateMs))} ms, compiling ${String(rounded(cold.compileMs))} ms`,
  );

  const policyDigest = digestOf("policy", policy);
  const outcomes = new Map<string, number>();
  const ask = ({ asked, spec, facts }: Question): void => {
    const { effect } = decide({ policy, policyDigest, asked, spec, facts, createdAt: sampleTime });
    outcomes.set(effect, (outcomes.get(effect) ?? 0) + 1);
  };
  for (const question of asked) ask(question);
  const blocks: Block[] = [];
  for (let block = 0; block < blockCount && !signal.aborted; block += 1) {
    blocks.push({
      warm: timeEach(rounds / blockCount, asked, ask),
      // A specification that was not seen before, as after a resource's change: its rules have to be found again.
      fresh: timeEach(rounds / blockCount / 5, asked, (question) => ask({ ...question, spec: { ...question.spec } })),
      anew: timeEach(short ? 4 : 20, asked, ({ asked: wanted, spec, facts }) =>
        decide({ policy: { ...policy }, policyDigest, asked: wanted, spec, facts, createdAt: sampleTime }),
      ),
    });
    // Lets a signal in.
    await setImmediate();
  }

  const total = [...outcomes.values()].reduce((sum, count) => sum + count, 0);
  const share = (effect: string): number => rounded((outcomes.get(effect) ?? 0) / total);
  const p99 = medianOf(blocks.map(({ warm }) => spreadOf(warm).p99));
  const figures = {
    ...microseconds(
      "decide",
      blocks.map(({ warm }) => warm),
    ),
    ...microseconds(
      "newResource",
      blocks.map(({ fresh }) => fresh),
    ),
  };
  say(
    `a decision takes ${String(figures["decideP50Us"])} µs, at the 99th percentile ${String(figures["decideP99Us"])} µs`,
  );
  return {
    name: "policy",
    pass: p99 <= targetP99Ms,
    figures: {
      rules: ruleCount,
      decisions: total,
      ...figures,
      targetP99Ms,
      compiledAnewP50Ms: rounded(medianOf(blocks.map(({ anew }) => spreadOf(anew).p50))),
      parseMs: rounded(cold.parseMs),
      validateMs: rounded(cold.validateMs),
      compileMs: rounded(cold.compileMs),
      compiledMegabytes: rounded(cold.compiledBytes / 1_048_576),
      textKilobytes: Math.round(policyText(policy).length / 1_024),
      shareAllowed: share("allow"),
      shareReviewed: share("review"),
      shareDenied: share("deny"),
    },
  };
}

/** Milliseconds of each decision, in the three ways, one after the other: what disturbs the machine disturbs all of them. */
interface Block {
  readonly warm: readonly number[];
  readonly fresh: readonly number[];
  readonly anew: readonly number[];
}

/** Of each percentile the median over the blocks, so that one hiccup of the machine is not the figure. */
function microseconds(name: string, blocks: readonly (readonly number[])[]): Record<string, number> {
  const spreads = blocks.map((samples) => spreadOf(samples));
  const median = (key: keyof Spread): number => rounded(medianOf(spreads.map((spread) => spread[key])) * 1_000);
  return { [`${name}P50Us`]: median("p50"), [`${name}P95Us`]: median("p95"), [`${name}P99Us`]: median("p99") };
}

/** Milliseconds of each. */
function timeEach(rounds: number, asked: readonly Question[], ask: (question: Question) => void): number[] {
  const samples: number[] = [];
  for (let index = 0; index < rounds; index += 1) {
    const question = asked[index % asked.length];
    if (question === undefined) throw new RangeError("there are no questions");
    const started = performance.now();
    ask(question);
    samples.push(performance.now() - started);
  }
  return samples;
}

interface Cold {
  readonly parseMs: number;
  readonly validateMs: number;
  readonly compileMs: number;
  readonly compiledBytes: number;
}

/** Medians; what a control plane does when a policy is applied, and an outpost when it first hears of it. */
function measureCold(policy: Policy, rounds: number): Cold {
  const text = policyText(policy);
  const specs = questions(150).map(({ spec }) => spec);
  const samples = { parse: [0], validate: [0], compile: [0] };
  for (let round = 0; round < rounds; round += 1) {
    samples.parse[round] = time(() => {
      if (!parsePolicy(text).ok) throw new Error("the policy of the benchmark does not parse");
    });
    samples.validate[round] = time(() => validatePolicy(policy.document, { specs }));
    samples.compile[round] = time(() => compilePolicy({ ...policy }));
  }
  return {
    parseMs: spreadOf(samples.parse).p50,
    validateMs: spreadOf(samples.validate).p50,
    compileMs: spreadOf(samples.compile).p50,
    compiledBytes: bytesOf(() => compilePolicy({ ...policy })),
  };
}

function time(step: () => unknown): number {
  const started = performance.now();
  step();
  return performance.now() - started;
}

/** What the value keeps alive, by the heap's word before and after, collected each time. */
function bytesOf(make: () => unknown): number {
  setFlagsFromString("--expose-gc");
  // V8 gives a new context the function that the flag asks for.
  const collect = runInNewContext("gc") as () => void;
  const kept: unknown[] = [];
  collect();
  const before = process.memoryUsage().heapUsed;
  const copies = 10;
  for (let copy = 0; copy < copies; copy += 1) kept.push(make());
  collect();
  return Math.max(0, process.memoryUsage().heapUsed - before) / kept.length;
}
