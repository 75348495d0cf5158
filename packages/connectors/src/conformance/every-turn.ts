/** Faults at each turn of an operation's conversation with the resource, one after another: what the suites of this folder are made of. */
import { expect } from "vitest";
import { CardeaError, OutsideError } from "@cardea/core/contract/errors";
import type { Provider } from "../connector.ts";
import type { Harness } from "./conformance.ts";
import type { FaultMode } from "./fault-proxy.ts";

/** How an operation ended that was struck, or was not. */
export type Outcome = { readonly failed: false } | { readonly failed: true; readonly effect: "none" | "maybe" };

/** More turns than any operation takes; a bound against endless loops, not a promise. */
const maxTurns = 80;

/** Runs a case with the fault at turn 1, 2, 3 … until the operation is over before its turn comes. Leaves nothing, each time. */
export async function everyTurn(
  harness: Harness,
  mode: FaultMode,
  run: (strike: (operation: (provider: Provider) => Promise<unknown>) => Promise<Outcome>) => Promise<void>,
): Promise<void> {
  for (let turn = 1; turn <= maxTurns; turn++) {
    await run(async (operation) => {
      const provider = harness.open();
      harness.proxy.arm({ mode, turn, onKill: (port) => harness.kill(port) });
      try {
        return await outcomeOf(operation(provider));
      } finally {
        harness.proxy.disarm();
        // As if our process had died: nothing is said to the server.
        harness.proxy.cutAll();
        await provider.close();
      }
    });
    expect(await harness.logins(), `left behind by a fault at turn ${turn}`).toEqual([]);
    if (!harness.proxy.struck) {
      expect(turn, "the fault never happened").toBeGreaterThan(1);
      return;
    }
  }
  throw new Error(`more than ${maxTurns} turns`);
}

/** Faults are allowed, but only those that say what may have happened. */
async function outcomeOf(operation: Promise<unknown>): Promise<Outcome> {
  try {
    await operation;
    return { failed: false };
  } catch (error) {
    if (error instanceof OutsideError) return { failed: true, effect: error.effect };
    if (error instanceof CardeaError && error.code === "lease_stuck") return { failed: true, effect: "maybe" };
    throw error;
  }
}

/** Lends a provider of its own, as another process would have it. */
export async function withProvider<T>(harness: Harness, use: (provider: Provider) => Promise<T>): Promise<T> {
  const provider = harness.open();
  try {
    return await use(provider);
  } finally {
    await provider.close();
  }
}
