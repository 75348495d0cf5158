import { describe, expect, it } from "vitest";
import { evidenceOf, sampleKeys, sampleScene, sampleTrust } from "@cardea/core/evidence/samples";
import { auditEvidence, parseTrust } from "./verify-evidence.ts";

const evidence = evidenceOf(sampleScene());

describe("evidence, checked offline", () => {
  it("holds years later, as it was written to a file", () => {
    expect(
      auditEvidence(JSON.parse(JSON.stringify(evidence)), parseTrust(JSON.parse(JSON.stringify(sampleTrust())))),
    ).toMatchObject({ ok: true });
  });

  it("is refused under another trust document, and where it is something else", () => {
    expect(auditEvidence(evidence, sampleTrust(sampleKeys("other")))).toMatchObject({
      ok: false,
      code: "evidence_trust",
    });
    expect(auditEvidence([], sampleTrust())).toMatchObject({ ok: false, code: "evidence_invalid" });
  });

  it("is not checked under what is no trust document", () => {
    expect(() => parseTrust({ ...sampleTrust(), surprise: 1 })).toThrow(
      expect.objectContaining({ code: "evidence_trust" }),
    );
  });
});
