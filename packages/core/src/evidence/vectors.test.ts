/**
 * Published vectors: complete evidence with its trust document, digests and verdicts, for verifiers in other languages. `CARDEA_WRITE_VECTORS=1`
 * writes the file anew, which changes what was published: only together with a new version of a document.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { digestOf, shortCode } from "../documents/digest.ts";
import type { Trust } from "../documents/trust.ts";
import { evidenceOf, sampleScene, sampleTrust } from "./samples.ts";
import { digestsOf, verifyEvidence } from "./verify.ts";

const file = new URL("vectors/evidence.json", import.meta.url);

/** One edit as in RFC 6902: `value` replaces what the pointer names; absent, it is removed. */
interface Edit {
  readonly name: string;
  readonly pointer: string;
  readonly value?: unknown;
  readonly code: string;
}

const edits: readonly Edit[] = [
  { name: "an unknown field", pointer: "/note", value: "approved by phone", code: "evidence_invalid" },
  { name: "no votes", pointer: "/votes", code: "evidence_invalid" },
  { name: "another trust document", pointer: "/trust", value: `sha256:${"0".repeat(64)}`, code: "evidence_trust" },
  {
    name: "an approver's group",
    pointer: "/roster/entries/1/entry/groups",
    value: ["security"],
    code: "evidence_roster",
  },
  { name: "the requester's entry left out", pointer: "/roster/entries/0", code: "evidence_roster" },
  {
    name: "another justification",
    pointer: "/request/asked/justification",
    value: "routine",
    code: "evidence_signature",
  },
  { name: "a wider role", pointer: "/request/asked/ask/role", value: "admin", code: "evidence_signature" },
  { name: "a vote without its narrowing", pointer: "/votes/0/narrowing", code: "evidence_signature" },
  {
    name: "a later end",
    pointer: "/grant/window/notAfter",
    value: "2026-03-02T13:03:00.000Z",
    code: "evidence_signature",
  },
  { name: "a policy without its deny rule", pointer: "/policy/document/rules/0", code: "evidence_signature" },
  { name: "a vote left out", pointer: "/votes/1", code: "evidence_mismatch" },
  { name: "another label of the resource", pointer: "/spec/labels/env", value: "staging", code: "evidence_mismatch" },
  { name: "no proof", pointer: "/log/proofs", value: [], code: "evidence_log" },
  {
    name: "another time in the leaf",
    pointer: "/log/proofs/0/leaf/at",
    value: "2026-03-02T09:11:00.000Z",
    code: "evidence_log",
  },
];

function vectors() {
  const evidence = evidenceOf(sampleScene());
  const trust = sampleTrust();
  return {
    about:
      "Evidence at the vouched level. `accepted` holds under `trust` at any instant inside the grant's window, and for an audit at any time. Each of `refused` is `accepted` with one edit: `value` replaces (or adds) what the JSON pointer names; without `value` it is removed.",
    trust,
    trustDigest: digestOf("trust", trust),
    digests: { ...digestsOf(evidence), requestCode: shortCode(digestOf("request", evidence.request)) },
    accepted: evidence,
    refused: edits,
  };
}

describe("the published evidence vectors", () => {
  if (process.env["CARDEA_WRITE_VECTORS"] === "1") writeFileSync(file, `${JSON.stringify(vectors(), null, 2)}\n`);
  // The file is ours, and the first test compares every byte of it.
  const published = JSON.parse(readFileSync(file, "utf8")) as ReturnType<typeof vectors>;
  const trust: Trust = published.trust;

  it("are what this version makes", () => {
    expect(published).toEqual(JSON.parse(JSON.stringify(vectors())));
  });

  it("hold for an audit, and say who vouches", () => {
    const outcome = verifyEvidence(published.accepted, trust, 0, { purpose: "audit" });
    expect(outcome).toMatchObject({
      ok: true,
      digests: { request: published.digests.request, grant: published.digests.grant },
    });
    expect(outcome).toHaveProperty("asserted.0", expect.stringContaining("vouched for by the control plane"));
  });

  it.each(published.refused)("with $name: $code", ({ pointer, value, code }) => {
    const evidence = structuredClone(published.accepted);
    apply(evidence, pointer, value);
    expect(verifyEvidence(evidence, trust, 0, { purpose: "audit" })).toMatchObject({ ok: false, code });
  });
});

function apply(document: unknown, pointer: string, value: unknown): void {
  const keys = pointer.split("/").slice(1);
  const last = keys.pop() ?? "";
  // Every holder on the way of these pointers is an object or an array.
  const holder = keys.reduce((at, key) => (at as Record<string, unknown>)[key], document) as
    Record<string, unknown> | unknown[];
  if (value !== undefined) Object.assign(holder, { [last]: value });
  else if (Array.isArray(holder)) holder.splice(Number(last), 1);
  else Reflect.deleteProperty(holder, last);
}
