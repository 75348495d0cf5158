import { describe, expect, it } from "vitest";
import { ok, type Result } from "../lib/result.ts";
import { openCheckpoint, signCheckpoint, type Checkpoint } from "./checkpoint.ts";
import { emptyRoot, leafHash, treeRoot, type TreeHead } from "./merkle.ts";
import { noteSigner, parseVerifierKey } from "./note.ts";
import { verifyInclusion } from "./proofs.ts";
import { hashReaderOver, readInclusionProof, readRoot, type FetchTile } from "./tile-source.ts";
import { parseTilePath } from "./tiles.ts";
import { verifyEntry, verifyGrowth, verifyLog } from "./verify.ts";
import { append, emptyLog } from "./writer.ts";

const origin = "log.example/audit";
const entries: readonly Uint8Array[] = Array.from({ length: 66_000 }, (_, i) => new TextEncoder().encode(`entry ${i}`));
const leafHashes = entries.map(leafHash);
const codeOf = (result: Result<unknown>) => (result.ok ? "ok" : result.code);

interface StoredLog {
  readonly tiles: Map<string, Uint8Array>;
  readonly fetch: FetchTile;
  readonly fetched: string[];
  readonly head: TreeHead;
}

/** A log that grew to `sizes`, one batch each, of these entries. */
function stored(sizes: readonly number[], source: readonly Uint8Array[] = entries): StoredLog {
  const tiles = new Map<string, Uint8Array>();
  const fetched: string[] = [];
  let state = emptyLog;
  let head: TreeHead = { size: 0, root: emptyRoot() };
  for (const size of sizes) {
    const batch = append(state, source.slice(state.frontier.size, size));
    if (!batch.ok) throw new Error(batch.detail);
    for (const { path, bytes } of batch.value.tiles) tiles.set(path, bytes);
    ({ state, head } = batch.value);
  }
  const fetch: FetchTile = (path) => {
    fetched.push(path);
    return Promise.resolve(tiles.get(path));
  };
  return { tiles, fetch, fetched, head };
}
const checkpointAt = (size: number): Checkpoint => ({
  origin,
  size,
  root: treeRoot(leafHashes, { start: 0, end: size }),
  extensions: [],
});

