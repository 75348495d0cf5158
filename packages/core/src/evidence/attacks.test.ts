/**
 * Every known way to get a key that nobody approved, against the one check that stands before it. Each must be refused, with exactly this code.
 * Forgers come in two kinds: those who can alter what is stored or sent but hold no key, and one who holds the control plane's and the log's key,
 * against whom there is still everything that is computed again.
 */
import { describe, expect, it } from "vitest";
import { castVote, minutes } from "../approval/samples.ts";
import { digestOf } from "../documents/digest.ts";
import type { Evidence } from "../documents/evidence.ts";
import type { Grant } from "../documents/grant.ts";
import { AllowRule, type Policy, type Rule } from "../documents/policy.ts";
import { timeMs } from "../documents/primitives.ts";
import type { Request } from "../documents/request.ts";
import { signDigest } from "../documents/signature.ts";
import type { Trust } from "../documents/trust.ts";
import { signCheckpoint } from "../log/checkpoint.ts";
import { noteSigner } from "../log/note.ts";
import {
  sampleAsked,
  sampleEntry,
  sampleFacts,
  samplePolicy,
  sampleSpec,
  sampleSubject,
  sampleTime,
} from "../policy/samples.ts";
import {
  agent,
  both,
  changeRule,
  dba,
  evidenceOf,
  honestKeys,
  honestVotes,
  logOf,
  logged,
  loggedOf,
  noDropRule,
  otherDba,
  requester,
  rosterOf,
  sampleKeys,
  samplePeople,
  sampleScene,
  sampleTrust,
  security,
  signAs,
  workload,
  type Scene,
  type SceneChanges,
} from "./samples.ts";
import { clockSkewMs, verifyEvidence, type EvidenceRefusal, type VerifyOptions } from "./verify.ts";

const trust = sampleTrust();
const honest = sampleScene();
const issuedAt = timeMs(honest.grant.window.notBefore) + 1_000;

interface Given {
  readonly evidence: unknown;
  readonly trust?: Trust;
  readonly nowMs?: number;
  readonly options?: Partial<VerifyOptions>;
}

interface Cheat {
  readonly name: string;
  readonly code: EvidenceRefusal["code"];
  readonly given: () => Given;
}

/** Somebody without a key alters good evidence. */
function altered(name: string, code: Cheat["code"], alter: (evidence: Evidence) => void): Cheat {
  return {
    name,
    code,
    given: () => {
      const evidence = structuredClone(evidenceOf(honest));
      alter(evidence);
      return { evidence };
    },
  };
}

/** Somebody with the control plane's key and the log's makes evidence in which every signature and proof holds. */
function forged(name: string, code: Cheat["code"], changes: SceneChanges, given: Omit<Given, "evidence"> = {}): Cheat {
  return { name, code, given: () => ({ evidence: evidenceOf(sampleScene(changes)), ...given }) };
}

function withDecision(change: Partial<Request["decision"]>): (request: Request) => Request {
  return (request) => ({ ...request, decision: { ...request.decision, ...change } });
}

function withGrant(change: (grant: Grant) => Partial<Grant>): (grant: Grant) => Grant {
  return (grant) => ({ ...grant, ...change(grant) });
}

function firstVote(evidence: Evidence): Evidence["votes"][number] {
  const [vote] = evidence.votes;
  if (vote === undefined) throw new TypeError("the honest evidence has votes");
  return vote;
}

function firstProof(evidence: Evidence): Evidence["log"]["proofs"][number] {
  const [proof] = evidence.log.proofs;
  if (proof === undefined) throw new TypeError("the honest evidence has a proof");
  return proof;
}

function entryOf(evidence: Evidence, subject: string): Evidence["roster"]["entries"][number] {
  const found = evidence.roster.entries.find(({ entry }) => entry.subject === subject);
  if (found === undefined) throw new TypeError("the honest evidence proves everybody");
  return found;
}

function without(evidence: Evidence, digest: string): void {
  evidence.signatures = Object.fromEntries(Object.entries(evidence.signatures).filter(([key]) => key !== digest));
}

