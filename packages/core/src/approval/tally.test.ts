import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { digestOf } from "../documents/digest.ts";
import type { Request } from "../documents/request.ts";
import type { RosterEntry } from "../documents/roster.ts";
import type { Vote } from "../documents/vote.ts";
import { AllowRule } from "../documents/policy.ts";
import { sampleAsked, sampleEntry, samplePolicy, sampleRequest, sampleSubject } from "../policy/samples.ts";
import { castVote, minutes, rosterOf, waitingRequest } from "./samples.ts";
import { tally, type Tally } from "./tally.ts";

const [requester, ann, bob, cyd, dan, eve] = [1, 2, 3, 4, 5, 6].map(sampleSubject) as [
  SubjectOf,
  SubjectOf,
  SubjectOf,
  SubjectOf,
  SubjectOf,
  SubjectOf,
]; // six numbers give six subjects
type SubjectOf = ReturnType<typeof sampleSubject>;

const people: RosterEntry[] = [
  sampleEntry(1, ["engineering", "dba", "security"]),
  sampleEntry(2, ["dba"]),
  sampleEntry(3, ["dba"]),
  sampleEntry(4, ["security"]),
  sampleEntry(5, ["dba", "security"]),
  sampleEntry(6, ["leads"]),
];
const oneDba = [{ count: 1, from: { groups: ["dba"] } }];
const twoDba = [{ count: 2, from: { groups: ["dba"] } }];
const dbaThenSecurity = [...oneDba, { count: 1, from: { groups: ["security"] } }];
const together = [
  [
    { count: 1, from: { groups: ["dba"] } },
    { count: 1, from: { groups: ["security"] } },
  ],
];

function count(
  request: Request,
  votes: readonly Vote[],
  over: { entries?: readonly RosterEntry[]; at?: number } = {},
): Tally {
  return tally({ request, votes, entries: rosterOf(...(over.entries ?? people)), now: minutes(over.at ?? 400) });
}

const withEntry = (n: number, over: Partial<RosterEntry>): RosterEntry[] =>
  people.map((entry) => (entry.subject === sampleSubject(n) ? { ...entry, ...over } : entry));

describe("stages", () => {
  it("a request that no stage holds up is approved at once, one that policy refused never is", () => {
    const allowed = sampleRequest(
      samplePolicy([
        AllowRule.parse({ name: "a", permits: { roles: ["read"] }, limits: { maxDuration: "4h" }, effect: "allow" }),
      ]),
      sampleAsked(),
    );
    expect(count(allowed, [])).toEqual({ state: "approved", votes: [], narrowing: {}, at: allowed.createdAt });
    const refused = sampleRequest(samplePolicy([]), sampleAsked());
    expect(count(refused, [castVote(refused, ann, 1)])).toEqual({ state: "denied" });
  });

  it("nobody has voted: it says what is missing and from whom", () => {
    const request = waitingRequest(dbaThenSecurity);
    expect(count(request, [])).toMatchObject({
      state: "pending",
      stage: 1,
      openedAt: request.createdAt,
      missing: [{ remaining: 1, requirement: { id: "1.1", from: { groups: ["dba"] } } }],
      voted: [],
    });
  });

  it("open one after the other, at the instant the one before was met", () => {
    const request = waitingRequest(dbaThenSecurity);
    const first = castVote(request, ann, 1);
    expect(count(request, [first])).toMatchObject({
      state: "pending",
      stage: 2,
      openedAt: minutes(1),
      missing: [{ requirement: { id: "2.1" } }],
      voted: [ann],
      counted: [ann],
    });
    const second = castVote(request, cyd, 2, { stage: 2 });
    expect(count(request, [second, first])).toEqual({
      state: "approved",
      votes: [digestOf("vote", first), digestOf("vote", second)],
      narrowing: {},
      at: minutes(2),
    });
  });

  it("a vote for a stage that is not open does not count, neither early nor late", () => {
    const request = waitingRequest(dbaThenSecurity);
    expect(count(request, [castVote(request, cyd, 1, { stage: 2 }), castVote(request, ann, 2)])).toMatchObject({
      state: "pending",
      stage: 2,
    });
    expect(count(request, [castVote(request, ann, 1), castVote(request, cyd, 2, { stage: 1 })])).toMatchObject({
      state: "pending",
      stage: 2,
    });
    expect(count(request, [castVote(request, ann, 1, { stage: 9 })])).toMatchObject({ state: "pending", stage: 1 });
  });

  it("votes of one instant are taken stage by stage, whatever their ids", () => {
    const request = waitingRequest(dbaThenSecurity);
    const first = castVote(request, ann, 9, { at: minutes(3) });
    const second = castVote(request, cyd, 1, { at: minutes(3), stage: 2 });
    expect(count(request, [second, first]).state).toBe("approved");
  });
});