describe("verifying a whole log", () => {
  it.each([0, 1, 2, 255, 256, 257, 511, 512, 513, 4096, 4097, 65_535, 65_536, 65_537])("of size %d", async (size) => {
    const { fetch, head } = stored([size]);
    expect(await verifyLog(fetch, head)).toEqual(ok(undefined));
  });

  it("that grew in many steps, at each checkpoint that was signed", async () => {
    const sizes = [1, 3, 255, 300, 513, 1000, 5000];
    const { fetch } = stored(sizes);
    for (const size of sizes) expect(await verifyLog(fetch, checkpointAt(size))).toEqual(ok(undefined));
  });

  it("begins with its signed checkpoint and ends with every entry, in order", async () => {
    const signer = noteSigner(origin, new Uint8Array(32).fill(1));
    const key = parseVerifierKey(signer.verifierKey);
    if (!key.ok) throw new Error(key.detail);
    const { fetch, head } = stored([5000]);
    const note = signCheckpoint({ origin, ...head, extensions: [] }, signer);
    const opened = openCheckpoint(note, { origin, key: key.value });
    if (!opened.ok) throw new Error(opened.detail);
    const heard: Uint8Array[] = [];
    const onEntries = (start: number, bundle: readonly Uint8Array[]) => {
      expect(start).toBe(heard.length);
      heard.push(...bundle);
    };
    expect(await verifyLog(fetch, opened.value, { onEntries })).toEqual(ok(undefined));
    expect(heard).toEqual(entries.slice(0, 5000));
  });

  it("reads every tile once, and nothing else", async () => {
    const { fetch, fetched, tiles, head } = stored([5000]);
    await verifyLog(fetch, head);
    expect(fetched.toSorted()).toEqual([...tiles.keys()].toSorted());
  });

  it("reads the full tile where the log has dropped a partial one", async () => {
    const { fetch, tiles } = stored([300, 600]);
    expect(tiles.delete("tile/entries/001.p/44")).toBe(true);
    expect(tiles.delete("tile/0/001.p/44")).toBe(true);
    expect(await verifyLog(fetch, checkpointAt(300))).toEqual(ok(undefined));
  });

  it("refuses a flipped bit anywhere in any tile", async () => {
    const { fetch, tiles, head } = stored([700]);
    for (const [path, bytes] of [...tiles]) {
      for (let at = 0; at < bytes.length; at += path.includes("entries") ? 7 : 61) {
        const flipped = Uint8Array.from(bytes);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
        tiles.set(path, flipped);
        const code = codeOf(await verifyLog(fetch, head));
        // A bit of a length prefix takes a bundle apart; every other one leads to another hash.
        if (!path.includes("entries") || code !== "tile_malformed") expect(code).toBe("tile_mismatch");
      }
      tiles.set(path, bytes);
    }
    expect(codeOf(await verifyLog(fetch, head))).toBe("ok");
  });

  it("refuses a missing tile, a short one and a long one", async () => {
    const { fetch, tiles, head } = stored([700]);
    for (const [path, bytes] of [...tiles]) {
      tiles.delete(path);
      expect(codeOf(await verifyLog(fetch, head))).toBe("tile_missing");
      tiles.set(path, bytes.subarray(0, -1));
      expect(codeOf(await verifyLog(fetch, head))).toBe("tile_malformed");
      tiles.set(path, Uint8Array.of(...bytes, 0));
      expect(codeOf(await verifyLog(fetch, head))).toBe("tile_malformed");
      tiles.set(path, bytes);
    }
  });

  it("refuses entries dropped, swapped or changed together with all tiles above them", async () => {
    const { head } = stored([700]);
    const forgeries = [
      [...entries.slice(0, 300), ...entries.slice(301, 701)],
      entries
        .slice(0, 700)
        .with(10, entries[11] ?? emptyRoot())
        .with(11, entries[10] ?? emptyRoot()),
      entries.slice(0, 700).with(699, new Uint8Array(0)),
    ];
    for (const forged of forgeries) {
      const { fetch } = stored([700], forged);
      expect(codeOf(await verifyLog(fetch, head))).toBe("root_mismatch");
    }
  });

  it("refuses a head of another size", async () => {
    const { fetch, head } = stored([511, 512]);
    expect(codeOf(await verifyLog(fetch, { ...head, size: 511 }))).toBe("root_mismatch");
    expect(codeOf(await verifyLog(fetch, { ...head, size: 513 }))).toBe("tile_missing");
    expect(codeOf(await verifyLog(fetch, { size: 0, root: head.root }))).toBe("root_mismatch");
  });

  it("names the tile and the place in it", async () => {
    const { fetch, tiles, head } = stored([700]);
    const forged = Uint8Array.from(tiles.get("tile/0/001") ?? []);
    forged[5 * 32] = (forged[5 * 32] ?? 0) ^ 1;
    tiles.set("tile/0/001", forged);
    expect(await verifyLog(fetch, head)).toEqual({
      ok: false,
      code: "tile_mismatch",
      detail: "hash `5` of `tile/0/001` is not that of the log's entries",
    });
  });

  it("throws what the fetching throws, and stops when told to", async () => {
    const { fetch, fetched, head } = stored([20_000]);
    const fault = new Error("connection reset");
    await expect(verifyLog(() => Promise.reject(fault), head)).rejects.toBe(fault);

    const controller = new AbortController();
    const stopping: FetchTile = async (path, signal) => {
      expect(signal).toBe(controller.signal);
      if (path.startsWith("tile/0/")) controller.abort();
      return await fetch(path);
    };
    const stopped = verifyLog(stopping, head, { signal: controller.signal });
    await expect(stopped).rejects.toMatchObject({ name: "AbortError" });
    expect(fetched.length).toBeLessThan(40);
  });
});

