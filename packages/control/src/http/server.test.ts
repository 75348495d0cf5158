import { once } from "node:events";
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { Meta, Problem } from "@cardea/core/wire/api/conventions";
import { endpoints, type Endpoint } from "@cardea/core/wire/api/endpoints";
import { challengeDigest, enrolmentDigest } from "@cardea/core/wire/api/sign-in";
import { Challenge, CreatedPerson, CreatedToken, Enrolled, PeoplePage, SignedIn } from "@cardea/core/wire/api/people";
import { errors, type ErrorCode } from "@cardea/core/contract/errors";
import type { Digest } from "@cardea/core/documents/digest";
import { Trust } from "@cardea/core/documents/trust";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { ed25519PublicKey, ed25519Sign } from "@cardea/core/lib/crypto";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { startSequencer, type Sequencer } from "../audit/sequencer.ts";
import { createSetupToken } from "../people/invitations.ts";
import { currentRoster } from "../people/roster.ts";
import { startHttp, type HttpServer } from "./server.ts";

let cluster: TestCluster;
let plane: TestControl;
let sequencer: Sequencer;
let server: HttpServer;
let admin: Caller;
const lines: string[] = [];
const upgraded: string[] = [];

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  const log = pino(
    { level: "debug" },
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    }),
  );
  plane = await startTestControl(cluster, { log });
  await currentRoster(plane.control);
  sequencer = startSequencer(plane.control, plane.database.connect);
  server = await start();
  const { token } = await createSetupToken(plane.control);
  admin = await enter(token);
}, 60_000);

afterAll(async () => {
  await server.close();
  await sequencer.close();
  await plane.stop();
  await cluster.stop();
});

