import { CardeaError } from "@cardea/core/contract/errors";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Control } from "../control.ts";
import { currentRoster } from "../people/roster.ts";
import { demand } from "../people/demand.ts";
import type { Entrance } from "./entrance.ts";
import type { HttpMetrics } from "./metrics.ts";

/** What load balancers and monitors ask: alive, ready, figures. */
export function registerHealth(app: FastifyInstance, control: Control, entrance: Entrance, metrics: HttpMetrics): void {
  app.get("/healthz", { schema: described("whether the process lives") }, async (_request, reply) =>
    reply.type("text/plain; charset=utf-8").send("alive\n"),
  );

  app.get(
    "/readyz",
    { schema: described("whether calls can be answered: the database is there and the people in it verify") },
    async (request, reply) => {
      await entrance.admit(request, "anybody");
      // Reads the database and checks what it finds; its error says which of the two failed.
      await currentRoster(control);
      return reply.type("text/plain; charset=utf-8").send("ready\n");
    },
  );

  app.get(
    "/metrics",
    { schema: described("figures in Prometheus' text format, for auditors, administrators and this machine itself") },
    async (request, reply) => {
      if (!isThisMachine(request)) await admitOverseer(request, entrance);
      return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
    },
  );
}

/** A loopback peer that nobody is forwarded by: behind a proxy on this machine everybody would look local. */
function isThisMachine(request: FastifyRequest): boolean {
  const forwarded = request.headers["x-forwarded-for"] ?? request.headers["forwarded"] ?? request.headers["x-real-ip"];
  return forwarded === undefined && /^(?:127\.|::1$|::ffff:127\.)/.test(request.socket.remoteAddress ?? "");
}

async function admitOverseer(request: FastifyRequest, entrance: Entrance): Promise<void> {
  const caller = await entrance.admit(request, "token");
  if (caller === undefined)
    throw new CardeaError("unauthenticated", "figures are for auditors and administrators; send a token");
  demand(caller.actor, "auditor", "admin");
}

function described(summary: string): object {
  return { summary, tags: ["operations"] };
}
