/**
 * Complete evidence, made in memory as an honest control plane makes it, or as a forger with its keys would; for tests, here and in other
 * packages; nothing that runs imports it. Everything follows from the arguments: no clock, no randomness.
 */
import { combineNarrowings } from "../approval/narrowing.ts";
import { effectiveGrant, type Effective } from "../approval/effective.ts";
import { castVote, minutes } from "../approval/samples.ts";
import { tally } from "../approval/tally.ts";
import type { GrantId } from "../contract/ids.ts";
import { commitTo, leafBytes, type AuditLeaf } from "../documents/audit-leaf.ts";
import { digestOf, type Digest } from "../documents/digest.ts";
import type { Evidence, LogProof } from "../documents/evidence.ts";
import type { Grant, Run } from "../documents/grant.ts";
import { PolicyAction, ReviewRule, type Policy, type Rule } from "../documents/policy.ts";
import type { Time } from "../documents/primitives.ts";
import type { Asked, Facts, Request } from "../documents/request.ts";
import type { ResourceSpec } from "../documents/resource-spec.ts";
import type { RosterEntry, RosterHead, RosterProof } from "../documents/roster.ts";
import { signDigest, type Signature } from "../documents/signature.ts";
import type { Trust } from "../documents/trust.ts";
import type { Vote } from "../documents/vote.ts";
import { toBase64Url } from "../lib/base64url.ts";
import { ed25519PublicKey, sha256 } from "../lib/crypto.ts";
import { signCheckpoint } from "../log/checkpoint.ts";
import { leafHash, treeRoot } from "../log/merkle.ts";
import { noteSigner } from "../log/note.ts";
import { proveInclusion } from "../log/proofs.ts";
import {
  sampleAsked,
  sampleEntry,
  sampleFacts,
  sampleGrantId,
  samplePolicy,
  samplePublicPrivileges,
  sampleRequest,
  sampleSpec,
  sampleSubject,
  sampleTime,
} from "../policy/samples.ts";
import { rosterLeaf } from "./roster.ts";

const encoder = new TextEncoder();

/** The keys of one installation. */
export interface SampleKeys {
  readonly control: Uint8Array;
  readonly log: Uint8Array;
  readonly origin: string;
}

export function sampleKeys(name: string): SampleKeys {
  return {
    control: sha256(encoder.encode(`${name} control`)),
    log: sha256(encoder.encode(`${name} log`)),
    origin: `${name}.example/cardea`,
  };
}

export const honestKeys = sampleKeys("honest");

export function sampleTrust({ control, log, origin }: SampleKeys = honestKeys): Trust {
  return {
    v: 1,
    version: 1,
    level: "vouched",
    origin,
    logKey: noteSigner(origin, log).verifierKey,
    controlKey: toBase64Url(ed25519PublicKey(control)),
    roots: [],
    threshold: 0,
    rpId: "cardea.example",
    origins: ["https://cardea.example"],
  };
}

/** The people: 1 asks (engineering); 2 and 3 are dba, 4 is security, 5 both; 6 is an agent that acts for 1, 7 a workload in dba. */
export const requester = sampleSubject(1);
export const dba = sampleSubject(2);
export const otherDba = sampleSubject(3);
export const security = sampleSubject(4);
export const both = sampleSubject(5);
export const agent = sampleSubject(6);
export const workload = sampleSubject(7);

export const samplePeople: readonly RosterEntry[] = [
  sampleEntry(1, ["engineering"]),
  sampleEntry(2, ["dba"]),
  sampleEntry(3, ["dba", "engineering"]),
  sampleEntry(4, ["security"]),
  sampleEntry(5, ["dba", "security"]),
  sampleEntry(6, ["engineering"], { kind: "agent", actsFor: requester }),
  sampleEntry(7, ["dba"], { kind: "workload" }),
];

/** `write` on production for engineers: one of dba, then one of security; four hours at most. */
export function changeRule(over: object = {}): ReviewRule {
  return ReviewRule.parse({
    name: "engineers-change",
    subjects: { kinds: ["human", "agent"], groups: ["engineering"] },
    resources: { labels: { env: "prod" } },
    permits: { roles: ["write", "read"], actions: ["sql.select", "sql.insert", "sql.update"] },
    limits: { maxDuration: "4h", sourceIps: ["10.0.0.0/8"], sessions: 3, via: ["gateway", "direct"] },
    effect: "review",
    approvals: [
      { count: 1, from: { groups: ["dba"] } },
      { count: 1, from: { groups: ["security"] } },
    ],
    pending: { expire: "8h" },
    ...over,
  });
}

export const noDropRule: Rule = {
  name: "no-drop",
  permits: { actions: ["sql.ddl.drop", PolicyAction.parse({ name: "sql.update", tables: ["public.payments"] })] },
  effect: "deny",
  message: "goes through a migration",
};

