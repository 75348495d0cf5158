import { z } from "zod";
import { PolicyDocument } from "../documents/policy.ts";

/** The name of the published schema. */
export const policySchemaId = "urn:cardea:schema:policy:v1";

/** The policy document as JSON Schema (draft 2020-12), for editors and other tools. What only code can check is left out of it. */
export function policyJsonSchema(): Readonly<Record<string, unknown>> {
  const { $schema, ...schema } = z.toJSONSchema(PolicyDocument, { target: "draft-2020-12", io: "input" });
  return { $schema, $id: policySchemaId, title: "Cardea policy", ...schema };
}

/** The names of all fields that a policy may have anywhere, sorted. */
export function policyFieldNames(): readonly string[] {
  const names = new Set<string>();
  collect(policyJsonSchema(), names);
  return [...names].sort();
}

function collect(schema: unknown, names: Set<string>): void {
  if (typeof schema !== "object" || schema === null) return;
  // What an object's members are is not known.
  for (const [key, value] of Object.entries(schema) as [string, unknown][]) {
    if (key === "properties" && typeof value === "object" && value !== null)
      for (const name of Object.keys(value)) names.add(name);
    collect(value, names);
  }
}
