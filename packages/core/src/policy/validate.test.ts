import { describe, expect, it } from "vitest";
import type { ResourceSpec } from "../documents/resource-spec.ts";
import { PolicyDocument } from "../documents/policy.ts";
import type { Problem, ProblemCode } from "./problem.ts";
import { gatewayEnforcers, sampleEntry, sampleSpec, sampleSubject } from "./samples.ts";
import { hasErrors, validatePolicy, type PolicySurroundings } from "./validate.ts";

const allow = (over: object = {}): object => ({
  name: "readers",
  permits: { roles: ["read"] },
  limits: { maxDuration: "4h" },
  effect: "allow",
  ...over,
});
const review = (over: object = {}): object =>
  allow({ name: "reviewed", effect: "review", approvals: [{ count: 1, from: { groups: ["dba"] } }], ...over });
const deny = (over: object = {}): object => ({ name: "never", effect: "deny", message: "no", ...over });

function check(rules: readonly object[], over: Partial<PolicySurroundings> = {}): Problem[] {
  return validatePolicy(PolicyDocument.parse({ version: 1, rules }), { specs: [sampleSpec()], ...over });
}

const codes = (problems: readonly Problem[]): ProblemCode[] => problems.map(({ code }) => code);
const httpSpec = (): ResourceSpec =>
  sampleSpec({
    name: "billing-api",
    kind: "http",
    labels: { env: "prod" },
    capabilities: { ...sampleSpec().capabilities, vias: { gateway: gatewayEnforcers }, facets: { paths: "set" } },
  });

describe("nothing is wrong", () => {
  it("with a plain policy", () => {
    expect(
      check([allow(), review({ permits: { roles: ["write"] } }), deny({ permits: { actions: ["sql.truncate"] } })]),
    ).toEqual([]);
  });

  it("with an empty one, and with resources still to come", () => {
    expect(check([])).toEqual([]);
    expect(
      check([allow({ permits: { roles: ["not-yet"] }, limits: { maxDuration: "1h", uses: 3, via: ["direct"] } })], {
        specs: [],
      }),
    ).toEqual([]);
  });
});

describe("errors: the policy is not applied", () => {
  it.each<[string, object, ProblemCode, (string | number)[]]>([
    [
      "a condition that does not compile",
      allow({ when: "request.nothing == 1" }),
      "condition_invalid",
      ["rules", 0, "when"],
    ],
    ["a condition of a deny rule", deny({ when: "((" }), "condition_invalid", ["rules", 0, "when"]],
    [
      "a condition on asserted facts that does not say so",
      allow({ when: "asserted.x == 1" }),
      "asserted_untrusted",
      ["rules", 0, "when"],
    ],
    ["a ticket expression", allow({ require: { ticket: "(a" } }), "regex_invalid", ["rules", 0, "require", "ticket"]],
    ["permits that permit nothing", allow({ permits: {} }), "permits_nothing", ["rules", 0, "permits"]],
    ["a deny rule that names nothing", deny({ permits: {} }), "permits_nothing", ["rules", 0, "permits"]],
    [
      "waiting longer than 30 days",
      review({ pending: { expire: "31d" } }),
      "pending_too_long",
      ["rules", 0, "pending", "expire"],
    ],
    [
      "a signature that votes cannot carry",
      review({ approvals: [{ count: 1, from: { groups: ["dba"] }, signed: "passkey" }] }),
      "signature_unsupported",
      ["rules", 0, "approvals", 0, "signed"],
    ],
    [
      "the same inside a list",
      review({
        approvals: [
          [
            { count: 1, from: { groups: ["dba"] } },
            { count: 1, from: { groups: ["x"] }, signed: "ssh" },
          ],
        ],
      }),
      "signature_unsupported",
      ["rules", 0, "approvals", 0, 1, "signed"],
    ],
    [
      "an outside system",
      review({ approvals: [{ count: 1, from: { external: "tickets" } }] }),
      "external_unsupported",
      ["rules", 0, "approvals", 0, "from"],
    ],
    [
      "escalating to an outside system",
      review({ pending: { escalate: { after: "1h", to: { external: "tickets" } } } }),
      "external_unsupported",
      ["rules", 0, "pending", "escalate", "to"],
    ],
    [
      "a limit that nothing would enforce",
      allow({ limits: { maxDuration: "1h", uses: 1, via: ["gateway", "direct"] } }),
      "limit_unenforceable",
      ["rules", 0, "limits", "uses"],
    ],
    [
      "addresses that nothing would enforce",
      allow({ limits: { maxDuration: "1h", sourceIps: ["10.0.0.0/8"], via: ["direct"] } }),
      "limit_unenforceable",
      ["rules", 0, "limits", "sourceIps"],
    ],
    [
      "a hold that nothing would keep",
      allow({ hold: ["sql.delete"], limits: { maxDuration: "1h", via: ["direct"] } }),
      "limit_unenforceable",
      ["rules", 0, "hold"],
    ],
    [
      "a hold over a role that has the action by itself",
      allow({ hold: ["sql.delete"], permits: { roles: ["admin"] } }),
      "hold_over_native_role",
      ["rules", 0, "hold"],
    ],
    [
      "the same by `*`",
      allow({ hold: ["sql.delete"], permits: { roles: ["*"] } }),
      "hold_over_native_role",
      ["rules", 0, "hold"],
    ],
    [
      "a restriction that no matching resource knows",
      allow({ permits: { actions: [{ name: "sql.select", tabels: ["a"] }] } }),
      "facet_unknown",
      ["rules", 0, "permits", "actions", 0, "tabels"],
    ],
    [
      "a restriction written for another matcher",
      deny({ permits: { actions: [{ name: "sql.select", tables: true }] } }),
      "facet_unknown",
      ["rules", 0, "permits", "actions", 0, "tables"],
    ],
    [
      "such a restriction on a hold",
      allow({ hold: [{ name: "sql.delete", colour: ["red"] }], permits: { roles: ["read"] } }),
      "facet_unknown",
      ["rules", 0, "hold", 0, "colour"],
    ],
  ])("%s", (_, rule, code, path) => {
    const problems = check([rule]).filter(({ severity }) => severity === "error");
    expect(problems).toContainEqual(expect.objectContaining({ code, path }));
    expect(hasErrors(check([rule]))).toBe(true);
  });

  it("a way that a matching resource does not offer at all", () => {
    const problems = check(
      [allow({ resources: { kinds: ["http"] }, limits: { maxDuration: "1h", via: ["direct"] } })],
      { specs: [httpSpec()] },
    );
    expect(problems).toContainEqual(
      expect.objectContaining({
        severity: "error",
        code: "via_not_offered",
        message: "`billing-api` offers none of direct",
      }),
    );
  });

  it("only for the resources that the rule matches", () => {
    const rule = allow({
      resources: { kinds: ["http"] },
      limits: { maxDuration: "1h", uses: 1, via: ["gateway", "direct"] },
    });
    expect(hasErrors(check([rule], { specs: [sampleSpec(), httpSpec()] }))).toBe(false);
  });

  it("come before warnings", () => {
    const problems = check([allow({ permits: { roles: ["nobody-has-it"] } }), allow({ name: "bad", when: "(" })]);
    expect(problems.map(({ severity }) => severity)).toEqual(["error", "warning"]);
  });
});

