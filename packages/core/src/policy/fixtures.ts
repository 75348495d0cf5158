/**
 * A policy's own tests: cases written beside it, each a request and what should come of it, decided by the decision itself. Called by
 * `cardea policy test`. Pure: no server, no roster, no registered resource; what a case leaves out is made up as written here.
 */
import { parse } from "yaml";
import { z } from "zod";
import { OutpostId, PolicyId, ResourceId, SubjectId } from "../contract/ids.ts";
import type { Decision } from "../documents/decision.ts";
import { digestOf } from "../documents/digest.ts";
import type { Matcher } from "../documents/pattern.ts";
import { PolicyAction, type Policy, type PolicyDocument } from "../documents/policy.ts";
import { Duration, Name, plainText, SubjectKind, toTime, Via } from "../documents/primitives.ts";
import type { Asked, Facts } from "../documents/request.ts";
import type { LimitEnforcers, ResourceSpec } from "../documents/resource-spec.ts";
import { patternOf } from "./compile.ts";
import { decide } from "./decide.ts";

/** The largest file of cases, in UTF-16 code units. */
const maxCasesText = 1024 * 1024;
/** When a request is filed that does not say: Monday, 5 January 2026, noon UTC. */
const defaultAt = toTime(Date.UTC(2026, 0, 5, 12));

export const PolicyCase = z.strictObject({
  name: plainText(200).min(1),
  as: z.strictObject({
    kind: SubjectKind.default("human"),
    groups: z.array(Name).max(1_000).default([]),
    claims: z.record(z.string().max(100), z.string().max(1_000)).default({}),
  }),
  resource: z.strictObject({
    name: Name,
    kind: Name.default("postgres"),
    labels: z.record(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/), z.string().max(100)).default({}),
  }),
  role: Name,
  /** What the role can do. Absent: everything, so every deny rule about an action meets it. */
  actions: z.array(PolicyAction).min(1).max(1_000).optional(),
  for: Duration.default("5m"),
  why: plainText(2_000).default(""),
  ticket: plainText(200).optional(),
  via: Via.optional(),
  at: z.iso.datetime({ offset: true }).optional(),
  breakGlass: z.literal(true).optional(),
  expect: z.enum(["allow", "deny", "review"]),
  /** The rule that should decide. */
  rule: Name.optional(),
});
export type PolicyCase = z.infer<typeof PolicyCase>;

const CasesFile = z.strictObject({ cases: z.array(PolicyCase).min(1).max(10_000) });

export type ParsedCases =
  | { readonly ok: true; readonly cases: readonly PolicyCase[] }
  | { readonly ok: false; readonly problems: readonly { readonly path: string; readonly message: string }[] };

/** Reads `cases: […]` as YAML or JSON. Nothing is ignored: a misspelt field would make a case pass for the wrong reason. */
export function parseCases(text: string): ParsedCases {
  const refused = (path: string, message: string): ParsedCases => ({ ok: false, problems: [{ path, message }] });
  if (text.length > maxCasesText) return refused("", `there are more than ${String(maxCasesText)} characters`);
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 100, uniqueKeys: true, stringKeys: true });
  } catch (failure) {
    return refused("", failure instanceof Error ? (failure.message.split("\n")[0] ?? "") : "this is not YAML");
  }
  const parsed = CasesFile.safeParse(value);
  if (parsed.success) return { ok: true, cases: parsed.data.cases };
  return {
    ok: false,
    problems: parsed.error.issues.slice(0, 100).map(({ path, message }) => ({ path: path.join("."), message })),
  };
}

export interface CaseOutcome {
  readonly name: string;
  readonly ok: boolean;
  readonly expected: { readonly effect: Decision["effect"]; readonly rule?: string };
  readonly found: { readonly effect: Decision["effect"]; readonly rule?: string; readonly reasons: readonly string[] };
}

