/**
 * What every connector must do, whatever the resource: the promises of `Provider` in `connector.ts`, each broken at every step of the
 * conversation with the resource. A connector's test gives a harness around a real server; the suite knows nothing of its protocol.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LeaseOrder, Provider } from "../connector.ts";
import { everyTurn, withProvider } from "./every-turn.ts";
import { faultModes, type FaultProxy } from "./fault-proxy.ts";

/** A live use of a key: one connection, or whatever the resource has in its place. */
export interface Use {
  /** Resolves once the resource has closed it. */
  readonly closed: Promise<void>;
  /** Does something that the role permits; rejects where the resource refuses. */
  act(): Promise<void>;
  close(): Promise<void>;
}

export interface Login {
  readonly user: string;
  readonly secret: string;
}

/** One real resource behind a proxy, in a state of its own. */
export interface Harness {
  /** All of a provider's connections go through it. */
  readonly proxy: FaultProxy;
  /** A new provider, as a new process would open it. The suite closes it. */
  open(): Provider;
  /** A new order for a role that the resource has, under a new name. */
  order(): LeaseOrder;
  /** Signs in with a key, past the proxy. Rejects where the resource refuses it. */
  use(login: Login): Promise<Use>;
  /** Names of all native logins at the resource that bear its mark, as its own superuser sees them. */
  logins(): Promise<readonly string[]>;
  /** Names of everything else that bears its mark. */
  others(): Promise<readonly string[]>;
  /** Ends the resource's side of the connection that comes from this local port. */
  kill(localPort: number): Promise<void>;
  close(): Promise<void>;
}

const signal = (): AbortSignal => AbortSignal.timeout(30_000);

