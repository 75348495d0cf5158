import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fetchKey } from "@cardea/control/grants/key";
import { releaseGrant } from "@cardea/control/grants/release";
import { revokeGrant } from "@cardea/control/grants/revoke";
import { showGrant } from "@cardea/control/grants/show";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import type { GrantId } from "@cardea/core/contract/ids";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { newDeliveryKey, openSealedKey } from "@cardea/sdk/delivery-key";
import { startTestCluster, type TestCluster } from "./cluster.ts";
import { startLinkedControl, startLinkedOutpost, until, untilReady, type LinkedControl } from "./linked.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
}, 60_000);
afterAll(() => cluster.stop());

interface InHand {
  readonly grant: GrantId;
  readonly key: DeliveredKey;
}

async function obtain(
  { control, given }: LinkedControl,
  resource: TestResource,
  duration = "10m",
  role = "read",
): Promise<InHand> {
  const delivery = await newDeliveryKey();
  const view = await given.submit("ada", {
    resource: resource.config.name,
    ask: { role },
    via: "direct",
    window: { duration },
    deliverTo: delivery.publicKey,
  });
  const grant = view.grant?.id;
  if (grant === undefined) throw new Error(`no grant: ${view.words}`);
  const actor = await given.actor("ada");
  await until("the key is made", async () => {
    const { state, why, detail } = await showGrant(control, actor, grant);
    if (state === "failed") throw new Error(`${why ?? ""}: ${detail ?? ""}`);
    return state === "active";
  });
  const sealed = await fetchKey(control, actor, grant);
  return { grant, key: await openSealedKey(sealed.sealed, delivery.privateKey, sealed.digest) };
}

const ended = async ({ control, given }: LinkedControl, grant: GrantId): Promise<string | false> => {
  const view = await showGrant(control, await given.actor("ada"), grant);
  return view.state === "ended" && (view.why ?? "");
};

/** Native logins of ours in the whole cluster; tests run one after the other and leave none. */
async function logins(resource: TestResource): Promise<string[]> {
  const rows = await resource.su(
    "select rolname from pg_roles where rolcanlogin and rolname like 'cardea\\_%' order by 1",
  );
  return rows.map((row) => String(row["rolname"]));
}

describe("a key over the link", () => {
  test("is made, opens the resource, and is gone after its release", async () => {
    const resource = await testResource(cluster);
    await using linked = await startLinkedControl(cluster);
    await using outpost = await startLinkedOutpost(linked, [resource.config]);
    expect(outpost.outpost.name).toBe("outpost");
    await untilReady(linked.control, resource.config.name);

    const { grant, key } = await obtain(linked, resource);
    const client = await resource.client({ user: key.user, secret: key.secret });
    expect((await client.query("select count(*)::int as n from orders")).rows).toEqual([{ n: 3 }]);
    expect(await logins(resource)).toEqual([key.user]);

    await releaseGrant(linked.control, await linked.given.actor("ada"), grant);
    expect(await until("the grant is over", () => ended(linked, grant))).toBe("released");
    expect(await logins(resource)).toEqual([]);
    await expect(client.query("select 1")).rejects.toThrow();
    await resource.close();
  }, 60_000);

  test("ends by the outpost's own clock with the link down, and the control plane learns of it later", async () => {
    const resource = await testResource(cluster);
    await using linked = await startLinkedControl(cluster);
    await using outpost = await startLinkedOutpost(linked, [resource.config]);
    expect(outpost.outpost.name).toBe("outpost");
    await untilReady(linked.control, resource.config.name);
    const { grant, key } = await obtain(linked, resource, "3s");
    const client = await resource.client({ user: key.user, secret: key.secret });
    await linked.hangUp();
    await until("the login is gone", async () => (await logins(resource)).length === 0);
    await expect(client.query("select 1")).rejects.toThrow();
    expect(await ended(linked, grant)).toBe(false);
    await linked.pickUp();
    expect(await until("the grant is over", () => ended(linked, grant))).toBe("expired");
    await resource.close();
  }, 60_000);

  test("is revoked after the outpost was away", async () => {
    const resource = await testResource(cluster);
    await using linked = await startLinkedControl(cluster);
    await using outpost = await startLinkedOutpost(linked, [resource.config]);
    expect(outpost.outpost.name).toBe("outpost");
    await untilReady(linked.control, resource.config.name);
    const { grant } = await obtain(linked, resource);
    await outpost.outpost.close();
    await revokeGrant(linked.control, await linked.given.actor("root"), grant, { comment: "" });
    expect(await logins(resource)).toHaveLength(1);
    await using again = await outpost.restart();
    expect(again.outpost.id).toBe(outpost.outpost.id);
    expect(await until("the grant is over", () => ended(linked, grant))).toBe("revoked");
    expect(await logins(resource)).toEqual([]);
    await resource.close();
  }, 60_000);

  test("asked for many at once is made once each", async () => {
    const resource = await testResource(cluster);
    await using linked = await startLinkedControl(cluster);
    await using outpost = await startLinkedOutpost(linked, [resource.config]);
    expect(outpost.outpost.name).toBe("outpost");
    await untilReady(linked.control, resource.config.name);
    const keys = await Promise.all(Array.from({ length: 12 }, () => obtain(linked, resource)));
    expect(new Set(await logins(resource))).toEqual(new Set(keys.map(({ key }) => key.user)));
    for (const { grant } of keys)
      await revokeGrant(linked.control, await linked.given.actor("root"), grant, { comment: "" });
    for (const { grant } of keys) await until("the grant is over", () => ended(linked, grant));
    expect(await logins(resource)).toEqual([]);
    await resource.close();
  }, 60_000);

  test("that is revoked at any moment of its making leaves nothing, and its grant is over", async () => {
    const resource = await testResource(cluster);
    await using linked = await startLinkedControl(cluster);
    await using outpost = await startLinkedOutpost(linked, [resource.config], { tuning: { strangerGraceMs: 60_000 } });
    expect(outpost.outpost.name).toBe("outpost");
    await untilReady(linked.control, resource.config.name);
    const { publicKey } = await newDeliveryKey();
    const root = await linked.given.actor("root");
    const grants = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const view = await linked.given.submit("ada", {
          resource: resource.config.name,
          ask: { role: "read" },
          via: "direct",
          window: { duration: "10m" },
          deliverTo: publicKey,
        });
        if (view.grant === undefined) throw new Error("no grant");
        await new Promise((done) => setTimeout(done, index * 15));
        await revokeGrant(linked.control, root, view.grant.id, { comment: "" });
        return view.grant.id;
      }),
    );
    for (const grant of grants) expect(await until("the grant is over", () => ended(linked, grant))).toBe("revoked");
    await until("nothing is left", async () => (await logins(resource)).length === 0);
    await resource.close();
  }, 60_000);
});
