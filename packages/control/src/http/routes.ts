import { endpoints, type Endpoint } from "@cardea/core/wire/api/endpoints";
import { Problem } from "@cardea/core/wire/api/conventions";
import { CardeaError } from "@cardea/core/contract/errors";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Control } from "../control.ts";
import type { Authenticated } from "../people/authenticate.ts";
import { demand, demandSignIn } from "../people/demand.ts";
import { openCursor, sealCursor } from "./cursors.ts";
import type { Door, Entrance } from "./entrance.ts";
import { handlers, type Call } from "./handlers.ts";
import { idempotencyKey, oncePerKey, type Answer } from "./idempotency.ts";
import { problemOf, problemType } from "./problem.ts";

const jsonType = "application/json; charset=utf-8";

/** Registers every endpoint of the contract with its handler. */
export function registerEndpoints(app: FastifyInstance, control: Control, entrance: Entrance): void {
  for (const [name, endpoint] of Object.entries(endpoints)) {
    // `Handlers` has a handler for exactly the endpoint of each name, which a loop over names cannot show.
    registerEndpoint(app, control, entrance, name, endpoint, handlers[name as keyof typeof handlers] as AnyHandler);
  }
}

type AnyHandler = (call: Call<Endpoint>) => Promise<unknown>;

function registerEndpoint(
  app: FastifyInstance,
  control: Control,
  entrance: Entrance,
  name: string,
  endpoint: Endpoint,
  handler: AnyHandler,
): void {
  const { method, path, params, query, body, access } = endpoint;
  const serve = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const caller = entrance.callerOf(request);
    const input = { params: request.params, query: request.query, body: request.body ?? undefined };
    const call = {
      ...input,
      query: withPosition(control, name, input.query),
      control,
      caller,
      sourceIp: request.ip,
      signal: entrance.signalOf(reply),
    };
    // The schemas of the route are the endpoint's, so what Fastify parsed has the types that `Call` derives from them.
    const run = async (): Promise<Answer> =>
      answer(control, name, endpoint, await handler(call as unknown as Call<Endpoint>));
    const key =
      endpoint.creates === true && caller !== undefined
        ? idempotencyKey(request.headers["idempotency-key"])
        : undefined;
    if (caller === undefined || key === undefined) return send(reply, await run());
    const keyed = {
      subject: caller.actor.subject,
      key,
      input: { method, url: request.url, body: request.body ?? null },
      signal: call.signal,
    };
    return send(reply, await oncePerKey(control, keyed, run, (error) => refusal(control, request, error)));
  };
  app.route({
    method,
    url: path.replaceAll(/\{(\w+)\}/g, ":$1"),
    schema: {
      ...(params && { params }),
      querystring: (query ?? z.object({})).strict(),
      ...(body && { body }),
      response: {
        [statusOf(endpoint)]: endpoint.reply ?? z.null().describe("done"),
        default: { description: "a problem (RFC 9457)", content: { "application/problem+json": { schema: Problem } } },
      },
      operationId: name,
      tags: [endpoint.group],
      summary: endpoint.summary,
      description: accessWords(endpoint),
      security: access === "public" ? [] : [{ bearer: [] }],
    },
    onRequest: async (request) => {
      const caller = await entrance.admit(request, doorOf(endpoint));
      if (caller !== undefined) refuseByTable(endpoint, caller);
    },
    handler: serve,
  });
}

function doorOf({ access, group }: Endpoint): Door {
  return access !== "public" ? "token" : group === "sign-in" ? "sign-in" : "anybody";
}

function refuseByTable({ access, presence }: Endpoint, { actor }: Authenticated): void {
  if (access !== "public") demand(actor, ...access);
  if (presence === "sign-in") demandSignIn(actor);
}

/** With the cursor opened to the position that the list named. */
function withPosition(control: Control, list: string, query: unknown): unknown {
  if (typeof query !== "object" || query === null || !("cursor" in query) || typeof query.cursor !== "string")
    return query;
  return { ...query, cursor: openCursor(control, list, query.cursor) };
}

function answer(control: Control, name: string, endpoint: Endpoint, value: unknown): Answer {
  const status = statusOf(endpoint);
  if (endpoint.reply === undefined) return { status, body: "" };
  const sealed =
    typeof value === "object" && value !== null && "next" in value && typeof value.next === "string"
      ? { ...value, next: sealCursor(control, name, value.next) }
      : value;
  const parsed = z.safeEncode(endpoint.reply, sealed);
  if (!parsed.success)
    throw new CardeaError("internal", `the answer of \`${name}\` does not have its own form`, { cause: parsed.error });
  return { status, body: JSON.stringify(parsed.data) };
}

function refusal(control: Control, request: FastifyRequest, error: CardeaError): Answer {
  const problem = problemOf(error, { publicUrl: control.settings.publicUrl, requestId: request.id });
  return { status: problem.status, body: JSON.stringify(problem) };
}

function send(reply: FastifyReply, { status, body }: Answer): FastifyReply {
  reply.code(status);
  if (body === "") return reply.send();
  return reply.type(status < 400 ? jsonType : problemType).send(body);
}

function statusOf({ creates, reply }: Endpoint): number {
  return reply === undefined ? 204 : creates === true ? 201 : 200;
}

function accessWords({ access, presence, creates }: Endpoint): string {
  const who = access === "public" ? "Public." : `Needs the permission ${access.join(" or ")}.`;
  return [
    who,
    presence === "sign-in" ? "API tokens are refused." : "",
    creates === true ? "Takes an `Idempotency-Key`." : "",
  ]
    .filter((words) => words !== "")
    .join(" ");
}