describe("quorum", () => {
  it("is at least, not exactly", () => {
    const request = waitingRequest(twoDba);
    const votes = [ann, bob, dan].map((approver, index) => castVote(request, approver, index + 1));
    expect(count(request, votes.slice(0, 1))).toMatchObject({ state: "pending", missing: [{ remaining: 1 }] });
    expect(count(request, votes.slice(0, 2)).state).toBe("approved");
    expect(count(request, votes)).toMatchObject({ state: "approved", at: minutes(2) });
  });

  it("two votes of one person are one", () => {
    const request = waitingRequest(twoDba);
    expect(count(request, [castVote(request, ann, 1), castVote(request, ann, 2)])).toMatchObject({
      state: "pending",
      missing: [{ remaining: 1 }],
      voted: [ann],
    });
    const same = castVote(request, ann, 1);
    expect(count(request, [same, same])).toMatchObject({ state: "pending", missing: [{ remaining: 1 }] });
  });

  it("requirements of a stage are met by different people, matched so that as many as possible are met", () => {
    const request = waitingRequest(together);
    expect(count(request, [castVote(request, dan, 1)])).toMatchObject({ state: "pending" });
    // dan fits both; ann fits only dba, so dan must move to security, in either order.
    expect(count(request, [castVote(request, dan, 1), castVote(request, ann, 2)]).state).toBe("approved");
    expect(count(request, [castVote(request, ann, 1), castVote(request, dan, 2)]).state).toBe("approved");
    expect(count(request, [castVote(request, ann, 1), castVote(request, bob, 2)])).toMatchObject({
      state: "pending",
      missing: [{ requirement: { from: { groups: ["security"] } } }],
    });
  });
});

describe("one human counts once", () => {
  it("over all stages and groups", () => {
    const request = waitingRequest(dbaThenSecurity);
    const votes = [castVote(request, dan, 1), castVote(request, dan, 2, { stage: 2 })];
    expect(count(request, votes)).toMatchObject({ state: "pending", stage: 2, missing: [{ remaining: 1 }] });
    expect(count(request, [...votes, castVote(request, cyd, 3, { stage: 2 })]).state).toBe("approved");
  });

  it("never the requester, in whatever group", () => {
    const request = waitingRequest(oneDba);
    expect(count(request, [castVote(request, requester, 1)])).toMatchObject({ state: "pending", voted: [] });
    const named = waitingRequest([{ count: 1, from: { subjects: [requester] } }]);
    expect(count(named, [castVote(named, requester, 1)]).state).toBe("pending");
  });

  it("never the human for whom the requesting agent acts, by the request or by the roster", () => {
    const agent = sampleSubject(9);
    const entry = sampleEntry(9, ["dba"], { kind: "agent", actsFor: ann });
    const request = waitingRequest(oneDba, { asked: { requester: { id: agent, kind: "agent", onBehalfOf: ann } } });
    expect(count(request, [castVote(request, ann, 1)], { entries: [...people, entry] }).state).toBe("pending");
    expect(count(request, [castVote(request, bob, 1)], { entries: [...people, entry] }).state).toBe("approved");
    const moved = { ...entry, actsFor: bob };
    expect(count(request, [castVote(request, bob, 1)], { entries: [...people, moved] }).state).toBe("pending");
    expect(count(request, [castVote(request, ann, 1)], { entries: [...people, moved] }).state).toBe("pending");
  });

  it("never an agent or a workload", () => {
    const request = waitingRequest(oneDba);
    for (const kind of ["agent", "workload"] as const) {
      expect(count(request, [castVote(request, ann, 1)], { entries: withEntry(2, { kind }) }).state).toBe("pending");
    }
  });
});

