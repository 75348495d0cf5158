import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SessionEnd, SessionEvent } from "@cardea/connectors/gateway";
import { newId, type SessionId } from "@cardea/core/contract/ids";
import type { Clock } from "@cardea/core/lib/clock";
import { openAes256Gcm } from "@cardea/core/lib/crypto";
import {
  chainDigest,
  chained,
  chainStart,
  parsePiece,
  sealContext,
  sealInfo,
  sectionContext,
  sectionNonce,
  type Strand,
} from "@cardea/core/recording/piece";
import { StrandReader } from "@cardea/core/recording/strand-reader";
import { openSealed, sealKeyPair, type SealKeyPair } from "../sealing.ts";
import { Store } from "../store/store.ts";
import type { RecorderLimits } from "./limits.ts";
import { Recorder } from "./recorder.ts";
import type { SessionRecording } from "./session-recording.ts";
import type { SpooledPiece } from "./spool.ts";

const clock: Clock = { now: () => Date.now() };
const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };
const log = pino({ level: "silent" });
let directory: string;
let key: SealKeyPair;
const closers: (() => Promise<void>)[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cardea-test-recorder-"));
  key = await sealKeyPair(random.bytes(32));
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await rm(directory, { recursive: true, force: true });
});

async function recorder(
  limits: Partial<RecorderLimits> = {},
  spool = join(directory, "recordings"),
): Promise<Recorder> {
  const store = Store.open(join(directory, "store"));
  closers.push(() => store.close());
  const opened = await Recorder.open({
    directory: spool,
    store,
    clock,
    random,
    log,
    limits: { batchMs: 20, ...limits },
  });
  closers.push(() => opened.close());
  return opened;
}
/** Ends the process's hold on the directory, as far as that can be done from within it. */
async function abandonAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

interface Begun {
  readonly recording: SessionRecording;
  readonly session: SessionId;
  readonly ends: SessionEnd[];
}
async function begin(by: Recorder, recordsOutput = false): Promise<Begun> {
  const session = newId("session", clock, random);
  const ends: SessionEnd[] = [];
  const recording = await by.begin({
    session,
    grant: newId("grant", clock, random),
    resource: newId("resource", clock, random),
    recordsOutput,
    end: (end) => void ends.push(end),
  });
  return { recording, session, ends };
}

const action = (number: number, text = `select ${String(number)}`): SessionEvent => ({
  type: "action",
  action: number,
  atMs: clock.now(),
  text,
  parameters: Buffer.from(`value ${String(number)}`),
  approved: false,
  uses: [],
});
const noise = (length: number): SessionEvent => ({ type: "output", action: 1, bytes: randomBytes(length) });
/** As a client that sends on without minding the pause. */
const send = (recording: SessionRecording, event: SessionEvent): void => {
  recording.record(event)?.catch(() => undefined);
};
const closed: SessionEvent = { type: "closed", atMs: 0, why: "client", words: "" };
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

async function spooled(by: Recorder, session?: SessionId): Promise<SpooledPiece[]> {
  const pieces: SpooledPiece[] = [];
  for (let place = by.spool.start; ;) {
    const read = await by.spool.read(place);
    if (read.pieces.length === 0) return pieces;
    pieces.push(...read.pieces.filter((piece) => session === undefined || piece.session === session));
    place = read.next;
  }
}

/** As the control plane reads it. */
async function open(pieces: readonly SpooledPiece[], session: SessionId, strand: Strand): Promise<Uint8Array[]> {
  const first = pieces[0] === undefined ? undefined : parsePiece(pieces[0].piece);
  if (first?.is !== "head") throw new Error("it begins with its head");
  const strandKey = await openSealed(
    key.privateKey,
    sealInfo[strand],
    sealContext(first.head),
    first.head.keys[strand],
  );
  if (strandKey === undefined) throw new Error("the key does not open");
  return pieces.slice(1).map(({ piece, index }) => {
    const parsed = parsePiece(piece);
    if (parsed?.is !== "strands") throw new Error("it is one of strands");
    if (parsed[strand].length === 0) return new Uint8Array(0);
    const bytes = openAes256Gcm(
      strandKey,
      sectionNonce(strand, index),
      sectionContext(session, strand, index),
      parsed[strand],
    );
    if (bytes === undefined) throw new Error("the section does not open");
    return bytes[0] === 0 ? bytes.subarray(1) : new Uint8Array(inflateRawSync(bytes.subarray(1)));
  });
}

async function texts(pieces: readonly SpooledPiece[], session: SessionId): Promise<string[]> {
  const reader = new StrandReader();
  return (await open(pieces, session, "events"))
    .flatMap((bytes) => reader.events(bytes))
    .flatMap((event) => (event.type === "action" ? [event.text] : [event.type]));
}

