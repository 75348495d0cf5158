/**
 * Evidence of exact actions: what an outpost must have signed itself, and every way to pass something else off as that. The forger here holds the
 * control plane's key and the log's, and whatever outposts' keys the roster does not name for the resource.
 */
import { describe, expect, it } from "vitest";
import { castVote } from "../approval/samples.ts";
import { SessionId } from "../contract/ids.ts";
import { digestOf } from "../documents/digest.ts";
import type { Evidence } from "../documents/evidence.ts";
import type { Run } from "../documents/grant.ts";
import { timeMs } from "../documents/primitives.ts";
import type { Action, Asked, Request } from "../documents/request.ts";
import { signDigest } from "../documents/signature.ts";
import { sha256 } from "../lib/crypto.ts";
import { sampleFacts, sampleGrantId, sampleSpec } from "../policy/samples.ts";
import { heldScene, outpostSeed, sampleAction, sampleRun, sampleWithin } from "./held-samples.ts";
import { dba, evidenceOf, honestKeys, requester, sampleScene, sampleTrust, security, signAs } from "./samples.ts";
import type { Scene, SceneChanges } from "./samples.ts";
import { verifyEvidence } from "./verify.ts";

const trust = sampleTrust();
const outpost = outpostSeed;
const otherOutpost = sha256(new TextEncoder().encode("another outpost"));
const within = sampleWithin;
const { session } = within;
const action = sampleAction;
const withAction = (change: Partial<Action>): Partial<Asked> => ({ ask: { action: { ...action, ...change } } });

const votes = (request: Request) => [castVote(request, dba, 1), castVote(request, security, 2, { stage: 2 })];

/** An update that a session waits with, approved and not run yet. */
function held(changes: SceneChanges = {}): Scene {
  const scene = { ...heldScene(changes) };
  Reflect.deleteProperty(scene, "run");
  return scene;
}

const runOf = sampleRun;

function verdict(evidence: unknown, purpose: "issue" | "audit" = "issue"): string {
  const nowMs = timeMs(held().grant.window.notBefore) + 1_000;
  const outcome = verifyEvidence(evidence, trust, nowMs, { purpose });
  return outcome.ok ? "accepted" : outcome.code;
}

/** The evidence, with something about its signatures changed. */
function resigned(scene: Scene, change: (signatures: Evidence["signatures"]) => void): Evidence {
  const evidence = structuredClone(evidenceOf(scene));
  change(evidence.signatures);
  return evidence;
}

const askedOf = (scene: Scene) => digestOf("asked", scene.request.asked);

describe("a held action", () => {
  it("is proven by its outpost's signature over what is asked", () => {
    const scene = held();
    expect(verdict(evidenceOf(scene))).toBe("accepted");
    expect(verdict(evidenceOf(scene), "audit")).toBe("accepted");
    expect(scene.grant.permissions).toEqual({ action });
    expect(scene.grant.judgement).toEqual({ denied: [], hold: [], covered: [], askable: [] });
  });

  it("says so in plain words", () => {
    const verified = verifyEvidence(evidenceOf(held()), trust, 0, { purpose: "audit" });
    if (!verified.ok) throw new Error(verified.detail);
    const id = sampleSpec().outpost;
    expect(verified.proven).toContain(`outpost ${id} signed that its session ${session} waited with exactly this`);
    expect(verified.asserted.slice(0, 2)).toEqual([
      "what the action touches and what its names stood for: the outpost's word, as it was approved",
      "whether the action was done: the evidence does not say",
    ]);
  });

  it("without the outpost's signature is refused, whoever else signs", () => {
    const scene = held();
    const asked = askedOf(scene);
    const cheats: Record<string, Evidence> = {
      none: resigned(scene, (signatures) => Reflect.deleteProperty(signatures, asked)),
      "the control plane": resigned(scene, (signatures) => (signatures[asked] = [signAs(honestKeys, asked)])),
      "another outpost": resigned(
        scene,
        (signatures) => (signatures[asked] = [signDigest("outpost", "outpost", otherOutpost, asked)]),
      ),
      "the outpost, as something else": resigned(
        scene,
        (signatures) => (signatures[asked] = [signDigest("device", "outpost", outpost, asked)]),
      ),
      "the outpost, over the request": resigned(scene, (signatures) => {
        const request = digestOf("request", scene.request);
        signatures[asked] = [signDigest("outpost", "outpost", outpost, request)];
      }),
    };
    for (const [name, evidence] of Object.entries(cheats)) expect(verdict(evidence), name).toBe("evidence_signature");
  });

  it.each<readonly [string, Partial<Asked>]>([
    ["another statement", withAction({ what: { database: "orders", statement: "update orders set status = 'paid'" } })],
    ["other parameters", withAction({ what: { ...action.what, params: ["8"] } })],
    ["another binding", withAction({ binding: { ...action.binding, relations: [] } })],
    ["another name", withAction({ name: "sql.select" })],
    ["another session", { within: { ...within, session: SessionId.parse(`ses_${"2".padStart(26, "0")}`) } }],
    ["another session's grant", { within: { ...within, grant: sampleGrantId(8) } }],
    ["another nonce", { nonce: "BBBBBBBBBBBBBBBBBBBBBB" }],
    ["a delivery key", { deliverTo: "B".repeat(87) }],
    ["a longer window", { window: { duration: "1h" } }],
    ["another justification", { justification: "something harmless" }],
  ])("with %s than the outpost signed is refused", (_, asked) => {
    const original = held();
    const evidence = resigned(held({ asked }), (signatures) => {
      // The one signature that the forger has of this outpost.
      for (const digest of Object.keys(signatures))
        if (signatures[digest]?.some(({ kind }) => kind === "outpost") === true)
          Reflect.deleteProperty(signatures, digest);
      signatures[digestOf("asked", { ...original.request.asked, ...asked })] = [
        signDigest("outpost", "outpost", outpost, askedOf(original)),
      ];
    });
    expect(verdict(evidence)).toBe("evidence_signature");
  });

  it("cannot be made one that nobody holds, nor the other way round, by leaving `within` out", () => {
    const evidence = structuredClone(evidenceOf(held()));
    Reflect.deleteProperty(evidence.request.asked, "within");
    expect(verdict(evidence)).toBe("evidence_signature");
  });

  it("is refused where the roster does not hold its outpost's key, and where it holds another's under that id", () => {
    const scene = held();
    const without = { ...scene };
    Reflect.deleteProperty(without, "outpost");
    expect(verdict(evidenceOf(without))).toBe("evidence_roster");
    const evidence = evidenceOf({ ...scene, outpost: otherOutpost });
    const asked = askedOf(scene);
    evidence.signatures[asked] = [signDigest("outpost", "outpost", outpost, asked)];
    expect(verdict(evidence)).toBe("evidence_signature");
  });

  it("is no way to a role", () => {
    const scene = held({ asked: { ask: { role: "write" } } });
    expect(verdict(evidenceOf(scene))).toMatch(/^evidence_(?:mismatch|decision)$/);
  });

  it("cannot be narrowed: a vote that would narrows nothing, and leads to no grant", () => {
    expect(() =>
      held({
        votes: (request) => [
          castVote(request, dba, 1, { narrowing: { duration: "1m" } }),
          castVote(request, security, 2, { stage: 2 }),
        ],
      }),
    ).toThrow(/exact action/);
  });

  it("asked for by its requester outside of a session needs no outpost's signature", () => {
    const scene = sampleScene({
      votes,
      facts: sampleFacts({ sourceIp: "10.1.2.3" }),
      asked: { ask: { action }, window: { duration: "5m" } },
    });
    expect(verdict(evidenceOf(scene))).toBe("accepted");
    expect(scene.request.asked.requester.id).toBe(requester);
  });
});