/** The people, with one of them as they are now. */
function people(n: number, groups: readonly string[], over: Partial<Scene["people"][number]> = {}): Scene["people"] {
  return samplePeople.map((entry) => (entry.subject === sampleSubject(n) ? sampleEntry(n, groups, over) : entry));
}

const version2 = (rules: readonly Rule[]): Policy => samplePolicy(rules, 2);
const denyEverything: Rule = { name: "freeze", effect: "deny", message: "nothing changes during the freeze" };
const allowRule = (over: object = {}): Rule =>
  AllowRule.parse({
    name: "engineers-allowed",
    permits: { roles: ["write"] },
    limits: { maxDuration: "4h" },
    effect: "allow",
    ...over,
  });
const otherScene = sampleScene({ n: 2, asked: { justification: "another matter entirely" } });

const withoutAKey: readonly Cheat[] = [
  altered("edits the justification", "evidence_signature", ({ request }) => {
    request.asked.justification = "routine";
  }),
  altered("puts another requester into the request", "evidence_signature", ({ request }) => {
    request.asked.requester.id = otherDba;
  }),
  altered("asks for a wider role", "evidence_signature", ({ request }) => {
    request.asked.ask = { role: "admin" };
  }),
  altered("asks for longer", "evidence_signature", ({ request }) => {
    request.asked.window.duration = "4h";
  }),
  altered("has the secret sealed to their own key", "evidence_signature", ({ request }) => {
    request.asked.deliverTo = "B".repeat(86) + "A";
  }),
  altered("drops a stage from the decision", "evidence_signature", ({ request }) => {
    request.decision.stages.pop();
  }),
  altered("turns review into allow", "evidence_signature", ({ request }) => {
    request.decision.effect = "allow";
  }),
  altered("passes an asserted fact for a verified one", "evidence_signature", ({ request }) => {
    request.facts.verified["onCall"] = true;
  }),
  altered("turns a denial into an approval", "evidence_signature", (evidence) => {
    firstVote(evidence).verdict = "deny";
  }),
  altered("puts another approver's name on a vote", "evidence_signature", (evidence) => {
    firstVote(evidence).approver = otherDba;
  }),
  altered("takes the narrowing off a vote", "evidence_signature", (evidence) => {
    delete firstVote(evidence).narrowing;
  }),
  altered("moves a vote to another stage", "evidence_signature", (evidence) => {
    firstVote(evidence).stage = 2;
  }),
  altered("widens the grant's permissions", "evidence_signature", ({ grant }) => {
    grant.permissions = { role: "admin", patterns: [{ name: "sql.*" }] };
  }),
  altered("moves the window's end outward", "evidence_signature", ({ grant }) => {
    grant.window.notAfter = minutes(600);
  }),
  altered("lifts the grant's source addresses", "evidence_signature", ({ grant }) => {
    delete grant.limits.sourceIps;
  }),
  altered("edits the policy", "evidence_signature", ({ policy }) => {
    policy.document.rules.shift();
  }),
  altered("brings an invented newer policy", "evidence_signature", (evidence) => {
    evidence.current = version2([changeRule()]);
  }),
  altered("says less of what everybody may", "evidence_mismatch", ({ publicPrivileges }) => {
    publicPrivileges?.summary.pop();
  }),
  altered("edits the roster's head", "evidence_roster", ({ roster }) => {
    roster.head.root = rosterOf({ people: people(1, ["dba"]), rosterVersion: 2 }).head.root;
  }),
  altered("brings a roster of their own making", "evidence_signature", (evidence) => {
    evidence.roster = rosterOf({ people: people(4, ["dba", "security"]), rosterVersion: 2 });
  }),
  altered("leaves the request unsigned", "evidence_signature", (evidence) => {
    without(evidence, digestOf("request", evidence.request));
  }),
  altered("leaves a vote unsigned", "evidence_signature", (evidence) => {
    without(evidence, digestOf("vote", firstVote(evidence)));
  }),
  altered("leaves the grant unsigned", "evidence_signature", (evidence) => {
    without(evidence, digestOf("grant", evidence.grant));
  }),
  altered("leaves the policy unsigned", "evidence_signature", (evidence) => {
    without(evidence, digestOf("policy", evidence.policy));
  }),
  altered("leaves the roster unsigned", "evidence_signature", (evidence) => {
    without(evidence, digestOf("roster", evidence.roster.head));
  }),
  altered("signs a vote with a key of their own", "evidence_signature", (evidence) => {
    const digest = digestOf("vote", firstVote(evidence));
    evidence.signatures[digest] = [signAs(sampleKeys("forger"), digest)];
  }),
  altered("passes an outpost's signature for the control plane's", "evidence_signature", (evidence) => {
    const digest = digestOf("grant", evidence.grant);
    evidence.signatures[digest] = [signDigest("outpost", "control", honestKeys.control, digest)];
  }),
  altered("puts one document's signature beside another", "evidence_signature", (evidence) => {
    evidence.signatures[digestOf("vote", firstVote(evidence))] = [
      signAs(honestKeys, digestOf("grant", evidence.grant)),
    ];
  }),
  altered("uses a signature over the same bytes as a document of another type", "evidence_signature", (evidence) => {
    evidence.signatures[digestOf("grant", evidence.grant)] = [signAs(honestKeys, digestOf("decision", evidence.grant))];
  }),
  altered("brings a vote on another request", "evidence_mismatch", (evidence) => {
    evidence.votes.push(...otherScene.votes.slice(0, 1));
    Object.assign(evidence.signatures, evidenceOf(otherScene).signatures);
  }),
  altered("shows another request's grant", "evidence_mismatch", (evidence) => {
    evidence.grant = otherScene.grant;
    Object.assign(evidence.signatures, evidenceOf(otherScene).signatures);
  }),
  altered("leaves out a vote that the grant rests on", "evidence_mismatch", (evidence) => {
    evidence.votes.pop();
  }),
  altered("shows one vote twice", "evidence_mismatch", (evidence) => {
    evidence.votes.push(firstVote(evidence));
  }),
  altered("swaps the policy for another signed one", "evidence_mismatch", (evidence) => {
    evidence.policy = version2([changeRule({ approvals: [{ count: 1, from: { groups: ["dba"] } }] })]);
    const digest = digestOf("policy", evidence.policy);
    evidence.signatures[digest] = [signAs(honestKeys, digest)];
  }),
  altered("swaps the resource's specification", "evidence_mismatch", (evidence) => {
    evidence.spec = sampleSpec({ labels: { env: "staging" } });
  }),
  altered("adds permissions to a role of the specification", "evidence_mismatch", ({ spec }) => {
    spec.roles["write"]?.patterns.push({ name: "sql.*" });
  }),
  altered("adds a group to an approver's entry", "evidence_roster", (evidence) => {
    entryOf(evidence, requester).entry.groups.push("dba");
  }),
  altered("makes somebody active again", "evidence_roster", (evidence) => {
    entryOf(evidence, dba).entry.active = !entryOf(evidence, dba).entry.active;
  }),
  altered("shows one entry's proof for another", "evidence_roster", (evidence) => {
    entryOf(evidence, dba).path = entryOf(evidence, security).path;
  }),
  altered("says another place for an entry", "evidence_roster", (evidence) => {
    entryOf(evidence, dba).index = 2;
  }),
  altered("shows an entry of an older roster under the new head", "evidence_roster", (evidence) => {
    Object.assign(
      entryOf(evidence, dba),
      rosterOf({ people: people(2, ["dba", "security"]), rosterVersion: 1 }).entries[1],
    );
  }),
  altered("shows one entry twice", "evidence_roster", ({ roster }) => {
    roster.entries.push(...roster.entries.slice(0, 1));
  }),
  altered("leaves out the requester's entry", "evidence_roster", ({ roster }) => {
    roster.entries.splice(0, 1);
  }),
  altered("leaves out an approver's entry", "evidence_roster", ({ roster }) => {
    roster.entries.splice(1, 1);
  }),
  altered("has the checkpoint signed by another key of the same name", "evidence_log", (evidence) => {
    evidence.log = logOf({ ...honest, keys: { ...honestKeys, log: sampleKeys("forger").log } });
  }),
  altered("shows a checkpoint of another log", "evidence_log", (evidence) => {
    evidence.log = logOf({ ...honest, keys: { ...honestKeys, origin: "elsewhere.example/cardea" } });
  }),
  altered("shows a checkpoint from before the approval", "evidence_log", (evidence) => {
    evidence.log.checkpoint = logOf(honest, loggedOf(honest).slice(0, 3)).checkpoint;
  }),
  altered("edits the checkpoint's size", "evidence_log", ({ log }) => {
    log.checkpoint = log.checkpoint.replace(/\n\d+\n/, "\n8\n");
  }),
  altered("shows another leaf's proof", "evidence_log", (evidence) => {
    firstProof(evidence).path.reverse();
  }),
  altered("says another place for the leaf", "evidence_log", (evidence) => {
    firstProof(evidence).index += 1;
  }),
  altered("edits the data beside the leaf", "evidence_log", (evidence) => {
    firstProof(evidence).data["grant"] = digestOf("grant", otherScene.grant);
  }),
  altered("edits the leaf", "evidence_log", (evidence) => {
    firstProof(evidence).leaf.at = minutes(4);
  }),
  altered("edits the salt", "evidence_log", (evidence) => {
    firstProof(evidence).salt = firstProof(evidence).salt.replace(/^./, (first) => (first === "A" ? "B" : "A"));
  }),
  altered("shows no proof at all", "evidence_log", ({ log }) => {
    log.proofs = [];
  }),
  altered("proves another grant's creation", "evidence_log", (evidence) => {
    evidence.log = logOf(otherScene);
  }),
  altered("proves that the request was filed and no more", "evidence_log", (evidence) => {
    const filed = logged(0, "request.submitted", { grant: honest.grant.id }, firstProof(evidence).data);
    evidence.log = logOf(honest, [filed, ...loggedOf(honest).slice(2)], "request.submitted");
  }),
  altered("proves the creation of another grant with these documents", "evidence_log", (evidence) => {
    const { data } = firstProof(evidence);
    evidence.log = logOf(honest, [logged(0, "grant.created", { grant: otherScene.grant.id }, data)]);
  }),
  altered("names another trust document", "evidence_trust", (evidence) => {
    evidence.trust = digestOf("trust", sampleTrust(sampleKeys("forger")));
  }),
  altered("adds a field that nobody knows", "evidence_invalid", (evidence) => {
    Object.assign(evidence.grant, { unlimited: true });
  }),
  altered("leaves out the votes", "evidence_invalid", (evidence) => {
    Reflect.deleteProperty(evidence, "votes");
  }),
  { name: "sends something else altogether", code: "evidence_invalid", given: () => ({ evidence: "approved" }) },
  {
    name: "brings evidence of their own installation",
    code: "evidence_trust",
    given: () => ({ evidence: evidenceOf(sampleScene({ keys: sampleKeys("forger") })) }),
  },
  {
    name: "brings evidence of their own installation under our trust's name",
    code: "evidence_signature",
    given: () => ({
      evidence: { ...evidenceOf(sampleScene({ keys: sampleKeys("forger") })), trust: digestOf("trust", trust) },
    }),
  },
  {
    name: "uses evidence when the window is over",
    code: "evidence_expired",
    given: () => ({ evidence: evidenceOf(honest), nowMs: timeMs(honest.grant.window.notAfter) }),
  },
  {
    name: "uses evidence before the window begins",
    code: "evidence_early",
    given: () => ({ evidence: evidenceOf(honest), nowMs: timeMs(honest.grant.window.notBefore) - clockSkewMs - 1 }),
  },
];

