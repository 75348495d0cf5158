import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Judgement } from "../documents/grant.ts";
import type { Pattern } from "../documents/pattern.ts";
import { AllowRule, DenyRule, type Policy, type Rule } from "../documents/policy.ts";
import { compileJudgement, judge } from "./judgement.ts";
import { sampleAsked, sampleFacts, samplePolicy, sampleRequest, sampleSpec } from "./samples.ts";

const allow = (over: object = {}): Rule =>
  AllowRule.parse({
    name: "readers",
    permits: { roles: ["read", "write"] },
    limits: { maxDuration: "4h" },
    effect: "allow",
    ...over,
  });
const deny = (over: object = {}): Rule =>
  DenyRule.parse({
    name: "no-truncate",
    permits: { actions: ["sql.truncate"] },
    effect: "deny",
    message: "goes through a migration",
    ...over,
  });
const spec = sampleSpec();

function judgement(rules: readonly Rule[], current?: Policy): Judgement {
  const policy = samplePolicy(rules);
  const request = sampleRequest(policy, sampleAsked({ ask: { role: "write" } }), spec);
  const patterns = spec.roles["write"]?.patterns ?? [];
  return Judgement.parse(
    compileJudgement({
      request,
      spec,
      policy,
      permissions: { role: "write", patterns },
      ...(current === undefined ? {} : { current }),
    }),
  );
}

const names = (patterns: readonly Pattern[]): string[] => patterns.map(({ name }) => name);

describe("denied", () => {
  it("are the actions of the deny rules that match subject and resource", () => {
    const rules = [
      deny(),
      deny({ name: "other-team", subjects: { groups: ["sales"] }, permits: { actions: ["sql.call"] } }),
      deny({ name: "dev", resources: { labels: { env: "dev" } }, permits: { actions: ["sql.merge"] } }),
      allow(),
    ];
    expect(judgement(rules).denied).toEqual([
      { pattern: { name: "sql.truncate" }, message: "goes through a migration" },
    ]);
  });

  it("count where the condition is true or fails, not where it is false", () => {
    expect(names(judgement([deny({ when: "false" }), allow()]).denied.map(({ pattern }) => pattern))).toEqual([]);
    expect(
      names(judgement([deny({ when: "verified.missing" }), allow()]).denied.map(({ pattern }) => pattern)),
    ).toEqual(["sql.truncate"]);
  });

  it("come also from the policy in force now", () => {
    const current = samplePolicy([deny({ permits: { actions: ["sql.call"] }, message: "not any more" })], 2);
    expect(names(judgement([deny(), allow()], current).denied.map(({ pattern }) => pattern))).toEqual([
      "sql.truncate",
      "sql.call",
    ]);
  });

  it("lose restrictions that the resource cannot compare, so that more is denied", () => {
    expect(
      judgement([deny({ permits: { actions: [{ name: "sql.delete", colour: ["red"] }] } }), allow()]).denied,
    ).toMatchObject([{ pattern: { name: "sql.delete" } }]);
  });

  it("by a rule about everything, in force now, leave nothing open", () => {
    const current = samplePolicy([deny({ permits: undefined })], 2);
    expect(judgement([allow({ permits: { roles: ["write"], actions: ["sql.*"] } })], current)).toEqual({
      denied: [],
      hold: [],
      covered: [],
      askable: [],
    });
  });

  it("too many to list leave nothing open, rather than some of them forgotten", () => {
    const actions = (prefix: string): string[] =>
      Array.from({ length: 600 }, (_, index) => `${prefix}.a${String(index)}`);
    const rules = [
      deny({ permits: { actions: actions("x") } }),
      deny({ name: "more", permits: { actions: actions("y") } }),
      allow(),
    ];
    expect(judgement(rules)).toEqual({ denied: [], hold: [], covered: [], askable: [] });
  });
});

