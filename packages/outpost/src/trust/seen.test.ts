import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Consistency, LinkState } from "@cardea/core/wire/link";
import { digestOf } from "@cardea/core/documents/digest";
import { toTime } from "@cardea/core/documents/primitives";
import type { RosterHead } from "@cardea/core/documents/roster";
import { signDigest } from "@cardea/core/documents/signature";
import type { Trust } from "@cardea/core/documents/trust";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { ed25519PublicKey } from "@cardea/core/lib/crypto";
import { signCheckpoint } from "@cardea/core/log/checkpoint";
import { emptyRoot, leafHash, treeRoot } from "@cardea/core/log/merkle";
import { noteSigner } from "@cardea/core/log/note";
import { proveConsistency } from "@cardea/core/log/proofs";
import { samplePolicy } from "@cardea/core/policy/samples";
import { advanceLog, judgeState, nothingSeen, type Seen } from "./seen.ts";

const seed = () => new Uint8Array(randomBytes(32));
const signing = seed();
const logSeed = seed();
const origin = "cardea.test/log";
const signer = noteSigner(origin, logSeed);
const trust: Trust = {
  v: 1,
  version: 1,
  level: "vouched",
  origin,
  logKey: signer.verifierKey,
  controlKey: toBase64Url(ed25519PublicKey(signing)),
  roots: [],
  threshold: 0,
  rpId: "localhost",
  origins: [],
};
const atMs = Date.parse("2026-11-22T09:00:00.000Z");

/** A log of so many leaves; `fork` makes another from the leaf with that index on. */
function leaves(size: number, fork = Infinity): Uint8Array[] {
  return Array.from({ length: size }, (_, index) =>
    leafHash(new TextEncoder().encode(`${String(index)}${index >= fork ? " forged" : ""}`)),
  );
}
const note = (hashes: Uint8Array[], by = signer): string =>
  signCheckpoint(
    { origin, size: hashes.length, root: treeRoot(hashes, { start: 0, end: hashes.length }), extensions: [] },
    by,
  );
const joining = (hashes: Uint8Array[], from: number): Consistency => ({
  from,
  hashes: proveConsistency(hashes, from).map(toBase64Url),
});
const seenAt = (hashes: Uint8Array[]): NonNullable<Seen["checkpoint"]> => ({
  size: hashes.length,
  root: toBase64Url(treeRoot(hashes, { start: 0, end: hashes.length })),
});

function state(
  over: {
    readonly roster?: Partial<RosterHead>;
    readonly policy?: number;
    readonly atMs?: number;
    readonly by?: Uint8Array;
  } & Pick<LinkState, "checkpoint" | "consistency">,
): LinkState {
  const by = over.by ?? signing;
  const head: RosterHead = {
    v: 1,
    version: 1,
    at: toTime(atMs),
    size: 0,
    root: toBase64Url(emptyRoot()),
    ...over.roster,
  };
  const policy = over.policy === undefined ? undefined : samplePolicy([], over.policy);
  const sign = (digest: ReturnType<typeof digestOf>) => signDigest("control", "control", by, digest);
  const madeMs = over.atMs ?? atMs;
  return {
    kind: "state",
    at: toTime(madeMs),
    expiresAt: toTime(madeMs + 60_000),
    roster: { head, signature: sign(digestOf("roster", head)) },
    entries: [],
    ...(policy !== undefined && { policy: { policy, signature: sign(digestOf("policy", policy)) } }),
    ...(over.checkpoint !== undefined && { checkpoint: over.checkpoint }),
    ...(over.consistency !== undefined && { consistency: over.consistency }),
  };
}

