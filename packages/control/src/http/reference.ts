import { errors } from "@cardea/core/contract/errors";
import type { FastifyInstance } from "fastify";
import type { Control } from "../control.ts";
import { referencePage } from "./reference-page.ts";

/** A page of ours needs no script, and its style is its own. */
const pagePolicy =
  "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** `/v1/openapi.json` and `/docs`, both made once from the registered routes. */
export function registerReference(app: FastifyInstance, { settings }: Pick<Control, "settings">): void {
  const made: { document?: string; page?: string } = {};
  app.get(
    "/v1/openapi.json",
    { schema: { summary: "this interface as an OpenAPI 3.1 document", tags: ["operations"] } },
    async (_request, reply) => {
      made.document ??= JSON.stringify(app.swagger());
      return reply.type("application/json; charset=utf-8").send(made.document);
    },
  );
  app.get("/docs", { schema: { summary: "this reference", tags: ["operations"] } }, async (_request, reply) => {
    made.page ??= referencePage(JSON.parse(JSON.stringify(app.swagger())), errors, settings.version);
    return reply.header("content-security-policy", pagePolicy).type("text/html; charset=utf-8").send(made.page);
  });
}