describe("a recording", () => {
  test("is what happened, in pieces whose digest it is closed with", async () => {
    const by = await recorder();
    await by.useKey(key.publicKey);
    const { recording, session, ends } = await begin(by);
    for (let i = 1; i <= 5; i++) {
      expect(recording.record(action(i))).toBeUndefined();
      await pause(30);
    }
    send(recording, closed);
    const summary = await recording.close();
    const pieces = await spooled(by);
    expect(pieces.length).toBeGreaterThan(3);
    expect(summary).toEqual({
      pieces: pieces.length,
      bytes: pieces.reduce((sum, { piece }) => sum + piece.length, 0),
      digest: chainDigest(pieces.reduce((chain, { piece }) => chained(chain, piece), chainStart(session))),
    });
    expect(await texts(pieces, session)).toEqual([
      "select 1",
      "select 2",
      "select 3",
      "select 4",
      "select 5",
      "closed",
    ]);
    expect(ends).toEqual([]);
    // What comes after the end is nobody's.
    expect(recording.record(action(9))).toBeUndefined();
    expect(await recording.close()).toEqual(summary);
  });

  test("one key opens the events and another the values", async () => {
    const by = await recorder();
    await by.useKey(key.publicKey);
    const { recording, session } = await begin(by);
    send(recording, action(1, "select secret_column"));
    await recording.close();
    const pieces = await spooled(by);
    const reader = new StrandReader();
    const values = (await open(pieces, session, "values")).flatMap((bytes) => reader.values(bytes));
    expect(values).toEqual([{ type: "parameters", action: 1, data: Buffer.from("value 1").toString("base64url") }]);
    const head = pieces[0] === undefined ? undefined : parsePiece(pieces[0].piece);
    if (head?.is !== "head") throw new Error("it begins with its head");
    const [eventsKey, valuesKey] = await Promise.all(
      (["events", "values"] as const).map((strand) =>
        openSealed(key.privateKey, sealInfo[strand], sealContext(head.head), head.head.keys[strand]),
      ),
    );
    expect(eventsKey).not.toEqual(valuesKey);
    // Neither serves as the other's, nor in another session, nor under another grant.
    expect(
      await openSealed(key.privateKey, sealInfo.values, sealContext(head.head), head.head.keys.events),
    ).toBeUndefined();
    for (const other of [{ session: newId("session", clock, random) }, { grant: newId("grant", clock, random) }]) {
      const context = sealContext({ ...head.head, ...other });
      expect(await openSealed(key.privateKey, sealInfo.events, context, head.head.keys.events)).toBeUndefined();
    }
    const clear = pieces.map(({ piece }) => Buffer.from(piece).toString("latin1")).join();
    expect(clear).not.toContain("secret_column");
    expect(clear).not.toContain("value 1");
  });

  test("of a session that does nothing is a head, and takes no memory", async () => {
    const by = await recorder();
    await by.useKey(key.publicKey);
    const { recording } = await begin(by);
    await pause(80);
    expect(await spooled(by)).toHaveLength(1);
    await pause(60);
    expect((await recording.close()).pieces).toBe(1);
  });

  test("that was abandoned leaves nothing open", async () => {
    const by = await recorder();
    await by.useKey(key.publicKey);
    (await begin(by)).recording.abandon();
    await pause(60);
    expect(await spooled(by)).toEqual([]);
  });
});

describe("the recording key", () => {
  test("is needed, and remembered for a start without the link", async () => {
    const by = await recorder();
    await expect(begin(by)).rejects.toMatchObject({ code: "recording_unavailable" });
    await by.useKey(key.publicKey);
    await abandonAll();
    const again = await recorder();
    const { recording } = await begin(again);
    expect((await recording.close()).pieces).toBe(1);
  });

  test("that is no point of the curve opens no session", async () => {
    const by = await recorder();
    await by.useKey(`BA${"A".repeat(85)}`);
    await expect(begin(by)).rejects.toMatchObject({ code: "recording_unavailable" });
  });
});

describe("a crash", () => {
  test("closes a recording with what there is, and says so", async () => {
    const by = await recorder();
    await by.useKey(key.publicKey);
    const cut = await begin(by);
    send(cut.recording, action(1));
    const over = await begin(by);
    send(over.recording, action(1));
    const summary = await over.recording.close();
    await pause(80);
    send(cut.recording, action(2, "never written"));
    await by.spool.close();
    closers.pop();
    await abandonAll();
    const again = await recorder();
    const pieces = await spooled(again, cut.session);
    expect(await texts(pieces, cut.session)).toEqual(["select 1"]);
    expect(again.recovered(cut.session)).toEqual({
      pieces: pieces.length,
      bytes: pieces.reduce((sum, { piece }) => sum + piece.length, 0),
      digest: chainDigest(pieces.reduce((chain, { piece }) => chained(chain, piece), chainStart(cut.session))),
      truncated: true,
    });
    expect(again.recovered(over.session)).toEqual(summary);
    expect(again.recovered(newId("session", clock, random))).toBeUndefined();
  });
});

