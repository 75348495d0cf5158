import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endpoints, type EndpointName, type EndpointReply } from "@cardea/core/wire/api/endpoints";
import type { z } from "zod";
import { newId, TaskId, type GrantId } from "@cardea/core/contract/ids";
import { Digest, digestOf } from "@cardea/core/documents/digest";
import type { Action } from "@cardea/core/documents/request";
import { toTime } from "@cardea/core/documents/primitives";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { deliveryKey, scenario, scenarioPolicy, type Scenario } from "@cardea/testing/scenario";
import { actionPolicy, named, playOutpost, update, type PlayedOutpost } from "@cardea/testing/played-outpost";
import { takeConnection } from "../store/outposts.ts";
import { startSequencer, type Sequencer } from "../audit/sequencer.ts";
import { grantIssued } from "../grants/outcomes.ts";
import { makeToken } from "../people/bearer.ts";
import { transact } from "../store/transaction.ts";
import { startHttp, type HttpServer } from "./server.ts";

/** The way of a request over HTTP. Each success is parsed by the very schema that the contract promises. */
let cluster: TestCluster;
let plane: TestControl;
let given: Scenario;
let sequencer: Sequencer;
let server: HttpServer;
const tokens = new Map<string, string>();

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  plane = await startTestControl(cluster);
  given = await scenario(plane.control);
  sequencer = startSequencer(plane.control, plane.database.connect);
  server = await startHttp(plane.control, {
    listen: { host: "127.0.0.1", port: 0 },
    link: { upgrade: () => undefined },
    streams: { keepAliveMs: 200 },
  });
  for (const name of ["ada", "bob", "dan", "sam", "root", "audrey", "eve"]) tokens.set(name, await tokenFor(name));
}, 60_000);

afterAll(async () => {
  await server.close();
  await sequencer.close();
  await plane.stop();
  await cluster.stop();
});

async function tokenFor(name: string): Promise<string> {
  const { control } = plane;
  const credential = newId("credential", control.clock, control.random);
  const publicKey = toBase64Url(control.random.bytes(32));
  await given.change(name, {
    credentials: [{ id: credential, kind: "device", publicKey, addedAt: toTime(control.clock.now()) }],
  });
  const subject = await given.subject(name);
  const made = await transact(control, (tx) =>
    makeToken(tx, control, {
      subject,
      method: "sign-in",
      credential,
      label: "",
      permissions: ["member", "auditor", "admin"],
      lifetimeMs: 3_600_000,
    }),
  );
  return made.text;
}

interface Input {
  readonly id?: string;
  readonly query?: Record<string, string | number>;
  readonly body?: unknown;
}
type Name = Extract<EndpointName, keyof typeof endpoints>;

