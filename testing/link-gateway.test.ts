import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { releaseGrant } from "@cardea/control/grants/release";
import { revokeGrant } from "@cardea/control/grants/revoke";
import { endSession } from "@cardea/control/sessions/end";
import { listSessions } from "@cardea/control/sessions/list";
import { showGrant } from "@cardea/control/grants/show";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import { SessionsQuery } from "@cardea/core/wire/api/sessions";
import { newGatewayKey } from "@cardea/core/contract/gateway-key";
import { newId, type GrantId } from "@cardea/core/contract/ids";
import { systemClock, systemRandom } from "@cardea/connectors/postgres/fixture/system";
import { startTestCluster, type TestCluster } from "./cluster.ts";
import { connectThrough, gatewayPolicy, obtainGatewayKey, psql } from "./gateway-keys.ts";
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
  linked = await startLinkedControl(cluster, { policy: gatewayPolicy });
  outpost = await startLinkedOutpost(linked, [resource.config], { gateway: { postgres: { listen: "127.0.0.1:0" } } });
  await untilReady(linked.control, resource.config.name);
}, 60_000);
afterAll(async () => {
  await outpost[Symbol.asyncDispose]();
  await linked[Symbol.asyncDispose]();
  await resource.close();
  await cluster.stop();
});

async function ended(grant: GrantId): Promise<string> {
  return await until("the grant is over", async () => {
    const view = await showGrant(linked.control, await linked.given.actor("ada"), grant);
    return view.state === "ended" && (view.why ?? "");
  });
}

/** Native logins of ours in the whole cluster; tests run one after the other and leave none. */
async function logins(): Promise<string[]> {
  const rows = await resource.su(
    "select rolname from pg_roles where rolcanlogin and rolname like 'cardea\\_%' order by 1",
  );
  return rows.map((row) => String(row["rolname"]));
}

async function noLogins(): Promise<void> {
  await until("no login is left", async () => (await logins()).length === 0);
}

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

describe("a key of a gateway", () => {
  test("opens what it covers, refuses what it does not with words, and the session goes on", async () => {
    const { key } = await obtainGatewayKey(linked, resource);
    expect(key.user).toMatch(/^key_/);
    expect(key.secret).toMatch(/^cardea_/);
    const { client } = await connectThrough(key);
    expect((await client.query("select count(*)::int as n from orders")).rows).toEqual([{ n: 3 }]);
    await expect(client.query("insert into orders (status) values ('mine')")).rejects.toMatchObject({ code: "42501" });
    expect((await client.query("select count(*)::int as n from orders where id > $1", [0])).rows).toEqual([{ n: 3 }]);
    await client.end();
    await noLogins();
  }, 60_000);

  test("opens with psql", async () => {
    const { key } = await obtainGatewayKey(linked, resource);
    const { out, err, code } = await psql(
      key,
      "select 'n', count(*) from orders;\ndelete from orders;\nselect 'still';\n",
    );
    expect({ out, code }).toEqual({ out: "n|3\nstill\n", code: 0 });
    expect(err).toContain("ERROR:");
    await noLogins();
  }, 60_000);

  test("has one login for each session and none without one", async () => {
    const { key } = await obtainGatewayKey(linked, resource);
    expect(await logins()).toEqual([]);
    const [a, b] = [await connectThrough(key), await connectThrough(key)];
    expect(await logins()).toHaveLength(2);
    const user = async ({ client }: typeof a): Promise<string> =>
      String((await client.query<{ u: string }>("select current_user::text as u")).rows[0]?.u);
    expect([await user(a), await user(b)].sort()).toEqual(await logins());
    await a.client.end();
    await until("one is gone", async () => (await logins()).length === 1);
    expect((await b.client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await b.client.end();
    await noLogins();
  }, 60_000);

  test("is not told from one that does not exist", async () => {
    const { key } = await obtainGatewayKey(linked, resource);
    const wrong = await connectThrough({ ...key, secret: newGatewayKey(systemRandom) }).catch(
      (error: unknown) => error,
    );
    const unknown = newId("key", systemClock, systemRandom);
    const nobody = await connectThrough({ ...key, user: unknown }).catch((error: unknown) => error);
    expect(words(wrong)).toBe(`password authentication failed for user "${key.user}"`);
    expect(words(nobody)).toBe(`password authentication failed for user "${unknown}"`);
    await expect(connectThrough({ ...key, user: "postgres" })).rejects.toMatchObject({ code: "28P01" });
    expect(await logins()).toEqual([]);
  }, 60_000);

  test("names its databases where another is asked for", async () => {
    const { key } = await obtainGatewayKey(linked, resource);
    const refused = await connectThrough(key, { database: "postgres" }).catch((error: unknown) => error);
    expect(words(refused)).toContain(resource.databases[0] ?? "none");
  }, 60_000);

  test("is closed at its deadline, with words, by the outpost's own clock", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource, { duration: "3s" });
    const { client, ended: told } = await connectThrough(key);
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    expect(await told).toMatchObject({ code: "57P01" });
    expect(await ended(grant)).toBe("expired");
    await noLogins();
    await expect(connectThrough(key)).rejects.toMatchObject({ code: "28P01" });
  }, 60_000);

  test("that was never used is over at its deadline too", async () => {
    const { grant } = await obtainGatewayKey(linked, resource, { duration: "2s" });
    expect(await ended(grant)).toBe("expired");
  }, 60_000);

  test("is closed in the middle of a query when it is revoked", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource);
    const { client } = await connectThrough(key);
    const running = client.query("select pg_sleep(30) from orders").catch((error: unknown) => error);
    await new Promise((done) => setTimeout(done, 300));
    await revokeGrant(linked.control, await linked.given.actor("root"), grant, { comment: "" });
    const error = await running;
    expect(error).toMatchObject({ code: "57P01" });
    expect(words(error)).toContain("revoked");
    expect(await ended(grant)).toBe("revoked");
    expect(await logins()).toEqual([]);
    await expect(connectThrough(key)).rejects.toMatchObject({ code: "28P01" });
  }, 60_000);

  test("is given back", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource);
    const { ended: told } = await connectThrough(key);
    await releaseGrant(linked.control, await linked.given.actor("ada"), grant);
    expect(await told).toMatchObject({ code: "57P01" });
    expect(await ended(grant)).toBe("released");
    expect(await logins()).toEqual([]);
  }, 60_000);

  test("opens as many sessions at once as were granted", async () => {
    const { key } = await obtainGatewayKey(linked, resource, { limits: { sessions: 2 } });
    const arrivals = await Promise.allSettled(Array.from({ length: 5 }, () => connectThrough(key)));
    const opened = arrivals.filter((one) => one.status === "fulfilled").map((one) => one.value);
    const refused = arrivals.filter((one) => one.status === "rejected");
    expect(opened).toHaveLength(2);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: "53300" });
    await opened[0]?.client.end();
    const again = await until("there is room", () => connectThrough(key).catch(() => undefined));
    await again.client.end();
    await opened[1]?.client.end();
    await noLogins();
  }, 60_000);

  test("is spent with its last use", async () => {
    const { grant, key } = await obtainGatewayKey(linked, resource, { limits: { uses: 2 } });
    const first = await connectThrough(key);
    await first.client.end();
    const second = await connectThrough(key);
    await expect(connectThrough(key)).rejects.toMatchObject({ code: "28000" });
    expect((await second.client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await second.client.end();
    expect(await ended(grant)).toBe("spent");
    await noLogins();
  }, 60_000);

  test("opens from the granted addresses only", async () => {
    const { key } = await obtainGatewayKey(linked, resource, { limits: { sourceIps: ["10.0.0.0/8"] } });
    const refused = await connectThrough(key).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "28000" });
    expect(words(refused)).toContain("127.0.0.1");
    const { key: here } = await obtainGatewayKey(linked, resource, { limits: { sourceIps: ["127.0.0.0/8"] } });
    await (await connectThrough(here)).client.end();
    await noLogins();
  }, 60_000);
});

