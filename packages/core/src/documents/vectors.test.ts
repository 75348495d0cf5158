import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { canonicalJson } from "./canonical.ts";
import { Configuration } from "./configuration.ts";
import { Decision } from "./decision.ts";
import { Digest, digestBytes, digestOf, shortCode, type DocumentType } from "./digest.ts";
import { Grant, Permissions, Run } from "./grant.ts";
import { Policy } from "./policy.ts";
import { Asked, Request } from "./request.ts";
import { ResourceSpec } from "./resource-spec.ts";
import { RosterHead } from "./roster.ts";
import { Trust } from "./trust.ts";
import { Review, Vote } from "./vote.ts";

const folder = new URL("./vectors/", import.meta.url);
const Vector = z.strictObject({
  type: z.string(),
  digest: Digest,
  shortCode: z.string(),
  canonical: z.string(),
  document: z.unknown(),
});

/** The schema of each type; a type without one is hashed but never read. A new type does not compile until it has a vector. */
const schemas: Record<DocumentType, z.ZodType | undefined> = {
  asked: Asked,
  request: Request,
  decision: Decision,
  vote: Vote,
  grant: Grant,
  run: Run,
  review: Review,
  policy: Policy,
  spec: ResourceSpec,
  configuration: Configuration,
  sealed: undefined,
  roster: RosterHead,
  trust: Trust,
  permissions: Permissions,
  "public-privileges": undefined,
  "sign-in": undefined,
  link: undefined,
};
// The table's own keys.
const types = Object.keys(schemas) as DocumentType[];

function read(type: DocumentType): z.infer<typeof Vector> {
  return Vector.parse(JSON.parse(readFileSync(new URL(`${type}.json`, folder), "utf8")));
}

/** Fields that hold what others put there, by the last key of their path. */
const open = new Set([
  "verified",
  "asserted",
  "claims",
  "what",
  "binding",
  "labels",
  "roles",
  "facets",
  "device",
  "os",
  "vias",
]);

/** Every object inside a value, with the path to it. */
function objectsIn(
  value: unknown,
  path: readonly string[] = [],
): { path: readonly string[]; object: Record<string, unknown> }[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.entries(value).flatMap(([key, member]) => objectsIn(member, [...path, key]));
  // Every object here came from JSON text.
  return Array.isArray(value) ? inner : [{ path, object: value as Record<string, unknown> }, ...inner];
}

describe("golden vectors", () => {
  it("there is one for each type and none besides", () => {
    expect(readdirSync(folder).sort()).toEqual([...types, "canonical"].map((name) => `${name}.json`).sort());
  });

  it.each(types)("%s: canonical bytes, digest and the code that people compare", (type) => {
    const vector = read(type);
    expect(vector.type).toBe(type);
    expect(canonicalJson(vector.document)).toBe(vector.canonical);
    expect(digestOf(type, vector.document)).toBe(vector.digest);
    expect(shortCode(vector.digest)).toBe(vector.shortCode);
  });

  it.each(types.filter((type) => schemas[type] !== undefined))(
    "%s: the schema takes it, and changes nothing",
    (type) => {
      const { document } = read(type);
      const parsed = schemas[type]?.parse(document);
      expect(parsed).toEqual(document);
      expect(digestOf(type, parsed)).toBe(read(type).digest);
    },
  );

  it.each(types.filter((type) => schemas[type] !== undefined))(
    "%s: an unknown field is refused, wherever it stands",
    (type) => {
      const tried = objectsIn(read(type).document).filter(({ path }) => !path.some((key) => open.has(key)));
      expect(tried.length).toBeGreaterThan(0);
      for (const { path } of tried) {
        const copy = read(type).document;
        const target = objectsIn(copy).find((other) => other.path.join("/") === path.join("/"));
        Object.assign(target?.object ?? {}, { zzz: ["x"] });
        // A facet of a policy's action is the one name that authors choose: an unknown one is found when the policy is checked.
        const isPolicyAction = type === "policy" && path.includes("actions");
        expect(schemas[type]?.safeParse(copy).success, `/${path.join("/")}`).toBe(isPolicyAction);
      }
    },
  );

  it.each(types)("%s: every change changes the digest", (type) => {
    for (const { path } of objectsIn(read(type).document)) {
      const copy = read(type).document;
      const target = objectsIn(copy).find((other) => other.path.join("/") === path.join("/"))?.object ?? {};
      for (const key of Object.keys(target)) {
        const before = target[key];
        target[key] = undefined;
        expect(digestOf(type, copy)).not.toBe(read(type).digest);
        target[key] = before;
      }
    }
  });
});

describe("digests", () => {
  it("of one document under two types differ: none can pass for another", () => {
    const { document } = read("permissions");
    expect(new Set(types.map((type) => digestOf(type, document))).size).toBe(types.length);
  });

  it("are the hash's own bytes", () => {
    expect(digestBytes("link", {})).toHaveLength(32);
    expect(digestOf("link", {})).toBe(`sha256:${Buffer.from(digestBytes("link", {})).toString("hex")}`);
  });

  it.each([
    "",
    "sha256:",
    `sha256:${"0".repeat(63)}`,
    `sha256:${"0".repeat(65)}`,
    `sha256:${"A".repeat(64)}`,
    `sha512:${"0".repeat(64)}`,
    `sha256:${"0".repeat(64)}\n`,
  ])("%j is none", (text) => {
    expect(Digest.safeParse(text).success).toBe(false);
  });

  it("codes for people avoid the letters that are mistaken for others", () => {
    for (const type of types)
      expect(read(type).shortCode).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
  });
});
