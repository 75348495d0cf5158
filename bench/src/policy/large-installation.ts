/**
 * A policy and requests as a large organisation has them, made from an index alone: the same in every run. Fifty teams, each with its
 * databases in three environments; rules that forbid, allow, ask for one or two stages, look at conditions, or stand apart for emergencies.
 * What is asked is spread over teams, roles and outcomes, so that some requests are decided by an early rule and some by none.
 */
import { PolicyAction, type Policy, type PolicyDocument, type Rule } from "@cardea/core/documents/policy";
import type { Asked, Facts } from "@cardea/core/documents/request";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import { sampleAsked, sampleFacts, samplePolicy, sampleSpec, sampleSubject } from "@cardea/core/policy/samples";

const teams = 50;
const environments = ["prod", "staging", "dev"] as const;

/** One decision to be made. */
export interface Question {
  readonly asked: Asked;
  readonly spec: ResourceSpec;
  readonly facts: Facts;
}

/** A policy of exactly `count` rules. */
export function largePolicy(count: number): Policy {
  return samplePolicy(Array.from({ length: count }, (_, index) => ruleAt(index)));
}

/** The policy's own text, as YAML's subset JSON, for measuring what reading it costs. */
export function policyText({ document }: Policy): string {
  return JSON.stringify(document satisfies PolicyDocument);
}

function ruleAt(index: number): Rule {
  const team = `team-${String(index % teams)}`;
  const env = environments[index % environments.length] ?? "dev";
  const name = `rule-${String(index)}`;
  const subjects = { kinds: ["human" as const], groups: [team, `${team}-leads`] };
  const resources = { kinds: ["postgres"], labels: { env, team } };
  switch (Math.floor(index / teams) % 10) {
    case 0:
      return {
        name,
        resources: index % 25 === 0 ? { labels: { env: "prod" } } : resources,
        permits: { actions: ["sql.ddl.drop", onTables("sql.truncate", `team${String(index)}.*`)] },
        effect: "deny",
        message: "goes through a migration",
      };
    case 1:
      return {
        name,
        subjects: { kinds: ["agent"] },
        resources,
        permits: { actions: ["sql.insert", "sql.update", "sql.delete"] },
        when: `subject.kind == "agent" && !("trusted-${String(index)}" in verified.groups)`,
        effect: "deny",
        message: "agents read",
      };
    case 2:
    case 3:
    case 4:
      return {
        name,
        subjects,
        resources,
        permits: { roles: ["read"], actions: ["sql.select"] },
        require: { justification: { minLength: 5 } },
        limits: { maxDuration: "4h", via: ["gateway", "direct"] },
        effect: "allow",
      };
    case 5:
      return {
        name,
        subjects: { groups: ["engineering"] },
        resources,
        permits: { roles: ["read", "write"] },
        when: `request.window.durationSeconds <= ${String(600 + index)} && "vip-${String(index)}" in verified.groups`,
        limits: { maxDuration: "2h" },
        effect: "allow",
      };
    case 9:
      return {
        name,
        subjects: { groups: ["on-call"] },
        resources,
        permits: { roles: ["write"] },
        limits: { maxDuration: "30m", via: ["gateway", "direct"] },
        effect: "allow",
        breakGlass: { review: { within: "24h", from: { groups: ["security"] } } },
      };
    default:
      return {
        name,
        subjects,
        resources,
        permits: { roles: ["write"], actions: ["sql.insert", onTables("sql.update", `public.t${String(index)}`)] },
        when: `request.window.durationSeconds <= 7200`,
        require: { justification: { minLength: 10 } },
        limits: { maxDuration: "2h", via: ["gateway", "direct"] },
        effect: "review",
        approvals: [
          { count: 1, from: { groups: ["dba"] } },
          { count: 1, from: { groups: ["security"] } },
        ],
      };
  }
}

function onTables(name: string, table: string): PolicyAction {
  return PolicyAction.parse({ name, tables: [table] });
}

/** `count` questions, repeatable by index. */
export function questions(count: number): Question[] {
  const specs = Array.from({ length: teams * environments.length }, (_, index) => specAt(index));
  return Array.from({ length: count }, (_, index) => {
    const spec = specs[(index * 7) % specs.length] ?? specAt(0);
    const team = spec.labels["team"] ?? "team-0";
    // Every fifth asks where another team's rules stand, which no rule permits.
    const groups = index % 5 === 0 ? ["engineering", "guests"] : ["engineering", team, "on-call"];
    const agent = index % 11 === 0;
    return {
      spec,
      asked: sampleAsked({
        resource: spec.name,
        ask: { role: index % 3 === 0 ? "write" : index % 13 === 0 ? "admin" : "read" },
        requester: agent
          ? { id: sampleSubject(2), kind: "agent", onBehalfOf: sampleSubject(1) }
          : { id: sampleSubject(1), kind: "human" },
        window: { duration: index % 17 === 0 ? "3d" : "1h" },
        ...(index % 19 === 0 && !agent && { breakGlass: true as const }),
      }),
      facts: sampleFacts({ groups }),
    };
  });
}

function specAt(index: number): ResourceSpec {
  const team = `team-${String(index % teams)}`;
  const env = environments[Math.floor(index / teams)] ?? "dev";
  return sampleSpec({ name: `${env}-${team}`, labels: { env, team } });
}
