import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fetchKey } from "@cardea/control/grants/key";
import { revokeGrant } from "@cardea/control/grants/revoke";
import { showGrant } from "@cardea/control/grants/show";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import type { GrantId } from "@cardea/core/contract/ids";
import { pausePoints, type PausePoint } from "@cardea/outpost/pause-points";
import { newDeliveryKey, openSealedKey } from "@cardea/sdk/delivery-key";
import { startTestCluster, type TestCluster } from "./cluster.ts";
import { startLinkedControl, until, untilReady, type LinkedControl } from "./linked.ts";
import { makeOutpostHome, type OutpostHome } from "./outpost-process.ts";

let cluster: TestCluster;
let resource: TestResource;
let linked: LinkedControl;
let home: OutpostHome;
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  resource = await testResource(cluster);
  linked = await startLinkedControl(cluster);
  home = await makeOutpostHome(linked, [resource.config]);
}, 60_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
  await linked[Symbol.asyncDispose]();
  await resource.close();
  await cluster.stop();
});

async function logins(): Promise<string[]> {
  const rows = await resource.su(
    "select rolname from pg_roles where rolcanlogin and rolname like 'cardea\\_%' order by 1",
  );
  return rows.map((row) => String(row["rolname"]));
}

interface Asked {
  readonly grant: GrantId;
  readonly open: () => Promise<{ readonly user: string; readonly secret: string }>;
}

async function ask(): Promise<Asked> {
  const { control, given } = linked;
  const delivery = await newDeliveryKey();
  const view = await given.submit("ada", {
    resource: resource.config.name,
    ask: { role: "read" },
    via: "direct",
    window: { duration: "10m" },
    deliverTo: delivery.publicKey,
  });
  const grant = view.grant?.id;
  if (grant === undefined) throw new Error("no grant");
  const actor = await given.actor("ada");
  return {
    grant,
    open: async () => {
      await until("the key is made", async () => (await showGrant(control, actor, grant)).state === "active", 30_000);
      const sealed = await fetchKey(control, actor, grant);
      return await openSealedKey(sealed.sealed, delivery.privateKey, sealed.digest);
    },
  };
}

const issuing: readonly PausePoint[] = [
  "issue.verified",
  "lease.intended",
  "lease.created",
  "lease.sealed",
  "lease.live",
  "receipt.sent",
];
const ending: readonly PausePoint[] = ["end.recorded", "end.called", "lease.ended", "lease.gone"];

test("every pause point of a key is killed at", () => {
  const ofKeys = pausePoints.filter((point) => !point.startsWith("run."));
  expect([...issuing, ...ending].sort()).toEqual([...ofKeys].sort());
});

describe("killed while it makes a key, the outpost", () => {
  test.each(issuing)(
    "at %s: one key comes of it, and nothing else is left",
    async (point) => {
      const first = await home.start(point);
      await untilReady(linked.control, resource.config.name);
      const { grant, open } = await ask();
      await first.paused();
      await first.kill();

      const second = await home.start();
      const key = await open();
      expect(
        await until("one login is left", async () => {
          const found = await logins();
          return found.length === 1 && found;
        }),
      ).toEqual([key.user]);
      const client = await resource.client(key);
      expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);

      await revokeGrant(linked.control, await linked.given.actor("root"), grant, { comment: "" });
      await until(
        "the grant is over",
        async () => (await showGrant(linked.control, await linked.given.actor("ada"), grant)).state === "ended",
      );
      expect(await logins()).toEqual([]);
      await second.kill();
    },
    60_000,
  );
});

describe("killed while it ends a key, the outpost", () => {
  test.each(ending)(
    "at %s: the grant is over, and nothing is left",
    async (point) => {
      const first = await home.start(point);
      await untilReady(linked.control, resource.config.name);
      const { grant, open } = await ask();
      const client = await resource.client(await open());
      await revokeGrant(linked.control, await linked.given.actor("root"), grant, { comment: "" });
      await first.paused();
      await first.kill();

      const second = await home.start();
      await until(
        "the grant is over",
        async () => (await showGrant(linked.control, await linked.given.actor("ada"), grant)).state === "ended",
      );
      expect(await logins()).toEqual([]);
      await expect(client.query("select 1")).rejects.toThrow();
      await second.kill();
    },
    60_000,
  );
});