/** One approval for each stage, the first of which leaves no more than an hour. */
export function honestVotes(request: Request): Vote[] {
  return [
    castVote(request, dba, 1, {
      narrowing: { duration: "1h", permissions: [{ name: "sql.select" }, { name: "sql.insert" }] },
      comment: "only what the ticket needs",
    }),
    castVote(request, security, 2, { stage: 2 }),
  ];
}

/** Everything that one evidence speaks of, before it is signed. */
export interface Scene {
  readonly keys: SampleKeys;
  readonly policy: Policy;
  readonly current?: Policy;
  readonly spec: ResourceSpec;
  readonly people: readonly RosterEntry[];
  readonly rosterVersion: number;
  /** Who they were at the approval, where they are others now. */
  readonly then?: Pick<Scene, "people" | "rosterVersion">;
  /** Seed of the resource's outpost, where the roster holds its key. */
  readonly outpost?: Uint8Array;
  readonly request: Request;
  readonly votes: readonly Vote[];
  readonly grant: Grant;
  /** How the grant's action went. */
  readonly run?: Run;
}

/** Where a scene departs from the honest one. Each step is made from what comes before it, so that all digests agree. */
export interface SceneChanges {
  readonly keys?: SampleKeys;
  readonly rules?: readonly Rule[];
  readonly current?: Policy;
  readonly spec?: ResourceSpec;
  readonly people?: readonly RosterEntry[];
  readonly outpost?: Uint8Array;
  readonly asked?: Partial<Asked>;
  readonly facts?: Facts;
  /** After policy decided, before anybody voted. */
  readonly request?: (request: Request) => Request;
  readonly votes?: (request: Request) => readonly Vote[];
  readonly activatedAt?: Time;
  /** After the honest grant was compiled. */
  readonly grant?: (grant: Grant) => Grant;
  /** Another request and grant, by its number. */
  readonly n?: number;
}

/** The honest scene, or one with changes. A grant is made of it whether or not the votes suffice: that is for the verifier to see. */
export function sampleScene(changes: SceneChanges = {}): Scene {
  const { spec = sampleSpec(), people = samplePeople, n = 1, activatedAt = minutes(3) } = changes;
  const policy = samplePolicy(changes.rules ?? [noDropRule, changeRule()]);
  const asked = sampleAsked({ ask: { role: "write" }, window: { duration: "2h" }, ticket: "OPS-12", ...changes.asked });
  const decided = sampleRequest(
    policy,
    asked,
    spec,
    changes.facts ?? sampleFacts({}, { job: "nightly" }),
    sampleTime,
    n,
  );
  const request = changes.request?.(decided) ?? decided;
  const votes = (changes.votes ?? honestVotes)(request);
  const compiled = grantOf(
    { policy, spec, people, request, votes, ...(changes.current && { current: changes.current }) },
    activatedAt,
    sampleGrantId(n),
  );
  return {
    keys: changes.keys ?? honestKeys,
    policy,
    spec,
    people,
    rosterVersion: 1,
    ...(changes.outpost && { outpost: changes.outpost }),
    request,
    votes,
    grant: changes.grant?.(compiled) ?? compiled,
    ...(changes.current && { current: changes.current }),
  };
}

function grantOf(
  scene: Pick<Scene, "policy" | "current" | "spec" | "people" | "request" | "votes">,
  activatedAt: Time,
  id: GrantId,
): Grant {
  const { request, votes, people, spec, policy, current } = scene;
  const counted = tally({
    request,
    votes,
    entries: (subject) => people.find((entry) => entry.subject === subject),
    now: activatedAt,
  });
  // Where the votes do not suffice, a forger grants all the same, on all of them.
  const approved =
    counted.state === "approved"
      ? counted
      : {
          votes: votes.map((vote) => digestOf("vote", vote)),
          narrowing: combineNarrowings(votes.flatMap(({ narrowing }) => narrowing ?? [])),
        };
  const effective = effectiveGrant({
    request,
    narrowing: approved.narrowing,
    spec,
    policy,
    activatedAt,
    ...(current && { current }),
  });
  if (!effective.ok) throw new TypeError(`the sample's narrowing is refused: ${effective.detail}`);
  const content: Effective = effective.value;
  return { v: 1, id, request: digestOf("request", request), votes: [...approved.votes], ...content };
}

/** Signs, logs and proves a scene, as the control plane whose keys it has would. */
export function evidenceOf(scene: Scene): Evidence {
  const { keys, policy, current, spec, request, votes, grant } = scene;
  const roster = provenTo(scene, rosterOf(scene));
  const outposts = outpostSignatures(scene);
  const digests = [
    digestOf("request", request),
    ...votes.map((vote) => digestOf("vote", vote)),
    digestOf("grant", grant),
    digestOf("policy", policy),
    ...(current === undefined ? [] : [digestOf("policy", current)]),
    digestOf("roster", roster.head),
  ];
  return {
    v: 1,
    request,
    votes: [...votes],
    grant,
    ...(scene.run && { run: scene.run }),
    signatures: { ...Object.fromEntries(digests.map((digest) => [digest, [signAs(keys, digest)]])), ...outposts },
    policy,
    ...(current && { current }),
    spec,
    // Another scene's specification may name another inventory, of which nobody has the text.
    ...(spec.publicPrivileges === digestOf("public-privileges", samplePublicPrivileges) && {
      publicPrivileges: samplePublicPrivileges,
    }),
    roster,
    trust: digestOf("trust", sampleTrust(keys)),
    log: logOf(scene),
  };
}