describe("a session", () => {
  const sessionsOf = async (grant: GrantId) =>
    (await listSessions(linked.control, await linked.given.actor("ada"), SessionsQuery.parse({ grant }))).items;

  test("is told of with what passed through it", async () => {
    const { key, grant } = await obtainGatewayKey(linked, resource);
    const { client } = await connectThrough(key, { application_name: "reports" });
    await client.query("select id from orders order by id");
    await client.query("select id from orders where id = $1", [1]);
    await client.query("delete from orders").catch(() => undefined);
    const open = await until("it is known", async () => (await sessionsOf(grant))[0]);
    expect(open).toMatchObject({ state: "open", sourceIp: "127.0.0.1", application: "reports", tls: "TLSv1.3" });
    expect(open).toMatchObject({ database: resource.databases[0], key: key.user });
    await client.end();
    const closed = await until("it is closed", async () =>
      (await sessionsOf(grant)).find((one) => one.state === "closed"),
    );
    expect(closed).toMatchObject({ id: open.id, why: "client", use: { actions: 2, refused: 1, rows: 4 } });
    expect(closed.use?.bytesIn).toBeGreaterThan(50);
    expect(closed.use?.bytesOut).toBeGreaterThan(20);
    await noLogins();
  }, 60_000);

  test("is closed by itself, and its key goes on", async () => {
    const { key, grant } = await obtainGatewayKey(linked, resource);
    const [one, other] = [await connectThrough(key), await connectThrough(key, { application_name: "other" })];
    const doomed = await until("it is known", async () =>
      (await sessionsOf(grant)).find((session) => session.application === "other"),
    );
    await endSession(linked.control, await linked.given.actor("root"), doomed.id, { comment: "who is this?" });
    const told = await other.ended;
    expect(told).toMatchObject({ code: "57P01" });
    expect(told.message).toContain("who is this?");
    expect((await one.client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await until("its login is gone", async () => (await logins()).length === 1);
    await (await connectThrough(key)).client.end();
    const known = await until("it is closed", async () =>
      (await sessionsOf(grant)).find((session) => session.id === doomed.id && session.state === "closed"),
    );
    expect(known.why).toBe("killed");
    await one.client.end();
    await noLogins();
  }, 60_000);
});

describe("an outpost with open sessions", () => {
  test("that is stopped tells its clients and leaves no login", async () => {
    const { key } = await obtainGatewayKey(linked, resource);
    const { ended: told } = await connectThrough(key);
    outpost = await outpost.restart();
    expect(await told).toMatchObject({ code: "57P01" });
    expect(await logins()).toEqual([]);
    await until("the link is up", () => outpost.outpost.connected());
  }, 60_000);
});
