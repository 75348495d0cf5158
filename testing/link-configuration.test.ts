import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listAudit } from "@cardea/control/audit/list";
import { revokeGrant } from "@cardea/control/grants/revoke";
import { showGrant } from "@cardea/control/grants/show";
import { applyResource } from "@cardea/control/resources/apply";
import { listResources, showResource } from "@cardea/control/resources/list";
import { listOutposts } from "@cardea/control/resources/outposts";
import { removeResource } from "@cardea/control/resources/remove";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import { newId, type ResourceId } from "@cardea/core/contract/ids";
import { configureInfo } from "@cardea/core/contract/outpost-marks";
import { digestOf } from "@cardea/core/documents/digest";
import { signDigest } from "@cardea/core/documents/signature";
import { PageQuery } from "@cardea/core/wire/api/conventions";
import { AuditQuery } from "@cardea/core/wire/api/operations";
import type { SealedKey } from "@cardea/core/wire/delivery";
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

const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };

let cluster: TestCluster;
let linked: LinkedControl;
let outpost: LinkedOutpost;
let resource: TestResource;
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  linked = await startLinkedControl(cluster);
  outpost = await startLinkedOutpost(linked, [{ ...(await testResource(cluster)).config, name: "from-file" }]);
  resource = await testResource(cluster);
  await untilReady(linked.control, "from-file");
}, 60_000);
afterAll(async () => {
  await outpost[Symbol.asyncDispose]();
  await linked[Symbol.asyncDispose]();
  await resource.close();
  await cluster.stop();
});

const root = () => linked.given.actor("root");

async function seal(name: string, environment: string): Promise<SealedKey> {
  const { items } = await listOutposts(linked.control, await root(), PageQuery.parse({}));
  const config = { ...resource.config, name, labels: { environment } };
  return await sealTo(items[0]?.sealKey ?? "", new TextEncoder().encode(JSON.stringify(config)), name, configureInfo);
}

const apply = async (name: string, environment: string) =>
  await applyResource(linked.control, await root(), name, {
    outpost: outpost.outpost.id as never,
    sealed: await seal(name, environment),
  });

async function environmentOf(name: string): Promise<string | undefined> {
  return (await showResource(linked.control, await root(), name)).labels["environment"];
}

/** Puts a task into the outpost's queue as the database's administrator would; answers with what it came to. */
async function slipIn(payload: Record<string, unknown>, name = "shop"): Promise<unknown> {
  const id = newId("task", linked.control.clock, random);
  await linked.world.sql(
    "insert into tasks (id, outpost, type, resource, payload, state, next_at, created_at) values ($1, $2, 'configure', $3, $4, 'open', now(), now())",
    [id, outpost.outpost.id, name, JSON.stringify({ type: "configure", ...payload })],
  );
  return await until("the task is closed", async () => {
    const [row] = await linked.world.sql("select state, code from tasks where id = $1", [id]);
    return row?.["state"] !== "open" && (row?.["code"] ?? row?.["state"]);
  });
}

/** The payload of the newest `configure` task of the resource. */
async function lastPayload(name: string): Promise<Record<string, unknown>> {
  const [row] = await linked.world.sql(
    "select payload from tasks where type = 'configure' and resource = $1 order by created_at desc, id desc limit 1",
    [name],
  );
  // As it was enqueued.
  return row?.["payload"] as Record<string, unknown>;
}

function authority(id: string, name: string, content: Record<string, unknown>, seed: Uint8Array) {
  const document = {
    v: 1,
    resource: id,
    name,
    outpost: outpost.outpost.id,
    version: Date.now() + 1_000_000,
    by: newId("subject", linked.control.clock, random),
    at: new Date().toISOString(),
    ...content,
  };
  return {
    document,
    signature: signDigest("control", linked.control.keys.signing.id, seed, digestOf("configuration", document)),
  };
}

async function names(): Promise<string[]> {
  return (await listResources(linked.control, await root(), PageQuery.parse({}))).items.map(({ name }) => name);
}

