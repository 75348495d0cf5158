import { describe, expect, it } from "vitest";
import { parseCases, testPolicy, type CaseOutcome } from "./fixtures.ts";
import { parsePolicy } from "./parse.ts";

const policy = `version: 1
rules:
  - name: no-agents-writing
    subjects: { kinds: [agent] }
    permits: { actions: [sql.update] }
    effect: deny
    message: agents read
  - name: no-orders
    permits: { actions: [{ name: sql.delete, tables: [public.orders] }] }
    effect: deny
    message: orders stay
  - name: office-hours
    subjects: { groups: [support] }
    resources: { labels: { env: prod } }
    permits: { roles: [read] }
    when: now.getHours() >= 8 && now.getHours() < 18
    require: { justification: { minLength: 5 } }
    limits: { maxDuration: 1h, via: [direct] }
    effect: allow
  - name: otherwise
    subjects: { groups: [support] }
    resources: { labels: { env: prod } }
    permits: { roles: [read] }
    limits: { maxDuration: 1h }
    effect: review
    approvals: [{ count: 1, from: { groups: [leads] } }]
  - name: fire
    subjects: { groups: [on-call] }
    permits: { roles: [read] }
    limits: { maxDuration: 30m }
    effect: allow
    breakGlass: { review: { within: 24h, from: { groups: [security] } } }
`;

const base = {
  name: "a case",
  as: { groups: ["support"] },
  resource: { name: "orders", labels: { env: "prod" } },
  role: "read",
  actions: ["sql.select"],
  why: "refund 4711",
  expect: "allow",
};

function outcome(over: object): CaseOutcome | undefined {
  const parsed = parsePolicy(policy);
  const cases = parseCases(JSON.stringify({ cases: [{ ...base, ...over }] }));
  if (!parsed.ok || !cases.ok) throw new Error(JSON.stringify([parsed, cases]));
  return testPolicy(parsed.document, cases.cases)[0];
}

describe("a case comes out as the decision does", () => {
  it.each<[string, object, string, string | undefined]>([
    ["at noon by default", {}, "allow", "office-hours"],
    ["at the instant that it says, in its zone", { at: "2026-01-05T19:00:00+01:00" }, "review", "otherwise"],
    ["for another group", { as: { groups: ["sales"] } }, "deny", undefined],
    ["for another label", { resource: { name: "orders" } }, "deny", undefined],
    ["for too long", { for: "2h" }, "deny", "office-hours"],
    ["without a reason", { why: "" }, "deny", "office-hours"],
    ["by a way that the rule does not name", { via: "gateway" }, "deny", "office-hours"],
    ["as an agent, whose role cannot write", { as: { kind: "agent", groups: ["support"] } }, "allow", "office-hours"],
    [
      "as an agent, whose role might",
      { as: { kind: "agent", groups: ["support"] }, actions: ["sql.*"] },
      "deny",
      "no-agents-writing",
    ],
    ["of a role that can do everything, unless it says what", { actions: undefined }, "deny", "no-orders"],
    ["deleting elsewhere", { actions: [{ name: "sql.delete", tables: ["public.carts"] }] }, "allow", "office-hours"],
    ["deleting there", { actions: [{ name: "sql.delete", tables: ["public.*"] }] }, "deny", "no-orders"],
    ["breaking the glass", { as: { groups: ["on-call"] }, breakGlass: true }, "allow", "fire"],
  ])("%s", (_, over, effect, rule) => {
    expect(outcome({ ...over, expect: effect, rule })).toMatchObject({ ok: true, found: { effect } });
    expect(outcome({ ...over, expect: effect })?.found.rule).toBe(rule);
  });

  it("and fails for another effect, or another rule", () => {
    expect(outcome({ expect: "review" })).toMatchObject({ ok: false, found: { effect: "allow" } });
    expect(outcome({ rule: "otherwise" })).toMatchObject({ ok: false, found: { rule: "office-hours" } });
  });
});

describe("cases that cannot be read", () => {
  it.each<[string, string, string]>([
    ["no YAML", "cases: [", ""],
    ["no cases", "cases: []", "cases"],
    ["a list", "- name: one", ""],
    ["a misspelt field", JSON.stringify({ cases: [{ ...base, breakglass: true }] }), "cases.0"],
    ["an unknown effect", JSON.stringify({ cases: [{ ...base, expect: "permit" }] }), "cases.0.expect"],
    ["a bomb", "x".repeat(1024 * 1024 + 1), ""],
  ])("%s", (_, text, path) => {
    const parsed = parseCases(text);
    expect(parsed.ok ? [] : parsed.problems.map((problem) => problem.path)).toContain(path);
  });
});
