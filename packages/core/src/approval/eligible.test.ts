import { describe, expect, it } from "vitest";
import type { SubjectId } from "../contract/ids.ts";
import type { Request } from "../documents/request.ts";
import type { Vote } from "../documents/vote.ts";
import { sampleEntry, sampleSubject } from "../policy/samples.ts";
import { mayVote, possibleApprovers, type MayVoteInput } from "./eligible.ts";
import { castVote, minutes, rosterOf, waitingRequest } from "./samples.ts";
import { tally } from "./tally.ts";

const roster = [
  sampleEntry(1, ["engineering", "dba"]),
  sampleEntry(2, ["dba"]),
  sampleEntry(3, ["dba", "security"]),
  sampleEntry(4, ["security"]),
  sampleEntry(5, ["dba"], { active: false }),
  sampleEntry(6, ["dba"], { kind: "workload" }),
  sampleEntry(7, ["leads"]),
];
const entries = rosterOf(...roster);
const staged = waitingRequest(
  [
    { count: 1, from: { groups: ["dba"] } },
    { count: 1, from: { groups: ["security"] } },
  ],
  { pending: { escalate: { after: "1h", to: { groups: ["leads"] } } } },
);

function may(
  approver: SubjectId,
  over: { request?: Request; votes?: readonly Vote[]; at?: number } & Partial<
    Pick<MayVoteInput, "verdict" | "narrowing">
  > = {},
): string {
  const request = over.request ?? staged;
  const now = minutes(over.at ?? 10);
  const result = mayVote({
    request,
    tally: tally({ request, votes: over.votes ?? [], entries, now }),
    approver,
    verdict: over.verdict ?? "approve",
    entries,
    now,
    ...(over.narrowing === undefined ? {} : { narrowing: over.narrowing }),
  });
  return result.ok ? `stage ${String(result.value.stage)}` : result.code;
}

describe("who may vote", () => {
  it("those whom the open stage asks for, told which stage that is", () => {
    expect(may(sampleSubject(2))).toBe("stage 1");
    expect(may(sampleSubject(4), { votes: [castVote(staged, sampleSubject(2), 1)] })).toBe("stage 2");
  });

  it.each([
    ["the requester", 1, "self_approval"],
    ["one of a later stage", 4, "not_an_approver"],
    ["the inactive", 5, "subject_inactive"],
    ["a workload", 6, "not_an_approver"],
    ["somebody unknown", 66, "not_an_approver"],
    ["one who would escalate in later", 7, "not_an_approver"],
  ])("not %s", (_, n, code) => {
    expect(may(sampleSubject(n))).toBe(code);
    expect(may(sampleSubject(n), { verdict: "deny" })).toBe(code);
  });

  it("those escalated to, once it has waited", () => {
    expect(may(sampleSubject(7), { at: 59 })).toBe("not_an_approver");
    expect(may(sampleSubject(7), { at: 60 })).toBe("stage 1");
  });

  it("not the human behind the requesting agent", () => {
    const request = waitingRequest([{ count: 1, from: { groups: ["dba"] } }], {
      asked: { requester: { id: sampleSubject(9), kind: "agent", onBehalfOf: sampleSubject(2) } },
    });
    expect(may(sampleSubject(2), { request })).toBe("self_approval");
    expect(may(sampleSubject(3), { request })).toBe("stage 1");
  });

  it("nobody once it is decided or over", () => {
    const one = waitingRequest([{ count: 1, from: { groups: ["dba"] } }]);
    expect(may(sampleSubject(3), { request: one, votes: [castVote(one, sampleSubject(2), 1)] })).toBe(
      "request_not_pending",
    );
    expect(
      may(sampleSubject(3), { request: one, votes: [castVote(one, sampleSubject(2), 1, { verdict: "deny" })] }),
    ).toBe("request_not_pending");
    expect(may(sampleSubject(3), { request: one, at: 480 })).toBe("request_expired");
  });

  it("not twice for the same, but to narrow, or to refuse after all", () => {
    const two = waitingRequest([{ count: 2, from: { groups: ["dba"] } }]);
    const votes = [castVote(two, sampleSubject(2), 1)];
    expect(may(sampleSubject(2), { request: two, votes })).toBe("already_voted");
    expect(may(sampleSubject(2), { request: two, votes, narrowing: { duration: "5m" } })).toBe("stage 1");
    expect(may(sampleSubject(2), { request: two, votes, verdict: "deny" })).toBe("stage 1");
  });

  it("not for two stages, though one may refuse in the second", () => {
    const votes = [castVote(staged, sampleSubject(3), 1)];
    expect(may(sampleSubject(3), { votes })).toBe("already_voted");
    expect(may(sampleSubject(3), { votes, narrowing: { duration: "5m" } })).toBe("already_voted");
    expect(may(sampleSubject(3), { votes, verdict: "deny" })).toBe("stage 2");
  });

  it("nobody where a signature is demanded that votes cannot carry", () => {
    const signed = waitingRequest([{ count: 1, from: { groups: ["dba"] }, signed: "ssh" }]);
    expect(may(sampleSubject(2), { request: signed })).toBe("vote_signature_required");
    expect(may(sampleSubject(4), { request: signed })).toBe("not_an_approver");
  });
});

describe("whom to tell", () => {
  const told = (votes: readonly Vote[], at = 10): string[] => {
    const now = minutes(at);
    return possibleApprovers(staged, tally({ request: staged, votes, entries, now }), roster, entries, now).map(
      ({ name }) => name,
    );
  };

  it("all who could bring it forward now", () => {
    expect(told([])).toEqual(["person-2", "person-3"]);
    expect(told([], 60)).toEqual(["person-2", "person-3", "person-7"]);
  });

  it("of the next stage, without those who are counted already, and nobody in the end", () => {
    expect(told([castVote(staged, sampleSubject(3), 1)])).toEqual(["person-4"]);
    expect(told([castVote(staged, sampleSubject(3), 1), castVote(staged, sampleSubject(4), 2, { stage: 2 })])).toEqual(
      [],
    );
  });
});

it("everyone told may vote", () => {
  for (const entry of roster) {
    const now = minutes(10);
    const open = tally({ request: staged, votes: [], entries, now });
    const isTold = possibleApprovers(staged, open, roster, entries, now).includes(entry);
    expect(may(entry.subject) === "stage 1", entry.name).toBe(isTold);
  }
});