/** Declares the suite. `start` makes a resource; it is called once. */
export function conformance(name: string, start: () => Promise<Harness>): void {
  describe(`${name} keeps the promises of a connector`, () => {
    let harness: Harness;

    beforeAll(async () => {
      harness = await start();
      // Whatever is made once and for all is made before turns are counted.
      await withProvider(harness, async (provider) => {
        const order = harness.order();
        await provider.create(order, signal());
        await provider.end(order.nativeName, signal());
      });
    }, 60_000);

    afterAll(async () => {
      await harness.close();
    });

    test("a created key works, and does not after its end", async () => {
      await withProvider(harness, async (provider) => {
        const order = harness.order();
        const login = await provider.create(order, signal());
        const use = await harness.use(login);
        await use.act();
        expect(await harness.logins()).toEqual([order.nativeName]);
        expect(await provider.end(order.nativeName, signal())).toEqual({ closedSessions: 1, misuse: [] });
        await use.closed;
        await expect(harness.use(login)).rejects.toThrow();
        expect(await harness.logins()).toEqual([]);
      });
    });

    test("creating twice for one order makes one login, with a new secret", async () => {
      await withProvider(harness, async (provider) => {
        const order = harness.order();
        const first = await provider.create(order, signal());
        const second = await provider.create(order, signal());
        expect(second.secret).not.toBe(first.secret);
        expect(await harness.logins()).toEqual([order.nativeName]);
        await expect(harness.use(first)).rejects.toThrow();
        await (await harness.use(second)).close();
        await provider.end(order.nativeName, signal());
      });
    });

    test("ending what does not exist succeeds, and ending twice does", async () => {
      await withProvider(harness, async (provider) => {
        const order = harness.order();
        expect(await provider.end(order.nativeName, signal())).toEqual({ closedSessions: 0, misuse: [] });
        await provider.create(order, signal());
        const ends = await Promise.all([1, 2, 3].map(() => provider.end(order.nativeName, signal())));
        expect(ends.map((ended) => ended.misuse)).toEqual([[], [], []]);
        expect(await harness.logins()).toEqual([]);
      });
    });

    test("two providers that end the same login at once both succeed", async () => {
      await withProvider(harness, async (one) => {
        await withProvider(harness, async (other) => {
          // Both have taken the place of earlier ones before they meet.
          await one.listOwn(signal());
          await other.listOwn(signal());
          const order = harness.order();
          await one.create(order, signal()).catch(() => one.create(order, signal()));
          await Promise.all([one.end(order.nativeName, signal()), other.end(order.nativeName, signal())]);
          expect(await harness.logins()).toEqual([]);
        });
      });
    });

    test("lists what is its own, with deadline and sessions, until it is gone", async () => {
      await withProvider(harness, async (provider) => {
        const order = harness.order();
        const use = await harness.use(await provider.create(order, signal()));
        const during = await provider.listOwn(signal());
        const deadlineMs = Math.ceil(order.notAfterMs / 1_000) * 1_000;
        expect(during.ours).toContainEqual({ nativeName: order.nativeName, what: "login", deadlineMs, sessions: 1 });
        await provider.end(order.nativeName, signal());
        await use.closed;
        const after = await provider.listOwn(signal());
        expect(after.ours).toEqual([]);
        expect(await harness.others()).toEqual([]);
      });
    });

    test("an aborted signal stops a call before it begins", async () => {
      await withProvider(harness, async (provider) => {
        const order = harness.order();
        const aborted = AbortSignal.abort();
        await expect(provider.create(order, aborted)).rejects.toMatchObject({ code: "cancelled", effect: "none" });
        await expect(provider.end(order.nativeName, aborted)).rejects.toMatchObject({
          code: "cancelled",
          effect: "none",
        });
        expect(await harness.logins()).toEqual([]);
      });
    });

    describe.each(faultModes)("the connection is lost at any turn, %s", (mode) => {
      test("create: nothing stays that its end does not remove, and another create works", async () => {
        await everyTurn(harness, mode, async (strike) => {
          const order = harness.order();
          const outcome = await strike((provider) => provider.create(order, signal()));
          if (outcome.failed && outcome.effect === "none") expect(await harness.logins()).toEqual([]);
          await withProvider(harness, async (next) => {
            await next.end(order.nativeName, signal());
            // What an abandoned server was still at would show itself by now.
            expect(await harness.logins()).toEqual([]);
            const login = await next.create(order, signal());
            const use = await harness.use(login);
            await use.act();
            await next.end(order.nativeName, signal());
            await use.closed;
          });
        });
      }, 300_000);

      test("create again at once: one login", async () => {
        await everyTurn(harness, mode, async (strike) => {
          const order = harness.order();
          await strike((provider) => provider.create(order, signal()));
          await withProvider(harness, async (next) => {
            const login = await next.create(order, signal());
            expect(await harness.logins()).toEqual([order.nativeName]);
            await (await harness.use(login)).close();
            await next.end(order.nativeName, signal());
          });
        });
      }, 300_000);

      test("end: the login is shut or as it was, and a second end completes it", async () => {
        await everyTurn(harness, mode, async (strike) => {
          const order = harness.order();
          const login = await withProvider(harness, (provider) => provider.create(order, signal()));
          const use = await harness.use(login);
          const outcome = await strike((provider) => provider.end(order.nativeName, signal()));
          if (!outcome.failed) expect(await harness.logins()).toEqual([]);
          await withProvider(harness, (next) => next.end(order.nativeName, signal()));
          await use.closed;
          await expect(harness.use(login)).rejects.toThrow();
        });
      }, 300_000);

      test("list: fails or lists, and changes no login", async () => {
        await everyTurn(harness, mode, async (strike) => {
          const order = harness.order();
          await withProvider(harness, (provider) => provider.create(order, signal()));
          await strike((provider) => provider.listOwn(signal()));
          expect(await harness.logins()).toEqual([order.nativeName]);
          await withProvider(harness, (next) => next.end(order.nativeName, signal()));
        });
      }, 300_000);
    });
  });
}