function start(options: object = {}): Promise<HttpServer> {
  const upgrade = (request: { url?: string }, socket: { end: (text: string) => void }): void => {
    upgraded.push(request.url ?? "");
    socket.end("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  };
  return startHttp(plane.control, {
    listen: { host: "127.0.0.1", port: 0 },
    link: { upgrade },
    streams: { keepAliveMs: 300 },
    ...options,
  } as Parameters<typeof startHttp>[1]);
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: unknown;
}
interface CallOptions {
  readonly body?: unknown;
  readonly raw?: string;
  readonly token?: string;
  readonly headers?: Record<string, string>;
  readonly on?: HttpServer;
}

/** Not `fetch`, which would hide what is on the wire. */
async function call(
  method: string,
  path: string,
  { body, raw, token, headers = {}, on = server }: CallOptions = {},
): Promise<Answer> {
  const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const url = new URL(on.url);
  const request = httpRequest({
    host: url.hostname,
    port: url.port,
    method,
    path,
    agent: false,
    headers: {
      ...(payload !== undefined && {
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(payload)),
      }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
  });
  request.end(payload);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += String(chunk);
  const json: unknown =
    response.headers["content-type"]?.includes("json") === true && text !== "" ? JSON.parse(text) : undefined;
  return { status: response.statusCode ?? 0, headers: response.headers, text, json };
}

/** What stands at a path of keys in an answer. */
function at(answer: Answer, ...path: string[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Record<string, unknown>)[key]
        : undefined,
    answer.json,
  );
}

const codeOf = (answer: Answer): unknown => at(answer, "code");

interface Caller {
  readonly token: string;
  readonly subject: string;
  readonly credential: string;
  readonly seed: Uint8Array;
}

function sign(seed: Uint8Array, digest: Digest): string {
  return toBase64Url(ed25519Sign(seed, new TextEncoder().encode(digest)));
}

/** Enrols a device by an invitation and signs in, over HTTP. */
async function enter(invitation: string): Promise<Caller> {
  const seed = plane.control.random.bytes(32);
  const credential = { kind: "device" as const, publicKey: toBase64Url(ed25519PublicKey(seed)) };
  const enrolled = await call("POST", "/v1/enrolments", {
    body: { invitation, credential, signature: sign(seed, enrolmentDigest(invitation, credential)) },
  });
  expect(enrolled.status).toBe(200);
  const id = Enrolled.parse(enrolled.json).credential;
  return { ...(await signedIn(id, seed)), credential: id, seed };
}

async function signedIn(credential: string, seed: Uint8Array): Promise<{ token: string; subject: string }> {
  const challenge = Challenge.parse((await call("POST", "/v1/sign-ins/challenges", { body: { credential } })).json);
  const answer = await call("POST", "/v1/sign-ins", {
    body: { challenge: challenge.nonce, signature: sign(seed, challengeDigest(challenge)) },
  });
  expect(answer.status).toBe(200);
  const { token, subject } = SignedIn.parse(answer.json);
  return { token, subject };
}

function invitationOf(created: Answer): string {
  return CreatedPerson.parse(created.json).invitation?.invitation ?? "none";
}

async function person(input: { readonly name: string; readonly permissions?: string[] }): Promise<Caller> {
  const created = await call("POST", "/v1/people", { token: admin.token, body: input });
  expect(created.status).toBe(201);
  return enter(invitationOf(created));
}

/** The problem must be whole: status and words of its code's row. */
function expectProblem(answer: Answer, code: ErrorCode): void {
  expect(answer.json, answer.text).toMatchObject({ code });
  expect(answer.status).toBe(errors[code].status);
  expect(answer.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
  expect(Problem.parse(answer.json)).toMatchObject({
    title: errors[code].title,
    retryable: errors[code].retryable,
    instance: answer.headers["x-request-id"],
  });
}

const OpenApi = z.object({
  openapi: z.literal("3.1.0"),
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({ operationId: z.string().optional(), responses: z.record(z.string(), z.unknown()).optional() }),
    ),
  ),
  components: z.object({ schemas: z.record(z.string(), z.unknown()) }),
});

describe("the API's surface", () => {
  test("every endpoint of the contract and every other route is in the OpenAPI 3.1 document", async () => {
    const document = OpenApi.parse((await call("GET", "/v1/openapi.json")).json);
    const listed = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const rows: Endpoint[] = Object.values(endpoints);
    const others = [
      "GET /healthz",
      "GET /readyz",
      "GET /metrics",
      "GET /docs",
      "GET /v1/openapi.json",
      "GET /v1/events",
      "GET /v1/log/checkpoint",
      "GET /v1/log/tile/{*}",
    ];
    expect(listed.toSorted()).toEqual([...rows.map((row) => `${row.method} ${row.path}`), ...others].toSorted());
    for (const [name, row] of Object.entries<Endpoint>(endpoints)) {
      const operation = document.paths[row.path]?.[row.method.toLowerCase()];
      expect(operation?.operationId).toBe(name);
      expect(Object.keys(operation?.responses ?? {})).toContain("default");
    }
  });

  test("every reference of the document leads somewhere", async () => {
    const { json, text } = await call("GET", "/v1/openapi.json");
    const { components } = OpenApi.parse(json);
    const named = new Set([...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1]));
    expect([...named].filter((name) => !Object.hasOwn(components.schemas, name ?? ""))).toEqual([]);
    expect(named.size).toBeGreaterThan(5);
  });

  test("the reference page names every endpoint and every error, and loads nothing", async () => {
    const { text, headers } = await call("GET", "/docs");
    for (const row of Object.values(endpoints)) expect(text).toContain(`<code>${row.path}</code>`);
    for (const code of Object.keys(errors)) expect(text).toContain(`id="${code}"`);
    expect(text).not.toMatch(/<script|src=|@import|url\(/i);
    expect(headers["content-security-policy"]).toContain("default-src 'none'");
  });

  test("no endpoint answers without its permission", async () => {
    const outsider = await person({ name: "powerless", permissions: [] });
    for (const [name, row] of Object.entries<Endpoint>(endpoints)) {
      if (row.access === "public") continue;
      const path = row.path
        .replace("{id}", "req_00000000000000000000000000")
        .replace("{name}", "x")
        .replace("{credential}", "crd_00000000000000000000000000");
      const bare = await call(row.method, path);
      expect([name, bare.status, codeOf(bare)]).toEqual([name, 401, "unauthenticated"]);
      const powerless = await call(row.method, path, { token: outsider.token });
      expect([name, powerless.status, codeOf(powerless)]).toEqual([name, 403, "forbidden"]);
    }
  });

  test("API tokens are refused wherever a presence is asked for", async () => {
    const auditor = await person({ name: "token-holder", permissions: ["member", "auditor"] });
    const promoted = await call("PATCH", `/v1/people/${auditor.subject}`, {
      token: admin.token,
      body: { permissions: ["member", "auditor", "admin"] },
    });
    expect(promoted.status).toBe(200);
    // Signed in anew, because a sign-in keeps the permissions that it began with.
    const again = await signedIn(auditor.credential, auditor.seed);
    const { json } = await call("POST", "/v1/tokens", {
      token: again.token,
      body: { label: "all", permissions: ["member", "auditor", "admin"] },
    });
    for (const [name, row] of Object.entries<Endpoint>(endpoints)) {
      if (row.presence === undefined) continue;
      const path = row.path
        .replace("{id}", "req_00000000000000000000000000")
        .replace("{name}", "x")
        .replace("{credential}", "crd_00000000000000000000000000");
      const answer = await call(row.method, path, { token: CreatedToken.parse(json).secret });
      expect([name, answer.status, codeOf(answer)]).toEqual([name, 403, "token_forbidden"]);
    }
  });

  test("what anybody may ask is answered in its own form", async () => {
    expect(Meta.parse((await call("GET", "/v1/meta")).json)).toMatchObject({
      development: false,
      origin: "cardea.test/log",
    });
    expect(Trust.parse((await call("GET", "/v1/trust")).json)).toEqual(plane.control.trust);
    expect((await call("GET", "/v1/whoami", { token: admin.token })).json).toMatchObject({
      name: "admin",
      method: "sign-in",
      permissions: ["admin", "member"],
    });
  });
});

describe("bad input", () => {
  const body = { name: "bad" };
  test.each<[string, ErrorCode, () => Promise<Answer>]>([
    ["no JSON", "invalid_json", () => call("POST", "/v1/people", { token: admin.token, raw: "{" })],
    [
      "JSON with a prototype",
      "invalid_json",
      () => call("POST", "/v1/people", { token: admin.token, raw: '{"name":"x","claims":{"__proto__":"y"}}' }),
    ],
    [
      "an unknown field",
      "invalid_request",
      () => call("POST", "/v1/people", { token: admin.token, body: { ...body, admin: true } }),
    ],
    ["an unknown query field", "invalid_request", () => call("GET", "/v1/people?sort=name", { token: admin.token })],
    ["a query field twice", "invalid_request", () => call("GET", "/v1/people?limit=1&limit=2", { token: admin.token })],
    ["a limit out of range", "invalid_request", () => call("GET", "/v1/people?limit=0", { token: admin.token })],
    [
      "an id of another kind",
      "invalid_request",
      () => call("GET", "/v1/people/req_00000000000000000000000000", { token: admin.token }),
    ],
    ["a missing body", "invalid_request", () => call("POST", "/v1/people", { token: admin.token })],
    ["an array for a body", "invalid_request", () => call("POST", "/v1/people", { token: admin.token, body: [body] })],
    [
      "a name with an apostrophe",
      "invalid_request",
      () => call("POST", "/v1/people", { token: admin.token, body: { name: "x'; drop table tokens" } }),
    ],
    [
      "text that turns what a terminal shows",
      "invalid_request",
      () => call("POST", "/v1/people", { token: admin.token, body: { ...body, displayName: "a\u202eb" } }),
    ],
    [
      "another content type",
      "unsupported_media_type",
      () => call("POST", "/v1/people", { token: admin.token, raw: "<x/>", headers: { "content-type": "text/xml" } }),
    ],
    [
      "a body of more than a megabyte",
      "too_large",
      () => call("POST", "/v1/policy/plans", { token: admin.token, body: { source: "x".repeat(1_048_577) } }),
    ],
    [
      "a body of brackets",
      "too_large",
      () => call("POST", "/v1/people", { token: admin.token, raw: `${"[".repeat(100_000)}${"]".repeat(100_000)}` }),
    ],
    ["a cursor of nobody", "invalid_request", () => call("GET", "/v1/people?cursor=abc", { token: admin.token })],
    ["an unknown path", "not_found", () => call("GET", "/v1/nothing", { token: admin.token })],
    [
      "an unknown subject",
      "not_found",
      () => call("GET", "/v1/people/sub_00000000000000000000000000", { token: admin.token }),
    ],
    [
      "a method that is not offered",
      "method_not_allowed",
      () => call("PUT", "/v1/people", { token: admin.token, body }),
    ],
    ["a path that is no path", "invalid_request", () => call("GET", "/v1/people/%zz", { token: admin.token })],
    [
      "an idempotency key with spaces",
      "invalid_request",
      () => call("POST", "/v1/people", { token: admin.token, body, headers: { "idempotency-key": "a b" } }),
    ],
    ["a wrong token", "unauthenticated", () => call("GET", "/v1/whoami", { token: "cardea_nope" })],
    ["a tile that is none", "not_found", () => call("GET", "/v1/log/tile/../../etc/passwd")],
    [
      "an event index that is none",
      "invalid_request",
      () => call("GET", "/v1/events", { token: admin.token, headers: { "last-event-id": "x" } }),
    ],
  ])("%s is refused as `%s`", async (_what, code, ask) => {
    expectProblem(await ask(), code);
  });

  test("the pointers say where, and 405 says what is offered", async () => {
    const answer = await call("POST", "/v1/people", {
      token: admin.token,
      body: { name: "ok", groups: ["fine", "Not Fine"] },
    });
    expect(at(answer, "pointers")).toMatchObject([{ path: "groups.1" }]);
    expect(at(await call("GET", "/v1/people?limit=abc", { token: admin.token }), "pointers")).toMatchObject([
      { path: "query.limit" },
    ]);
    expect((await call("PUT", "/v1/people", { token: admin.token, body: {} })).headers.allow).toBe("GET, HEAD, POST");
  });

  test("what is not even HTTP gets a problem and the door", async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write("HELO example.org\r\n\r\n");
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('"code":"invalid_request"');
  });
});

