import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Grant } from "../documents/grant.ts";
import type { Pattern } from "../documents/pattern.ts";
import { AllowRule, DenyRule, ReviewRule } from "../documents/policy.ts";
import { timeMs } from "../documents/primitives.ts";
import type { Asked } from "../documents/request.ts";
import type { Narrowing } from "../documents/vote.ts";
import { durationMs } from "../lib/duration.ts";
import { coversAll } from "../policy/patterns.ts";
import { sampleAsked, samplePolicy, sampleRequest, sampleSpec } from "../policy/samples.ts";
import { checkNarrowing, effectiveGrant } from "./effective.ts";
import { combineNarrowings, intersectAddresses, type CombinedNarrowing } from "./narrowing.ts";
import { minutes } from "./samples.ts";

const spec = sampleSpec();
const policy = samplePolicy([
  DenyRule.parse({
    name: "no-truncate",
    permits: { actions: ["sql.truncate"] },
    effect: "deny",
    message: "goes through a migration",
  }),
  ReviewRule.parse({
    name: "writers",
    permits: { roles: ["read", "write"], actions: ["sql.select", "sql.delete"] },
    limits: { maxDuration: "4h", sessions: 3, via: ["gateway", "direct"] },
    hold: ["sql.insert"],
    effect: "review",
    approvals: [{ count: 1, from: { groups: ["dba"] } }],
  }),
  AllowRule.parse({
    name: "direct-readers",
    permits: { roles: ["read"] },
    limits: { maxDuration: "4h" },
    effect: "allow",
  }),
]);

function request(asked: Partial<Asked> = {}) {
  return sampleRequest(policy, sampleAsked({ ask: { role: "write" }, window: { duration: "2h" }, ...asked }), spec);
}

function effective(asked: Partial<Asked>, narrowing: CombinedNarrowing = {}, at = 30) {
  return effectiveGrant({ request: request(asked), narrowing, spec, policy, activatedAt: minutes(at) });
}

const select: Pattern = { name: "sql.select" };

describe("the window", () => {
  it("counts from activation, not from filing", () => {
    expect(effective({})).toMatchObject({
      ok: true,
      value: { window: { notBefore: minutes(30), notAfter: minutes(150) } },
    });
  });

  it("begins at the asked start, or at activation where that is later", () => {
    const window = { start: minutes(60), duration: "1h" };
    expect(effective({ window })).toMatchObject({
      value: { window: { notBefore: minutes(60), notAfter: minutes(120) } },
    });
    expect(effective({ window }, {}, 90)).toMatchObject({
      value: { window: { notBefore: minutes(90), notAfter: minutes(150) } },
    });
  });

  it("is as short as the shortest narrowing", () => {
    expect(effective({}, { duration: "10m" })).toMatchObject({ value: { window: { notAfter: minutes(40) } } });
  });
});

describe("permissions and limits", () => {
  it("are the role's and the decision's where nobody narrowed", () => {
    const grant = effective({});
    expect(grant).toMatchObject({
      ok: true,
      value: {
        permissions: { role: "write", patterns: spec.roles["write"]?.patterns },
        limits: { sessions: 3 },
        via: "gateway",
      },
    });
    expect(
      grant.ok &&
        Grant.pick({ window: true, permissions: true, limits: true, via: true, judgement: true }).safeParse(grant.value)
          .success,
    ).toBe(true);
  });

  it("are the intersection with what approvers left", () => {
    const onItems: Pattern = { name: "sql.insert", facets: { tables: { matcher: "names", values: ["public.items"] } } };
    expect(effective({}, { permissions: [select, onItems] })).toMatchObject({
      value: { permissions: { patterns: [select, onItems] } },
    });
    expect(effective({}, { sourceIps: ["10.0.0.0/8"] })).toMatchObject({
      value: { limits: { sourceIps: ["10.0.0.0/8"], sessions: 3 } },
    });
    expect(effective({ limits: { sourceIps: ["10.1.0.0/16"] } }, { sourceIps: ["10.1.2.0/24"] })).toMatchObject({
      value: { limits: { sourceIps: ["10.1.2.0/24"] } },
    });
  });

  it("an exact action stays exactly as it is", () => {
    const action = { type: "sql", name: "sql.delete", what: { statement: "delete from t" } };
    expect(effective({ ask: { action } })).toMatchObject({
      ok: true,
      value: { permissions: { action }, judgement: { denied: [], hold: [], covered: [], askable: [] } },
    });
  });
});