const votesBy =
  (...cast: readonly [subject: typeof requester, stage: number][]) =>
  (request: Request) =>
    cast.map(([approver, stage], index) => castVote(request, approver, index + 1, { stage }));
const twoOfDba = [noDropRule, changeRule({ approvals: [{ count: 2, from: { groups: ["dba"] } }] })];
const inTwoGroups = [
  noDropRule,
  changeRule({
    approvals: [
      [
        { count: 1, from: { groups: ["dba"] } },
        { count: 1, from: { groups: ["security"] } },
      ],
    ],
  }),
];
const byAgent = { asked: { requester: { id: agent, kind: "agent", onBehalfOf: requester } } } as const;

const withTheKeys: readonly Cheat[] = [
  forged("approves their own request", "evidence_quorum", {
    people: people(1, ["engineering", "dba"]),
    facts: sampleFacts({ groups: ["engineering", "dba"] }),
    votes: votesBy([requester, 1], [security, 2]),
  }),
  forged("approves what their agent asked for", "evidence_quorum", {
    ...byAgent,
    people: people(1, ["engineering", "dba"]),
    votes: votesBy([requester, 1], [security, 2]),
  }),
  forged("approves as whom the roster, and not the request, names as principal", "evidence_roster", {
    asked: { requester: { id: agent, kind: "agent", onBehalfOf: otherDba } },
    votes: votesBy([requester, 1], [security, 2]),
  }),
  forged("counts one human in both stages", "evidence_quorum", { votes: votesBy([both, 1], [both, 2]) }),
  forged("counts one human twice through two groups", "evidence_quorum", {
    rules: inTwoGroups,
    votes: (request) => [castVote(request, both, 1), castVote(request, both, 2)],
  }),
  forged("counts one human twice for two places", "evidence_quorum", {
    rules: twoOfDba,
    votes: (request) => [castVote(request, dba, 1), castVote(request, dba, 2)],
  }),
  forged("has a workload vote", "evidence_quorum", { votes: votesBy([workload, 1], [security, 2]) }),
  forged("has an agent vote", "evidence_quorum", {
    people: people(6, ["dba"], { kind: "agent", actsFor: otherDba }),
    votes: votesBy([agent, 1], [security, 2]),
  }),
  forged("has somebody vote who is in no such group", "evidence_quorum", { votes: votesBy([security, 1], [dba, 2]) }),
  forged("uses the vote of an approver who is not active any more", "evidence_quorum", {
    people: people(2, ["dba"], { active: false }),
  }),
  forged("uses the vote of an approver who left the group", "evidence_quorum", { people: people(2, ["engineering"]) }),
  forged("has the stages met in the wrong order", "evidence_quorum", { votes: votesBy([security, 2], [dba, 1]) }),
  forged("has both votes cast for the first stage", "evidence_quorum", { votes: votesBy([dba, 1], [security, 1]) }),
  forged("stops after the first stage", "evidence_quorum", { votes: votesBy([dba, 1]) }),
  forged("grants without any vote", "evidence_quorum", { votes: () => [] }),
  forged("uses a vote that had expired", "evidence_quorum", {
    votes: (request) => [
      castVote(request, dba, 1, { expiresAt: minutes(2) }),
      castVote(request, security, 2, { stage: 2 }),
    ],
  }),
  forged("uses a vote from before the filing", "evidence_quorum", {
    votes: (request) => [castVote(request, dba, 1, { at: minutes(-1) }), castVote(request, security, 2, { stage: 2 })],
  }),
  forged("uses a vote from after the request expired", "evidence_quorum", {
    activatedAt: minutes(9 * 60),
    votes: (request) => [castVote(request, dba, 1), castVote(request, security, 8 * 60 + 1, { stage: 2 })],
  }),
  forged("uses a vote from after the grant began", "evidence_quorum", {
    activatedAt: minutes(2),
    votes: (request) => [castVote(request, dba, 1), castVote(request, security, 3, { stage: 2 })],
  }),
  forged("grants over a denial", "evidence_quorum", {
    votes: (request) => [castVote(request, dba, 1), castVote(request, security, 2, { stage: 2, verdict: "deny" })],
  }),
  forged("grants over a denial by another who may", "evidence_quorum", {
    votes: (request) => [
      castVote(request, otherDba, 1, { verdict: "deny" }),
      castVote(request, dba, 2),
      castVote(request, security, 3, { stage: 2 }),
    ],
  }),
  forged("counts an approval that its author took back", "evidence_quorum", {
    rules: twoOfDba,
    votes: (request) => [
      castVote(request, dba, 1),
      castVote(request, dba, 2, { verdict: "deny" }),
      castVote(request, otherDba, 3),
    ],
  }),
  forged("acts for a requester who is not active any more", "evidence_roster", {
    people: people(1, ["engineering"], { active: false }),
  }),
  forged("acts for an agent whose principal is not active any more", "evidence_roster", {
    ...byAgent,
    people: people(1, ["engineering"], { active: false }),
  }),
  forged("acts for an agent whose principal nobody proves", "evidence_roster", {
    ...byAgent,
    people: samplePeople.filter(({ subject }) => subject !== requester),
  }),
  forged("passes an agent for a human", "evidence_roster", { asked: { requester: { id: agent, kind: "human" } } }),
  forged("acts for a requester who left the group", "evidence_decision", { people: people(1, ["sales"]) }),
  forged("invents the requester's groups", "evidence_decision", {
    rules: [changeRule({ subjects: { groups: ["dba"] } })],
    facts: sampleFacts({ groups: ["dba"] }),
  }),
  forged("writes an allow into the decision", "evidence_decision", {
    request: withDecision({ effect: "allow", stages: [] }),
    votes: () => [],
  }),
  forged("lowers a count in the decision", "evidence_decision", {
    rules: twoOfDba,
    request: (request) =>
      withDecision({ stages: request.decision.stages.map((stage) => stage.map((one) => ({ ...one, count: 1 }))) })(
        request,
      ),
    votes: votesBy([dba, 1]),
  }),
  forged("lengthens the duration in the decision", "evidence_decision", {
    request: (request) => withDecision({ limits: { ...request.decision.limits, duration: "3d" } })(request),
  }),
  forged("puts the request's expiry off", "evidence_decision", {
    request: withDecision({ expiresAt: minutes(10_000) }),
  }),
  forged("says that a rule keeps what it ends", "evidence_decision", {
    request: withDecision({ onPolicyChange: "keep" }),
  }),
  forged("grants what the policy denies", "evidence_decision", {
    rules: [denyEverything, changeRule()],
    votes: () => [],
  }),
  forged("grants what the current policy denies", "evidence_decision", {
    current: version2([denyEverything, changeRule()]),
  }),
  forged("grants what the current policy denies, under a rule that is kept", "evidence_decision", {
    rules: [changeRule({ onPolicyChange: "keep" })],
    current: version2([denyEverything, changeRule()]),
  }),
  forged("grants what the current policy asks more approvals for", "evidence_decision", {
    current: version2([noDropRule, changeRule({ approvals: [{ count: 2, from: { groups: ["dba"] } }] })]),
  }),
  forged("grants what the current policy has no rule for", "evidence_decision", { current: version2([noDropRule]) }),
  forged(
    "keeps silent about the policy that is in force",
    "evidence_decision",
    {},
    { options: { currentPolicy: version2([denyEverything]) } },
  ),
  forged(
    "brings a policy that nobody here has heard of",
    "evidence_stale",
    { current: version2([noDropRule, changeRule()]) },
    { options: { currentPolicy: samplePolicy([noDropRule, changeRule()]) } },
  ),
  forged("has break-glass decide an ordinary request", "evidence_decision", {
    rules: [allowRule({ breakGlass: { review: { within: "24h", from: { groups: ["security"] } } } })],
    votes: () => [],
  }),
  forged("grants longer than approved", "evidence_grant", {
    grant: withGrant(({ window }) => ({ window: { ...window, notAfter: minutes(3 + 240) } })),
  }),
  forged("un-narrows the duration", "evidence_grant", {
    grant: withGrant(({ window }) => ({ window: { ...window, notAfter: minutes(3 + 120) } })),
  }),
  forged("un-narrows the permissions", "evidence_grant", {
    grant: withGrant(() => ({ permissions: { role: "write", patterns: sampleSpec().roles["write"]?.patterns ?? [] } })),
  }),
  forged("forgets the narrowing of an approver who voted again without it", "evidence_grant", {
    votes: (request) => [
      castVote(request, dba, 1, { narrowing: { duration: "10m" } }),
      castVote(request, otherDba, 1, { id: castVote(request, otherDba, 9).id }),
      castVote(request, security, 2, { stage: 2 }),
    ],
    grant: withGrant(({ window }) => ({ window: { ...window, notAfter: minutes(3 + 120) } })),
  }),
  forged("grants another role", "evidence_grant", {
    grant: withGrant(() => ({ permissions: { role: "admin", patterns: [{ name: "sql.*" }] } })),
  }),
  forged("grants an exact action instead of a role", "evidence_grant", {
    grant: withGrant(() => ({ permissions: { action: { type: "sql", name: "sql.ddl.drop", what: {} } } })),
  }),
  forged("begins before the approval", "evidence_quorum", {
    activatedAt: minutes(3),
    grant: withGrant(() => ({ window: { notBefore: sampleTime, notAfter: minutes(60) } })),
    votes: votesBy([dba, 1], [security, 2]),
  }),
  forged("puts the window off to a better moment", "evidence_grant", { activatedAt: minutes(90) }),
  forged("begins before the start that was asked for", "evidence_grant", {
    asked: { window: { start: minutes(30), duration: "2h" } },
    grant: withGrant(() => ({ window: { notBefore: minutes(3), notAfter: minutes(63) } })),
  }),
  forged("drops the source addresses", "evidence_grant", {
    grant: withGrant(({ limits }) => ({
      limits: { ...(limits.sessions !== undefined && { sessions: limits.sessions }) },
    })),
  }),
  forged("raises the number of sessions", "evidence_grant", {
    grant: withGrant(({ limits }) => ({ limits: { ...limits, sessions: 100 } })),
  }),
  forged("has a gateway key delivered as a direct one", "evidence_grant", {
    grant: withGrant(() => ({ via: "direct" })),
  }),
  forged("covers more in the judgement", "evidence_grant", {
    grant: withGrant(({ judgement }) => ({
      judgement: { ...judgement, covered: [...judgement.covered, { name: "sql.delete" }] },
    })),
  }),
  forged("takes a denial out of the judgement", "evidence_grant", {
    grant: withGrant(({ judgement }) => ({ judgement: { ...judgement, denied: [] } })),
  }),
  forged("makes held actions covered", "evidence_grant", {
    rules: [noDropRule, changeRule({ hold: ["sql.insert"] })],
    grant: withGrant(({ judgement }) => ({ judgement: { ...judgement, hold: [] } })),
  }),
  forged("names a vote that does not count", "evidence_grant", {
    votes: (request) => [...honestVotes(request), castVote(request, otherDba, 3, { stage: 2 })],
    grant: withGrant((grant) => ({ votes: [...grant.votes, grant.votes[0] ?? grant.request] })),
  }),
  forged("uses a request for another resource of that specification", "evidence_mismatch", {
    request: (request) => ({
      ...request,
      resource: { ...request.resource, id: request.resource.id.replace(/1$/, "2") as Request["resource"]["id"] },
    }),
  }),
  forged("uses a request for a resource of another outpost", "evidence_mismatch", {
    request: (request) => ({
      ...request,
      resource: {
        ...request.resource,
        outpost: request.resource.outpost.replace(/1$/, "2") as Request["resource"]["outpost"],
      },
    }),
  }),
  forged("uses a request that names another resource", "evidence_mismatch", {
    request: (request) => ({ ...request, asked: sampleAsked({ ...request.asked, resource: "staging-orders" }) }),
  }),
  {
    name: "has another key sign a checkpoint over the right tree",
    code: "evidence_log",
    given: () => {
      const evidence = evidenceOf(honest);
      const other = noteSigner("other.example/cardea", honestKeys.log);
      return {
        evidence: {
          ...evidence,
          log: {
            ...evidence.log,
            checkpoint: signCheckpoint(
              { origin: honestKeys.origin, size: 7, root: new Uint8Array(32), extensions: [] },
              other,
            ),
          },
        },
      };
    },
  },
];

