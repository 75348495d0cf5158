import fc from "fast-check";
import { expect, test } from "vitest";
import type { SubjectId } from "@cardea/core/contract/ids";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { toBase32 } from "@cardea/core/lib/base32";
import { treeRoot } from "@cardea/core/log/merkle";
import { verifyInclusion } from "@cardea/core/log/proofs";
import { rosterLeaf, RosterTree } from "./roster-tree.ts";

function entry(index: number): RosterEntry {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(12, index * 7_919);
  const subject = `sub_${toBase32(bytes)}` as SubjectId;
  return {
    subject,
    name: `n${index}`,
    kind: "human",
    groups: [],
    claims: {},
    credentials: [],
    permissions: ["member"],
    active: true,
  };
}

test("the tree is RFC 6962's, and every entry's proof leads to its root", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 70 }), (size) => {
      const leaves = Array.from({ length: size }, (_, index) => rosterLeaf(entry(index)));
      const tree = new RosterTree(leaves.toReversed());
      expect(tree.root).toBe(toBase64Url(treeRoot(tree.leaves.map((leaf) => leaf.hash))));
      for (const leaf of leaves) {
        const proof = tree.proof(leaf.entry.subject);
        expect(proof?.entry).toEqual(leaf.entry);
        const claim = { leafHash: leaf.hash, index: proof?.index ?? -1, size, root: fromBase64Url(tree.root) };
        expect(verifyInclusion(claim, (proof?.path ?? []).map(fromBase64Url))).toEqual({ ok: true, value: undefined });
      }
    }),
    { numRuns: 72 },
  );
});

test("nobody has a proof who is not in it", () => {
  const tree = new RosterTree([rosterLeaf(entry(1))]);
  expect(tree.proof(entry(2).subject)).toBeUndefined();
  expect(tree.entry(entry(2).subject)).toBeUndefined();
});
