import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { Transport, type TransportOptions } from "./transport.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function transportTo(
  listener: RequestListener,
  options: Omit<TransportOptions, "baseUrl"> = {},
): Promise<Transport> {
  return new Transport({ baseUrl: await serve(listener), ...options });
}

const get = { method: "GET", path: "/v1/thing", output: z.object({ ok: z.boolean() }) } as const;
const problem = {
  type: "about:blank",
  title: "denied",
  status: 403,
  detail: "no",
  code: "policy_denied",
  retryable: false,
};

describe("a base URL", () => {
  it.each([
    "http://cardea.example",
    "ftp://127.0.0.1",
    "nowhere",
    "https://user:pw@cardea.example",
    "https://cardea.example/?a=1",
  ])("%s is refused", (baseUrl) => {
    expect(() => new Transport({ baseUrl })).toThrow(expect.objectContaining({ code: "usage" }));
  });

  it.each(["http://localhost:7400", "http://[::1]:7400", "https://cardea.example/below/"])("%s is taken", (baseUrl) => {
    expect(new Transport({ baseUrl }).baseUrl).toBe(baseUrl.replace(/\/$/, ""));
  });
});

describe("a call", () => {
  it("carries the token, the idempotency key and JSON", async () => {
    const seen: unknown[] = [];
    const transport = await transportTo(
      (request, response) => {
        seen.push(
          request.headers.authorization,
          request.headers["idempotency-key"],
          request.headers["content-type"],
          request.url,
        );
        response.end('{"ok":true}');
      },
      { token: () => "t1" },
    );
    await transport.call({ ...get, method: "POST", query: { a: 1, b: undefined }, body: {}, idempotencyKey: "k" });
    expect(seen).toEqual(["Bearer t1", "k", "application/json", "/v1/thing?a=1"]);
  });

  it("answers a problem document as its code, with what it says", async () => {
    const transport = await transportTo((_, response) =>
      response.writeHead(403).end(JSON.stringify({ ...problem, reasons: ["because"] })),
    );
    await expect(transport.call(get)).rejects.toMatchObject({
      name: "ApiError",
      code: "policy_denied",
      problem: { reasons: ["because"] },
    });
  });

  it("makes of a stranger's failure that nobody of ours was reached", async () => {
    const transport = await transportTo((_, response) => response.writeHead(502).end("<html>"));
    await expect(transport.call(get)).rejects.toMatchObject({ code: "unreachable" });
  });

  it("says where an answer of another form differs", async () => {
    const transport = await transportTo((_, response) => response.end('{"ok":"yes"}'));
    await expect(transport.call(get)).rejects.toMatchObject({
      code: "internal",
      message: expect.stringContaining("`ok`") as unknown,
    });
  });

  it("follows no redirect, because the token would go with it", async () => {
    let reached = false;
    const elsewhere = await serve((_, response) => {
      reached = true;
      response.end('{"ok":true}');
    });
    const transport = await transportTo(
      (_, response) => response.writeHead(307, { location: `${elsewhere}/v1/thing` }).end(),
      { token: () => "t1" },
    );
    await expect(transport.call(get)).rejects.toMatchObject({ code: "unreachable" });
    expect(reached).toBe(false);
  });

  it("asks for another token once where one is refused", async () => {
    const transport = await transportTo(
      (request, response) => {
        const good = request.headers.authorization === "Bearer new";
        response
          .writeHead(good ? 200 : 401)
          .end(good ? '{"ok":true}' : JSON.stringify({ ...problem, status: 401, code: "unauthenticated" }));
      },
      { token: (refused) => (refused === undefined ? "old" : "new") },
    );
    await expect(transport.call(get)).resolves.toEqual({ ok: true });
  });

  it("gives up where the same token comes back", async () => {
    let calls = 0;
    const transport = await transportTo(
      (_, response) => {
        calls++;
        response.writeHead(401).end(JSON.stringify({ ...problem, status: 401, code: "unauthenticated" }));
      },
      { token: () => "old" },
    );
    await expect(transport.call(get)).rejects.toMatchObject({ code: "unauthenticated" });
    expect(calls).toBe(1);
  });

  it("does not wait for ever: not for an answer, not for its end", async () => {
    const silent = await transportTo(() => undefined, { timeoutMs: 100 });
    await expect(silent.call(get)).rejects.toMatchObject({ code: "timeout" });
    const endless = await transportTo((_, response) => response.write("{"), { timeoutMs: 100 });
    await expect(endless.call(get)).rejects.toMatchObject({ code: "timeout" });
  });

  it("is cancelled by its signal", async () => {
    const transport = await transportTo(() => undefined);
    await expect(transport.call({ ...get, signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      code: "cancelled",
    });
  });

  it("reads no more than an answer may have", async () => {
    const chunk = Buffer.alloc(1024 * 1024, " ");
    const transport = await transportTo((_, response) => {
      for (let i = 0; i < 40; i++) response.write(chunk);
      response.end();
    });
    await expect(transport.call(get)).rejects.toMatchObject({ code: "too_large" });
  });

  it("says that nobody is there", async () => {
    const transport = new Transport({ baseUrl: "http://127.0.0.1:1" });
    await expect(transport.call(get)).rejects.toMatchObject({ code: "unreachable" });
  });
});
