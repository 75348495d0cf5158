import { describe, expect, it } from "vitest";
import { PolicyDocument, type Rule } from "../documents/policy.ts";
import type { Asked } from "../documents/request.ts";
import { decide } from "./decide.ts";
import { sampleAsked, sampleFacts, samplePolicy, sampleSpec, sampleTime } from "./samples.ts";
import { diffPolicies, simulate, type PastRequest } from "./simulate.ts";

const document = (...rules: object[]): PolicyDocument => PolicyDocument.parse({ version: 1, rules });
const allow = (name: string, roles: string[], over: object = {}): object => ({
  name,
  permits: { roles },
  limits: { maxDuration: "4h" },
  effect: "allow",
  ...over,
});
const review = (name: string, roles: string[], group: string): object =>
  allow(name, roles, { effect: "review", approvals: [{ count: 1, from: { groups: [group] } }] });
const rulesOf = (...rules: object[]): Rule[] => document(...rules).rules;

describe("replaying past requests", () => {
  const before = samplePolicy(rulesOf(allow("read", ["read"]), review("write", ["write"], "dba")));
  const past = (id: string, asked: Partial<Asked>): PastRequest => {
    const input = { asked: sampleAsked(asked), spec: sampleSpec(), facts: sampleFacts(), createdAt: sampleTime };
    return { id, ...input, decision: decide({ policy: before, ...input }) };
  };
  const history = [
    past("r", { ask: { role: "read" } }),
    past("w", { ask: { role: "write" } }),
    past("a", { ask: { role: "admin" } }),
  ];
  const changes = (...rules: object[]): [string, string][] =>
    simulate(samplePolicy(rulesOf(...rules), 2), history).changes.map(({ id, change }) => [id, change]);

  it("says who would newly be allowed, refused and reviewed", () => {
    expect(changes(review("read", ["read"], "dba"), allow("admin", ["admin"]))).toEqual([
      ["r", "reviewed"],
      ["w", "refused"],
      ["a", "allowed"],
    ]);
  });

  it("a request that needed approval and needs none now is newly allowed", () => {
    expect(changes(allow("all", ["*"]))).toEqual([
      ["w", "allowed"],
      ["a", "allowed"],
    ]);
  });

  it("other approvers, other terms, and no change at all, whatever the rules are called", () => {
    expect(
      changes(
        allow("reading", ["read"], { limits: { maxDuration: "4h", sessions: 1 } }),
        review("writing", ["write"], "security"),
      ),
    ).toEqual([
      ["r", "otherTerms"],
      ["w", "reviewedOtherwise"],
    ]);
    expect(simulate(samplePolicy(rulesOf(allow("x", ["read"]), review("y", ["write"], "dba")), 2), history)).toEqual({
      changes: [],
      unchanged: 3,
    });
  });
});

describe("comparing documents", () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => allow(name, ["read"])) as [object, object, object, object]; // four names give four rules

  it.each<[string, object[], object[], object[]]>([
    ["nothing", [a, b], [a, b], []],
    [
      "added and removed",
      [a, b],
      [b, c],
      [
        { rule: "a", change: "removed" },
        { rule: "c", change: "added" },
      ],
    ],
    ["changed", [a], [allow("a", ["write"])], [{ rule: "a", change: "changed" }]],
    ["one that moved up: only that one", [a, b, c, d], [d, a, b, c], [{ rule: "d", change: "moved" }]],
    ["one that moved down", [a, b, c, d], [b, c, d, a], [{ rule: "a", change: "moved" }]],
    ["two swapped: one of them moved", [a, b], [b, a], [{ rule: "b", change: "moved" }]],
    ["a removal moves nobody", [a, b, c], [b, c], [{ rule: "a", change: "removed" }]],
  ])("%s", (_, before, after, expected) => {
    expect(diffPolicies(document(...before), document(...after))).toEqual(expected);
  });
});
