import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { toTime } from "@cardea/core/documents/primitives";
import { CardeaClient } from "./client.ts";
import { followEvents, streamEvents } from "./events.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function clientOf(listener: (request: IncomingMessage, response: ServerResponse) => void): Promise<CardeaClient> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await new Promise((resolve) => server.once("listening", resolve));
  return new CardeaClient({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: () => "t" });
}

const event = (index: number) => ({
  index,
  at: toTime(Date.UTC(2026, 0, 1) + index),
  type: "request.submitted",
  ids: { note: `n\u00f6te ${index}` },
});
const frame = (index: number) => `id: ${index}\nevent: request.submitted\ndata: ${JSON.stringify(event(index))}\n\n`;

async function take(
  count: number,
  stream: AsyncIterable<{ readonly index: number }>,
  stop: AbortController,
): Promise<number[]> {
  const indexes: number[] = [];
  for await (const { index } of stream) {
    indexes.push(index);
    if (indexes.length === count) stop.abort();
  }
  return indexes;
}

describe("a stream of events", () => {
  it("is read the same wherever the network cuts it", async () => {
    const bytes = Buffer.from(`retry: 1000\n\n:\n\n${frame(1)}:\n\n${frame(2)}`);
    let cut = 0;
    const client = await clientOf((_, response) => {
      response.write(bytes.subarray(0, cut), () => setImmediate(() => response.end(bytes.subarray(cut))));
    });
    for (cut = 1; cut < bytes.length; cut += 7) {
      const stop = new AbortController();
      expect(await take(Number.POSITIVE_INFINITY, streamEvents(client.transport, stop.signal), stop)).toEqual([1, 2]);
    }
  });

  it("that holds something else is a fault, and says so", async () => {
    const client = await clientOf((_, response) => response.end('data: {"index":"one"}\n\n'));
    const stop = new AbortController();
    await expect(take(1, streamEvents(client.transport, stop.signal), stop)).rejects.toMatchObject({
      code: "internal",
    });
  });

  it("ends quietly when it is not wanted any more", async () => {
    const client = await clientOf((_, response) => response.write(frame(1)));
    const stop = new AbortController();
    expect(await take(1, streamEvents(client.transport, stop.signal), stop)).toEqual([1]);
  });
});

describe("following", () => {
  it("goes on after the last event, each once, over servers that break off, repeat themselves and are away", async () => {
    const asked: (string | undefined)[] = [];
    const client = await clientOf((request, response) => {
      asked.push(request.headers["last-event-id"] as string | undefined);
      switch (asked.length) {
        case 1:
          return void response.write(frame(5) + frame(6), () => response.destroy());
        case 2:
          return void response.writeHead(503).end();
        default:
          // What a server that begins too early sends.
          return void response.write(frame(6) + frame(7) + frame(8));
      }
    });
    const stop = new AbortController();
    const interruptions: number[] = [];
    const stream = followEvents(client, {
      signal: stop.signal,
      after: 4,
      onInterruption: (_error, pauseMs) => interruptions.push(pauseMs),
    });
    expect(await take(4, stream, stop)).toEqual([5, 6, 7, 8]);
    expect(asked).toEqual(["4", "6", "6"]);
    expect(interruptions).toEqual([500, 1_000]);
  });

  it("begins behind the newest checkpoint, so that a first stream that breaks loses nothing", async () => {
    const asked: (string | undefined)[] = [];
    const client = await clientOf((request, response) => {
      if (request.url === "/v1/log/checkpoint")
        return void response.end(`log.example/x\n42\n${Buffer.alloc(32).toString("base64")}\n\n— log.example/x AAAA\n`);
      asked.push(request.headers["last-event-id"] as string | undefined);
      return void response.write(frame(42));
    });
    const stop = new AbortController();
    expect(await take(1, followEvents(client, { signal: stop.signal }), stop)).toEqual([42]);
    expect(asked).toEqual(["41"]);
  });

  it("does not insist where it is refused", async () => {
    const refusal = {
      type: "x",
      title: "x",
      status: 401,
      detail: "sign in first",
      code: "unauthenticated",
      retryable: false,
    };
    const client = await clientOf((_, response) => void response.writeHead(401).end(JSON.stringify(refusal)));
    const stop = new AbortController();
    await expect(take(1, followEvents(client, { signal: stop.signal, after: 1 }), stop)).rejects.toMatchObject({
      code: "unauthenticated",
    });
  });
});