describe("hold, covered, askable", () => {
  it("held are the deciding rule's alone", () => {
    expect(judgement([allow({ hold: ["sql.insert"] }), allow({ name: "later", hold: ["sql.select"] })]).hold).toEqual([
      { name: "sql.insert" },
    ]);
  });

  it("covered is what is permitted, less what is denied as a whole", () => {
    expect(names(judgement([allow()]).covered)).toEqual(["sql.select", "sql.insert", "sql.update"]);
    const current = samplePolicy([deny({ permits: { actions: ["sql.ins*".replace("*", "ert")] } })], 2);
    expect(names(judgement([allow()], current).covered)).toEqual(["sql.select", "sql.update"]);
  });

  it("askable is what other rules for this subject and resource permit as actions, whatever their condition, but never break-glass", () => {
    const rules = [
      allow({ permits: { roles: ["write"], actions: ["sql.delete"] } }),
      allow({ name: "conditional", permits: { actions: ["sql.merge"] }, when: "false" }),
      allow({ name: "others", subjects: { groups: ["sales"] }, permits: { actions: ["sql.call"] } }),
      allow({
        name: "fire",
        permits: { actions: ["sql.grant"] },
        breakGlass: { review: { within: "1h", from: { groups: ["security"] } } },
      }),
      allow({ name: "same", permits: { actions: ["sql.delete"] } }),
    ];
    expect(names(judgement(rules).askable)).toEqual(["sql.delete", "sql.merge"]);
  });

  it("an action grant has nothing of it", () => {
    const policy = samplePolicy([allow({ permits: { actions: ["sql.*"] } })]);
    const action = { type: "sql", name: "sql.delete", what: {} };
    const request = sampleRequest(policy, sampleAsked({ ask: { action } }), spec, sampleFacts());
    expect(compileJudgement({ request, spec, policy, permissions: { action } })).toEqual({
      denied: [],
      hold: [],
      covered: [],
      askable: [],
    });
  });
});

describe("judging one action", () => {
  const orders = (table: string): Pattern => ({
    name: "sql.update",
    facets: { tables: { matcher: "names", values: [table] } },
  });
  const all: Judgement = {
    denied: [{ pattern: { name: "sql.truncate" }, message: "goes through a migration" }],
    hold: [{ name: "sql.insert" }],
    covered: [{ name: "sql.select" }, { name: "sql.insert" }, orders("public.orders")],
    askable: [{ name: "sql.delete" }, orders("public.*")],
  };

  it.each<[string, Pattern[], object]>([
    ["covered", [{ name: "sql.select" }], { is: "covered" }],
    ["covered in all its parts", [{ name: "sql.select" }, orders("public.orders")], { is: "covered" }],
    ["held before it is covered", [{ name: "sql.insert" }], { is: "held" }],
    ["held for one part", [{ name: "sql.select" }, { name: "sql.insert" }], { is: "held" }],
    ["askable", [{ name: "sql.delete" }], { is: "askable" }],
    ["askable for one part", [orders("public.orders"), orders("public.items")], { is: "askable" }],
    ["denied with the rule's words", [{ name: "sql.truncate" }], { is: "denied", message: "goes through a migration" }],
    [
      "denied for one part",
      [{ name: "sql.select" }, { name: "sql.truncate" }],
      { is: "denied", message: "goes through a migration" },
    ],
    ["denied as nothing matches", [{ name: "sql.grant" }], { is: "denied" }],
    [
      "denied for one part that nothing matches, though another would be held",
      [{ name: "sql.insert" }, { name: "sql.grant" }],
      { is: "denied" },
    ],
    ["denied where it says nothing of its tables", [{ name: "sql.update" }], { is: "denied" }],
    ["denied where it is nothing", [], { is: "denied" }],
  ])("%s", (_, action, expected) => {
    expect(judge(all, action)).toEqual(expected);
  });

  it("a further part never makes an action milder", () => {
    const rank = { denied: 0, askable: 1, held: 1, covered: 3 };
    const part = fc.constantFrom<Pattern>(
      { name: "sql.select" },
      { name: "sql.insert" },
      { name: "sql.delete" },
      { name: "sql.truncate" },
      { name: "sql.grant" },
      orders("public.orders"),
      orders("public.items"),
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), part, (parts, extra) => {
        expect(rank[judge(all, [...parts, extra]).is]).toBeLessThanOrEqual(rank[judge(all, parts).is]);
      }),
    );
  });
});
