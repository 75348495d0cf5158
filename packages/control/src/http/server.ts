/**
 * The HTTP interface: the API under `/v1`, its OpenAPI document and reference page, health and figures, and the place where outposts dial in.
 * `server` starts it with a finished `Control` and closes it first. It decides nothing: each endpoint parses, calls one use case, and answers.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { CardeaError, errors } from "@cardea/core/contract/errors";
import { toBase32 } from "@cardea/core/lib/base32";
import Fastify, { LogController, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import type { Control } from "../control.ts";
import { defaultRates, Entrance, type Rates } from "./entrance.ts";
import { defaultStreamLimits, registerEvents, type StreamLimits } from "./events.ts";
import { registerHealth } from "./health.ts";
import { parseJsonBody } from "./json-body.ts";
import { registerLogFiles } from "./log-files.ts";
import { createMetrics, type HttpMetrics } from "./metrics.ts";
import { registerOpenApi } from "./openapi.ts";
import { asCardeaError, problemOf, problemType } from "./problem.ts";
import { registerReference } from "./reference.ts";
import { registerEndpoints } from "./routes.ts";
import { startSweep } from "./sweep.ts";

export interface HttpOptions {
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Takes over upgraded connections at `/v1/link`. */
  readonly link: { upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void };
  /** PEM; without it the server speaks plain HTTP, for loopback or behind a proxy. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Addresses or networks of proxies whose `X-Forwarded-For` is believed. Default: none, a caller's address is its socket's. */
  readonly trustedProxies?: readonly string[];
  readonly rates?: Partial<Rates>;
  readonly streams?: Partial<StreamLimits>;
}

export interface HttpServer {
  /** Where it listens. */
  readonly url: string;
  readonly app: FastifyInstance;
  /** Ends waiting calls and streams, lets running ones finish for 5 s, then closes every connection. */
  close(): Promise<void>;
}

const maxBodyBytes = 1_048_576;
const closeGraceMs = 5_000;

/** @throws CardeaError `port_taken`, `setting_invalid` */
export async function startHttp(control: Control, options: HttpOptions): Promise<HttpServer> {
  const metrics = createMetrics(control);
  const entrance = new Entrance(control, { ...defaultRates, ...options.rates });
  const app = createApp(control, options);
  watch(app, control, metrics);
  refuseWhileStopping(app);
  await registerOpenApi(app, control);
  registerEndpoints(app, control, entrance);
  registerLogFiles(app, control, entrance);
  registerEvents(app, control, entrance, metrics, { ...defaultStreamLimits, ...options.streams });
  registerHealth(app, control, entrance, metrics);
  registerReference(app, control);
  app.server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (request.url?.split("?")[0] === "/v1/link") options.link.upgrade(request, socket, head);
    else socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n");
  });
  const url = await listen(app, options);
  const sweep = startSweep(control);
  return {
    url,
    app,
    close: async () => {
      entrance.close();
      await sweep.close();
      const force = setTimeout(() => app.server.closeAllConnections(), closeGraceMs);
      await app.close();
      clearTimeout(force);
    },
  };
}

function createApp(control: Control, { tls, trustedProxies }: HttpOptions): FastifyInstance {
  const app: FastifyInstance = Fastify({
    loggerInstance: control.log.child({ part: "http" }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: maxBodyBytes,
    requestTimeout: 30_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: "idle",
    // `refuseWhileStopping` answers in the form that callers know.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 200, ignoreTrailingSlash: false, caseSensitive: true },
    trustProxy: trustedProxies === undefined || trustedProxies.length === 0 ? false : [...trustedProxies],
    // A caller's own request id is not taken over: it would let them write into our log.
    requestIdHeader: false,
    genReqId: () => `r${toBase32(control.random.bytes(10))}`,
    clientErrorHandler: answerBrokenHttp,
    frameworkErrors: (error, request, reply) => void answerProblem(control, request, reply, error),
    ...(tls !== undefined && { https: { key: tls.key, cert: tls.cert, minVersion: "TLSv1.2" as const } }),
    // With `https` the type of the server differs; nothing here depends on which it is.
  }) as unknown as FastifyInstance;
  app.setValidatorCompiler(((route) => {
    const validate = validatorCompiler(route);
    // Fastify says `null` for no body at all; to a schema that is something.
    return route.httpPart === "body" ? (body: unknown) => validate(body ?? undefined) : validate;
  }) as typeof validatorCompiler); // the wrapper takes and gives what the wrapped does
  app.setSerializerCompiler(serializerCompiler);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
    try {
      done(null, parseJsonBody(String(body)));
    } catch (error) {
      // `parseJsonBody` throws `CardeaError` only.
      done(error as CardeaError);
    }
  });
  app.setErrorHandler((error, request, reply) => answerProblem(control, request, reply, error));
  const known = knownRoutes(app);
  app.setNotFoundHandler((request, reply) => answerProblem(control, request, reply, notFound(known, request)));
  return app;
}