describe("warnings: shown", () => {
  it.each<[string, object, ProblemCode]>([
    ["a role that no matching resource has", allow({ permits: { roles: ["owner"] } }), "role_unknown"],
    ["resources that nothing matches", allow({ resources: { names: ["dev-*"] } }), "resource_unmatched"],
    ["a reminder after the end", review({ pending: { expire: "1h", remind: "1h" } }), "pending_unreached"],
    [
      "an escalation after the end, which is a day by itself",
      review({ pending: { escalate: { after: "2d", to: { groups: ["leads"] } } } }),
      "pending_unreached",
    ],
  ])("%s", (_, rule, code) => {
    const problems = check([rule]);
    expect(codes(problems)).toEqual([code]);
    expect(hasErrors(problems)).toBe(false);
  });

  it("one of several ways that a resource does not offer is none", () => {
    const problems = check([allow({ limits: { maxDuration: "1h", via: ["gateway", "direct"] } })], {
      specs: [httpSpec()],
    });
    expect(problems).toEqual([]);
  });

  it("a restriction that some matching resource knows is none", () => {
    expect(
      check([allow({ permits: { roles: ["read"], actions: [{ name: "sql.select", tables: ["a"] }] } })], {
        specs: [sampleSpec(), httpSpec()],
      }),
    ).toEqual([]);
  });

  it("groups and subjects that do not exist, wherever they are named", () => {
    const rules = [
      review({
        subjects: { groups: ["engineering", "enginering"], ids: [sampleSubject(99)] },
        approvals: [{ count: 1, from: { groups: ["dbas"] } }],
        pending: { escalate: { after: "1h", to: { groups: ["leeds"] } } },
      }),
      allow({ name: "fire", breakGlass: { review: { within: "1h", from: { groups: ["securty"] } } } }),
    ];
    const messages = check(rules, { groups: ["engineering"] }).map(({ message }) => message);
    expect(messages).toEqual(["enginering", "dbas", "leeds", "securty"].map((name) => `there is no group \`${name}\``));
    expect(codes(check([allow({ subjects: { ids: [sampleSubject(99)] } })], { people: [] }))).toEqual([
      "subject_unknown",
    ]);
  });
});