/** Decides every case under the policy, in their order. */
export function testPolicy(document: PolicyDocument, cases: readonly PolicyCase[]): CaseOutcome[] {
  const policy: Policy = { v: 1, id: PolicyId.parse(`pol_${body(1)}`), version: 1, at: defaultAt, document };
  const policyDigest = digestOf("policy", policy);
  const facets = facetsOf(document);
  return cases.map((one) => {
    const createdAt = one.at === undefined ? defaultAt : toTime(Date.parse(one.at));
    const spec = specOf(one, facets, document);
    const { effect, rule, reasons } = decide({
      policy,
      policyDigest,
      asked: askedOf(one),
      spec,
      facts: factsOf(one),
      createdAt,
    });
    return {
      name: one.name,
      ok: effect === one.expect && (one.rule === undefined || one.rule === rule),
      expected: { effect: one.expect, ...(one.rule !== undefined && { rule: one.rule }) },
      found: { effect, ...(rule !== undefined && { rule }), reasons },
    };
  });
}

function body(n: number): string {
  return n.toString().padStart(26, "0");
}

function askedOf({ as, resource, role, why, ticket, via, breakGlass, for: duration }: PolicyCase): Asked {
  return {
    nonce: "AAAAAAAAAAAAAAAAAAAAAA",
    requester: {
      id: SubjectId.parse(`sub_${body(1)}`),
      kind: as.kind,
      ...(as.kind === "agent" && { onBehalfOf: SubjectId.parse(`sub_${body(2)}`) }),
    },
    resource: resource.name,
    ask: { role },
    justification: why,
    window: { duration },
    ...(ticket !== undefined && { ticket }),
    ...(via !== undefined && { via }),
    ...(breakGlass !== undefined && { breakGlass }),
  };
}

function factsOf({ as }: PolicyCase): Facts {
  return { verified: { groups: as.groups, claims: as.claims, reviewsOwed: [] }, asserted: {} };
}

const enforced: LimitEnforcers = {
  expiry: "gateway",
  sourceIps: "gateway",
  sessions: "gateway",
  uses: "gateway",
  hold: "gateway",
  closesSessions: "gateway",
};

/** A resource that offers both ways and can enforce whatever the policy says: what a real one cannot, `policy check` finds. */
function specOf(
  { resource, role, actions }: PolicyCase,
  facets: Readonly<Record<string, Matcher>>,
  document: PolicyDocument,
): ResourceSpec {
  const patterns = (actions ?? families(document)).map((action) => patternOf(action, facets).pattern);
  return {
    v: 1,
    id: ResourceId.parse(`res_${body(1)}`),
    name: resource.name,
    kind: resource.kind,
    outpost: OutpostId.parse(`out_${body(1)}`),
    labels: resource.labels,
    owners: { groups: [] },
    capabilities: {
      vias: { gateway: enforced, direct: enforced },
      facets,
      listsOwn: true,
      resolvesUnknown: true,
      maxNameLength: 63,
      concurrency: 1,
    },
    roles: { [role]: { patterns, vias: ["gateway", "direct"], narrows: ["gateway"] } },
    publicPrivileges: digestOf("public-privileges", []),
  };
}

function actionsOf({ rules }: PolicyDocument): readonly PolicyAction[] {
  return rules.flatMap((rule) => [
    ...(rule.permits?.actions ?? []),
    ...(rule.effect === "deny" ? [] : (rule.hold ?? [])),
  ]);
}

/** `sql.*`, and the like of whatever else the policy speaks of. */
function families(document: PolicyDocument): string[] {
  const names = actionsOf(document).map((action) => (typeof action === "string" ? action : action.name));
  return [...new Set(["sql", ...names.map((name) => name.split(".")[0] ?? name)])].map((family) => `${family}.*`);
}

/** Every restriction that the policy writes, compared as dotted names or as a flag, by how it is written. */
function facetsOf(document: PolicyDocument): Record<string, Matcher> {
  const facets: Record<string, Matcher> = {};
  for (const action of actionsOf(document)) {
    if (typeof action === "string") continue;
    for (const [key, value] of Object.entries(action))
      if (key !== "name") facets[key] = Array.isArray(value) ? "names" : "flag";
  }
  return facets;
}