describe("standing is what it is now", () => {
  const request = waitingRequest(twoDba);
  const votes = [castVote(request, ann, 1), castVote(request, bob, 2)];

  it.each<[string, Partial<RosterEntry>]>([
    ["inactive", { active: false }],
    ["out of the group", { groups: ["engineering"] }],
  ])("an approver who is %s does not count", (_, over) => {
    expect(count(request, votes).state).toBe("approved");
    expect(count(request, votes, { entries: withEntry(2, over) })).toMatchObject({
      state: "pending",
      missing: [{ remaining: 1 }],
      voted: [bob],
    });
  });

  it("nor one whom the roster does not know", () => {
    expect(count(request, [castVote(request, sampleSubject(77), 1), castVote(request, bob, 2)]).state).toBe("pending");
  });

  it("nor one for whom the roster gives another's entry", () => {
    const wrong = sampleEntry(2, ["dba"]);
    expect(tally({ request, votes, entries: () => wrong, now: minutes(400) })).toMatchObject({
      state: "pending",
      voted: [ann],
    });
  });

  it("a stage that is unmet again takes the later ones with it", () => {
    const staged = waitingRequest(dbaThenSecurity);
    const cast = [castVote(staged, ann, 1), castVote(staged, cyd, 2, { stage: 2 })];
    expect(count(staged, cast).state).toBe("approved");
    expect(count(staged, cast, { entries: withEntry(2, { active: false }) })).toMatchObject({
      state: "pending",
      stage: 1,
    });
  });
});

describe("which votes count", () => {
  const request = waitingRequest(oneDba);
  it.each<[string, Partial<Vote>]>([
    [
      "for another request",
      { request: digestOf("request", waitingRequest(oneDba, { asked: { justification: "another one" } })) },
    ],
    ["cast before the request was filed", { at: minutes(-1) }],
    ["cast in the future", { at: minutes(401) }],
    ["cast when the request had expired", { at: request.decision.expiresAt }],
    ["expired", { expiresAt: minutes(400) }],
  ])("not one %s", (_, over) => {
    expect(count(request, [castVote(request, ann, 1)]).state).toBe("approved");
    expect(
      count(request, [castVote(request, ann, 1, over)], { at: over.at === request.decision.expiresAt ? 600 : 400 }),
    ).toMatchObject({ state: "pending", voted: [] });
  });

  it("an approval that came in time still counts after the request would have expired", () => {
    expect(count(request, [castVote(request, ann, 1)], { at: 1_000 }).state).toBe("approved");
  });

  it("not one by somebody whom the open stage does not ask for", () => {
    expect(count(request, [castVote(request, cyd, 1)])).toMatchObject({ state: "pending", voted: [] });
  });

  it("none for a requirement that demands a signature, which votes cannot carry yet", () => {
    const signed = waitingRequest([{ count: 1, from: { groups: ["dba"] }, signed: "passkey" }]);
    expect(count(signed, [castVote(signed, ann, 1)])).toMatchObject({ state: "pending", voted: [] });
  });

  it("none for an outside system", () => {
    const outside = waitingRequest([{ count: 1, from: { external: "tickets" } }]);
    expect(count(outside, [castVote(outside, ann, 1)]).state).toBe("pending");
  });
});

describe("denials", () => {
  const request = waitingRequest(dbaThenSecurity);

  it("one by anyone entitled for the open stage denies, and no later approval helps", () => {
    const no = castVote(request, ann, 1, { verdict: "deny" });
    expect(count(request, [no])).toEqual({ state: "denied", by: ann, vote: digestOf("vote", no) });
    expect(count(request, [no, castVote(request, bob, 2)]).state).toBe("denied");
    expect(count(request, [no, castVote(request, ann, 2)]).state).toBe("denied");
  });

  it("the same approver may change a yes to a no while the stage is open", () => {
    const two = waitingRequest(twoDba);
    expect(count(two, [castVote(two, ann, 1), castVote(two, ann, 2, { verdict: "deny" })])).toMatchObject({
      state: "denied",
      by: ann,
    });
  });

  it("not by those whom the open stage does not ask for, nor by the requester", () => {
    expect(count(request, [castVote(request, cyd, 1, { verdict: "deny" })]).state).toBe("pending");
    expect(count(request, [castVote(request, requester, 1, { verdict: "deny" })]).state).toBe("pending");
    expect(
      count(request, [castVote(request, ann, 1), castVote(request, bob, 2, { verdict: "deny", stage: 1 })]),
    ).toMatchObject({ state: "pending", stage: 2 });
  });

  it("somebody who counted for an earlier stage may still refuse in a later one that asks for them", () => {
    expect(
      count(request, [castVote(request, dan, 1), castVote(request, dan, 2, { verdict: "deny", stage: 2 })]),
    ).toMatchObject({ state: "denied", by: dan });
  });

  it("of the same instant go before approvals; after the last approval they come too late", () => {
    const one = waitingRequest(oneDba);
    expect(
      count(one, [
        castVote(one, ann, 1, { at: minutes(5) }),
        castVote(one, bob, 2, { at: minutes(5), verdict: "deny" }),
      ]).state,
    ).toBe("denied");
    expect(count(one, [castVote(one, ann, 1), castVote(one, bob, 2, { verdict: "deny" })]).state).toBe("approved");
  });

  it("an expired no neither denies nor leaves that approver's yes standing", () => {
    const two = waitingRequest(twoDba);
    const votes = [
      castVote(two, ann, 1),
      castVote(two, ann, 2, { verdict: "deny", expiresAt: minutes(10) }),
      castVote(two, bob, 3),
    ];
    expect(count(two, votes)).toMatchObject({ state: "pending", voted: [bob] });
  });
});