/** What the outpost signs: what its session asks for, and how a run went. */
function outpostSignatures({ outpost, request, run }: Scene): Evidence["signatures"] {
  if (outpost === undefined) return {};
  const digests = [
    ...(request.asked.within === undefined ? [] : [digestOf("asked", request.asked)]),
    ...(run === undefined ? [] : [digestOf("run", run)]),
  ];
  return Object.fromEntries(digests.map((digest) => [digest, [signDigest("outpost", "outpost", outpost, digest)]]));
}

export function signAs(keys: SampleKeys, digest: Digest): Signature {
  return signDigest("control", "control", keys.control, digest);
}

/** The tree over the people, in the order of their ids, and a proof for each. */
export function rosterOf({ people, rosterVersion, outpost }: Pick<Scene, "people" | "rosterVersion" | "outpost">): {
  head: RosterHead;
  entries: RosterProof[];
} {
  const sorted = [...people].sort((a, b) => (a.subject < b.subject ? -1 : 1));
  const hashes = sorted.map((entry) => leafHash(rosterLeaf(entry)));
  const head: RosterHead = {
    v: 1,
    version: rosterVersion,
    at: sampleTime,
    size: sorted.length,
    root: toBase64Url(treeRoot(hashes)),
    ...(outpost && {
      outposts: [{ name: "site-a", id: sampleSpec().outpost, key: toBase64Url(ed25519PublicKey(outpost)) }],
    }),
  };
  return {
    head,
    entries: sorted.map((entry, index) => ({ entry, index, path: proveInclusion(hashes, index).map(toBase64Url) })),
  };
}

/** Only those whom the evidence speaks of: the requester, whoever they act for, and the voters. */
function provenTo({ request, votes, people }: Scene, roster: ReturnType<typeof rosterOf>): ReturnType<typeof rosterOf> {
  const { id } = request.asked.requester;
  const actsFor = people.find((entry) => entry.subject === id)?.actsFor;
  const named = new Set([id, actsFor, ...votes.map((vote) => vote.approver)]);
  return { head: roster.head, entries: roster.entries.filter(({ entry }) => named.has(entry.subject)) };
}

export type Logged = Pick<LogProof, "leaf" | "data" | "salt">;

/** What the log holds of a scene: a few events before, the grant's creation, a few after. */
export function loggedOf(scene: Scene): Logged[] {
  const { request, votes, grant, then = scene } = scene;
  const digest = digestOf("request", request);
  const roster = digestOf("roster", rosterOf(then).head);
  return [
    logged(0, "policy.applied", {}, { version: 1 }),
    logged(1, "request.submitted", { request: request.id }, { request: digest }),
    ...votes.map((vote, index) =>
      logged(2 + index, "request.voted", { request: request.id, vote: vote.id }, { vote: digestOf("vote", vote) }),
    ),
    logged(
      10,
      "grant.created",
      { request: request.id, grant: grant.id },
      { request: digest, grant: digestOf("grant", grant), votes: grant.votes, roster },
    ),
    logged(11, "subject.signed_in", { subject: request.asked.requester.id }, { kind: "device" }),
    logged(12, "policy.applied", {}, { version: 2 }),
  ];
}

export function logged(n: number, type: AuditLeaf["type"], ids: AuditLeaf["ids"], data: LogProof["data"]): Logged {
  const salt = sha256(encoder.encode(`salt ${n}`));
  return { leaf: { v: 1, at: minutes(n), type, ids, commitment: commitTo(salt, data) }, data, salt: toBase64Url(salt) };
}

/** A checkpoint over these leaves, and the proofs of those of a type. */
export function logOf(
  scene: Scene,
  leaves: readonly Logged[] = loggedOf(scene),
  proven: AuditLeaf["type"] = "grant.created",
): Evidence["log"] {
  const { keys } = scene;
  const hashes = leaves.map(({ leaf }) => leafHash(leafBytes(leaf)));
  const checkpoint = signCheckpoint(
    { origin: keys.origin, size: hashes.length, root: treeRoot(hashes), extensions: [] },
    noteSigner(keys.origin, keys.log),
  );
  const proofs = leaves.flatMap((entry, index) =>
    entry.leaf.type === proven ? [{ ...entry, index, path: proveInclusion(hashes, index).map(toBase64Url) }] : [],
  );
  return { checkpoint, proofs };
}