describe("every answer", () => {
  test("carries the headers that keep browsers out of trouble, and no cache keeps it", async () => {
    for (const answer of [await call("GET", "/v1/meta"), await call("GET", "/v1/nothing")]) {
      expect(answer.headers).toMatchObject({
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
      });
      expect(answer.headers["content-security-policy"]).toContain("default-src 'none'");
      expect(answer.headers["x-request-id"]).toMatch(/^r[0-9a-z]{16}$/);
      expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
    }
  });

  test("takes no request id from a caller, and believes no forwarded address unless told to", async () => {
    const forged = await call("GET", "/v1/whoami", {
      token: "x",
      headers: { "x-request-id": "forged", "x-forwarded-for": "203.0.113.9" },
    });
    expect(forged.headers["x-request-id"]).not.toBe("forged");
    const line = lines
      .map((text) => JSON.parse(text) as Record<string, unknown>)
      .find((entry) => entry["requestId"] === forged.headers["x-request-id"] && entry["msg"] === "answered");
    expect(line).toMatchObject({ ip: "127.0.0.1", status: 401, route: "/v1/whoami" });
    const behind = await start({ trustedProxies: ["127.0.0.1"] });
    try {
      const answer = await call("GET", "/v1/whoami", {
        token: "x",
        headers: { "x-forwarded-for": "198.51.100.7, 203.0.113.9" },
        on: behind,
      });
      expect(
        lines.some(
          (text) => text.includes(String(answer.headers["x-request-id"])) && text.includes('"ip":"203.0.113.9"'),
        ),
      ).toBe(true);
    } finally {
      await behind.close();
    }
  });

  test("while it stops it tells whoever still comes to try again, in the usual form", async () => {
    const stopping = await start();
    const { hostname, port } = new URL(stopping.url);
    const socket = connect(Number(port), hostname);
    let heard = "";
    socket.setEncoding("utf8").on("data", (text: string) => (heard += text));
    socket.write("GET /v1/meta HTTP/1.1\r\nhost: here\r\n");
    await sleep(100);
    const closed = stopping.close();
    await sleep(50);
    socket.write("\r\n");
    await once(socket, "close");
    await closed;
    expect(heard).toMatch(/^HTTP\/1\.1 503 [^]*connection: close\r\n/i);
    expect(Problem.parse(JSON.parse(heard.slice(heard.indexOf("\r\n\r\n"))))).toMatchObject({
      code: "unreachable",
      retryable: true,
    });
  });

  test("leaves no token, invitation or secret in the log", async () => {
    const created = await call("POST", "/v1/people", { token: admin.token, body: { name: "quiet" } });
    await call("GET", `/v1/whoami?token=${admin.token}`, { token: admin.token });
    const logged = lines.join("");
    expect(logged).not.toContain(admin.token.slice(-43));
    expect(logged).not.toContain(invitationOf(created).slice(-43));
    expect(lines.length).toBeGreaterThan(50);
  });
});

