import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { leafBytes } from "@cardea/core/documents/audit-leaf";
import { honestKeys, logged, sampleKeys, sampleTrust } from "@cardea/core/evidence/samples";
import { signCheckpoint } from "@cardea/core/log/checkpoint";
import { noteSigner } from "@cardea/core/log/note";
import { append, emptyLog } from "@cardea/core/log/writer";
import { LogDirectory } from "./log-directory.ts";
import { verifyWholeLog } from "./verify-log.ts";

const trust = sampleTrust();
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cardea-log-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Writes a log of so many entries, as a control plane publishes it. `mark` makes the entries of one log differ from another's. */
async function publish(size: number, { mark = "", keys = honestKeys, into = folder } = {}): Promise<LogDirectory> {
  const entries = Array.from({ length: size }, (_, n) =>
    leafBytes(logged(n, "request.submitted", { request: `${mark}${n}` }, {}).leaf),
  );
  const appended = append(emptyLog, entries);
  if (!appended.ok) throw new TypeError(appended.detail);
  const directory = new LogDirectory(into);
  for (const { path, bytes } of appended.value.tiles) await directory.writeTile(path, bytes);
  await directory.writeCheckpoint(
    signCheckpoint({ origin: keys.origin, ...appended.value.head, extensions: [] }, noteSigner(keys.origin, keys.log)),
  );
  return directory;
}

describe("a whole log from its tiles", () => {
  it.each([0, 1, 255, 256, 257, 700])("of %i entries verifies", async (size) => {
    const log = await publish(size);
    expect(await verifyWholeLog(log, trust)).toMatchObject({
      size,
      origin: trust.origin,
      types: size === 0 ? {} : { "request.submitted": size },
    });
  });

  it("is a continuation of what was seen before", async () => {
    const seen = await (await publish(300)).checkpoint();
    expect(await verifyWholeLog(await publish(700), trust, { seen })).toMatchObject({ size: 700, grewFrom: 300 });
  });

  it("is refused where an entry was changed", async () => {
    const log = await publish(300);
    const path = join(folder, "tile/entries/000");
    await writeFile(
      path,
      (await readFile(path)).map((byte, at) => (at === 60 ? byte ^ 1 : byte)),
    );
    await expect(verifyWholeLog(log, trust)).rejects.toMatchObject({
      code: "evidence_log",
      message: expect.stringContaining("tile_mismatch") as unknown,
    });
  });

  it("is refused where a tile is gone", async () => {
    const log = await publish(300);
    await rm(join(folder, "tile/0/000"));
    await expect(verifyWholeLog(log, trust)).rejects.toMatchObject({
      code: "evidence_log",
      message: expect.stringContaining("tile_missing") as unknown,
    });
  });

  it("is refused where it became shorter", async () => {
    const seen = await (await publish(300)).checkpoint();
    await rm(folder, { recursive: true });
    await expect(verifyWholeLog(await publish(299), trust, { seen })).rejects.toMatchObject({
      code: "log_rolled_back",
    });
  });

  it.each([300, 400])("is refused where it is another of %i entries", async (size) => {
    const seen = await (await publish(300)).checkpoint();
    await rm(folder, { recursive: true });
    await expect(verifyWholeLog(await publish(size, { mark: "other " }), trust, { seen })).rejects.toMatchObject({
      code: "log_inconsistent",
    });
  });

  it("is refused under another installation's trust, and with a forged signature", async () => {
    await expect(verifyWholeLog(await publish(3), sampleTrust(sampleKeys("other")))).rejects.toMatchObject({
      code: "evidence_log",
    });
    const forged = await publish(3, { keys: { ...honestKeys, log: sampleKeys("other").log } });
    await expect(verifyWholeLog(forged, trust)).rejects.toMatchObject({ code: "evidence_log" });
  });

  it("is copied as it is verified, and the copy verifies by itself", async () => {
    const log = await publish(600);
    const copy = new LogDirectory(join(folder, "copy"));
    const verified = await verifyWholeLog(log, trust, { onTile: (path, bytes) => copy.writeTile(path, bytes) });
    await expect(copy.checkpoint()).rejects.toMatchObject({ code: "not_found" });
    await copy.writeCheckpoint(verified.checkpoint);
    expect(await verifyWholeLog(copy, trust)).toEqual(verified);
  });

  it("is never written outside of its folder", async () => {
    const log = new LogDirectory(folder);
    await expect(log.writeTile("tile/0/../../../x", new Uint8Array())).rejects.toMatchObject({
      code: "invalid_request",
    });
  });
});