async function fetched(
  who: string,
  name: Name,
  { id = "", query = {}, body }: Input,
): Promise<{ status: number; json: unknown }> {
  const { method, path } = endpoints[name];
  const url = new URL(path.replace(/\{\w+\}/, id), server.url);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, String(value));
  const response = await fetch(url, {
    method,
    headers: {
      authorization: `Bearer ${tokens.get(who) ?? ""}`,
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, json: await response.json() };
}

async function ask<N extends Name>(
  who: string,
  name: N,
  input: Input = {},
): Promise<EndpointReply<(typeof endpoints)[N]>> {
  const { status, json } = await fetched(who, name, input);
  expect([status, name, status < 300 ? "" : json]).toEqual([expect.toSatisfy((code: number) => code < 300), name, ""]);
  const endpoint = endpoints[name];
  if (!("reply" in endpoint)) throw new Error(`${name} has no reply`);
  // The schema is the one that the type is derived from.
  return (endpoint.reply as z.ZodType).parse(json) as EndpointReply<(typeof endpoints)[N]>;
}

async function refused(who: string, name: Name, input: Input = {}): Promise<unknown> {
  const { status, json } = await fetched(who, name, input);
  expect(status).toBeGreaterThanOrEqual(400);
  return (json as { code?: unknown }).code;
}

const wish = {
  resource: "prod-orders",
  ask: { role: "write" },
  justification: "refund case 4711",
  window: { duration: "1h" },
  deliverTo: deliveryKey,
};
const allowed = { ...wish, ask: { role: "read" }, via: "direct" };

async function issued(grant: GrantId): Promise<void> {
  const { control } = plane;
  const lease = newId("lease", control.clock, control.random);
  await transact(control, (tx) =>
    grantIssued(tx, control, given.outpost, {
      type: "issued",
      grant,
      lease,
      nativeName: "cardea_x",
      sealed: { enc: "AA", ciphertext: "AA" },
      at: toTime(control.clock.now()),
    }),
  );
}

describe("a request", () => {
  test("is filed, seen, waited for, voted on, and becomes a grant", async () => {
    const filed = await ask("ada", "submitRequest", { body: wish });
    expect(filed.state).toBe("pending");
    expect((await ask("dan", "listRequests", { query: { view: "to-approve" } })).items.map((view) => view.id)).toEqual([
      filed.id,
    ]);
    expect((await ask("ada", "listRequests", { query: { view: "mine", state: "pending" } })).items).toHaveLength(1);
    expect(await refused("eve", "showRequest", { id: filed.id })).toBe("not_found");
    expect(await refused("ada", "castVote", { id: filed.id, body: { verdict: "approve", digest: filed.digest } })).toBe(
      "self_approval",
    );
    expect(
      await refused("eve", "castVote", { id: filed.id, body: { verdict: "approve", digest: filed.digest } }),
    ).toMatch(/not_found|not_an_approver/);

    const waiting = ask("ada", "showRequest", { id: filed.id, query: { wait: 20, since: "pending:0" } });
    await sleep(100);
    const voted = Date.now();
    expect(
      (await ask("dan", "castVote", { id: filed.id, body: { verdict: "approve", digest: filed.digest } })).state,
    ).toBe("pending");
    expect((await waiting).votes).toHaveLength(1);
    expect(Date.now() - voted).toBeLessThan(1_000);

    const decided = ask("ada", "showRequest", { id: filed.id, query: { wait: 20, since: "pending" } });
    await sleep(100);
    await ask("sam", "castVote", { id: filed.id, body: { verdict: "approve", digest: filed.digest } });
    expect(await decided).toMatchObject({ state: "approved", grant: { state: "issuing" } });
    expect(await refused("ada", "withdrawRequest", { id: filed.id })).toBe("request_not_pending");
  });

  test("is withdrawn with an empty body or none", async () => {
    const first = await ask("ada", "submitRequest", { body: wish });
    expect((await ask("ada", "withdrawRequest", { id: first.id, body: {} })).state).toBe("withdrawn");
    const second = await ask("ada", "submitRequest", { body: wish });
    expect((await ask("ada", "withdrawRequest", { id: second.id })).state).toBe("withdrawn");
  });

  test("that policy refuses says which request that was and why", async () => {
    const { status, json } = await fetched("eve", "submitRequest", { body: wish });
    expect([status, json]).toMatchObject([
      403,
      { code: "policy_denied", request: expect.stringMatching(/^req_/), reasons: expect.any(Array) },
    ]);
  });

  test("waits no longer than asked, and at once where it is decided", async () => {
    const filed = await ask("ada", "submitRequest", { body: wish });
    const before = Date.now();
    expect((await ask("ada", "showRequest", { id: filed.id, query: { wait: 1, since: "pending" } })).state).toBe(
      "pending",
    );
    expect(Date.now() - before).toBeGreaterThanOrEqual(950);
    await ask("ada", "withdrawRequest", { id: filed.id });
    const again = Date.now();
    await ask("ada", "showRequest", { id: filed.id, query: { wait: 20, since: "pending" } });
    expect(Date.now() - again).toBeLessThan(1_000);
  });
});

describe("a grant", () => {
  test("gives its key to its requester once it is made, has evidence, and ends when released", async () => {
    const { grant } = await ask("ada", "submitRequest", { body: allowed });
    if (grant === undefined) throw new Error("no grant");
    expect(await refused("ada", "fetchKey", { id: grant.id })).toBe("key_not_ready");
    const waiting = ask("ada", "fetchKey", { id: grant.id, query: { wait: 20 } });
    const active = ask("ada", "showGrant", { id: grant.id, query: { wait: 20, since: "issuing" } });
    await sleep(100);
    const before = Date.now();
    await issued(grant.id);
    expect(await waiting).toMatchObject({ grant: grant.id, sealed: { enc: "AA" } });
    expect((await active).state).toBe("active");
    expect(Date.now() - before).toBeLessThan(1_000);
    expect(await refused("dan", "fetchKey", { id: grant.id })).toBe("not_found");
    expect((await ask("ada", "evidence", { id: grant.request })).grant.id).toBe(grant.id);
    expect(
      (await ask("ada", "listGrants", { query: { view: "mine", state: "active" } })).items.map((view) => view.id),
    ).toContain(grant.id);
    expect(await ask("ada", "releaseGrant", { id: grant.id })).toMatchObject({
      id: grant.id,
      state: "ending",
      why: "released",
    });
    expect(await refused("ada", "fetchKey", { id: grant.id })).toBe("grant_ended");
  });

  test("is revoked by an administrator, with or without a word", async () => {
    for (const input of [{ body: { comment: "enough" } }, {}]) {
      const { grant } = await ask("ada", "submitRequest", { body: allowed });
      if (grant === undefined) throw new Error("no grant");
      expect(await refused("eve", "revokeGrant", { id: grant.id })).toBe("not_found");
      expect(await ask("root", "revokeGrant", { id: grant.id, ...input })).toMatchObject({
        state: "ending",
        why: "revoked",
      });
    }
  });

  test("under break-glass is reviewed by somebody else", async () => {
    const { grant } = await ask("bob", "submitRequest", {
      body: { ...wish, ask: { role: "admin" }, breakGlass: true, window: { duration: "30m" } },
    });
    if (grant === undefined) throw new Error("no grant");
    expect((await ask("sam", "listGrants", { query: { view: "to-review" } })).items.map((view) => view.id)).toEqual([
      grant.id,
    ]);
    expect(
      await refused("bob", "reviewGrant", { id: grant.id, body: { verdict: "justified", comment: "it was me" } }),
    ).toBe("self_review");
    expect(
      (await ask("sam", "reviewGrant", { id: grant.id, body: { verdict: "justified", comment: "seen" } })).reviewOwed,
    ).toBe(false);
  });
});

describe("resources, policy and log", () => {
  test("resources say what the caller could ask for", async () => {
    const { items } = await ask("ada", "listResources");
    expect(items.map((item) => item.name)).toEqual(["prod-orders"]);
    expect(
      (await ask("ada", "showResource", { id: "prod-orders" })).offers.find((offer) => offer.role === "read"),
    ).toMatchObject({ effect: "allow" });
    expect(await refused("ada", "showResource", { id: "nothing" })).toBe("resource_unknown");
    expect(await refused("ada", "checkResource", { id: "prod-orders" })).toBe("forbidden");
    expect(await refused("root", "checkResource", { id: "prod-orders" })).toBe("outpost_unreachable");
    expect((await ask("audrey", "listOutposts")).items).toMatchObject([{ name: "site-a", connected: false }]);
    expect((await ask("root", "createEnrolmentToken", { body: {} })).token).not.toBe("");
  });

  test("policy is shown, planned, simulated and applied", async () => {
    const { policy } = await ask("ada", "currentPolicy");
    const source = scenarioPolicy.replace("maxDuration: 4h", "maxDuration: 3h");
    const plan = await ask("root", "planPolicy", { body: { source } });
    expect(plan).toMatchObject({ valid: true, changed: ["engineers-read"], base: policy.version });
    expect(await ask("audrey", "simulatePolicy", { body: { source } })).toMatchObject({
      newlyAllowed: [],
      newlyRefused: [],
    });
    expect(await refused("ada", "applyPolicy", { body: { source, base: plan.base } })).toBe("forbidden");
    expect((await ask("root", "applyPolicy", { body: { source, base: plan.base } })).policy.version).toBe(
      plan.base + 1,
    );
    expect(await refused("root", "applyPolicy", { body: { source, base: plan.base } })).toBe("policy_stale");
    expect(
      await refused("root", "applyPolicy", { body: { source: "version: 1\nrules: [", base: plan.base + 1 } }),
    ).toBe("policy_invalid");
  });

  test("the log is shown to those who oversee it, and what concerns them to others", async () => {
    const { items, next } = await ask("audrey", "listAudit", { query: { limit: 5 } });
    expect(items).toHaveLength(5);
    const rest = await ask("audrey", "listAudit", { query: { limit: 5, cursor: next ?? "" } });
    expect(rest.items[0]?.index).toBe((items.at(-1)?.index ?? 0) - 1);
    const own = await ask("ada", "listAudit", { query: { limit: 200 } });
    const ada = await given.subject("ada");
    expect(own.items.every((entry) => Object.values(entry.leaf.ids).includes(ada))).toBe(true);
    expect(own.items.length).toBeGreaterThan(3);
  });

  test("checkpoint and tiles are for anybody, and tiles for ever", async () => {
    const checkpoint = await fetch(new URL("/v1/log/checkpoint", server.url));
    expect(await checkpoint.text()).toMatch(/^cardea\.test\/log\n\d+\n/);
    const { items } = await ask("audrey", "listAudit", { query: { limit: 1 } });
    const size = Math.min(256, (items[0]?.index ?? 0) + 1);
    const path = size === 256 ? "/v1/log/tile/0/000" : `/v1/log/tile/0/000.p/${size}`;
    const tile = await fetch(new URL(path, server.url));
    expect([tile.status, tile.headers.get("cache-control")]).toEqual([200, "public, max-age=31536000, immutable"]);
    expect((await tile.arrayBuffer()).byteLength).toBe(size * 32);
  });

  test("events are seen by whom they concern", async () => {
    const signal = AbortSignal.timeout(3_000);
    const response = await fetch(new URL("/v1/events?after=-1", server.url), {
      headers: { authorization: `Bearer ${tokens.get("ada") ?? ""}` },
      signal,
    });
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array);
      if (text.includes("\n:\n")) break;
    }
    const ada = await given.subject("ada");
    const events = [...text.matchAll(/^data: (.*)$/gm)].map(
      (match) => JSON.parse(match[1] ?? "") as { ids: Record<string, string> },
    );
    expect(events.length).toBeGreaterThan(3);
    expect(events.every((event) => Object.values(event.ids).includes(ada))).toBe(true);
  });
});