describe("escalation", () => {
  const request = waitingRequest(dbaThenSecurity, {
    pending: { escalate: { after: "1h", to: { groups: ["leads"] } } },
  });

  it("lets others meet a requirement once it has waited, counted from when its stage opened", () => {
    expect(count(request, [castVote(request, eve, 59)])).toMatchObject({
      state: "pending",
      stage: 1,
      missing: [{ escalatesAt: minutes(60) }],
    });
    expect(count(request, [castVote(request, eve, 60)])).toMatchObject({
      state: "pending",
      stage: 2,
      missing: [{ escalatesAt: minutes(120) }],
    });
    expect(count(request, [castVote(request, ann, 100), castVote(request, eve, 159, { stage: 2 })])).toMatchObject({
      state: "pending",
      stage: 2,
    });
    expect(count(request, [castVote(request, ann, 100), castVote(request, eve, 160, { stage: 2 })]).state).toBe(
      "approved",
    );
  });

  it("leaves nobody out and skips nobody: time alone approves nothing", () => {
    expect(count(request, [castVote(request, ann, 70)])).toMatchObject({ stage: 2 });
    expect(count(request, [], { at: 479 })).toMatchObject({ state: "pending", stage: 1 });
  });

  it("a vote cast too early does not begin to count by waiting", () => {
    expect(count(request, [castVote(request, eve, 30)], { at: 300 })).toMatchObject({
      state: "pending",
      stage: 1,
      voted: [],
    });
  });

  it("one who escalated in counts once like anybody", () => {
    expect(count(request, [castVote(request, eve, 60), castVote(request, eve, 200, { stage: 2 })])).toMatchObject({
      state: "pending",
      stage: 2,
    });
  });
});

describe("narrowings", () => {
  const request = waitingRequest(twoDba);

  it("of all approvers are taken together", () => {
    const votes = [
      castVote(request, ann, 1, { narrowing: { duration: "30m", sourceIps: ["10.0.0.0/8"] } }),
      castVote(request, bob, 2, { narrowing: { duration: "45m", sourceIps: ["10.1.0.0/16", "192.168.0.0/16"] } }),
    ];
    expect(count(request, votes)).toMatchObject({
      state: "approved",
      narrowing: { duration: "30m", sourceIps: ["10.1.0.0/16"] },
    });
  });

  it("outlive the vote that carried them: replaced, expired, or by somebody who has left", () => {
    const narrowed = castVote(request, ann, 1, { narrowing: { duration: "10m" } });
    const votes = [narrowed, castVote(request, ann, 2), castVote(request, bob, 3)];
    expect(count(request, votes)).toMatchObject({ state: "approved", narrowing: { duration: "10m" } });
    expect(count(request, [{ ...narrowed, expiresAt: minutes(5) }, ...votes.slice(1)])).toMatchObject({
      state: "approved",
      narrowing: { duration: "10m" },
    });
    const left = [narrowed, castVote(request, bob, 3), castVote(request, dan, 4)];
    expect(count(request, left, { entries: withEntry(2, { active: false }) })).toMatchObject({
      state: "approved",
      narrowing: { duration: "10m" },
    });
  });

  it("of another request mean nothing here", () => {
    const other = waitingRequest(twoDba, { asked: { justification: "another one" } });
    expect(count(request, [castVote(other, ann, 1, { narrowing: { duration: "10m" } })])).toMatchObject({
      narrowing: {},
    });
  });
});

// ---- properties