describe("verifying growth", () => {
  const sizes = [0, 1, 5, 255, 256, 257, 700, 65_536, 66_000];

  it("holds between any two checkpoints of a log", async () => {
    const { fetch } = stored(sizes.slice(1));
    for (const [at, from] of sizes.entries()) {
      for (const to of sizes.slice(at)) {
        expect(codeOf(await verifyGrowth(fetch, checkpointAt(from), checkpointAt(to)))).toBe("ok");
      }
    }
  });

  it("reads a handful of tiles, not the log", async () => {
    const { fetch, fetched } = stored([1000, 66_000]);
    await verifyGrowth(fetch, checkpointAt(1000), checkpointAt(66_000));
    expect(fetched.length).toBeLessThan(6);
    expect(fetched.every((path) => parseTilePath(path)?.level !== "entries")).toBe(true);
  });

  it("refuses a log that was rewritten, shrank, forked at the same size, or is another one", async () => {
    const rewritten = entries.slice(0, 700).with(3, new Uint8Array(0));
    const forked = stored([700], rewritten);
    const newer = { ...checkpointAt(700), root: forked.head.root };
    expect(codeOf(await verifyGrowth(forked.fetch, checkpointAt(500), newer))).toBe("old_root_mismatch");
    expect(codeOf(await verifyGrowth(forked.fetch, checkpointAt(500), checkpointAt(700)))).toMatch(
      /^(?:old|new)_root_mismatch$/,
    );
    expect(codeOf(await verifyGrowth(forked.fetch, checkpointAt(700), newer))).toBe("roots_differ");
    expect(codeOf(await verifyGrowth(forked.fetch, checkpointAt(701), newer))).toBe("size_decreased");
    const elsewhere = { ...newer, origin: "log.example/other" };
    expect(codeOf(await verifyGrowth(forked.fetch, checkpointAt(500), elsewhere))).toBe("origin_mismatch");
  });

  it("refuses where tiles are missing or not theirs", async () => {
    const { fetch, tiles } = stored([700]);
    const growth = () => verifyGrowth(fetch, checkpointAt(500), checkpointAt(700));
    expect(codeOf(await growth())).toBe("ok");
    const tile = tiles.get("tile/0/001") ?? new Uint8Array(0);
    tiles.set(
      "tile/0/001",
      tile.map((byte, at) => (at === 0 ? byte ^ 1 : byte)),
    );
    expect(codeOf(await growth())).toMatch(/_root_mismatch$/);
    tiles.delete("tile/0/001");
    expect(codeOf(await growth())).toBe("tile_missing");
  });
});

describe("verifying one entry", () => {
  it("gives the entry, for any index and size", async () => {
    const sizes = [1, 256, 257, 700, 65_537];
    const { fetch } = stored(sizes);
    for (const size of sizes) {
      for (const index of new Set([0, 1, 255, 256, size - 2, size - 1].filter((i) => i >= 0 && i < size))) {
        expect(await verifyEntry(fetch, checkpointAt(size), index)).toEqual(ok(entries[index]));
      }
    }
  });

  it.each([-1, 0.5, 700, NaN, 2 ** 60])("refuses the index %d of 700", async (index) => {
    const { fetch, head } = stored([700]);
    expect(codeOf(await verifyEntry(fetch, head, index))).toBe("index_out_of_range");
    expect(codeOf(await verifyEntry(fetch, { size: 0, root: emptyRoot() }, index))).toBe("index_out_of_range");
  });

  it("refuses an entry that is not the one in the tree", async () => {
    const { fetch, tiles, head } = stored([700]);
    const bundle = tiles.get("tile/entries/001") ?? new Uint8Array(0);
    tiles.set(
      "tile/entries/001",
      bundle.map((byte, at) => (at === bundle.length - 1 ? byte ^ 1 : byte)),
    );
    expect(codeOf(await verifyEntry(fetch, head, 511))).toBe("root_mismatch");
    expect(codeOf(await verifyEntry(fetch, head, 510))).toBe("ok");
    tiles.delete("tile/entries/001");
    expect(codeOf(await verifyEntry(fetch, head, 511))).toBe("tile_missing");
  });
});

describe("reading hashes through tiles", () => {
  it("gives the root and every proof of a tree, fetching each tile once", async () => {
    const { fetch, fetched, head } = stored([700]);
    const read = hashReaderOver(fetch, head.size);
    expect(await readRoot(read, head.size)).toEqual(ok(head.root));
    for (let index = 0; index < head.size; index++) {
      const proof = await readInclusionProof(read, index, head.size);
      if (!proof.ok) throw new Error(proof.detail);
      const leaf = leafHashes[index] ?? emptyRoot();
      expect(codeOf(verifyInclusion({ ...head, index, leafHash: leaf }, proof.value))).toBe("ok");
    }
    expect(new Set(fetched).size).toBe(fetched.length);
  });

  it("throws for a hash that is not complete in the tree", async () => {
    const { fetch } = stored([700]);
    const read = hashReaderOver(fetch, 700);
    for (const [level, index] of [
      [0, 700],
      [1, 350],
      [8, 2],
      [10, 0],
      [16, 0],
    ] as const) {
      await expect(read(level, index)).rejects.toThrow(RangeError);
    }
  });
});
