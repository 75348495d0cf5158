import { appendFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { GrantId, SessionId } from "@cardea/core/contract/ids";
import { chained, chainStart } from "@cardea/core/recording/piece";
import type { Frame, Standing } from "./frames.ts";
import { defaultRecorderLimits, type RecorderLimits } from "./limits.ts";
import { NoRoom, RecordingSpool, type SpooledPiece } from "./spool.ts";

let directory: string;
const open: RecordingSpool[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cardea-test-spool-"));
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  await rm(directory, { recursive: true, force: true });
});

const one = SessionId.parse("ses_01jd8q0000000000000000000a");
const two = SessionId.parse("ses_01jd8q0000000000000000000b");
const grant = GrantId.parse("gra_01jd8q0000000000000000000c");

async function spool(
  limits: Partial<RecorderLimits> = {},
  standings: () => Standing[] = () => [],
): Promise<RecordingSpool> {
  const opened = await RecordingSpool.open({
    directory,
    limits: { ...defaultRecorderLimits, ...limits },
    log: pino({ level: "silent" }),
    standings,
  });
  open.push(opened);
  return opened;
}

/** A session's next pieces. */
class Source {
  standing: Standing;
  constructor(session: SessionId) {
    this.standing = { session, grant, pieces: 0, bytes: 0, chain: chainStart(session) };
  }
  next(text: string): Frame {
    const piece = Buffer.from(text);
    const { pieces, bytes, chain } = this.standing;
    this.standing = {
      ...this.standing,
      pieces: pieces + 1,
      bytes: bytes + piece.length,
      chain: chained(chain, piece),
    };
    return { ...this.standing, is: "piece", piece };
  }
}

async function all(from: RecordingSpool): Promise<SpooledPiece[]> {
  const pieces: SpooledPiece[] = [];
  for (let place = from.start; ;) {
    const read = await from.read(place);
    if (read.pieces.length === 0) return pieces;
    pieces.push(...read.pieces);
    place = read.next;
  }
}
const told = (pieces: readonly SpooledPiece[]): string[] =>
  pieces.map(({ session, index, piece }) => `${session.slice(-1)}${String(index)} ${Buffer.from(piece).toString()}`);
const files = async (): Promise<string[]> => (await readdir(directory)).sort();

describe("a spool", () => {
  test("gives pieces of all sessions in their order, also after a restart", async () => {
    const [a, b] = [new Source(one), new Source(two)];
    const first = await spool();
    await Promise.all([first.append([a.next("x"), a.next("y")]), first.append([b.next("z")])]);
    await first.append([a.next("w".repeat(600_000))]);
    expect(told(await all(first)).map((text) => text.slice(0, 8))).toEqual(["a0 x", "a1 y", "b0 z", "a2 wwwww"]);
    await first.close();
    const again = await spool();
    expect(await all(again)).toHaveLength(4);
    expect(again.left.get(one)).toEqual({ ...a.standing, is: "cut" });
    expect(again.left.get(two)).toEqual({ ...b.standing, is: "cut" });
  });

  test("knows which sessions were over", async () => {
    const a = new Source(one);
    const first = await spool();
    await first.append([a.next("x")]);
    await first.append([{ ...a.standing, is: "over" }]);
    await first.close();
    expect((await spool()).left.get(one)?.is).toBe("over");
  });

  test("forgets what the control plane has, file by file, and knows from the newest where open sessions stand", async () => {
    const [a, b] = [new Source(one), new Source(two)];
    const first = await spool({ segmentBytes: 400 }, () => [a.standing]);
    await first.append([b.next("early")]);
    for (let i = 0; i < 12; i++) await first.append([a.next(`piece ${String(i)}`)]);
    expect((await files()).length).toBeGreaterThan(3);
    expect(first.backlog(one)).toBeGreaterThan(0);
    const read = await all(first);
    first.acknowledge(read.slice(0, -1), read.at(-1)?.place ?? first.start);
    const last = read.slice(-1);
    expect(first.backlog(two)).toBe(0);
    expect(first.backlog(one)).toBe(last[0]?.spoolBytes);
    await first.close();
    expect((await files()).length).toBeLessThanOrEqual(2);
    const again = await spool({ segmentBytes: 400 });
    expect(again.left.get(one)).toEqual({ ...a.standing, is: "cut" });
    expect(again.left.has(two)).toBe(false);
    expect(told(await all(again))).toEqual(expect.arrayContaining(told(last)));
  });

  test("is empty once all of it is acknowledged, whatever stands between the pieces", async () => {
    const a = new Source(one);
    const first = await spool({ segmentBytes: 300 });
    for (let i = 0; i < 6; i++) await first.append([a.next("x")]);
    await first.append([{ ...a.standing, is: "over" }]);
    await first.close();
    const again = await spool();
    const read = await all(again);
    const end = await again.read(read.at(-1)?.place ?? again.start);
    again.acknowledge(read, (await again.read(end.next)).next);
    await again.close();
    expect(await files()).toHaveLength(1);
  });
});