describe("a state", () => {
  test("moves everything forward", () => {
    const first = judgeState(state({ policy: 1, checkpoint: note(leaves(3)) }), nothingSeen, trust);
    if (!first.ok) throw new Error(first.detail);
    const second = judgeState(
      state({
        policy: 2,
        roster: { version: 2 },
        atMs: atMs + 1,
        checkpoint: note(leaves(8)),
        consistency: joining(leaves(8), 3),
      }),
      first.value.seen,
      trust,
    );
    expect(second).toMatchObject({
      ok: true,
      value: {
        seen: { policy: { version: 2 }, roster: { version: 2 }, checkpoint: { size: 8 }, stateUntilMs: atMs + 60_001 },
      },
    });
  });

  const before = (() => {
    const judged = judgeState(
      state({ policy: 5, roster: { version: 5 }, checkpoint: note(leaves(5)) }),
      nothingSeen,
      trust,
    );
    if (!judged.ok) throw new Error(judged.detail);
    return judged.value.seen;
  })();

  test.each([
    ["an older policy", { policy: 4, roster: { version: 5 } }, "evidence_stale"],
    ["an older roster", { policy: 5, roster: { version: 4 } }, "evidence_stale"],
    ["another roster of the same version", { roster: { version: 5, at: toTime(atMs + 1) } }, "evidence_stale"],
    ["an older time", { roster: { version: 5 }, atMs: atMs - 30_001 }, "evidence_stale"],
    ["another signer", { roster: { version: 6 }, by: seed() }, "evidence_signature"],
    ["a smaller log", { roster: { version: 5 }, checkpoint: note(leaves(4)) }, "evidence_stale"],
    ["a larger log without a proof", { roster: { version: 5 }, checkpoint: note(leaves(9)) }, "evidence_stale"],
    ["a fork of the same size", { roster: { version: 5 }, checkpoint: note(leaves(5, 2)) }, "log_inconsistent"],
    [
      "a larger fork with a proof of its own",
      { roster: { version: 5 }, checkpoint: note(leaves(9, 2)), consistency: joining(leaves(9, 2), 5) },
      "log_inconsistent",
    ],
    [
      "a checkpoint by another key",
      { roster: { version: 5 }, checkpoint: note(leaves(5), noteSigner(origin, seed())) },
      "evidence_log",
    ],
  ] as const)("with %s is refused whole", (_, over, code) => {
    expect(judgeState(state(over), before, trust)).toMatchObject({ ok: false, code });
  });

  test("of the same versions again changes nothing but its time", () => {
    const again = judgeState(
      state({ policy: 5, roster: { version: 5 }, atMs: atMs + 10, checkpoint: note(leaves(5)) }),
      before,
      trust,
    );
    expect(again).toMatchObject({
      ok: true,
      value: { seen: { ...before, stateAtMs: atMs + 10, stateUntilMs: atMs + 60_010 } },
    });
  });
});

test("a state by a process whose clock is a little behind is taken, and moves no time back", () => {
  const first = judgeState(state({}), nothingSeen, trust);
  if (!first.ok) throw new Error(first.detail);
  const second = judgeState(state({ atMs: atMs - 1_000, roster: { version: 2 } }), first.value.seen, trust);
  expect(second).toMatchObject({
    ok: true,
    value: { seen: { roster: { version: 2 }, stateAtMs: atMs, stateUntilMs: atMs + 60_000 } },
  });
});

describe("the log under evidence", () => {
  test("may be older than the one seen, if it is proven to be its beginning; what was seen stays", () => {
    expect(advanceLog(note(leaves(3)), joining(leaves(7), 3), seenAt(leaves(7)), trust)).toMatchObject({
      ok: true,
      value: { size: 7 },
    });
  });

  test("that is older and of a fork is refused", () => {
    expect(advanceLog(note(leaves(3, 1)), joining(leaves(7), 3), seenAt(leaves(7)), trust)).toMatchObject({
      ok: false,
      code: "log_inconsistent",
    });
  });

  test("is refused for every proof with one hash changed", () => {
    const whole = leaves(13);
    for (let from = 1; from < 13; from++) {
      const proof = joining(whole, from);
      for (let index = 0; index < proof.hashes.length; index++) {
        const hashes = proof.hashes.map((hash, at) => (at === index ? toBase64Url(seed()) : hash));
        expect(advanceLog(note(whole), { from, hashes }, seenAt(leaves(from)), trust)).toMatchObject({
          ok: false,
          code: "log_inconsistent",
        });
      }
      expect(advanceLog(note(whole), proof, seenAt(leaves(from)), trust)).toMatchObject({ ok: true });
    }
  });
});