describe("shadowed rules", () => {
  const shadowed = (first: object, second: object): boolean =>
    codes(check([allow({ name: "first", ...first }), allow({ name: "second", ...second })])).includes("rule_shadowed");

  it.each<[string, object, object, boolean]>([
    ["the same again", {}, {}, true],
    [
      "narrower in every key",
      { subjects: { groups: ["a", "b"] }, resources: { names: ["prod-*"] }, permits: { roles: ["*"] } },
      { subjects: { groups: ["a"], kinds: ["human"] }, resources: { names: ["prod-o*"] } },
      true,
    ],
    ["a condition on the earlier one", { when: "request.breakGlass" }, {}, false],
    ["a condition on the later one", {}, { when: "request.breakGlass" }, true],
    ["another group", { subjects: { groups: ["a"] } }, { subjects: { groups: ["b"] } }, false],
    ["everybody after a group", { subjects: { groups: ["a"] } }, {}, false],
    ["another role", { permits: { roles: ["read"] } }, { permits: { roles: ["read", "write"] } }, false],
    [
      "roles do not cover actions",
      { permits: { roles: ["*"] } },
      { permits: { roles: ["read"], actions: ["sql.select"] } },
      false,
    ],
    [
      "actions by wildcard",
      { permits: { actions: ["sql.*"] } },
      { permits: { actions: ["sql.select", { name: "sql.update", tables: ["a.b"] }] } },
      true,
    ],
    [
      "a restricted action covers only itself",
      { permits: { actions: [{ name: "sql.update", tables: ["a.b"] }] } },
      { permits: { actions: ["sql.update"] } },
      false,
    ],
    ["a wider glob", { resources: { names: ["prod-o*"] } }, { resources: { names: ["prod-*"] } }, false],
    [
      "labels",
      { resources: { labels: { env: "prod" } } },
      { resources: { labels: { env: "prod", data: "customer" } } },
      true,
    ],
    [
      "other labels",
      { resources: { labels: { env: "prod", data: "customer" } } },
      { resources: { labels: { env: "prod" } } },
      false,
    ],
    [
      "claims",
      { subjects: { claims: { mail: "*@x.org" } } },
      { subjects: { claims: { mail: "a*@x.org", unit: "b" } } },
      true,
    ],
    [
      "break-glass and ordinary rules do not meet",
      { breakGlass: { review: { within: "1h", from: { groups: ["x"] } } } },
      {},
      false,
    ],
  ])("%s", (_, first, second, expected) => {
    expect(shadowed(first, second)).toBe(expected);
  });

  it("not by deny rules, nor are those shadowed", () => {
    expect(
      codes(
        check([
          deny({ permits: { actions: ["sql.truncate"] } }),
          allow(),
          deny({ name: "never-2", permits: { actions: ["sql.truncate"] } }),
        ]),
      ),
    ).toEqual([]);
  });
});

describe("approvers that cannot be reached", () => {
  const people = [
    sampleEntry(1, ["engineering"]),
    sampleEntry(2, ["dba", "security"]),
    sampleEntry(3, ["dba"]),
    sampleEntry(4, ["away"], { active: false }),
    sampleEntry(5, ["robots"], { kind: "workload" }),
  ];
  const found = (over: object): ProblemCode[] => codes(check([review(over)], { people }));

  it.each<[string, object, ProblemCode[]]>([
    [
      "enough of them",
      { approvals: [{ count: 2, from: { groups: ["dba"] } }], subjects: { groups: ["engineering"] } },
      [],
    ],
    ["too few in the group", { approvals: [{ count: 3, from: { groups: ["dba"] } }] }, ["approvers_missing"]],
    ["nobody in the group", { approvals: [{ count: 1, from: { groups: ["empty"] } }] }, ["approvers_missing"]],
    ["only inactive people", { approvals: [{ count: 1, from: { groups: ["away"] } }] }, ["approvers_missing"]],
    ["only a workload", { approvals: [{ count: 1, from: { groups: ["robots"] } }] }, ["approvers_missing"]],
    [
      "escalation makes up for it",
      {
        approvals: [{ count: 1, from: { groups: ["empty"] } }],
        subjects: { groups: ["engineering"] },
        pending: { escalate: { after: "1h", to: { groups: ["dba"] } } },
      },
      [],
    ],
    [
      "enough for each stage, too few for all",
      {
        approvals: [
          { count: 2, from: { groups: ["dba"] } },
          { count: 1, from: { groups: ["security"] } },
        ],
      },
      ["approvers_missing"],
    ],
    [
      "one who would have to approve their own",
      { approvals: [{ count: 1, from: { groups: ["security"] } }], subjects: { groups: ["dba"] } },
      ["approvers_only_requesters"],
    ],
    [
      "the same where everybody may ask",
      { approvals: [{ count: 2, from: { groups: ["dba"] } }] },
      ["approvers_only_requesters"],
    ],
  ])("%s", (_, over, expected) => {
    expect(found(over)).toEqual(expected);
  });

  it("reviewers of break-glass too", () => {
    const fire = (group: string): object =>
      allow({
        name: "fire",
        subjects: { groups: ["engineering"] },
        breakGlass: { review: { within: "1h", from: { groups: [group] } } },
      });
    expect(codes(check([fire("empty")], { people }))).toEqual(["approvers_missing"]);
    expect(codes(check([fire("engineering")], { people }))).toEqual(["approvers_only_requesters"]);
    expect(codes(check([fire("security")], { people }))).toEqual([]);
  });
});