describe("a crash", () => {
  test("leaves whole frames, wherever it tore the last one, and writing goes on", async () => {
    const a = new Source(one);
    const first = await spool();
    await first.append([a.next("first")]);
    const before = (await readFile(join(directory, (await files())[0] ?? ""))).length;
    const kept = a.standing;
    await first.append([a.next("second, longer")]);
    await first.close();
    const name = join(directory, (await files())[0] ?? "");
    const bytes = await readFile(name);
    for (let length = before; length < bytes.length; length++) {
      await rm(directory, { recursive: true });
      await (await spool()).close();
      await writeFile(name, bytes.subarray(0, length));
      const again = await spool();
      expect(told(await all(again)), String(length)).toEqual(["a0 first"]);
      expect(again.left.get(one)).toEqual({ ...kept, is: "cut" });
      await again.append([new Source(two).next("after")]);
      expect(told(await all(again))).toEqual(["a0 first", "b0 after"]);
      await again.close();
    }
  });

  test("leaves no frame that is not what was written", async () => {
    const a = new Source(one);
    const first = await spool();
    await first.append([a.next("first"), a.next("second")]);
    await first.close();
    const name = join(directory, (await files())[0] ?? "");
    const bytes = await readFile(name);
    for (let at = 0; at < bytes.length; at += 3) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      await rm(directory, { recursive: true });
      await (await spool()).close();
      await writeFile(name, changed);
      const found = told(await all(await spool()));
      expect(["", "a0 first"], String(at)).toContain(found.join());
      await open.at(-1)?.close();
    }
  });

  test("that left zeros or noise behind the end does no harm", async () => {
    const a = new Source(one);
    const first = await spool();
    await first.append([a.next("first")]);
    await first.close();
    const name = join(directory, (await files())[0] ?? "");
    const { length } = await readFile(name);
    for (const noise of [Buffer.alloc(5_000), Buffer.alloc(5_000, 0xff), Buffer.alloc(3, 1)]) {
      await truncate(name, length);
      await appendFile(name, noise);
      const again = await spool();
      expect(told(await all(again))).toEqual(["a0 first"]);
      await again.close();
    }
  });
});

describe("without room", () => {
  test("a full spool takes nothing more, and takes again when it is emptied", async () => {
    const a = new Source(one);
    const full = await spool({ spoolBytes: 2_000, segmentBytes: 500 }, () => [a.standing]);
    await full.append([a.next("x".repeat(800))]);
    await full.append([a.next("x".repeat(800))]);
    const { standing } = a;
    await expect(full.append([a.next("x".repeat(800))])).rejects.toBeInstanceOf(NoRoom);
    a.standing = standing;
    const read = await all(full);
    expect(read).toHaveLength(2);
    full.acknowledge(read, (await full.read(read.at(-1)?.place ?? full.start)).next);
    await full.append([a.next("again")]);
    expect((await all(full)).at(-1)?.index).toBe(2);
  });

  test("a disk with less than the reserve takes nothing", async () => {
    const none = await spool({ reserveBytes: Number.MAX_SAFE_INTEGER });
    await expect(none.append([new Source(one).next("x")])).rejects.toBeInstanceOf(NoRoom);
    await expect(none.check()).rejects.toBeInstanceOf(NoRoom);
  });
});
