import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyPolicy } from "@cardea/control/policy/apply";
import { showGrant } from "@cardea/control/grants/show";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { startTestCluster, type TestCluster } from "./cluster.ts";
import { connectThrough, freePort, gatewayPolicy, obtainGatewayKey } from "./gateway-keys.ts";
import { startLinkedControl, startLinkedOutpost, until, untilReady, type LinkedControl } from "./linked.ts";
import { makeOutpostHome } from "./outpost-process.ts";

let cluster: TestCluster;
let resource: TestResource;
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  resource = await testResource(cluster);
}, 60_000);
afterAll(async () => {
  await resource.close();
  await cluster.stop();
});

const gateway = { postgres: { listen: "127.0.0.1:0" } };

async function logins(): Promise<string[]> {
  const rows = await resource.su("select rolname from pg_roles where rolcanlogin and rolname like 'cardea\\_%'");
  return rows.map((row) => String(row["rolname"]));
}

/** The words of a refusal with this code; `undefined` where the key opens, or is refused otherwise. */
async function refusal(key: DeliveredKey, code: string): Promise<string | undefined> {
  try {
    await (await connectThrough(key)).client.end();
    return undefined;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === code ? error.message : undefined;
  }
}

async function stateOf({ control, given }: LinkedControl, grant: Parameters<typeof showGrant>[2]): Promise<string> {
  return (await showGrant(control, await given.actor("root"), grant)).state;
}

describe("at each session a gateway looks again", () => {
  test("at the policy in force", async () => {
    await using linked = await startLinkedControl(cluster, { policy: gatewayPolicy });
    await using outpost = await startLinkedOutpost(linked, [resource.config], { gateway });
    await untilReady(linked.control, resource.config.name);
    expect(outpost.outpost.name).toBe("outpost");
    const { key, grant } = await obtainGatewayKey(linked, resource);
    expect(await refusal(key, "28000")).toBeUndefined();
    const source = `${gatewayPolicy}
  - name: frozen
    permits: { roles: [read] }
    effect: deny
    message: nobody reads during the freeze
`;
    await applyPolicy(linked.control, await linked.given.actor("root"), { source, base: 1 });
    expect(await until("it is refused", () => refusal(key, "28000"))).toContain("rule `frozen` refuses it");
    expect(await stateOf(linked, grant)).toBe("active");
    expect(await until("nothing is left", async () => (await logins()).length === 0)).toBe(true);
  }, 60_000);

  test("at the people, also of a roster that changed otherwise", async () => {
    await using linked = await startLinkedControl(cluster, { policy: gatewayPolicy });
    await using outpost = await startLinkedOutpost(linked, [resource.config], { gateway });
    await untilReady(linked.control, resource.config.name);
    const { key } = await obtainGatewayKey(linked, resource);
    // Another roster, that still says the same of ada.
    await linked.given.change("dora", { claims: { floor: "3" } });
    await new Promise((done) => setTimeout(done, 300));
    expect(outpost.outpost.connected()).toBe(true);
    await (await connectThrough(key)).client.end();
    await linked.given.change("ada", { groups: [] });
    expect(await until("it is refused", () => refusal(key, "28000"))).toContain("no longer stands");
  }, 60_000);

  test("at how old the control plane's last word is; open sessions go on", async () => {
    let aheadMs = 0;
    await using linked = await startLinkedControl(cluster, { policy: gatewayPolicy });
    await using outpost = await startLinkedOutpost(linked, [resource.config], {
      gateway,
      clock: { now: () => Date.now() + aheadMs },
      monotonic: { nowMs: () => performance.now() + aheadMs },
    });
    await untilReady(linked.control, resource.config.name);
    const { key } = await obtainGatewayKey(linked, resource);
    const { client } = await connectThrough(key);
    await linked.hangUp();
    await until("the link is down", () => !outpost.outpost.connected());
    await (await connectThrough(key)).client.end();
    aheadMs = 61_000;
    expect(await until("it is refused", () => refusal(key, "57P03"))).toContain("older than the grace");
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await linked.pickUp();
    await client.end();
    await until("nothing is left", async () => (await logins()).length === 0);
  }, 60_000);

  test("and remembers policy and people over a restart, for as long as they are good", async () => {
    let aheadMs = 0;
    await using linked = await startLinkedControl(cluster, { policy: gatewayPolicy });
    const listen = `127.0.0.1:${String(await freePort())}`;
    const first = await startLinkedOutpost(linked, [resource.config], {
      gateway: { postgres: { listen } },
      clock: { now: () => Date.now() + aheadMs },
      monotonic: { nowMs: () => performance.now() + aheadMs },
    });
    await untilReady(linked.control, resource.config.name);
    const { key } = await obtainGatewayKey(linked, resource);
    await linked.hangUp();
    await using outpost = await first.restart();
    expect(outpost.outpost.connected()).toBe(false);
    await (await connectThrough(key)).client.end();
    aheadMs = 61_000;
    expect(await until("it is refused", () => refusal(key, "57P03"))).toContain("older than the grace");
    await linked.pickUp();
    await until("nothing is left", async () => (await logins()).length === 0);
  }, 60_000);
});

describe("an outpost that is killed with open sessions", () => {
  test("leaves no login after its next start; its key opens again, and is not told of twice", async () => {
    await using linked = await startLinkedControl(cluster, { policy: gatewayPolicy });
    const listen = `127.0.0.1:${String(await freePort())}`;
    await using home = await makeOutpostHome(linked, [resource.config], {}, { postgres: { listen } });
    const first = await home.start();
    await untilReady(linked.control, resource.config.name);
    const { key, grant } = await obtainGatewayKey(linked, resource, { limits: { sessions: 2, uses: 3 } });
    const clients = [await connectThrough(key), await connectThrough(key)];
    expect(await logins()).toHaveLength(2);
    await first.kill();
    for (const { ended } of clients) expect(await ended).toBeInstanceOf(Error);
    expect(await logins()).toHaveLength(2);

    const second = await home.start();
    await until("no login is left", async () => (await logins()).length === 0);
    const { client } = await until("the key opens", () => connectThrough(key).catch(() => undefined));
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await client.end();
    // Two uses before the crash and one after it.
    await until("it is spent", async () => (await stateOf(linked, grant)) === "ended");
    expect(await logins()).toEqual([]);
    await second.kill();
  }, 60_000);

  test.each(["lease.intended", "lease.created"])(
    "while it opens one, at %s: nothing is left",
    async (point) => {
      await using linked = await startLinkedControl(cluster, { policy: gatewayPolicy });
      const listen = `127.0.0.1:${String(await freePort())}`;
      await using home = await makeOutpostHome(linked, [resource.config], {}, { postgres: { listen } });
      const first = await home.start(point);
      await untilReady(linked.control, resource.config.name);
      const { key } = await obtainGatewayKey(linked, resource);
      const arriving = connectThrough(key).catch((error: unknown) => error);
      await first.paused();
      await first.kill();
      expect(await arriving).toBeInstanceOf(Error);

      const second = await home.start();
      await until("no login is left", async () => (await logins()).length === 0);
      const { client } = await until("the key opens", () => connectThrough(key).catch(() => undefined));
      await client.end();
      await until("no login is left", async () => (await logins()).length === 0);
      await second.kill();
    },
    60_000,
  );
});