/** Who kept a connection from before is told to come back, on another one: what answers there is the next process. */
function refuseWhileStopping(app: FastifyInstance): void {
  let stopping = false;
  app.addHook("preClose", (done) => {
    stopping = true;
    done();
  });
  app.addHook("onRequest", async (_request, reply) => {
    if (!stopping) return;
    void reply.header("connection", "close");
    throw new CardeaError("unreachable", "the control plane is stopping; try again in a moment");
  });
}

/** Headers, log and figures of every answer. */
function watch(app: FastifyInstance, control: Control, metrics: HttpMetrics): void {
  app.addHook("onRequest", async (request, reply) => void reply.headers(safeHeaders(control, request)));
  app.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "none";
    const { statusCode: status } = reply;
    metrics.requests.inc({ method: request.method, route, status: String(status) });
    const waited = route === "/v1/events" || /[?&]wait=/.test(request.url);
    if (!waited) metrics.seconds.observe({ method: request.method, route }, reply.elapsedTime / 1_000);
    const level = status >= 500 ? "error" : status >= 400 || request.method !== "GET" ? "info" : "debug";
    // No query and no headers: what is logged names the route, never what was asked or with which token.
    control.log[level](
      {
        requestId: request.id,
        method: request.method,
        route,
        status,
        ms: Math.round(reply.elapsedTime),
        ip: request.ip,
      },
      "answered",
    );
  });
  app.addHook("onSend", async (_request, reply, payload) => {
    const code: unknown = reply.statusCode >= 400 ? reply.getHeader("x-problem-code") : undefined;
    if (typeof code === "string") {
      metrics.refusals.inc({ code });
      reply.removeHeader("x-problem-code");
    }
    return payload;
  });
}

/** Nothing here is for a browser to run, frame, guess at or keep. */
function safeHeaders({ settings }: Control, request: FastifyRequest): Record<string, string> {
  return {
    "x-request-id": request.id,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    ...(settings.publicUrl.startsWith("https:") && { "strict-transport-security": "max-age=31536000" }),
  };
}

function answerProblem(control: Control, request: FastifyRequest, reply: FastifyReply, thrown: unknown): FastifyReply {
  const error = asCardeaError(thrown);
  const problem = problemOf(error, { publicUrl: control.settings.publicUrl, requestId: request.id });
  if (problem.status >= 500)
    control.log.error({ err: error.cause ?? error, requestId: request.id, code: error.code }, "a call failed");
  // Hooks do not run for a call that the router itself refuses.
  void reply.headers(safeHeaders(control, request));
  const retryAfter = error.extra["retryAfterSeconds"];
  if (typeof retryAfter === "number") void reply.header("retry-after", String(retryAfter));
  if (problem.status === 401) void reply.header("www-authenticate", "Bearer");
  const allow = error.extra["allow"];
  if (typeof allow === "string") void reply.header("allow", allow);
  return reply
    .code(problem.status)
    .header("x-problem-code", error.code)
    .type(problemType)
    .send(JSON.stringify(problem));
}

interface KnownRoute {
  readonly method: string;
  readonly pattern: RegExp;
}

/** Every route that is registered from here on. */
function knownRoutes(app: FastifyInstance): readonly KnownRoute[] {
  const routes: KnownRoute[] = [];
  app.addHook("onRoute", ({ method, url }) => {
    const pattern = new RegExp(`^${url.replaceAll(".", "\\.").replaceAll("*", ".*").replaceAll(/:\w+/g, "[^/]+")}$`);
    for (const one of [method].flat()) routes.push({ method: one, pattern });
  });
  return routes;
}

function notFound(known: readonly KnownRoute[], request: FastifyRequest): CardeaError {
  const path = request.url.split("?")[0] ?? "";
  const allowed = [...new Set(known.filter((route) => route.pattern.test(path)).map((route) => route.method))].sort();
  if (allowed.length === 0) return new CardeaError("not_found", errors.not_found.title);
  return new CardeaError(
    "method_not_allowed",
    `\`${request.method}\` is not offered here; try ${allowed.join(" or ")}`,
    { extra: { allow: allowed.join(", ") } },
  );
}

/** What does not even parse as HTTP. */
function answerBrokenHttp(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = error.code === "HPE_HEADER_OVERFLOW" ? "too_large" : "invalid_request";
  const { status, title, retryable } = errors[code];
  const body = JSON.stringify({ type: "about:blank", title, status, detail: title, code, retryable });
  socket.end(
    `HTTP/1.1 ${status} ${status === 413 ? "Content Too Large" : "Bad Request"}\r\ncontent-type: ${problemType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

async function listen(app: FastifyInstance, { listen: { host, port } }: HttpOptions): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (cause) {
    await app.close();
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "EADDRINUSE")
      throw new CardeaError(
        "port_taken",
        `port ${port} on ${host} is taken; free it or change the setting \`listen\``,
        { cause },
      );
    if (code === "EADDRNOTAVAIL" || code === "EACCES")
      throw new CardeaError(
        "setting_invalid",
        `cannot listen on ${host}:${port} (${code}); change the setting \`listen\``,
        { cause },
      );
    throw cause;
  }
}