describe("a task to configure that the database's administrator makes", () => {
  let id: ResourceId;
  let narrow: Record<string, unknown>;
  let wide: Record<string, unknown>;
  beforeAll(async () => {
    id = (await apply("shop", "wide")).id;
    wide = await lastPayload("shop");
    await apply("shop", "narrow");
    narrow = await lastPayload("shop");
  });

  test("out of an older one is stale, also after a restart", async () => {
    expect(await slipIn(wide)).toBe("configuration_stale");
    outpost = await outpost.restart();
    expect(await slipIn(wide)).toBe("configuration_stale");
    expect(await environmentOf("shop")).toBe("narrow");
  });

  test("out of the newest one does what was done already", async () => {
    expect(await slipIn(narrow)).toBe("done");
    expect(await environmentOf("shop")).toBe("narrow");
  });

  test("and seals rightly, but cannot sign, is refused, and told of", async () => {
    const sealed = await seal("shop", "forged");
    expect(
      await slipIn({
        sealed,
        authority: authority(id, "shop", { content: digestOf("sealed", sealed) }, random.bytes(32)),
      }),
    ).toBe("configuration_invalid");
    expect(await slipIn({ sealed, authority: narrow["authority"] })).toBe("configuration_invalid");
    expect(await slipIn({ sealed })).toBe("link_message_invalid");
    expect(await slipIn({ resource: id, name: "shop", sealed })).toBe("link_message_invalid");
    expect(await environmentOf("shop")).toBe("narrow");
    await until(
      "it is logged",
      async () =>
        (
          await listAudit(
            linked.control,
            await linked.given.actor("audrey"),
            AuditQuery.parse({ type: "security.refused" }),
          )
        ).items.length > 0,
    );
  });

  test("to remove the resource is refused", async () => {
    expect(await slipIn({ authority: authority(id, "shop", { removed: true }, random.bytes(32)) })).toBe(
      "configuration_invalid",
    );
    expect(await slipIn({ authority: narrow["authority"] })).toBe("configuration_invalid");
    expect(await names()).toContain("shop");
  });

  test("with a signature that is for another outpost or name is refused", async () => {
    const { seed } = linked.control.keys.signing;
    const sealed = await seal("shop", "forged");
    const content = { content: digestOf("sealed", sealed) };
    expect(
      await slipIn({
        sealed,
        authority: authority(id, "shop", { ...content, outpost: newId("outpost", linked.control.clock, random) }, seed),
      }),
    ).toBe("configuration_invalid");
    expect(await slipIn({ sealed, authority: authority(id, "other", content, seed) })).toBe("configuration_invalid");
  });

  test("is not helped by a count that is turned back: numbers go by the clock", async () => {
    await linked.world.sql("delete from resource_configurations");
    await apply("shop", "after");
    expect(await environmentOf("shop")).toBe("after");
    expect(await slipIn(narrow)).toBe("configuration_stale");
  });
});

describe("removing a resource", () => {
  test("is an administrator's to do, and only of what there is", async () => {
    await expect(removeResource(linked.control, await linked.given.actor("ada"), "shop")).rejects.toMatchObject({
      code: "forbidden",
    });
    await expect(removeResource(linked.control, await root(), "nothing")).rejects.toMatchObject({
      code: "resource_unknown",
    });
    await expect(removeResource(linked.control, await root(), "from-file")).rejects.toMatchObject({
      code: "resource_config_invalid",
      message: expect.stringMatching(/outpost\.yaml/),
    });
    expect(await names()).toContain("from-file");
  });

  test("waits for grants to end; afterwards its configurations are stale, and it can be applied anew", async () => {
    await apply("brief", "one");
    const before = await lastPayload("brief");
    const { publicKey } = await newDeliveryKey();
    const view = await linked.given.submit("ada", {
      resource: "brief",
      ask: { role: "read" },
      via: "direct",
      window: { duration: "10m" },
      deliverTo: publicKey,
    });
    const grant = view.grant?.id ?? ("" as never);
    const state = async () => (await showGrant(linked.control, await linked.given.actor("ada"), grant)).state;
    await until("the grant is active", async () => (await state()) === "active", 40_000);
    await expect(removeResource(linked.control, await root(), "brief")).rejects.toMatchObject({
      code: "resource_in_use",
    });
    await revokeGrant(linked.control, await root(), grant, { comment: "" });
    await until("the grant is ended", async () => (await state()) === "ended", 40_000);

    await removeResource(linked.control, await root(), "brief");
    expect(await names()).not.toContain("brief");
    const removal = await lastPayload("brief");
    expect(await slipIn(before, "brief")).toBe("configuration_stale");
    expect(await slipIn(removal, "brief")).toBe("done");
    outpost = await outpost.restart();
    expect(await slipIn(before, "brief")).toBe("configuration_stale");
    expect(await names()).not.toContain("brief");
    await until(
      "it is logged",
      async () =>
        (
          await listAudit(
            linked.control,
            await linked.given.actor("audrey"),
            AuditQuery.parse({ type: "resource.removed" }),
          )
        ).items.length === 1,
    );

    expect(await apply("brief", "two")).toMatchObject({ state: "ready", labels: { environment: "two" } });
    expect(await slipIn(removal, "brief")).toBe("configuration_stale");
    expect(await names()).toContain("brief");
  }, 120_000);
});
