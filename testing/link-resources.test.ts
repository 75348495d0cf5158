import { createServer, connect as connectTo, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listAudit } from "@cardea/control/audit/list";
import { revokeGrant } from "@cardea/control/grants/revoke";
import { showGrant } from "@cardea/control/grants/show";
import { applyResource } from "@cardea/control/resources/apply";
import { checkResource } from "@cardea/control/resources/check";
import { listResources, showResource } from "@cardea/control/resources/list";
import { listOutposts } from "@cardea/control/resources/outposts";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import { PageQuery } from "@cardea/core/wire/api/conventions";
import { AuditQuery } from "@cardea/core/wire/api/operations";
import type { SealedKey } from "@cardea/core/wire/delivery";
import type { GrantId } from "@cardea/core/contract/ids";
import { configureInfo } from "@cardea/core/contract/outpost-marks";
import { digestOf } from "@cardea/core/documents/digest";
import { newDeliveryKey, sealTo } from "@cardea/sdk/delivery-key";
import { startTestCluster, type TestCluster } from "./cluster.ts";
import {
  startLinkedControl,
  startLinkedOutpost,
  until,
  untilReady,
  type LinkedControl,
  type LinkedOutpost,
} from "./linked.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
}, 60_000);
afterAll(() => cluster.stop());

async function logins(resource: TestResource): Promise<string[]> {
  const rows = await resource.su(
    "select rolname from pg_roles where rolcanlogin and rolname like 'cardea\\_%' order by 1",
  );
  return rows.map((row) => String(row["rolname"]));
}

async function ask({ given }: LinkedControl, resource: string, duration = "10m"): Promise<GrantId> {
  const { publicKey } = await newDeliveryKey();
  const view = await given.submit("ada", {
    resource,
    ask: { role: "read" },
    via: "direct",
    window: { duration },
    deliverTo: publicKey,
  });
  if (view.grant === undefined) throw new Error("no grant");
  return view.grant.id;
}

const show = async ({ control, given }: LinkedControl, grant: GrantId) =>
  await showGrant(control, await given.actor("ada"), grant);
const inState = (linked: LinkedControl, grant: GrantId, state: string) =>
  until(`the grant is ${state}`, async () => (await show(linked, grant)).state === state, 40_000);
const revoke = async (linked: LinkedControl, grant: GrantId) =>
  await revokeGrant(linked.control, await linked.given.actor("root"), grant, { comment: "" });