describe("an Idempotency-Key", () => {
  const keyed = (key: string, body: unknown, token = admin.token) =>
    call("POST", "/v1/people", { token, body, headers: { "idempotency-key": key } });

  test("gives the first answer again, the secret in it included, and makes nothing twice", async () => {
    const first = await keyed("k-1", { name: "once" });
    const second = await keyed("k-1", { name: "once" });
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.text).toBe(first.text);
    const [row] = await plane.sql("select answer from idempotent_calls where key = 'k-1'");
    expect(String(row?.["answer"])).not.toContain(invitationOf(first).slice(-43));
  });

  test("answers calls at once by one of them", async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => keyed("k-2", { name: "together" })));
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
  });

  test("repeats a refusal as well", async () => {
    const first = await keyed("k-3", { name: "once" });
    expectProblem(first, "conflict");
    await keyed("k-4", { name: "agent-x", kind: "agent" });
    const again = await keyed("k-4", { name: "agent-x", kind: "agent" });
    expect(codeOf(again)).toBe("invalid_request");
  });

  test("is refused with another body, and is nobody else's", async () => {
    await keyed("k-5", { name: "five" });
    expectProblem(await keyed("k-5", { name: "six" }), "idempotency_conflict");
    const other = await person({ name: "other-admin", permissions: ["admin"] });
    expect((await keyed("k-5", { name: "six" }, other.token)).status).toBe(201);
  });

  test("of a call that was cut off is not run again", async () => {
    await keyed("k-6", { name: "cut-off" });
    await plane.sql(
      "update idempotent_calls set status = null, answer = null, claimed_until = now() - interval '1 second' where key = 'k-6'",
    );
    expectProblem(await keyed("k-6", { name: "cut-off" }), "conflict");
  });

  test("is forgotten after a day", async () => {
    await keyed("k-7", { name: "seven" });
    await plane.sql("update idempotent_calls set expires_at = now() where key = 'k-7'");
    expectProblem(await keyed("k-7", { name: "seven" }), "conflict");
    expect((await keyed("k-8", { name: "eight" })).status).toBe(201);
  });
});