const numbered = [...withoutAKey, ...withTheKeys].map((cheat, index) => ({ ...cheat, n: index + 1 }));

function verify({ evidence, trust: pinned = trust, nowMs = issuedAt, options }: Given) {
  return verifyEvidence(evidence, pinned, nowMs, { purpose: "issue", ...options });
}

describe("evidence is refused where somebody", () => {
  it.each(numbered)("$n: $name", ({ given, code }) => {
    expect(verify(given())).toMatchObject({ ok: false, code });
  });
});

describe("what honest people do is accepted", () => {
  it.each<[string, SceneChanges]>([
    ["two stages, narrowed", {}],
    ["by an agent, approved by neither it nor its principal", byAgent],
    [
      "a rule that allows without approvals",
      {
        rules: [allowRule()],
        votes: () => [],
        activatedAt: sampleTime,
      },
    ],
    ["an approver who may vote in both stages, in one of them", { votes: votesBy([both, 1], [security, 2]) }],
    ["a scheduled window", { asked: { window: { start: minutes(30), duration: "2h" } }, activatedAt: minutes(30) }],
    ["under a newer policy that says the same", { current: version2([noDropRule, changeRule()]) }],
    [
      "a rule that is kept, under a newer policy without it",
      { rules: [noDropRule, changeRule({ onPolicyChange: "keep" })], current: version2([noDropRule]) },
    ],
    [
      "an agent's, a workload's and a stranger's vote beside the real ones",
      { votes: (request) => [castVote(request, workload, 0), ...votesBy([dba, 1], [security, 2])(request)] },
    ],
  ])("%s", (_name, changes) => {
    const scene = sampleScene(changes);
    const nowMs = timeMs(scene.grant.window.notBefore) + 1_000;
    expect(verify({ evidence: evidenceOf(scene), nowMs })).toMatchObject({ ok: true });
    // Looking back years later gives the same answer.
    expect(verify({ evidence: evidenceOf(scene), nowMs: nowMs + 1e11, options: { purpose: "audit" } })).toMatchObject({
      ok: true,
    });
  });
});