const someApprovals = fc.constantFrom(
  oneDba,
  twoDba,
  dbaThenSecurity,
  together,
  [...twoDba, ...together],
  [
    { count: 1, from: { groups: ["security"] } },
    { count: 2, from: { groups: ["dba", "security"] } },
  ],
);
const voteShape = fc.record({
  who: fc.integer({ min: 1, max: 6 }),
  at: fc.integer({ min: 1, max: 30 }),
  stage: fc.integer({ min: 1, max: 3 }),
  deny: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  duration: fc.constantFrom(undefined, undefined, "10m", "30m"),
});
const someVotes = fc.array(voteShape, { maxLength: 10 });
type Shape = typeof voteShape extends fc.Arbitrary<infer T> ? T : never;

function cast(request: Request, shapes: readonly Shape[]): Vote[] {
  return shapes.map(({ who, at, stage, deny, duration }, index) =>
    castVote(request, sampleSubject(who), index + 1, {
      at: minutes(at),
      stage,
      verdict: deny ? "deny" : "approve",
      ...(duration === undefined ? {} : { narrowing: { duration } }),
    }),
  );
}

describe("always", () => {
  it("the order in which votes are handed over does not matter", () => {
    fc.assert(
      fc.property(someApprovals, someVotes, fc.infiniteStream(fc.nat()), (approvals, shapes, order) => {
        const request = waitingRequest(approvals);
        const votes = cast(request, shapes);
        const shuffled = votes
          .map((vote) => ({ vote, by: order.next().value }))
          .sort((a, b) => a.by - b.by)
          .map(({ vote }) => vote);
        expect(count(request, shuffled)).toEqual(count(request, votes));
      }),
      { numRuns: 300 },
    );
  });

  it("an approval rests on as many different people as all stages ask for, none of them the requester", () => {
    fc.assert(
      fc.property(someApprovals, someVotes, (approvals, shapes) => {
        const request = waitingRequest(approvals);
        const votes = cast(request, shapes);
        const result = count(request, votes);
        if (result.state !== "approved") return;
        const wanted = request.decision.stages.flat().reduce((sum, { count: n }) => sum + n, 0);
        const approvers = votes
          .filter((vote) => result.votes.includes(digestOf("vote", vote)))
          .map(({ approver }) => approver);
        expect(result.votes).toHaveLength(wanted);
        expect(new Set(approvers).size).toBe(wanted);
        expect(approvers).not.toContain(requester);
      }),
      { numRuns: 500 },
    );
  });

  it("votes cast after the decision change nothing of it", () => {
    fc.assert(
      fc.property(someApprovals, someVotes, someVotes, (approvals, early, late) => {
        const request = waitingRequest(approvals);
        const before = cast(request, early);
        const result = count(request, before);
        if (result.state === "pending") return;
        const later = cast(request, late).map((vote, index) => ({
          ...vote,
          id: castVote(request, ann, 100 + index).id,
          at: minutes(60 + index),
          narrowing: undefined,
        }));
        const after = count(request, [...before, ...later.map(({ narrowing: _, ...vote }) => vote)]);
        expect(after).toEqual(result);
      }),
      { numRuns: 300 },
    );
  });

  it("taking people away from the roster never approves what was not", () => {
    fc.assert(
      fc.property(someApprovals, someVotes, fc.subarray(people), (approvals, shapes, fewer) => {
        const request = waitingRequest(approvals);
        const votes = cast(request, shapes).filter(({ verdict }) => verdict === "approve");
        if (count(request, votes, { entries: fewer }).state === "approved")
          expect(count(request, votes).state).toBe("approved");
      }),
      { numRuns: 300 },
    );
  });

  it("another narrowing only ever shortens", () => {
    const lengths = { "10m": 10, "30m": 30 };
    fc.assert(
      fc.property(someApprovals, someVotes, voteShape, (approvals, shapes, extra) => {
        const request = waitingRequest(approvals);
        const duration = (result: Tally): number =>
          result.state === "denied" || result.narrowing.duration === undefined
            ? Infinity
            : lengths[result.narrowing.duration as "10m" | "30m"]; // the only two that are generated
        const [one, other] = [count(request, cast(request, shapes)), count(request, cast(request, [...shapes, extra]))];
        if (other.state !== "denied" && one.state !== "denied")
          expect(duration(other)).toBeLessThanOrEqual(duration(one));
      }),
      { numRuns: 300 },
    );
  });
});