describe("a narrowing is refused", () => {
  it.each<[string, Narrowing, Partial<Asked>, string]>([
    ["longer than what was asked", { duration: "3h" }, {}, "narrowing_invalid"],
    ["beyond the role", { permissions: [{ name: "sql.delete" }] }, {}, "narrowing_invalid"],
    ["wider than the role's facets", { permissions: [{ name: "sql.update" }] }, {}, "narrowing_invalid"],
    [
      "outside the asked addresses",
      { sourceIps: ["192.168.0.0/16"] },
      { limits: { sourceIps: ["10.0.0.0/8"] } },
      "narrowing_invalid",
    ],
    [
      "wider than the asked addresses",
      { sourceIps: ["10.0.0.0/8"] },
      { limits: { sourceIps: ["10.1.0.0/16"] } },
      "narrowing_invalid",
    ],
    [
      "on an exact action",
      { duration: "1m" },
      { ask: { action: { type: "sql", name: "sql.delete", what: {} } } },
      "narrowing_exact",
    ],
  ])("that is %s", (_, narrowing, asked, code) => {
    expect(checkNarrowing(request(asked), spec, narrowing)?.code).toBe(code);
    expect(effective(asked, narrowing)).toMatchObject({ ok: false, code });
  });

  it("where nothing would enforce it", () => {
    // A rule of its own: the one above holds an action, which a direct key cannot.
    const plain = samplePolicy([
      AllowRule.parse({
        name: "direct",
        permits: { roles: ["read"] },
        limits: { maxDuration: "4h", via: ["direct"] },
        effect: "allow",
      }),
    ]);
    const direct = sampleRequest(plain, sampleAsked(), spec);
    expect(direct.decision).toMatchObject({ effect: "allow", via: "direct" });
    expect(checkNarrowing(direct, spec, { permissions: [select] })?.code).toBe("narrowing_unenforceable");
    expect(checkNarrowing(direct, spec, { sourceIps: ["10.0.0.0/8"] })?.code).toBe("narrowing_unenforceable");
    expect(checkNarrowing(direct, spec, { duration: "5m" })).toBeUndefined();
  });

  it("where several leave nothing in common", () => {
    const insert: Pattern = { name: "sql.insert" };
    expect(effective({}, combineNarrowings([{ permissions: [select] }, { permissions: [insert] }]))).toMatchObject({
      ok: false,
      code: "narrowing_invalid",
    });
    expect(
      effective({}, combineNarrowings([{ sourceIps: ["10.0.0.0/8"] }, { sourceIps: ["192.168.0.0/16"] }])),
    ).toMatchObject({ ok: false, code: "narrowing_invalid" });
  });

  it("not where it says nothing, or just what was asked", () => {
    expect(checkNarrowing(request(), spec, {})).toBeUndefined();
    expect(
      checkNarrowing(request(), spec, { duration: "2h", permissions: spec.roles["write"]?.patterns ?? [] }),
    ).toBeUndefined();
  });
});

describe("the judgement", () => {
  it("lists what is denied, held, covered and askable", () => {
    expect(effective({})).toMatchObject({
      value: {
        judgement: {
          denied: [{ pattern: { name: "sql.truncate" }, message: "goes through a migration" }],
          hold: [{ name: "sql.insert" }],
          covered: spec.roles["write"]?.patterns,
          askable: [{ name: "sql.select" }, { name: "sql.delete" }],
        },
      },
    });
  });
});

describe("addresses", () => {
  it.each([
    [["10.0.0.0/8"], ["10.1.0.0/16"], ["10.1.0.0/16"]],
    [["10.0.0.0/8"], ["0.0.0.0/0"], ["10.0.0.0/8"]],
    [["10.0.0.0/8"], ["11.0.0.0/8"], []],
    [
      ["10.0.0.0/8", "2001:db8::/32"],
      ["2001:db8:1::/48", "10.0.0.1"],
      ["10.0.0.1", "2001:db8:1::/48"],
    ],
    [["0.0.0.0/0"], ["::/0"], []],
  ])("%j and %j have %j in common", (a, b, expected) => {
    expect(intersectAddresses(a, b)).toEqual(expected);
    expect(intersectAddresses(b, a)).toEqual(expected);
  });
});

describe("always", () => {
  const pattern = fc.constantFrom<Pattern>(
    select,
    { name: "sql.insert" },
    { name: "sql.update", facets: { tables: { matcher: "names", values: ["public.orders"] } } },
    { name: "sql.select", facets: { tables: { matcher: "names", values: ["public.orders"] } } },
  );
  const narrowing = fc.record(
    {
      duration: fc.constantFrom("5m", "30m", "2h"),
      permissions: fc.array(pattern, { minLength: 1, maxLength: 3 }),
      sourceIps: fc.subarray(["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16"], { minLength: 1 }),
    },
    { requiredKeys: [] },
  );

  it("each further narrowing leaves no more than before, and the order does not matter", () => {
    fc.assert(
      fc.property(fc.array(narrowing, { maxLength: 4 }), narrowing, (some, extra) => {
        const before = effective({}, combineNarrowings(some));
        const after = effective({}, combineNarrowings([...some, extra]));
        const turned = effective({}, combineNarrowings([extra, ...some].reverse()));
        expect(turned.ok).toBe(after.ok);
        if (!before.ok || !after.ok) {
          expect(before.ok || !after.ok).toBe(true);
          return;
        }
        const patterns = (grant: typeof before.value): readonly Pattern[] =>
          "role" in grant.permissions ? grant.permissions.patterns : [];
        const length = ({ window }: typeof before.value): number => timeMs(window.notAfter) - timeMs(window.notBefore);
        expect(coversAll(patterns(before.value), patterns(after.value))).toBe(true);
        expect(coversAll(spec.roles["write"]?.patterns ?? [], patterns(after.value))).toBe(true);
        expect(length(after.value)).toBeLessThanOrEqual(
          Math.min(length(before.value), durationMs(extra.duration ?? "2h")),
        );
        if (turned.ok) expect(turned.value.window).toEqual(after.value.window);
      }),
      { numRuns: 300 },
    );
  });
});