describe("a configuration that comes sealed", () => {
  let linked: LinkedControl;
  let outpost: LinkedOutpost;
  let resource: TestResource;
  beforeAll(async () => {
    linked = await startLinkedControl(cluster);
    outpost = await startLinkedOutpost(linked, [
      { ...(await testResource(cluster)).config, name: "from-file" },
      { name: "broken", kind: "postgres", labels: {}, owners: { groups: [] } },
    ]);
    resource = await testResource(cluster);
    await untilReady(linked.control, "from-file");
  }, 60_000);
  afterAll(async () => {
    await outpost[Symbol.asyncDispose]();
    await linked[Symbol.asyncDispose]();
    await resource.close();
  });

  async function seal(config: unknown, name: string): Promise<SealedKey> {
    const { items } = await listOutposts(linked.control, await linked.given.actor("root"), PageQuery.parse({}));
    const key = items.find(({ id }) => id === outpost.outpost.id)?.sealKey ?? "";
    return await sealTo(key, new TextEncoder().encode(JSON.stringify(config)), name, configureInfo);
  }
  const apply = async (name: string, sealed: SealedKey) =>
    await applyResource(linked.control, await linked.given.actor("root"), name, {
      outpost: outpost.outpost.id as never,
      sealed,
    });

  test("is opened, looked at and served, also after a restart", async () => {
    const view = await apply("sealed-one", await seal({ ...resource.config, name: "sealed-one" }, "sealed-one"));
    expect(view).toMatchObject({ name: "sealed-one", state: "ready", kind: "postgres", outpost: { connected: true } });
    const shown = await showResource(linked.control, await linked.given.actor("ada"), "sealed-one");
    expect(shown.publicPrivileges?.summary).toContainEqual(expect.stringMatching(/^make temporary tables in /));
    expect(digestOf("public-privileges", shown.publicPrivileges)).toBe(shown.spec?.publicPrivileges);
    outpost = await outpost.restart();
    const grant = await ask(linked, "sealed-one");
    await inState(linked, grant, "active");
    await revoke(linked, grant);
    await inState(linked, grant, "ended");
  }, 60_000);

  test.each([
    [
      "for another name",
      "two",
      async () => await seal({ ...resource.config, name: "two" }, "three"),
      /not sealed to this outpost's key/,
    ],
    [
      "with another name inside",
      "two",
      async () => await seal({ ...resource.config, name: "three" }, "two"),
      /names `three`/,
    ],
    [
      "that its connector refuses",
      "two",
      async () => await seal({ ...resource.config, name: "two", roles: 7 }, "two"),
      /`roles`/,
    ],
    [
      "of a resource that stands in outpost.yaml",
      "from-file",
      async () => await seal({ ...resource.config, name: "from-file" }, "from-file"),
      /outpost\.yaml/,
    ],
  ])("is refused %s", async (_, name, sealed, words) => {
    await expect(apply(name, await sealed())).rejects.toMatchObject({
      code: "resource_config_invalid",
      message: expect.stringMatching(words),
    });
  });

  test("reads nothing of the outpost's machine", async () => {
    const config = {
      ...resource.config,
      name: "thief",
      connect: { ...resource.config.connect, password: { file: "/etc/hostname" } },
    };
    const view = await apply("thief", await seal(config, "thief"));
    expect(view).toMatchObject({ state: "invalid", detail: expect.stringMatching(/resource_config_invalid.*`value`/) });
  });

  test("is an administrator's to give", async () => {
    const sealed = await seal({ ...resource.config, name: "two" }, "two");
    await expect(
      applyResource(linked.control, await linked.given.actor("ada"), "two", {
        outpost: outpost.outpost.id as never,
        sealed,
      }),
    ).rejects.toMatchObject({ code: "forbidden" });
  });

  test("stands in a list beside what is broken, with what each may be asked for", async () => {
    const broken = await until("the broken one is reported", async () => {
      const view = await showResource(linked.control, await linked.given.actor("root"), "broken").catch(
        () => undefined,
      );
      return view?.state === "invalid" && view;
    });
    expect(broken.detail).toMatch(/`broken`: `connect`/);
    const { items } = await listResources(linked.control, await linked.given.actor("ada"), PageQuery.parse({}));
    const view = items.find(({ name }) => name === "from-file");
    expect(view?.offers.map(({ role, effect, maxDuration, via }) => ({ role, effect, maxDuration, via }))).toEqual([
      {
        role: "everything",
        effect: "deny",
        maxDuration: undefined,
        via: ["gateway", "direct"].filter(
          (one) => view?.spec?.roles["everything"]?.vias.includes(one as never) === true,
        ),
      },
      { role: "read", effect: "allow", maxDuration: "4h", via: ["direct"] },
      { role: "write", effect: "allow", maxDuration: "4h", via: ["direct"] },
    ]);
    expect(items.find(({ name }) => name === "broken")?.detail).toBeUndefined();
  });

  test("is looked at anew when somebody asks", async () => {
    await resource.su(`alter role ${resource.admin} nocreaterole`);
    const view = await checkResource(linked.control, await linked.given.actor("root"), "sealed-one");
    expect(view.state).toBe("degraded");
    expect(view.missing[0]?.fix).toMatch(/createrole/i);
    const grant = await ask(linked, "sealed-one");
    await inState(linked, grant, "failed");
    expect((await show(linked, grant)).why).toBe("resource_privilege_missing");
    await resource.su(`alter role ${resource.admin} createrole`);
    expect(await checkResource(linked.control, await linked.given.actor("root"), "sealed-one")).toMatchObject({
      state: "ready",
      missing: [],
    });
  }, 60_000);
});

