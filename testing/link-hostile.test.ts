import { cp, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { fetchKey } from "@cardea/control/grants/key";
import { revokeGrant } from "@cardea/control/grants/revoke";
import { showGrant } from "@cardea/control/grants/show";
import { listAudit } from "@cardea/control/audit/list";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import { AuditQuery } from "@cardea/core/wire/api/operations";
import { newId, type GrantId } from "@cardea/core/contract/ids";
import { newNativeName } from "@cardea/core/contract/native-name";
import { markKeyOf, markSeedOf, resourceIdOf } from "@cardea/core/contract/outpost-marks";
import { newDeliveryKey } from "@cardea/sdk/delivery-key";
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
let resource: TestResource;
let linked: LinkedControl;
let outpost: LinkedOutpost;
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  resource = await testResource(cluster);
  linked = await startLinkedControl(cluster);
  outpost = await startLinkedOutpost(linked, [resource.config]);
  await untilReady(linked.control, resource.config.name);
}, 60_000);
afterAll(async () => {
  await outpost[Symbol.asyncDispose]();
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

async function stateOf(
  grant: GrantId,
): Promise<{ readonly state: string; readonly why?: string | undefined; readonly nativeName?: string | undefined }> {
  return await showGrant(linked.control, await linked.given.actor("ada"), grant);
}

async function activeGrant(): Promise<GrantId> {
  const { publicKey } = await newDeliveryKey();
  const view = await linked.given.submit("ada", {
    resource: resource.config.name,
    ask: { role: "read" },
    via: "direct",
    window: { duration: "10m" },
    deliverTo: publicKey,
  });
  const grant = view.grant?.id;
  if (grant === undefined) throw new Error("no grant");
  await until("the grant is active", async () => (await stateOf(grant)).state === "active");
  return grant;
}

async function revoke(grant: GrantId): Promise<void> {
  await revokeGrant(linked.control, await linked.given.actor("root"), grant, { comment: "" });
  await until("the grant is over", async () => (await stateOf(grant)).state === "ended");
}

async function auditOf(type: string): Promise<number> {
  const page = await listAudit(
    linked.control,
    await linked.given.actor("audrey"),
    AuditQuery.parse({ type, limit: "200" }),
  );
  return page.items.length;
}

/** How often this login was told of as a stranger. */
async function strangersLogged(nativeName: string): Promise<number> {
  const page = await listAudit(
    linked.control,
    await linked.given.actor("audrey"),
    AuditQuery.parse({ type: "resource.stranger", limit: "200" }),
  );
  return page.items.filter(({ data }) => data?.["nativeName"] === nativeName).length;
}

/** A task as the database's administrator would plant it. */
async function plant(type: "issue" | "end", grant: GrantId, why?: string): Promise<string> {
  const id = newId("task", linked.control.clock, linked.control.random);
  await linked.world.sql(
    "insert into tasks (id, outpost, type, grant_id, payload, next_at, created_at) values ($1, $2, $3, $4, $5, now(), now())",
    [id, outpost.outpost.id, type, grant, JSON.stringify({ type, grant, ...(why !== undefined && { why }) })],
  );
  linked.control.wake.signal("tasks");
  return id;
}

async function taskCode(id: string): Promise<string> {
  return await until(`task ${id} is closed`, async () => {
    const [row] = await linked.world.sql("select state, code from tasks where id = $1", [id]);
    const code = row?.["code"];
    return row?.["state"] !== "open" && (typeof code === "string" ? code : "done");
  });
}

describe("the database's administrator", () => {
  test("cannot have an active grant issued a second time", async () => {
    const grant = await activeGrant();
    const before = await logins();
    expect(await taskCode(await plant("issue", grant))).toBe("evidence_replayed");
    expect(await logins()).toEqual(before);
    await revoke(grant);
  });

  test("cannot have a grant issued again once it is over, also after the outpost was restarted", async () => {
    const grant = await activeGrant();
    await revoke(grant);
    expect(await taskCode(await plant("issue", grant))).toBe("evidence_replayed");
    outpost = await outpost.restart();
    expect(await taskCode(await plant("issue", grant))).toBe("evidence_replayed");
    expect(await logins()).toEqual([]);
  });

  test("cannot put another outpost's keys in the place of one that is enrolled", async () => {
    const other = await startLinkedOutpost(linked, []);
    const rows = await linked.world.sql("select digest, document, signatures from outposts where id = $1", [
      other.outpost.id,
    ]);
    const victim = await linked.world.sql("select digest, document, signatures from outposts where id = $1", [
      outpost.outpost.id,
    ]);
    const swap = "update outposts set digest = $2, document = $3, signatures = $4 where id = $1";
    await linked.world.sql(swap, [
      outpost.outpost.id,
      rows[0]?.["digest"],
      rows[0]?.["document"],
      JSON.stringify(rows[0]?.["signatures"]),
    ]);
    await outpost.outpost.close();
    // It is refused for the altered row, and so would be whoever holds the keys that were put there.
    outpost = await outpost.restart();
    await new Promise((done) => setTimeout(done, 500));
    expect(outpost.outpost.connected()).toBe(false);
    await linked.world.sql(swap, [
      outpost.outpost.id,
      victim[0]?.["digest"],
      victim[0]?.["document"],
      JSON.stringify(victim[0]?.["signatures"]),
    ]);
    await until("the link is up", () => outpost.outpost.connected());
    await other[Symbol.asyncDispose]();
  });

  test("can end grants early, and the log shows it", async () => {
    const grant = await activeGrant();
    const before = await auditOf("grant.ended");
    await plant("end", grant, "revoked");
    await until("the grant is over", async () => (await stateOf(grant)).state === "ended");
    await until("it is logged", async () => (await auditOf("grant.ended")) === before + 1);
    expect(await logins()).toEqual([]);
  });
});

describe("enrolment", () => {
  test("takes a token once", async () => {
    const token = await linked.token();
    await using first = await startLinkedOutpost(linked, [], { enrolmentToken: token });
    expect(first.outpost.name).not.toBe(outpost.outpost.name);
    await expect(startLinkedOutpost(linked, [], { enrolmentToken: token })).rejects.toMatchObject({
      code: "enrolment_invalid",
    });
  });

  test("takes a token once, though its row says that it was never used", async () => {
    const token = await linked.token();
    await using first = await startLinkedOutpost(linked, [], { enrolmentToken: token });
    await linked.world.sql("update enrolment_tokens set used_at = null");
    await expect(startLinkedOutpost(linked, [], { enrolmentToken: token })).rejects.toMatchObject({
      code: "enrolment_invalid",
    });
    expect(first.outpost.connected()).toBe(true);
  });

  test("of another under the name shuts the replaced one out, though its row is put back", async () => {
    let old = await startLinkedOutpost(linked, [], { enrolmentToken: await linked.token("site-x") });
    await using next = await startLinkedOutpost(linked, [], { enrolmentToken: await linked.token("site-x") });
    const retire = "update outposts set retired_at = case when id = $1 then now() end where id in ($1, $2)";
    await linked.world.sql("drop index outposts_name_key");
    await linked.world.sql(retire, [next.outpost.id, old.outpost.id]);
    old = await old.restart();
    await new Promise((done) => setTimeout(done, 500));
    expect(old.outpost.connected()).toBe(false);
    await linked.world.sql(retire, [old.outpost.id, next.outpost.id]);
    await linked.world.sql("create unique index outposts_name_key on outposts (name) where retired_at is null");
    await old[Symbol.asyncDispose]();
  });

  test("takes no token that anybody but this control plane made", async () => {
    await using elsewhere = await startLinkedControl(cluster);
    await expect(startLinkedOutpost(linked, [], { enrolmentToken: await elsewhere.token() })).rejects.toMatchObject({
      code: "link_refused",
    });
    await expect(startLinkedOutpost(linked, [], { enrolmentToken: "cardea-enrol-AAAA" })).rejects.toMatchObject({
      code: "enrolment_invalid",
    });
    await expect(startLinkedOutpost(linked, [], { enrolmentToken: undefined })).rejects.toMatchObject({
      code: "enrolment_invalid",
    });
  });

  test("takes no token after its time", async () => {
    const token = await linked.token();
    await linked.world.sql("update enrolment_tokens set expires_at = now() where used_at is null");
    await expect(startLinkedOutpost(linked, [], { enrolmentToken: token })).rejects.toMatchObject({
      code: "enrolment_invalid",
    });
  });

  test("leaves its keys in files that only their owner reads", async () => {
    for (const name of ["keys.json", "membership.json"]) {
      expect((await stat(join(outpost.dataDir, name))).mode & 0o777).toBe(0o600);
    }
  });
});

describe("the link", () => {
  test("is refused by an outpost where another control plane answers", async () => {
    await using elsewhere = await startLinkedControl(cluster);
    outpost = await outpost.restart({ controlUrl: elsewhere.url });
    await new Promise((done) => setTimeout(done, 300));
    expect(outpost.outpost.connected()).toBe(false);
    outpost = await outpost.restart({ controlUrl: linked.url });
    await until("the link is up", () => outpost.outpost.connected());
  });

  test("is not dialled in the clear beyond this machine", async () => {
    await expect(outpost.restart({ controlUrl: "ws://cardea.example" })).rejects.toMatchObject({
      code: "setting_invalid",
    });
    outpost = await outpost.restart();
    await until("the link is up", () => outpost.outpost.connected());
  });

  test.each([
    ["nothing of use", "hello"],
    ["another kind of first message", JSON.stringify({ kind: "welcome" })],
    [
      "an unknown outpost",
      JSON.stringify({
        kind: "prove",
        outpost: "out_06h085jgchxcvfh13mnfh9875w",
        nonce: "A".repeat(43),
        signature: { kind: "outpost", credential: "x", signature: "A".repeat(86) },
      }),
    ],
    ["too much", JSON.stringify({ kind: "x".repeat(20_000) })],
  ])("is refused to whoever says %s", async (_, text) => {
    const socket = new WebSocket(`${linked.url}/v1/link`);
    const frames: string[] = [];
    socket.on("message", (data: Buffer) => frames.push(data.toString("utf8")));
    socket.on("open", () => socket.send(text));
    await new Promise((done) => socket.once("close", done));
    expect(JSON.parse(frames.at(-1) ?? "{}")).toMatchObject({ kind: "refused" });
    expect(frames.join()).not.toMatch(/task|state/);
  });

  test("is the newest one's: of two outposts with the same keys one is sent tasks, and neither lets the other's keys live", async () => {
    const copy = await mkdtemp(join(tmpdir(), "cardea-test-copy-"));
    await cp(outpost.dataDir, copy, { recursive: true, filter: (from) => !from.endsWith("/lock") });
    const twin = await outpost.twin({ dataDir: copy });
    await until("the twin's link is up", () => twin.outpost.connected() && !outpost.outpost.connected());
    const grant = await activeGrant();
    // To the first one it is a login that no lease explains; the twin then misses it, and the grant is over.
    await until("nothing is left", async () => (await logins()).length === 0);
    await until("the grant is over", async () => (await stateOf(grant)).state === "ended");
    await twin[Symbol.asyncDispose]();
    await rm(copy, { recursive: true, force: true });
    await until("the first one's link is up again", () => outpost.outpost.connected());
  }, 60_000);
});

describe("what bears the mark", () => {
  const markKey = (): Uint8Array => {
    const seed = markSeedOf(linked.control.keys.installation, "outpost");
    return markKeyOf(seed, resourceIdOf(seed, resource.config.name));
  };
  const name = (key: Uint8Array, deadlineMs: number): string =>
    newNativeName(key, deadlineMs, linked.control.random).name;
  const make = (role: string) =>
    resource.su(`create role ${role} login; grant ${role} to ${resource.admin} with admin option`);

  test("and no lease explains is removed, and told", async () => {
    const stranger = name(markKey(), Date.now() + 3_600_000);
    await make(stranger);
    await until("the stranger is gone", async () => !(await logins()).includes(stranger));
    await until("it is logged", async () => (await strangersLogged(stranger)) > 0);
  });

  test("falsely is reported and never touched", async () => {
    const forged = name(linked.control.random.bytes(32), Date.now() - 1_000);
    await make(forged);
    await until("it is logged", async () => (await strangersLogged(forged)) === 1);
    await new Promise((done) => setTimeout(done, 1_000));
    expect(await logins()).toContain(forged);
    expect(await strangersLogged(forged)).toBe(1);
    await resource.su(`drop role ${forged}`);
  });

  test("and is removed by somebody else ends its grant, and is told as misuse", async () => {
    const grant = await activeGrant();
    const { nativeName } = await stateOf(grant);
    await resource.su(`drop role ${nativeName ?? ""}`);
    await until("the grant is over", async () => (await stateOf(grant)).state === "ended");
    expect((await stateOf(grant)).why).toBe("voided");
    await until("it is logged", async () => (await auditOf("lease.misused")) > 0);
  });
});

test("an outpost that is rebuilt under its name takes over: old grants end, what they left is removed, and new keys are made", async () => {
  const grant = await activeGrant();
  const [left] = await logins();
  await outpost[Symbol.asyncDispose]();
  outpost = await startLinkedOutpost(linked, [resource.config], { enrolmentToken: await linked.token("outpost") });
  await until("the grant is over", async () => (await stateOf(grant)).state === "ended");
  expect((await stateOf(grant)).why).toBe("voided");
  await until("its login is gone", async () => !(await logins()).includes(left ?? ""));
  await untilReady(linked.control, resource.config.name);
  await revoke(await activeGrant());
}, 60_000);

test("no secret stands in the store, in the log or in the database", async () => {
  const { publicKey } = await newDeliveryKey();
  const view = await linked.given.submit("ada", {
    resource: resource.config.name,
    ask: { role: "read" },
    via: "direct",
    window: { duration: "10m" },
    deliverTo: publicKey,
  });
  const grant = view.grant?.id;
  if (grant === undefined) throw new Error("no grant");
  await until("the grant is active", async () => (await stateOf(grant)).state === "active");
  await fetchKey(linked.control, await linked.given.actor("ada"), grant);
  const password =
    resource.config.connect.password !== undefined && "value" in resource.config.connect.password
      ? resource.config.connect.password.value
      : "";
  expect(password).not.toBe("");
  const files = await readdir(join(outpost.dataDir, "store"));
  for (const file of files)
    expect((await readFile(join(outpost.dataDir, "store", file))).includes(password)).toBe(false);
  const dump = JSON.stringify(
    await linked.world.sql(
      "select to_jsonb(t) from tasks t union all select to_jsonb(e) from audit_entries e union all select to_jsonb(g) from grants g",
    ),
  );
  expect(dump).not.toContain(password);
  await revoke(grant);
});