describe("how an action went", () => {
  const withRun = (change: Partial<Run> = {}, scene = held()): Scene => ({ ...scene, run: runOf(scene, change) });
  const words = (scene: Scene) => {
    const verified = verifyEvidence(evidenceOf(scene), trust, 0, { purpose: "audit" });
    if (!verified.ok) throw new Error(verified.detail);
    return verified.proven.at(-1);
  };

  it("is the outpost's signed word", () => {
    const id = sampleSpec().outpost;
    const { at } = runOf(held());
    expect(words(withRun())).toBe(
      `outpost ${id} signed that the action was done once, until ${at}, 1 row (${runOf(held()).id})`,
    );
    expect(words(withRun({ outcome: "failed" }))).toContain("was not done; it failed");
    expect(words(withRun({ outcome: "unknown" }))).toContain("may have been done; nobody knew");
  });

  it.each<readonly [string, string, Partial<Run>]>([
    ["of another grant", "evidence_mismatch", { grant: digestOf("grant", { other: true }) }],
    ["of another binding", "evidence_mismatch", { binding: { ...action.binding, relations: [] } }],
    ["in another session", "evidence_mismatch", { session: SessionId.parse(`ses_${"2".padStart(26, "0")}`) }],
  ])("%s is refused", (_, code, change) => {
    expect(verdict(evidenceOf(withRun(change)), "audit")).toBe(code);
  });

  it("in no session is refused of one that a session held, and the other way round", () => {
    const scene = withRun();
    Reflect.deleteProperty(scene.run ?? {}, "session");
    expect(verdict(evidenceOf(scene), "audit")).toBe("evidence_mismatch");
    const outside = sampleScene({
      outpost,
      votes,
      facts: sampleFacts({ sourceIp: "10.1.2.3" }),
      asked: { ask: { action }, window: { duration: "5m" } },
    });
    expect(verdict(evidenceOf(withRun({ session }, outside)), "audit")).toBe("evidence_mismatch");
    expect(verdict(evidenceOf(withRun({}, outside)), "audit")).toBe("accepted");
  });

  it("in other words, or signed by others, is refused", () => {
    const scene = withRun();
    const digest = digestOf("run", scene.run);
    const evidence = structuredClone(evidenceOf(scene));
    if (evidence.run !== undefined) evidence.run.rowCount = 0;
    expect(verdict(evidence, "audit")).toBe("evidence_signature");
    for (const signature of [signAs(honestKeys, digest), signDigest("outpost", "outpost", otherOutpost, digest)])
      expect(
        verdict(
          resigned(scene, (all) => (all[digest] = [signature])),
          "audit",
        ),
      ).toBe("evidence_signature");
  });

  it("of a role's grant there is none", () => {
    const scene = sampleScene({ outpost });
    expect(verdict(evidenceOf({ ...scene, run: runOf(scene) }), "audit")).toBe("evidence_mismatch");
  });
});
