import swagger from "@fastify/swagger";
import { Meta, Problem, SubjectRef } from "@cardea/core/wire/api/conventions";
import { GrantView, KeyView } from "@cardea/core/wire/api/grants";
import {
  AuditEntry,
  OutpostView,
  PolicyPlan,
  PolicyView,
  ResourceView,
  Simulation,
  WebhookView,
} from "@cardea/core/wire/api/operations";
import { PersonView, TokenView, WhoAmI } from "@cardea/core/wire/api/people";
import { RequestView } from "@cardea/core/wire/api/requests";
import { Decision } from "@cardea/core/documents/decision";
import { Evidence } from "@cardea/core/documents/evidence";
import { Grant } from "@cardea/core/documents/grant";
import { Policy } from "@cardea/core/documents/policy";
import { JsonValue } from "@cardea/core/documents/primitives";
import { Request } from "@cardea/core/documents/request";
import { ResourceSpec } from "@cardea/core/documents/resource-spec";
import { RosterEntry } from "@cardea/core/documents/roster";
import { Signature } from "@cardea/core/documents/signature";
import { Trust } from "@cardea/core/documents/trust";
import { Vote } from "@cardea/core/documents/vote";
import type { FastifyInstance } from "fastify";
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from "fastify-type-provider-zod";
import { z } from "zod";
import type { Control } from "../control.ts";

/** What the document names instead of repeating it. */
const named = {
  AuditEntry,
  Decision,
  Evidence,
  Grant,
  GrantView,
  JsonValue,
  KeyView,
  Meta,
  OutpostView,
  PersonView,
  Policy,
  PolicyPlan,
  PolicyView,
  Problem,
  Request,
  RequestView,
  ResourceSpec,
  ResourceView,
  RosterEntry,
  Signature,
  Simulation,
  SubjectRef,
  TokenView,
  Trust,
  Vote,
  WebhookView,
  WhoAmI,
};

/** Collects the routes that are registered after it into an OpenAPI 3.1 document, `app.swagger()`. */
export async function registerOpenApi(app: FastifyInstance, { settings }: Pick<Control, "settings">): Promise<void> {
  const schemaRegistry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) schemaRegistry.add(schema, { id });
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Cardea",
        version: settings.version,
        description:
          "Ask for one action or one window of access, decide, and get a key that ends by itself. Errors are problem documents (RFC 9457) whose `code` is stable.",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      servers: [{ url: settings.publicUrl }],
      components: {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer", description: "a sign-in's token or an API token" },
        },
      },
    },
    transform: createJsonSchemaTransform({ schemaRegistry, skipList: [] }),
    transformObject: createJsonSchemaTransformObject({ schemaRegistry }),
  });
}