describe("who people were at the approval", () => {
  const later = (changes: Pick<Scene, "people">): unknown =>
    evidenceOf({ ...honest, ...changes, rosterVersion: 2, then: honest });
  const audit = { options: { purpose: "audit" } } as const;

  it("is what counts for whoever looks back, and nothing newer or older", () => {
    expect(verify({ evidence: evidenceOf(honest), ...audit })).toMatchObject({ ok: true });
    // Signed, and the same people: still not the roster that the log names.
    expect(verify({ evidence: later(honest), ...audit })).toMatchObject({ ok: false, code: "evidence_log" });
  });

  it("does not help who is to make a key: that goes by who they are now", () => {
    expect(verify({ evidence: later(honest) })).toMatchObject({ ok: true });
    for (const [changed, code] of [
      [people(1, ["engineering"], { active: false }), "evidence_roster"],
      [people(1, ["sales"]), "evidence_decision"],
      [people(2, ["dba"], { active: false }), "evidence_quorum"],
      [people(4, []), "evidence_quorum"],
    ] as const)
      expect(verify({ evidence: later({ people: changed }) })).toMatchObject({ ok: false, code });
  });

  it("cannot be left out of the leaf", () => {
    const leaves = loggedOf(honest).map(({ leaf, data, salt }) => {
      const rest = Object.fromEntries(Object.entries(data).filter(([name]) => name !== "roster"));
      return leaf.type === "grant.created" ? logged(10, leaf.type, leaf.ids, rest) : { leaf, data, salt };
    });
    const evidence = { ...evidenceOf(honest), log: logOf(honest, leaves) };
    expect(verify({ evidence, ...audit })).toMatchObject({ ok: false, code: "evidence_log" });
    expect(verify({ evidence })).toMatchObject({ ok: false, code: "evidence_log" });
  });
});

describe("what everybody may at the resource", () => {
  const besides = (evidence: Evidence) => {
    const outcome = verify({ evidence });
    return outcome.ok ? outcome.besides : outcome.code;
  };

  it("is told beside what is granted", () => {
    expect(besides(evidenceOf(honest))).toEqual([
      "everybody at prod-orders may connect to the databases `orders`",
      "everybody at prod-orders may make temporary tables in `orders`",
    ]);
  });

  it("is said to be missing where it is, and the grant holds all the same", () => {
    const evidence = evidenceOf(honest);
    delete evidence.publicPrivileges;
    expect(besides(evidence)).toEqual([
      `what everybody may at prod-orders is not in the evidence; its digest is ${honest.spec.publicPrivileges}`,
    ]);
  });
});
