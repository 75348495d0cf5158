/**
 * Server-sent events from the log, in its order and without a gap: an event's id is its index, and `Last-Event-ID` goes on after it. A
 * stream checks its caller again with each look, so it ends with the sign-in. A reader that is too slow is disconnected and resumes; nothing is
 * buffered for it.
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { CardeaError } from "@cardea/core/contract/errors";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { eventsAfter, newestIndex } from "../audit/events.ts";
import type { Actor, Control } from "../control.ts";
import { authenticate } from "../people/authenticate.ts";
import type { Entrance } from "./entrance.ts";
import type { HttpMetrics } from "./metrics.ts";

export interface StreamLimits {
  readonly perSubject: number;
  readonly inAll: number;
  /** A comment is sent so often, so that proxies keep the connection and a dead one is noticed. */
  readonly keepAliveMs: number;
  /** A reader that takes nothing for so long is disconnected. */
  readonly drainMs: number;
}

export const defaultStreamLimits: StreamLimits = { perSubject: 10, inAll: 1_000, keepAliveMs: 15_000, drainMs: 30_000 };

const batch = 200;
const Index = z.coerce.number().int().min(-1).max(Number.MAX_SAFE_INTEGER);

export function registerEvents(
  app: FastifyInstance,
  control: Control,
  entrance: Entrance,
  metrics: HttpMetrics,
  limits: StreamLimits,
): void {
  const open = new Map<string, number>();
  let inAll = 0;

  app.get(
    "/v1/events",
    {
      schema: {
        summary: "what happens, as it is logged (server-sent events)",
        tags: ["log"],
        security: [{ bearer: [] }],
      },
    },
    async (request, reply) => {
      const caller = await entrance.admit(request, "token");
      if (caller === undefined) throw new CardeaError("unauthenticated", "sign in first");
      const { actor } = caller;
      const after = lastEventId(request);
      const streams = open.get(actor.subject) ?? 0;
      if (streams >= limits.perSubject || inAll >= limits.inAll)
        throw new CardeaError("rate_limited", "too many open event streams; close one");
      const start = after ?? (await newestIndex(control));

      open.set(actor.subject, streams + 1);
      inAll++;
      metrics.streams.inc();
      reply.hijack();
      const raw = reply.raw;
      const signal = entrance.signalOf(reply);
      for (const [name, value] of Object.entries(reply.getHeaders()))
        if (value !== undefined) raw.setHeader(name, value);
      raw.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" });
      try {
        await stream(control, request, raw, { actor, start, signal, limits });
      } catch (error) {
        control.log.warn({ err: error, requestId: request.id }, "an event stream broke");
      } finally {
        raw.end();
        const left = (open.get(actor.subject) ?? 1) - 1;
        if (left === 0) open.delete(actor.subject);
        else open.set(actor.subject, left);
        inAll--;
        metrics.streams.dec();
      }
    },
  );
}

interface Streaming {
  readonly actor: Actor;
  readonly start: number;
  readonly signal: AbortSignal;
  readonly limits: StreamLimits;
}

async function stream(
  control: Control,
  request: FastifyRequest,
  raw: ServerResponse,
  { actor, start, signal, limits }: Streaming,
): Promise<void> {
  let [after, caller] = [start, actor];
  const isOver = (): boolean => signal.aborted;
  await write(raw, "retry: 1000\n\n", limits);
  while (!isOver()) {
    // The wait begins before the look, so that what is logged in between is not missed.
    const woken = new AbortController();
    const wait = control.wake.wait("log", limits.keepAliveMs, AbortSignal.any([signal, woken.signal]));
    const events = await eventsAfter(control, caller, after, batch);
    for (const event of events) {
      await write(raw, `id: ${event.index}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`, limits);
      after = event.index;
    }
    if (events.length === batch) {
      woken.abort();
      continue;
    }
    await wait;
    if (isOver()) return;
    await write(raw, ":\n\n", limits);
    const again = await authenticate(control, request.headers.authorization, request.ip);
    if (!again.ok) return;
    caller = again.value.actor;
  }
}

/** Waits for a slow reader, but not for ever. */
async function write(raw: ServerResponse, text: string, { drainMs }: StreamLimits): Promise<void> {
  if (raw.destroyed) throw new CardeaError("cancelled", "the reader is gone");
  if (raw.write(text)) return;
  await once(raw, "drain", { signal: AbortSignal.timeout(drainMs) }).catch((cause: unknown) => {
    raw.destroy();
    throw new CardeaError("timeout", "the reader takes nothing", { cause });
  });
}

/** Where to go on: after the header's index, after `?after=` (`-1` is from the beginning), or undefined for from now on. */
function lastEventId(request: FastifyRequest): number | undefined {
  const query = z.strictObject({ after: Index.optional() }).safeParse(request.query);
  const header = request.headers["last-event-id"];
  const fromHeader = Index.optional().safeParse(header);
  if (!query.success || !fromHeader.success)
    throw new CardeaError("invalid_request", "the place to go on from is the index of an event");
  return fromHeader.data ?? query.data.after;
}
