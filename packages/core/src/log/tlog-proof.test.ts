import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHex } from "../lib/hex.ts";
import type { Result } from "../lib/result.ts";
import type { LogIdentity } from "./checkpoint.ts";
import { leafHash } from "./merkle.ts";
import { parseVerifierKey } from "./note.ts";
import { formatProof, maxProofLength, parseProof, verifyProof, type ProvenEntry } from "./tlog-proof.ts";

interface ProofCase {
  readonly proof: string;
  readonly entry: string;
}
interface Vectors {
  readonly origin: string;
  readonly verifierKey: string;
  readonly accepted: readonly (ProofCase & { readonly index: number; readonly extra?: string })[];
  readonly refused: readonly (ProofCase & { readonly what: string; readonly code: string })[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL("vectors/proofs.json", import.meta.url), "utf8"));
const key = parseVerifierKey(vectors.verifierKey);
if (!key.ok) throw new Error(key.detail);
const log: LogIdentity = { origin: vectors.origin, key: key.value };

function published(index: number): ProofCase {
  const found = vectors.accepted.find((accepted) => accepted.index === index);
  if (found === undefined) throw new Error(`no published proof of entry ${index}`);
  return found;
}

function check(text: string, entry: string): Result<ProvenEntry> {
  const parsed = parseProof(text);
  return parsed.ok ? verifyProof(parsed.value, leafHash(fromHex(entry)), log) : parsed;
}

describe("proof files", () => {
  it.each(vectors.accepted)("of entry $index verify as published", ({ proof, entry, index, extra }) => {
    expect(check(proof, entry)).toMatchObject({ ok: true, value: { index, checkpoint: { origin: vectors.origin } } });
    const parsed = parseProof(proof);
    expect(parsed.ok && parsed.value.extra).toEqual(extra === undefined ? undefined : fromHex(extra));
    expect(parsed.ok && formatProof(parsed.value)).toBe(proof);
  });

  it.each(vectors.refused)("are refused: $what", ({ proof, entry, code }) => {
    expect(check(proof, entry)).toMatchObject({ ok: false, code });
  });

  it("with any single bit flipped are refused", () => {
    const { proof, entry } = published(69_999);
    expect(check(proof, entry).ok).toBe(true);
    const bytes = new TextEncoder().encode(proof);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Uint8Array.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (check(new TextDecoder().decode(flipped), entry).ok) expect.fail(`accepted with bit ${bit} flipped`);
    }
  });

  it("longer than the cap are not looked at", () => {
    const { proof } = published(0);
    expect(parseProof(proof + "\n".repeat(maxProofLength))).toMatchObject({ ok: false, code: "proof_malformed" });
  });

  it("keep whatever extra data they were given, empty included", () => {
    const { proof } = published(0);
    const parsed = parseProof(proof);
    if (!parsed.ok) throw new Error(parsed.detail);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (extra) => {
        expect(parseProof(formatProof({ ...parsed.value, extra }))).toEqual({
          ok: true,
          value: { ...parsed.value, extra },
        });
      }),
    );
  });

  it("never throw on arbitrary input", () => {
    const part = fc.constantFrom("c2sp.org/tlog-proof@v1", "index ", "0", "\n", "\n\n", "extra ", "AAAA", "— ", "x");
    fc.assert(fc.property(fc.array(part, { maxLength: 12 }), (parts) => !check(parts.join(""), "00").ok));
  });

  it.each([-1, 0.5, 2 ** 53])("cannot be written for the index %d", (index) => {
    expect(() => formatProof({ index, hashes: [], checkpoint: "" })).toThrow(RangeError);
  });

  it("cannot be written with a hash of another length", () => {
    expect(() => formatProof({ index: 0, hashes: [new Uint8Array(31)], checkpoint: "" })).toThrow(RangeError);
  });
});