describe("lists", () => {
  test("go on from their cursor, each subject once, and take no other list's", async () => {
    const names: string[] = [];
    let cursor: string | undefined;
    let foreign = "";
    do {
      const page = await call(
        "GET",
        `/v1/people?limit=3${cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
        { token: admin.token },
      );
      expect(page.status).toBe(200);
      const { items, next } = PeoplePage.parse(page.json);
      names.push(...items.map((item) => item.entry.name));
      cursor = next;
      foreign = cursor ?? foreign;
    } while (cursor !== undefined);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain("admin");
    expectProblem(
      await call("GET", `/v1/tokens?cursor=${encodeURIComponent(foreign)}`, { token: admin.token }),
      "invalid_request",
    );
  });
});

describe("events", () => {
  interface Stream {
    readonly events: { index: number; type: string }[];
    readonly status: number;
    close(): void;
    readonly ended: Promise<void>;
    text(): string;
  }

  async function stream(token: string, headers: Record<string, string> = {}, on = server): Promise<Stream> {
    const url = new URL(on.url);
    const request = httpRequest({
      host: url.hostname,
      port: url.port,
      path: "/v1/events",
      agent: false,
      headers: { authorization: `Bearer ${token}`, ...headers },
    });
    request.on("error", () => undefined);
    request.end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const events: { index: number; type: string }[] = [];
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      text += chunk;
      for (const match of chunk.matchAll(/^data: (.*)$/gm))
        events.push(JSON.parse(match[1] ?? "") as { index: number; type: string });
    });
    const ended = new Promise<void>((resolve) => response.once("close", resolve));
    return { events, status: response.statusCode ?? 0, close: () => request.destroy(), ended, text: () => text };
  }

  test("come as they are logged, in order, and are resumed without a gap", async () => {
    const first = await stream(admin.token);
    await call("POST", "/v1/people", { token: admin.token, body: { name: "streamed-1" } });
    await expect.poll(() => first.events.map((event) => event.type)).toContain("subject.created");
    first.close();
    const last = first.events.at(-1)?.index ?? -1;
    await call("POST", "/v1/people", { token: admin.token, body: { name: "streamed-2" } });
    const second = await stream(admin.token, { "last-event-id": String(last) });
    await expect.poll(() => second.events.length).toBeGreaterThanOrEqual(2);
    expect(second.events[0]?.index).toBe(last + 1);
    second.close();
    const everything = await stream(admin.token, { "last-event-id": "-1" });
    await expect.poll(() => everything.events.length).toBeGreaterThan(last);
    expect(everything.events.map((event) => event.index)).toEqual(everything.events.map((_, index) => index));
    everything.close();
  });

  test("are kept alive by comments, and end with the sign-in", async () => {
    const reader = await person({ name: "reader" });
    const open = await stream(reader.token);
    await expect.poll(() => open.text()).toContain("\n:\n");
    expect((await call("DELETE", "/v1/sign-ins/current", { token: reader.token })).status).toBe(204);
    await open.ended;
    expectProblem(await call("GET", "/v1/events", { token: reader.token }), "unauthenticated");
  });

  test("are so many at once and no more", async () => {
    const reader = await person({ name: "greedy" });
    const limited = await start({ streams: { perSubject: 2, keepAliveMs: 200 } });
    try {
      const open = [await stream(reader.token, {}, limited), await stream(reader.token, {}, limited)];
      expect(await stream(reader.token, {}, limited)).toMatchObject({ status: 429 });
      open[0]?.close();
      await expect.poll(async () => (await stream(reader.token, {}, limited)).status).toBe(200);
    } finally {
      await limited.close();
    }
  });

  test("end when the server closes", async () => {
    const own = await start({ streams: { keepAliveMs: 60_000 } });
    const open = await stream(admin.token, {}, own);
    await Promise.all([own.close(), open.ended]);
  });
});

describe("rates", () => {
  test("of signing in are limited by address, and say when to come back", async () => {
    const strict = await start({ rates: { signIn: { burst: 3, perSecond: 0.1 } } });
    try {
      const ask = () => call("POST", "/v1/sign-ins/challenges", { body: { credential: admin.credential }, on: strict });
      for (let i = 0; i < 3; i++) expect((await ask()).status).toBe(200);
      const refused = await ask();
      expectProblem(refused, "rate_limited");
      expect(Number(refused.headers["retry-after"])).toBeGreaterThanOrEqual(1);
    } finally {
      await strict.close();
    }
  });

  test("of wrong tokens are limited before the database is asked", async () => {
    const strict = await start({ rates: { failures: { burst: 2, perSecond: 0.01 } } });
    try {
      const codes: unknown[] = [];
      for (let i = 0; i < 4; i++) codes.push(codeOf(await call("GET", "/v1/whoami", { token: "wrong", on: strict })));
      expect(codes).toEqual(["unauthenticated", "unauthenticated", "rate_limited", "rate_limited"]);
      expectProblem(await call("GET", "/v1/whoami", { token: admin.token, on: strict }), "rate_limited");
    } finally {
      await strict.close();
    }
  });

  test("of one subject leave others alone", async () => {
    const strict = await start({ rates: { subject: { burst: 2, perSecond: 0.01 } } });
    try {
      const other = await person({ name: "patient" });
      const codes: number[] = [];
      for (let i = 0; i < 3; i++)
        codes.push((await call("GET", "/v1/whoami", { token: admin.token, on: strict })).status);
      expect(codes).toEqual([200, 200, 429]);
      expect((await call("GET", "/v1/whoami", { token: other.token, on: strict })).status).toBe(200);
    } finally {
      await strict.close();
    }
  });
});

describe("health", () => {
  test("alive, ready, and figures for this machine or an auditor", async () => {
    expect((await call("GET", "/healthz")).text).toBe("alive\n");
    expect((await call("GET", "/readyz")).text).toBe("ready\n");
    const local = await call("GET", "/metrics");
    expect(local.text).toMatch(/cardea_http_requests_total\{method="GET",route="\/healthz",status="200"\} \d+/);
    expect(local.text).toContain("cardea_notifications_waiting");
    expectProblem(await call("GET", "/metrics", { headers: { "x-forwarded-for": "203.0.113.9" } }), "unauthenticated");
    expect(
      (await call("GET", "/metrics", { token: admin.token, headers: { "x-forwarded-for": "203.0.113.9" } })).status,
    ).toBe(200);
  });

  test("without the database: alive, not ready, and a code that says so", async () => {
    const away = await cluster.createDatabase();
    const { openDatabase } = await import("../store/connection.ts");
    const database = openDatabase({ connection: away.url.replace(/:\d+\//, ":1/") }, plane.control.log);
    const control = { ...plane.control, db: database.db };
    const lonely = await startHttp(control, {
      listen: { host: "127.0.0.1", port: 0 },
      link: { upgrade: () => undefined },
    });
    try {
      expect((await call("GET", "/healthz", { on: lonely })).status).toBe(200);
      expectProblem(await call("GET", "/readyz", { on: lonely }), "database_unavailable");
      expectProblem(await call("GET", "/v1/whoami", { token: admin.token, on: lonely }), "database_unavailable");
      expect((await call("GET", "/metrics", { on: lonely })).status).toBe(200);
    } finally {
      await lonely.close();
      await database.close();
    }
  });

  test("people who do not verify make it not ready, and every call says so", async () => {
    const own = await startTestControl(cluster);
    const server = await startHttp(own.control, {
      listen: { host: "127.0.0.1", port: 0 },
      link: { upgrade: () => undefined },
    });
    try {
      expect((await call("GET", "/readyz", { on: server })).status).toBe(200);
      await own.sql("update roster_heads set digest = 'sha256:' || repeat('0', 64)");
      expectProblem(await call("GET", "/readyz", { on: server }), "roster_invalid");
    } finally {
      await server.close();
      await own.stop();
    }
  });
});

describe("the server", () => {
  test("hands upgraded connections at /v1/link on, and shuts the door to others", async () => {
    const upgrade = async (path: string): Promise<string> => {
      const { hostname, port } = new URL(server.url);
      const socket = connect(Number(port), hostname);
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`);
      let text = "";
      for await (const chunk of socket) text += String(chunk);
      return text;
    };
    expect(await upgrade("/v1/link")).toMatch(/^HTTP\/1\.1 101/);
    expect(await upgrade("/v1/events")).toMatch(/^HTTP\/1\.1 404/);
    expect(upgraded).toEqual(["/v1/link"]);
  });

  test("names the setting when its port is taken", async () => {
    const { port } = new URL(server.url);
    await expect(start({ listen: { host: "127.0.0.1", port: Number(port) } })).rejects.toMatchObject({
      code: "port_taken",
      message: expect.stringContaining("`listen`"),
    });
  });

  test("closes while somebody waits, and answers them first", async () => {
    const own = await start();
    const waiting = call("GET", "/v1/requests/req_00000000000000000000000000?wait=30", { token: admin.token, on: own });
    await sleep(100);
    const before = Date.now();
    await own.close();
    expectProblem(await waiting, "not_found");
    expect(Date.now() - before).toBeLessThan(5_000);
  });
});