describe("an exact action", () => {
  const action: Action = { ...named("sql.update"), what: update.what };
  const asked = { type: action.type, what: action.what };
  let play: PlayedOutpost;

  beforeAll(async () => {
    const { policy } = await ask("root", "currentPolicy");
    await ask("root", "applyPolicy", { body: { source: actionPolicy, base: policy.version } });
    const { clock, db } = plane.control;
    play = await playOutpost(plane, given, { ...clock, set: () => undefined, advance: () => undefined });
    await takeConnection(db, given.outpost, "link", play.now(), toTime(clock.now() + 600_000));
  });

  /** What the outpost finds, as soon as it is asked. */
  async function finding<T>(work: Promise<T>): Promise<T> {
    const over = new AbortController();
    const done = work.finally(() => over.abort());
    while (!over.signal.aborted) {
      for (const { task, state } of await play.tasks("preview"))
        if (state === "open")
          await play.receipt(TaskId.parse(task), { type: "previewed", action, estimate: { rows: 1 } });
      await sleep(10);
    }
    return await done;
  }

  test("is looked at, asked for, approved, waited for, and its answer fetched", async () => {
    const seen = await finding(ask("ada", "previewAction", { body: { resource: "prod-orders", action: asked } }));
    expect(seen).toMatchObject({ action, estimate: { rows: 1 }, decision: { effect: "review" } });
    const body = {
      resource: "prod-orders",
      ask: { action: asked },
      justification: "refund case 4711",
      window: { duration: "5m" },
      deliverTo: deliveryKey,
    };
    const { id } = await finding(ask("ada", "submitRequest", { body }));
    const { digest } = await ask("dan", "showRequest", { id });
    expect(await refused("ada", "fetchResult", { id })).toBe("not_found");
    const { grant } = await ask("dan", "castVote", { id, body: { verdict: "approve", digest } });
    if (grant === undefined) throw new Error("it is approved");
    const sealed = { enc: "AAAA", ciphertext: "QUJD" };
    const result = { binding: action.binding ?? {}, resultDigest: digestOf("sealed", sealed) };
    const told = play.ended({ grant: grant.id, digest: Digest.parse(grant.digest) }, result);
    const waiting = ask("ada", "showRequest", { id, query: { wait: 20, since: "approved" } });
    const answer = ask("ada", "fetchResult", { id, query: { wait: 20 } });
    await sleep(100);
    await play.receipt(await play.runTask(grant.id), { ...told, sealed });
    expect(await waiting).toMatchObject({ state: "approved", run: { state: "done" }, grant: { why: "spent" } });
    expect(await answer).toEqual(sealed);
    expect(await refused("dan", "fetchResult", { id })).toBe("not_found");
    expect((await ask("root", "listRuns")).items[0]).toMatchObject({ id: told.run.id, request: id, state: "done" });
    expect(await refused("root", "resolveRun", { id: told.run.id, body: { outcome: "done", comment: "" } })).toBe(
      "conflict",
    );
    expect(await refused("ada", "resolveRun", { id: told.run.id, body: { outcome: "done", comment: "" } })).toBe(
      "forbidden",
    );
  });

  test("of another form is refused by the contract", async () => {
    const ask = (over: object) =>
      refused("ada", "submitRequest", {
        body: { resource: "prod-orders", window: { duration: "5m" }, ask: { action: over } },
      });
    for (const over of [{}, { type: "sql" }, { ...asked, extra: 1 }, { ...asked, what: { text: "x".repeat(600_000) } }])
      expect(await ask(over)).toBe("invalid_request");
  });
});
