/**
 * Small valid documents to decide with, for tests and benchmarks, here and in other packages; nothing that runs imports it. Everything
 * follows from the arguments: no clock, no randomness.
 */
import { GrantId, OutpostId, PolicyId, RequestId, ResourceId, SubjectId } from "../contract/ids.ts";
import { digestOf } from "../documents/digest.ts";
import { Policy, PolicyAction, type PolicyDocument, type Rule } from "../documents/policy.ts";
import { toTime, type Time } from "../documents/primitives.ts";
import { Request, type Asked, type Facts } from "../documents/request.ts";
import type { PublicPrivileges } from "../documents/public-privileges.ts";
import { ResourceSpec, type LimitEnforcers } from "../documents/resource-spec.ts";
import type { RosterEntry } from "../documents/roster.ts";
import { decide } from "./decide.ts";

/** `2026-03-02T09:00:00.000Z`, a Monday. */
export const sampleTime: Time = toTime(Date.UTC(2026, 2, 2, 9));

/** The body of the n-th sample id. */
function body(n: number): string {
  return n.toString().padStart(26, "0");
}

export const sampleSubject = (n: number): SubjectId => SubjectId.parse(`sub_${body(n)}`);
export const sampleGrantId = (n: number): GrantId => GrantId.parse(`gra_${body(n)}`);
const sampleRequestId = (n: number): RequestId => RequestId.parse(`req_${body(n)}`);

export const gatewayEnforcers: LimitEnforcers = {
  expiry: "gateway",
  sourceIps: "gateway",
  sessions: "gateway",
  uses: "gateway",
  hold: "gateway",
  closesSessions: "gateway",
};
const directEnforcers: LimitEnforcers = {
  expiry: "native",
  sourceIps: "none",
  sessions: "native",
  uses: "none",
  hold: "none",
  closesSessions: "native",
};

/** What every login at the sample's resource has. */
export const samplePublicPrivileges: PublicPrivileges = {
  summary: ["connect to the databases `orders`", "make temporary tables in `orders`"],
  connect: ["orders"],
};

/** A database `prod-orders` with the roles `read` (also direct), `write` and `admin` (a native role: every action). */
export function sampleSpec(over: Partial<ResourceSpec> = {}): ResourceSpec {
  return ResourceSpec.parse({
    v: 1,
    id: ResourceId.parse(`res_${body(1)}`),
    name: "prod-orders",
    kind: "postgres",
    outpost: OutpostId.parse(`out_${body(1)}`),
    labels: { env: "prod", data: "customer" },
    owners: { groups: ["owners-of-orders"] },
    capabilities: {
      vias: { gateway: gatewayEnforcers, direct: directEnforcers },
      facets: { databases: "set", tables: "names", columns: "names", requireWhere: "flag" },
      listsOwn: true,
      resolvesUnknown: true,
      maxNameLength: 63,
      concurrency: 8,
    },
    roles: {
      read: { patterns: [{ name: "sql.select" }], vias: ["gateway", "direct"], narrows: ["gateway"] },
      write: {
        patterns: [
          { name: "sql.select" },
          { name: "sql.insert" },
          { name: "sql.update", facets: { tables: { matcher: "names", values: ["public.orders"] } } },
        ],
        vias: ["gateway"],
        narrows: ["gateway"],
      },
      admin: { patterns: [{ name: "sql.*" }], vias: ["gateway", "direct"], narrows: [] },
    },
    publicPrivileges: digestOf("public-privileges", samplePublicPrivileges),
    ...over,
  });
}

/** Subject 1, a human, asks for `read` for an hour. */
export function sampleAsked(over: Partial<Asked> = {}): Asked {
  return {
    nonce: "AAAAAAAAAAAAAAAAAAAAAA",
    requester: { id: sampleSubject(1), kind: "human" },
    resource: "prod-orders",
    ask: { role: "read" },
    justification: "refund case 4711 needs a look",
    window: { duration: "1h" },
    ...over,
  };
}

export function sampleFacts(verified: Partial<Facts["verified"]> = {}, asserted: Facts["asserted"] = {}): Facts {
  return { verified: { groups: ["engineering"], claims: {}, reviewsOwed: [], ...verified }, asserted };
}

export function samplePolicy(rules: readonly Rule[], version = 1): Policy {
  const document: PolicyDocument = { version: 1, rules: [...rules] };
  return Policy.parse({ v: 1, id: PolicyId.parse(`pol_${body(version)}`), version, at: sampleTime, document });
}

/** The request that follows from deciding. */
export function sampleRequest(
  policy: Policy,
  asked: Asked,
  spec: ResourceSpec = sampleSpec(),
  facts: Facts = sampleFacts(),
  createdAt: Time = sampleTime,
  n = 1,
): Request {
  return Request.parse({
    v: 1,
    id: sampleRequestId(n),
    createdAt,
    asked,
    resource: { id: spec.id, outpost: spec.outpost, specDigest: digestOf("spec", spec) },
    facts,
    decision: decide({ policy, asked, spec, facts, createdAt }),
  });
}

/** The n-th person of the roster, in these groups. */
export function sampleEntry(n: number, groups: readonly string[], over: Partial<RosterEntry> = {}): RosterEntry {
  return {
    subject: sampleSubject(n),
    name: `person-${String(n)}`,
    kind: "human",
    groups: [...groups],
    claims: {},
    credentials: [],
    permissions: ["member"],
    active: true,
    ...over,
  };
}

function onTables(name: string, index: number): PolicyAction {
  return PolicyAction.parse({ name, tables: [`team${String(index)}.*`] });
}

/**
 * A large policy as an organisation grows one: a tenth deny rules, teams by group, environments by label, a fifth with conditions, and the one
 * rule that decides for `engineering` at the very end, so that every rule is looked at.
 */
export function largePolicy(rules: number): Policy {
  const filler = Array.from({ length: Math.max(0, rules - 1) }, (_, index): Rule => {
    const resources =
      index % 4 === 0
        ? { kinds: ["postgres"], labels: { env: "prod" } }
        : { labels: { team: `team-${String(index % 50)}` } };
    if (index % 10 === 0) {
      return {
        name: `deny-${String(index)}`,
        resources,
        permits: { actions: [onTables("sql.truncate", index), "sql.ddl.drop"] },
        effect: "deny",
        message: "goes through a migration",
      };
    }
    return {
      name: `rule-${String(index)}`,
      subjects: {
        kinds: ["human"],
        groups: index % 3 === 0 ? [`team-${String(index)}`, "engineering"] : [`team-${String(index)}`],
      },
      resources,
      permits: {
        roles: index % 2 === 0 ? ["write"] : ["read"],
        actions: ["sql.select", onTables("sql.update", index)],
      },
      ...(index % 5 === 0
        ? {
            when: `request.window.durationSeconds <= ${String(600 + index)} && "vip-${String(index)}" in verified.groups`,
          }
        : {}),
      limits: { maxDuration: "4h" },
      effect: "allow",
    };
  });
  return samplePolicy([
    ...filler,
    {
      name: "engineers",
      subjects: { groups: ["engineering"] },
      permits: { roles: ["read", "admin"] },
      limits: { maxDuration: "8h", via: ["gateway", "direct"] },
      effect: "allow",
    },
  ]);
}
