/**
 * What every connector must do that offers exact actions: the promises of `ActionProvider` in `connector.ts`, each broken at every step. The action
 * of the harness counts: doing it twice, or saying that it was not done when it was, shows.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Action } from "@cardea/core/documents/request";
import type { ActionOrder, ActionOutcome, ActionProvider, LeaseOrder, Provider } from "../connector.ts";
import type { Harness, Login, Use } from "./conformance.ts";
import { everyTurn, withProvider } from "./every-turn.ts";
import { faultModes } from "./fault-proxy.ts";

/** A session that may not do the action by itself. */
export interface ActionUse extends Use {
  /** Whether it could do the action now; does not do it. */
  mayDo(): Promise<boolean>;
}

export interface ActionHarness extends Harness {
  /** An action that counts one further each time it is done. */
  readonly asked: Pick<Action, "type" | "what">;
  /** A new order for a session's login. */
  order(): LeaseOrder;
  use(login: Login): Promise<ActionUse>;
  /** How often the action was done so far, as the resource's own superuser sees it. */
  done(): Promise<number>;
}

const signal = (): AbortSignal => AbortSignal.timeout(30_000);

/** Declares the suite. `start` makes a resource; it is called once. */
export function actionConformance(name: string, start: () => Promise<ActionHarness>): void {
  describe(`${name} keeps the promises of exact actions`, () => {
    let harness: ActionHarness;
    let action: Action;

    beforeAll(async () => {
      harness = await start();
      await withProvider(harness, async (provider) => {
        ({ action } = await actionsOf(provider).preview(harness.asked, signal()));
        // Whatever is made once and for all is made before turns are counted.
        const one = ordered(harness, action);
        await provider.create(harness.order(), signal()).then(({ user }) => provider.end(user, signal()));
        await actionsOf(provider).run(one, remembered().started, signal());
        await provider.end(one.nativeName, signal());
      });
    }, 60_000);

    afterAll(async () => {
      await harness.close();
    });

    test("a preview changes nothing, and says the same again", async () => {
      await withProvider(harness, async (provider) => {
        const before = await harness.done();
        const again = await actionsOf(provider).preview(harness.asked, signal());
        expect(again.action).toEqual(action);
        expect(await harness.done()).toBe(before);
        expect(await harness.logins()).toEqual([]);
      });
    });

    test("what cannot be started is not done", async () => {
      await withProvider(harness, async (provider) => {
        const one = ordered(harness, action);
        const before = await harness.done();
        const refused = (): Promise<void> => Promise.reject(new CardeaError("store_failed", "the disk is full"));
        await expect(actionsOf(provider).run(one, refused, signal())).rejects.toMatchObject({ code: "store_failed" });
        await provider.end(one.nativeName, signal());
        expect(await harness.done()).toBe(before);
        expect(await harness.logins()).toEqual([]);
      });
    });

    test("an aborted signal stops a call before it begins", async () => {
      await withProvider(harness, async (provider) => {
        const actions = actionsOf(provider);
        const one = ordered(harness, action);
        const aborted = AbortSignal.abort();
        const before = await harness.done();
        for (const call of [
          () => actions.preview(harness.asked, aborted),
          () => actions.lend(one, aborted),
          () => actions.takeBack(one, aborted),
          () => actions.run(one, remembered().started, aborted),
        ])
          await expect(call()).rejects.toMatchObject({ code: "cancelled", effect: "none" });
        await provider.end(one.nativeName, signal());
        expect(await harness.done()).toBe(before);
        expect(await harness.logins()).toEqual([]);
      });
    });

    test("a run says what came of it, once, and resolving says the same", async () => {
      await withProvider(harness, async (provider) => {
        const one = ordered(harness, action);
        const before = await harness.done();
        const run = remembered();
        expect(await actionsOf(provider).run(one, run.started, signal())).toMatchObject({ outcome: "done" });
        await provider.end(one.nativeName, signal());
        expect(await harness.done()).toBe(before + 1);
        expect(run.calls).toBe(1);
        if (run.trace !== undefined) expect(await actionsOf(provider).resolve(run.trace, signal())).toBe("done");
      });
    });

    test("what is no trace of this resource is not resolved", async () => {
      await withProvider(harness, async (provider) => {
        for (const trace of ["", "1", "x", "999999999999999999999999", "'; drop table"])
          expect(await actionsOf(provider).resolve(trace, signal())).toBe("unknown");
      });
    });

    describe.each(faultModes)("the connection is lost at any turn, %s", (mode) => {
      test("preview: answers or fails, and changes nothing", async () => {
        const before = await harness.done();
        await everyTurn(harness, mode, async (strike) => {
          await strike((provider) => actionsOf(provider).preview(harness.asked, signal()));
        });
        expect(await harness.done()).toBe(before);
      }, 300_000);

      test("lend: taking back completes it, lending again works, and an end leaves nothing", async () => {
        await everyTurn(harness, mode, async (strike) => {
          // What is lent may have to be made first.
          await withProvider(harness, (provider) => provider.listOwn(signal()));
          const { one, use } = await session(harness, action);
          const outcome = await strike((provider) => actionsOf(provider).lend(one, signal()));
          if (!outcome.failed) expect(await use.mayDo()).toBe(true);
          await withProvider(harness, async (next) => {
            const actions = actionsOf(next);
            await actions.takeBack(one, signal());
            expect(await use.mayDo()).toBe(false);
            await actions.lend(one, signal());
            expect(await use.mayDo()).toBe(true);
            // As if we had died with it lent.
            expect(await next.end(one.nativeName, signal())).toMatchObject({ misuse: [] });
          });
          await use.closed;
        });
      }, 300_000);

      test("take back: it is back, or a second call completes it", async () => {
        await everyTurn(harness, mode, async (strike) => {
          const { one, use } = await session(harness, action);
          await withProvider(harness, (provider) => actionsOf(provider).lend(one, signal()));
          expect(await use.mayDo()).toBe(true);
          const outcome = await strike((provider) => actionsOf(provider).takeBack(one, signal()));
          if (!outcome.failed) expect(await use.mayDo()).toBe(false);
          await withProvider(harness, async (next) => {
            await actionsOf(next).takeBack(one, signal());
            expect(await use.mayDo()).toBe(false);
            await use.act();
            expect(await next.end(one.nativeName, signal())).toMatchObject({ misuse: [] });
          });
          await use.closed;
        });
      }, 300_000);

      test("run: never twice, and whatever is said of it is true", async () => {
        const said = new Set<string>();
        await everyTurn(harness, mode, async (strike) => {
          const one = ordered(harness, action);
          const before = await harness.done();
          const run = remembered();
          let outcome: ActionOutcome["outcome"] | "thrown" = "thrown";
          await strike(async (provider) => {
            ({ outcome } = await actionsOf(provider).run(one, run.started, signal()));
          });
          await withProvider(harness, async (next) => {
            // The order of recovery: nothing of it goes on, then its outcome is looked at.
            await next.end(one.nativeName, signal());
            const times = (await harness.done()) - before;
            const truth = times === 1 ? "done" : "failed";
            expect(times === 0 || times === 1).toBe(true);
            if (outcome !== "unknown") expect(outcome === "thrown" ? "failed" : outcome).toBe(truth);
            if (run.calls === 0) expect(truth).toBe("failed");
            if (run.trace !== undefined) expect(await actionsOf(next).resolve(run.trace, signal())).toBe(truth);
            said.add(outcome);
          });
        });
        expect(said.has("done")).toBe(true);
        expect(said.has("thrown")).toBe(true);
      }, 300_000);
    });
  });
}

function actionsOf({ actions }: Provider): ActionProvider {
  if (actions === undefined) throw new TypeError("the provider offers no actions");
  return actions;
}

/** An order of the action, for a login of its own. */
function ordered(harness: ActionHarness, action: Action): ActionOrder {
  const { lease, nativeName, notAfterMs } = harness.order();
  return { lease, nativeName, notAfterMs, action };
}

async function session(harness: ActionHarness, action: Action): Promise<{ one: ActionOrder; use: ActionUse }> {
  const order = harness.order();
  const login = await withProvider(harness, (provider) => provider.create(order, signal()));
  const use = await harness.use(login);
  expect(await use.mayDo()).toBe(false);
  return { one: { lease: order.lease, nativeName: order.nativeName, notAfterMs: order.notAfterMs, action }, use };
}

/** What an outpost would have written down when the run started. */
interface Memory {
  trace: string | undefined;
  calls: number;
  readonly started: (trace: string | undefined) => Promise<void>;
}

function remembered(): Memory {
  const memory: Memory = {
    trace: undefined,
    calls: 0,
    started: (trace) => {
      memory.trace = trace;
      memory.calls += 1;
      return Promise.resolve();
    },
  };
  return memory;
}
