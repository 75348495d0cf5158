import { describe, expect, it } from "vitest";
import { policyFieldNames, policyJsonSchema, policySchemaId } from "./json-schema.ts";

describe("the published schema", () => {
  it("names itself and refuses unknown fields", () => {
    expect(policyJsonSchema()).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      $id: policySchemaId,
      type: "object",
      additionalProperties: false,
      required: ["version", "rules"],
    });
  });

  it("is plain JSON, the same every time", () => {
    const text = JSON.stringify(policyJsonSchema());
    expect(JSON.parse(text)).toEqual(policyJsonSchema());
    expect(JSON.stringify(policyJsonSchema())).toBe(text);
  });

  it("knows every field of the reference", () => {
    const names = [
      "name",
      "resources",
      "permits",
      "effect",
      "message",
      "subjects",
      "kinds",
      "groups",
      "require",
      "justification",
      "minLength",
      "limits",
      "maxDuration",
      "sessions",
      "via",
      "when",
      "hold",
      "ticket",
      "sourceIps",
      "approvals",
      "count",
      "from",
      "signed",
      "pending",
      "expire",
      "remind",
      "escalate",
      "after",
      "to",
      "onPolicyChange",
      "breakGlass",
      "review",
      "within",
      "trustAsserted",
      "claims",
      "ids",
      "labels",
      "uses",
      "external",
    ];
    expect(policyFieldNames()).toEqual(expect.arrayContaining(names));
  });
});
