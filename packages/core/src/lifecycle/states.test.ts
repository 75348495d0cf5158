import { describe, expect, it } from "vitest";
import { canMove, endReasons, finalStates, transitions, type Lifecycle, type StateOf } from "./states.ts";

// The table's own keys.
const lifecycles = Object.keys(transitions) as Lifecycle[];

function statesOf<L extends Lifecycle>(lifecycle: L): StateOf<L>[] {
  return Object.keys(transitions[lifecycle]) as StateOf<L>[]; // the keys of a lifecycle's table are its states
}

function reachable<L extends Lifecycle>(lifecycle: L, from: StateOf<L>): Set<StateOf<L>> {
  const seen = new Set<StateOf<L>>([from]);
  for (const state of seen) for (const next of statesOf(lifecycle)) if (canMove(lifecycle, state, next)) seen.add(next);
  return seen;
}

function movesFrom<L extends Lifecycle>(lifecycle: L, from: StateOf<L>): string[] {
  return statesOf(lifecycle).filter((to) => canMove(lifecycle, from, to));
}

/** Where each begins. */
const starts: { readonly [L in Lifecycle]: readonly StateOf<L>[] } = {
  request: ["pending"],
  grant: ["scheduled", "issuing"],
  lease: ["intended"],
  run: ["intended"],
  session: ["open"],
};

function begun<L extends Lifecycle>(lifecycle: L): Set<StateOf<L>> {
  return new Set(starts[lifecycle].flatMap((start) => [...reachable(lifecycle, start)]));
}

describe("transitions", () => {
  it("are these and no others", () => {
    const moves = lifecycles.flatMap((lifecycle) =>
      statesOf(lifecycle).flatMap((from) =>
        movesFrom(lifecycle, from).map((to) => `${lifecycle}: ${String(from)} → ${to}`),
      ),
    );
    expect(moves.sort()).toEqual(
      [
        "request: pending → approved",
        "request: pending → denied",
        "request: pending → withdrawn",
        "request: pending → expired",
        "grant: scheduled → issuing",
        "grant: scheduled → ended",
        "grant: issuing → active",
        "grant: issuing → ending",
        "grant: issuing → failed",
        "grant: active → ending",
        "grant: ending → ended",
        "lease: intended → live",
        "lease: intended → ending",
        "lease: live → ending",
        "lease: ending → gone",
        "run: intended → running",
        "run: intended → failed",
        "run: running → done",
        "run: running → failed",
        "run: running → unknown",
        "run: unknown → done",
        "run: unknown → failed",
        "session: open → closed",
      ].sort(),
    );
  });

  it.each(lifecycles)("of a %s lead only to its own states, and never back", (lifecycle) => {
    const states = new Set<string>(statesOf(lifecycle));
    for (const state of statesOf(lifecycle)) {
      // Each row lists words; this holds them against the states.
      for (const next of transitions[lifecycle][state] as readonly string[]) expect(states.has(next)).toBe(true);
      for (const next of statesOf(lifecycle))
        if (canMove(lifecycle, state, next)) expect(reachable(lifecycle, next).has(state)).toBe(false);
    }
  });

  it.each(lifecycles)("of a %s reach every state from where it begins, and an end from every state", (lifecycle) => {
    expect(begun(lifecycle)).toEqual(new Set(statesOf(lifecycle)));
    const ends = finalStates(lifecycle);
    for (const state of statesOf(lifecycle))
      expect(
        [...reachable(lifecycle, state)].some((end) => ends.includes(end)),
        state,
      ).toBe(true);
  });

  it("end where nothing leads on", () => {
    expect(lifecycles.map((lifecycle) => finalStates(lifecycle))).toEqual([
      ["approved", "denied", "withdrawn", "expired"],
      ["ended", "failed"],
      ["gone"],
      ["done", "failed"],
      ["closed"],
    ]);
  });

  it("a lease that may exist at the resource ends by `ending` alone", () => {
    for (const state of statesOf("lease")) if (canMove("lease", state, "gone")) expect(state).toBe("ending");
  });

  it("an unknown run is never run again", () => {
    expect(reachable("run", "unknown").has("running")).toBe(false);
  });
});

it("a grant ends for one of five reasons", () => {
  expect(endReasons).toEqual(["expired", "released", "revoked", "spent", "voided"]);
});
