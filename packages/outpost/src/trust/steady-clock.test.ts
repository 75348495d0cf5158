import { describe, expect, test } from "vitest";
import { manualClock } from "@cardea/core/lib/clock";
import { SteadyClock } from "./steady-clock.ts";

const start = Date.parse("2026-11-22T09:00:00.000Z");

function world(knownMs = 0) {
  const wall = manualClock(start);
  let monotonicMs = 5_000;
  const steady = new SteadyClock({
    clock: wall,
    monotonic: { nowMs: () => monotonicMs },
    knownMs,
    stepMs: 2_000,
    skewMs: 30_000,
  });
  return {
    wall,
    steady,
    pass: (ms: number) => {
      wall.advance(ms);
      monotonicMs += ms;
    },
  };
}

describe("a clock", () => {
  test("that runs evenly is sure, and deadlines follow it", () => {
    const { steady, pass } = world();
    pass(3_600_000);
    expect(steady.unsure()).toBeUndefined();
    expect(steady.deadlineMs()).toBe(start + 3_600_000);
  });

  test("that is set back lengthens nothing: deadlines go on by what has passed", () => {
    const { steady, pass, wall } = world();
    pass(10_000);
    wall.advance(-3_600_000);
    expect(steady.unsure()).toBe("the clock stepped by -3600 s");
    pass(5_000);
    expect(steady.deadlineMs()).toBe(start + 15_000);
  });

  test("that is set forward ends early rather than late, and is unsure", () => {
    const { steady, wall } = world();
    wall.advance(60_000);
    expect(steady.unsure()).toBe("the clock stepped by 60 s");
    expect(steady.deadlineMs()).toBe(start + 60_000);
  });

  test("stays unsure until the control plane's time agrees", () => {
    const { steady, wall, pass } = world();
    wall.advance(60_000);
    expect(steady.unsure()).toBeDefined();
    steady.compare(start);
    expect(steady.unsure()).toMatch("at the control plane");
    steady.compare(start + 60_000);
    expect(steady.unsure()).toBeUndefined();
    pass(1_000);
    expect(steady.deadlineMs()).toBe(start + 61_000);
  });

  test("that starts behind what was known before is unsure, and deadlines go by what was known", () => {
    const { steady } = world(start + 3_600_000);
    expect(steady.unsure()).toMatch("before the last stop");
    expect(steady.deadlineMs()).toBe(start + 3_600_000);
  });

  test("that drifts slowly never adds up to a step", () => {
    const { steady, wall, pass } = world();
    for (let i = 0; i < 10_000; i++) {
      pass(1_000);
      wall.advance(1);
      expect(steady.deadlineMs()).toBe(wall.now());
    }
    expect(steady.unsure()).toBeUndefined();
  });
});