describe("a session that cannot be recorded", () => {
  test("pauses while the disk is behind, and goes on", async () => {
    const by = await recorder({ pauseBytes: 200_000 });
    await by.useKey(key.publicKey);
    const { recording, ends } = await begin(by, true);
    const waits: Promise<void>[] = [];
    for (let i = 0; i < 100; i++) {
      const wait = recording.record(noise(16_384));
      if (wait === undefined) continue;
      waits.push(wait);
      await wait;
    }
    expect(waits.length).toBeGreaterThan(0);
    expect(ends).toEqual([]);
    expect(recording.record(action(2))).toBeUndefined();
    const { bytes, truncated } = await recording.close();
    expect(bytes).toBeGreaterThan(100 * 16_384);
    expect(truncated).toBeUndefined();
  });

  test("is ended where it does not pause, and says that its end is missing", async () => {
    const by = await recorder({ pauseBytes: 100_000, memoryBytes: 400_000 });
    await by.useKey(key.publicKey);
    const { recording, ends, session } = await begin(by, true);
    for (let i = 0; i < 100; i++) send(recording, noise(16_384));
    expect(ends).toEqual([
      { why: "recorder", words: expect.stringContaining("the session is closed because") as string },
    ]);
    const summary = await recording.close();
    expect(summary.truncated).toBe(true);
    expect(await spooled(by, session)).toHaveLength(summary.pieces);
  });

  test("is ended alone where the control plane does not take it", async () => {
    const by = await recorder({ sessionBytes: 300_000, backlogBytes: 10_000_000 });
    await by.useKey(key.publicKey);
    const [greedy, modest] = [await begin(by, true), await begin(by, true)];
    for (let i = 0; i < 60 && greedy.ends.length === 0; i++) {
      await greedy.recording.record(noise(16_384));
      send(modest.recording, action(i));
      await pause(2);
    }
    await pause(60);
    expect(greedy.ends).toMatchObject([{ why: "recorder" }]);
    expect(modest.ends).toEqual([]);
    expect((await greedy.recording.close()).truncated).toBe(true);
    expect((await modest.recording.close()).truncated).toBeUndefined();
  });

  test("waits for the link while that takes something, and records on when it does not", async () => {
    const by = await recorder({ backlogBytes: 200_000, behindMs: 300 });
    await by.useKey(key.publicKey);
    const { recording, ends, session } = await begin(by, true);
    let wait: Promise<void> | undefined;
    for (let i = 0; i < 60 && wait === undefined; i++) {
      await pause(5);
      wait = recording.record(noise(32_768));
    }
    if (wait === undefined) throw new Error("it asks for a pause");
    let over = false;
    const waited = wait.then(() => (over = true));
    const pieces = await spooled(by, session);
    by.spool.acknowledge(pieces.slice(0, 1), pieces[1]?.place ?? by.spool.start);
    await pause(150);
    expect(over).toBe(false);
    by.spool.acknowledge(pieces.slice(1, -1), pieces.at(-1)?.place ?? by.spool.start);
    await waited;
    // Nobody acknowledges any more: it waits once, and not for ever.
    for (let i = 0; i < 30; i++) await recording.record(noise(32_768));
    expect(ends).toEqual([]);
    expect((await recording.close()).truncated).toBeUndefined();
  });

  test("is ended, and no other is begun, where the spool is full", async () => {
    const by = await recorder({ spoolBytes: 200_000, segmentBytes: 50_000 });
    await by.useKey(key.publicKey);
    const { recording, ends } = await begin(by, true);
    for (let i = 0; i < 40; i++) {
      send(recording, noise(16_384));
      await pause(2);
    }
    await pause(50);
    expect(ends).toMatchObject([{ why: "recorder", words: expect.stringContaining("spool") as string }]);
    expect((await recording.close()).truncated).toBe(true);
  });

  test.each(["a disk that is gone", ...(mayMount() ? ["a disk that is full"] : [])])(
    "is ended by %s, with what it took",
    async (name) => {
      const disk = join(directory, "disk");
      await mkdir(disk);
      const full = name.endsWith("full");
      if (full) mountTiny(disk);
      try {
        // Nothing is kept free: the disk itself refuses.
        const by = await recorder({ reserveBytes: 0, segmentBytes: 300_000 }, join(disk, "recordings"));
        await by.useKey(key.publicKey);
        const { recording, ends, session } = await begin(by, true);
        send(recording, action(1));
        await pause(60);
        if (!full) await rm(join(disk, "recordings"), { recursive: true });
        for (let i = 0; i < 200 && ends.length === 0; i++) {
          await recording.record(noise(32_768));
          await pause(1);
        }
        expect(ends).toMatchObject([{ why: "recorder" }]);
        const summary = await recording.close();
        expect(summary.truncated).toBe(true);
        const pieces = await spooled(by, session);
        expect(pieces).toHaveLength(summary.pieces);
        expect(chainDigest(pieces.reduce((chain, { piece }) => chained(chain, piece), chainStart(session)))).toBe(
          summary.digest,
        );
        expect((await texts(pieces, session))[0]).toBe("select 1");
        await abandonAll();
      } finally {
        if (full) execFileSync("umount", [disk]);
      }
    },
  );
});

/** A file system of one megabyte. */
function mountTiny(path: string): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path], { stdio: "ignore" });
}

/** Whether this account may make one. */
function mayMount(): boolean {
  const path = mkdtempSync(join(tmpdir(), "cardea-test-mount-"));
  try {
    mountTiny(path);
    execFileSync("umount", [path]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(path, { recursive: true });
  }
}