/** A way to a server that can be cut. */
async function cuttable(port: number): Promise<{ readonly port: number; cut(): void; mend(): void; close(): void }> {
  const sockets = new Set<Socket>();
  let open = true;
  const server: Server = createServer((client) => {
    if (!open) {
      client.destroy();
      return;
    }
    const upstream = connectTo(port, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
    }
    client.pipe(upstream).pipe(client);
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const cut = (): void => {
    open = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    cut,
    mend: () => void (open = true),
    close: () => void (cut(), server.close()),
  };
}

describe("a resource that cannot be reached", () => {
  test("is refused at once after a while, keeps its endings, shows them as stuck, and goes on when it is back", async () => {
    const way = await cuttable(cluster.port);
    const resource = await testResource(cluster, { port: way.port });
    await using linked = await startLinkedControl(cluster);
    await using outpost = await startLinkedOutpost(linked, [resource.config], {
      tuning: { breakerMs: { first: 200, max: 400 }, breakerAfter: 3, stuckAfter: 2 },
    });
    const name = resource.config.name;
    await untilReady(linked.control, name);
    const [kept, other] = [await ask(linked, name), await ask(linked, name)];
    await inState(linked, kept, "active");
    await inState(linked, other, "active");

    way.cut();
    await revoke(linked, kept);
    await revoke(linked, other);
    await until(
      "it is known to be away",
      async () => (await showResource(linked.control, await linked.given.actor("ada"), name)).state === "unreachable",
    );
    await until("a lease is stuck", async () => {
      const page = await listAudit(
        linked.control,
        await linked.given.actor("audrey"),
        AuditQuery.parse({ type: "lease.stuck" }),
      );
      return page.items.length > 0;
    });
    await until("the outpost counts it", async () => {
      const { items } = await listOutposts(linked.control, await linked.given.actor("root"), PageQuery.parse({}));
      return (items.find(({ id }) => id === outpost.outpost.id)?.leases?.stuck ?? 0) > 0;
    });
    const refused = await ask(linked, name);
    await until("the refusal is told", async () =>
      /could not be reached|cannot be reached/.test((await show(linked, refused)).detail ?? ""),
    );
    expect(await logins(resource)).toHaveLength(2);

    way.mend();
    await inState(linked, kept, "ended");
    await inState(linked, other, "ended");
    await inState(linked, refused, "active");
    await revoke(linked, refused);
    await inState(linked, refused, "ended");
    expect(await logins(resource)).toEqual([]);
    await resource.close();
    way.close();
  }, 90_000);
});

test("a storm of what ran out while the outpost was away is ended, and keys are made meanwhile", async () => {
  const resource = await testResource(cluster);
  await using linked = await startLinkedControl(cluster);
  await using outpost = await startLinkedOutpost(linked, [resource.config]);
  const name = resource.config.name;
  await untilReady(linked.control, name);
  const many = await Promise.all(Array.from({ length: 60 }, () => ask(linked, name, "8s")));
  for (const grant of many) await inState(linked, grant, "active");
  await outpost.outpost.close();
  await new Promise((done) => setTimeout(done, 8_500));
  expect(await logins(resource)).toHaveLength(60);
  await using again = await outpost.restart();
  await until("the link is up", () => again.outpost.connected());
  const fresh = await ask(linked, name);
  await inState(linked, fresh, "active");
  for (const grant of many) await inState(linked, grant, "ended");
  expect(await logins(resource)).toHaveLength(1);
  await revoke(linked, fresh);
  await inState(linked, fresh, "ended");
  await resource.close();
}, 90_000);

test("an outpost whose clock steps issues nothing until the control plane's time agrees", async () => {
  const resource = await testResource(cluster);
  await using linked = await startLinkedControl(cluster);
  let offsetMs = 0;
  await using outpost = await startLinkedOutpost(linked, [resource.config], {
    clock: { now: () => Date.now() + offsetMs },
  });
  expect(outpost.outpost.name).toBe("outpost");
  await untilReady(linked.control, resource.config.name);
  offsetMs = -120_000;
  const grant = await ask(linked, resource.config.name);
  await until("the refusal is told", async () => /clock/.test((await show(linked, grant)).detail ?? ""));
  expect(await logins(resource)).toEqual([]);
  offsetMs = 0;
  await inState(linked, grant, "active");
  await revoke(linked, grant);
  await inState(linked, grant, "ended");
  await resource.close();
}, 90_000);
