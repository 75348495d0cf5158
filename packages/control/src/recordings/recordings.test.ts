import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from "@hpke/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type GrantId, type SessionId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { manualClock, type ManualClock } from "@cardea/core/lib/clock";
import { sealAes256Gcm } from "@cardea/core/lib/crypto";
import {
  chainDigest,
  chained,
  chainStart,
  headBytes,
  sealContext,
  sealInfo,
  sectionContext,
  sectionForms,
  sectionNonce,
  strands,
  strandsBytes,
} from "@cardea/core/recording/piece";
import { eventKinds } from "@cardea/core/recording/records";
import { RecordingQuery, type RecordingView } from "@cardea/core/wire/api/recordings";
import type { Enrolment } from "@cardea/core/wire/enrolment";
import type { LinkEvent, RecordingPiece } from "@cardea/core/wire/link";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { scenario, type Scenario } from "@cardea/testing/scenario";
import { startSequencer } from "../audit/sequencer.ts";
import type { Control } from "../control.ts";
import { grantIssued } from "../grants/outcomes.ts";
import { applyMessages } from "../link/inbox.ts";
import { maybeOneOutpost } from "../store/outposts.ts";
import { maybeOneRecording } from "../store/recordings.ts";
import { transact } from "../store/transaction.ts";
import { recordingPath } from "./files.ts";
import { readRecording } from "./read.ts";
import { recordingKeyOf } from "./recording-key.ts";
import { takePieces } from "./receive.ts";
import { oldRecordings, removeRecording } from "./sweep.ts";

let cluster: TestCluster;
let world: TestControl;
let control: Control;
let clock: ManualClock;
let given: Scenario;
let outpost: Enrolment;
let grant: GrantId;
let logging: { close(): Promise<void> };

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  clock = manualClock(Date.parse("2026-11-22T09:00:00.000Z"));
  world = await startTestControl(cluster, { clock });
  control = world.control;
  given = await scenario(control);
  logging = startSequencer(control, world.database.connect);
  const stored = await maybeOneOutpost(control.db, control.keys, { id: given.outpost });
  if (stored === undefined) throw new Error("the outpost is stored");
  outpost = stored.enrolment;
  const view = await given.submit("ada", { ask: { role: "read" }, via: "gateway" });
  if (view.grant === undefined) throw new Error("reading is granted at once");
  grant = view.grant.id;
  const sealed = { enc: "AAAA", ciphertext: "BBBB" };
  await transact(control, (tx) =>
    grantIssued(tx, control, given.outpost, { type: "issued", grant, sealed, at: toTime(clock.now()) }),
  );
});
afterAll(async () => {
  await logging.close();
  await world.stop();
  await cluster.stop();
});

const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const silent = new AbortController().signal;

/** A recording as an outpost makes it: a head, and a statement a piece. */
async function recorded(count: number, of: { readonly key?: string } = {}) {
  clock.advance(1);
  const session = newId("session", clock, control.random);
  const keys = { events: control.random.bytes(32), values: control.random.bytes(32) };
  const recipientPublicKey = await suite.kem.deserializePublicKey(
    fromBase64Url(of.key ?? control.keys.recording.publicKey),
  );
  const [events, values] = await Promise.all(
    strands.map(async (strand) => {
      const { enc, ct } = await suite.seal(
        { recipientPublicKey, info: encode(sealInfo[strand]) },
        keys[strand],
        encode(sealContext({ session, grant })),
      );
      return { enc: toBase64Url(new Uint8Array(enc)), ciphertext: toBase64Url(new Uint8Array(ct)) };
    }),
  );
  if (events === undefined || values === undefined) throw new Error("there are two strands");
  const head = headBytes({
    v: 1,
    session,
    grant,
    resource: given.resource,
    at: toTime(clock.now()),
    output: false,
    recordingKey: control.keys.recording.name,
    keys: { events, values },
  });
  const pieces = [head];
  for (let index = 1; index < count; index++) {
    const text = encode(`select ${String(index)}`);
    const plain = Uint8Array.from([sectionForms.stored, 0, eventKinds.held, index, 0, text.length, 0, 0, 0, ...text]);
    const context = sectionContext(session, "events", index);
    pieces.push(
      strandsBytes(sealAes256Gcm(keys.events, sectionNonce("events", index), context, plain), new Uint8Array(0)),
    );
  }
  const digest = (list: readonly Uint8Array[] = pieces): string =>
    chainDigest(list.reduce(chained, chainStart(session)));
  return { session, pieces, digest };
}
type Recorded = Awaited<ReturnType<typeof recorded>>;

const message = (session: SessionId, index: number, bytes: Uint8Array, under = grant): RecordingPiece => ({
  kind: "recording",
  id: newId("event", clock, control.random),
  session,
  grant: under,
  index,
  bytes: toBase64Url(bytes),
});
const messages = ({ session, pieces }: Recorded, from = 0, to = pieces.length): RecordingPiece[] =>
  pieces.slice(from, to).map((bytes, index) => message(session, from + index, bytes));
const event = (type: "session.opened" | "session.closed", session: SessionId, data: LinkEvent["data"]): LinkEvent => ({
  kind: "event",
  id: newId("event", clock, control.random),
  at: toTime(clock.now()),
  type,
  ids: { session, grant, resource: given.resource },
  data,
});
const opened = (session: SessionId) =>
  applyMessages(control, outpost, [event("session.opened", session, { sourceIp: "10.0.0.7" })]);
const closed = ({ session, pieces, digest }: Recorded, change: object = {}) =>
  applyMessages(control, outpost, [
    event("session.closed", session, {
      why: "client",
      recording: { pieces: pieces.length, bytes: 10, digest: digest(), ...change },
    }),
  ]);
const take = (list: readonly RecordingPiece[], by = outpost) => takePieces(control, by, list);
const read = async (who: string, session: SessionId, query: object = {}): Promise<RecordingView> =>
  readRecording(control, await given.actor(who), session, RecordingQuery.parse(query), silent);
const texts = ({ events }: RecordingView): string[] => events.flatMap((one) => (one.type === "held" ? [one.text] : []));
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: unknown) => (error instanceof CardeaError ? error.code : String(error)),
  );
async function pathOf(session: SessionId): Promise<string> {
  const month = (await maybeOneRecording(control.db, session))?.month ?? "";
  return recordingPath(control.settings.recordings.directory, month, session);
}
/** Entries of the log about a session, once everything is logged. */
async function logged(type: string, session: SessionId): Promise<number> {
  await expect.poll(async () => (await world.sql("select 1 from audit_pending")).length, { timeout: 10_000 }).toBe(0);
  const rows = await world.sql("select count(*)::int as n from audit_entries where type = $1 and leaf like $2", [
    type,
    `%${session}%`,
  ]);
  return Number(rows[0]?.["n"]);
}

describe("pieces", () => {
  test("are stored once, in order, however often they come", async () => {
    const one = await recorded(5);
    await opened(one.session);
    expect(await take(messages(one, 0, 3))).toHaveLength(3);
    expect(texts(await read("ada", one.session))).toEqual(["select 1", "select 2"]);
    expect(await take(messages(one, 0, 3))).toHaveLength(3);
    expect(await take(messages(one, 1, 5))).toHaveLength(4);
    const view = await read("ada", one.session);
    expect(view).toMatchObject({ state: "live", more: false, truncated: false });
    expect(texts(view)).toEqual(["select 1", "select 2", "select 3", "select 4"]);
    await closed(one);
    // It is whole once the log says so.
    await expect
      .poll(() => read("ada", one.session), { timeout: 10_000 })
      .toMatchObject({ state: "whole", digest: one.digest() });
  });

  test("may come after the end, which says how many there are", async () => {
    const one = await recorded(4);
    await closed(one, { truncated: true });
    expect(await read("ada", one.session)).toMatchObject({ state: "arriving", truncated: true, events: [] });
    await take(messages(one, 0, 2));
    expect(await read("ada", one.session)).toMatchObject({ state: "arriving" });
    await take(messages(one, 2));
    await expect
      .poll(() => read("ada", one.session), { timeout: 10_000 })
      .toMatchObject({ state: "whole", truncated: true });
  });

  test("what a crash left behind the end of a file is written over", async () => {
    const one = await recorded(4);
    await take(messages(one, 0, 2));
    const path = await pathOf(one.session);
    await writeFile(path, Buffer.concat([await readFile(path), Buffer.alloc(5_000, 7)]));
    await take(messages(one, 2));
    await closed(one);
    expect(texts(await read("ada", one.session))).toEqual(["select 1", "select 2", "select 3"]);
  });

  test("of many sessions in one batch go to their own", async () => {
    const all = [await recorded(3), await recorded(3), await recorded(3)];
    await take([0, 1, 2].flatMap((index) => all.flatMap((one) => messages(one, index, index + 1))));
    for (const one of all) {
      await closed(one);
      expect(texts(await read("ada", one.session))).toEqual(["select 1", "select 2"]);
    }
  });
});

describe("what is not a recording's next piece", () => {
  test.each([
    ["a gap", (one: Recorded) => [...messages(one, 0, 2), ...messages(one, 3)]],
    ["no head", (one: Recorded) => [message(one.session, 0, one.pieces[1] ?? new Uint8Array(0))]],
    [
      "a second head",
      (one: Recorded) => [...messages(one, 0, 1), message(one.session, 1, one.pieces[0] ?? new Uint8Array(0))],
    ],
    ["no piece", (one: Recorded) => [...messages(one, 0, 1), message(one.session, 1, Uint8Array.of(9, 9))]],
    ["nothing", (one: Recorded) => [...messages(one, 0, 1), message(one.session, 1, new Uint8Array(0))]],
  ])("breaks it: %s", async (_name, make) => {
    const one = await recorded(4);
    const sent = make(one);
    // Acknowledged: the outpost cannot do better.
    expect(await take(sent)).toHaveLength(sent.length);
    await closed(one);
    expect(await codeOf(read("ada", one.session))).toBe("recording_broken");
    expect(await logged("security.refused", one.session)).toBe(1);
  });

  test("another session's head does not begin it", async () => {
    const [one, other] = [await recorded(2), await recorded(2)];
    await take([message(one.session, 0, other.pieces[0] ?? new Uint8Array(0))]);
    await closed(one);
    expect(await codeOf(read("ada", one.session))).toBe("recording_broken");
  });

  test("of another outpost, or under another grant, it is refused and changes nothing", async () => {
    const one = await recorded(3);
    await take(messages(one, 0, 2));
    const stranger: Enrolment = { ...outpost, id: newId("outpost", clock, control.random) };
    expect(await take(messages(one, 2), stranger)).toHaveLength(1);
    const foreign = newId("grant", clock, control.random);
    await take([message(one.session, 2, one.pieces[2] ?? new Uint8Array(0), foreign)]);
    expect(await logged("security.refused", one.session)).toBe(2);
    await take(messages(one, 2));
    await closed(one);
    expect(texts(await read("ada", one.session))).toEqual(["select 1", "select 2"]);
  });

  test("that does not come to the digest in the log, it is not shown", async () => {
    for (const change of [{ digest: `sha256:${"0".repeat(64)}` }, { pieces: 2 }]) {
      const one = await recorded(3);
      await take(messages(one));
      await closed(one, change);
      expect(await codeOf(read("ada", one.session))).toBe("recording_broken");
    }
  });

  test("nor where somebody changed row and file alike: the log knows", async () => {
    const one = await recorded(4);
    await take(messages(one));
    await closed(one);
    expect(await logged("session.closed", one.session)).toBe(1);
    const path = await pathOf(one.session);
    const bytes = await readFile(path);
    const last = one.pieces.at(-1)?.length ?? 0;
    await writeFile(path, bytes.subarray(0, bytes.length - last - 8));
    const left = one.pieces.slice(0, -1);
    await world.sql(
      "update recordings set pieces = $2, closed_pieces = $2, file_bytes = $3, closed_digest = $4, chain = substr($4, 8) where session_id = $1",
      [one.session, left.length, bytes.length - last - 8, one.digest(left)],
    );
    expect(await codeOf(read("ada", one.session))).toBe("recording_broken");
  });
});

describe("a database administrator", () => {
  test("gives a session to another grant in vain, in its row, in the recording's, or in the head", async () => {
    const view = await given.submit("bob", { ask: { role: "read" }, via: "gateway" });
    const bobs = view.grant?.id ?? "";
    const one = await recorded(3);
    await opened(one.session);
    await take(messages(one));
    await closed(one);
    await world.sql("update sessions set grant_id = $2 where id = $1", [one.session, bobs]);
    for (const who of ["bob", "audrey"]) expect(await codeOf(read(who, one.session))).toBe("recording_broken");
    await world.sql("update recordings set grant_id = $2 where session_id = $1", [one.session, bobs]);
    for (const who of ["bob", "audrey"]) expect(await codeOf(read(who, one.session))).toBe("recording_broken");

    // While a session goes on, no digest is known yet: the keys are sealed for the grant that the head names.
    const live = await recorded(3);
    await take(messages(live, 0, 2));
    const path = await pathOf(live.session);
    const bytes = await readFile(path);
    const forged = Buffer.from(bytes.toString("latin1").replaceAll(grant, bobs), "latin1");
    await writeFile(path, forged);
    const chain = [forged.subarray(8, 8 + (live.pieces[0]?.length ?? 0)), ...live.pieces.slice(1, 2)];
    await world.sql("update recordings set grant_id = $2, chain = substr($3, 8) where session_id = $1", [
      live.session,
      bobs,
      live.digest(chain),
    ]);
    await opened(live.session);
    await world.sql("update sessions set grant_id = $2 where id = $1", [live.session, bobs]);
    await expect(read("bob", live.session)).rejects.toMatchObject({
      code: "recording_broken",
      message: expect.stringContaining("its keys are not its own") as string,
    });
  });

  test("hides from the log what a recording came to in vain", async () => {
    const one = await recorded(3);
    await take(messages(one));
    await closed(one);
    expect(await logged("session.closed", one.session)).toBe(1);
    await world.sql("update audit_entries set refs = '{}' where type = 'session.closed' and leaf like $1", [
      `%${one.session}%`,
    ]);
    clock.advance(61_000);
    expect(await codeOf(read("ada", one.session))).toBe("recording_broken");
    // Nor by saying that its end was told in a year.
    await world.sql("update recordings set closed_at = closed_at + interval '1 year' where session_id = $1", [
      one.session,
    ]);
    expect(await codeOf(read("ada", one.session))).toBe("recording_broken");
  });
});

describe("who reads", () => {
  test("is asked for by permission, and logged", async () => {
    const one = await recorded(3);
    await take(messages(one));
    await closed(one);
    const outcome = async (who: string, values: boolean): Promise<string> =>
      codeOf(read(who, one.session, { values: String(values) }));
    expect({
      ada: await outcome("ada", false),
      adaValues: await outcome("ada", true),
      audrey: await outcome("audrey", false),
      audreyValues: await outcome("audrey", true),
      root: await outcome("root", false),
      rootValues: await outcome("root", true),
      bob: await outcome("bob", false),
      lea: await outcome("lea", false),
    }).toEqual({
      ada: "none",
      adaValues: "forbidden",
      audrey: "none",
      audreyValues: "none",
      root: "none",
      rootValues: "forbidden",
      bob: "not_found",
      lea: "not_found",
    });
    const readings = async (): Promise<number> =>
      Number(
        (
          await world.sql("select count(*)::int as n from recording_readings where session_id = $1", [one.session])
        )[0]?.["n"],
      );
    expect(await readings()).toBe(4);
    expect(await logged("recording.read", one.session)).toBe(4);
    await read("ada", one.session, { from: 1_000_000 });
    expect(await logged("recording.read", one.session)).toBe(4);
    clock.advance(11 * 60_000);
    await read("ada", one.session);
    expect(await logged("recording.read", one.session)).toBe(5);
  });

  test("waits for what comes, and no longer than asked", async () => {
    const one = await recorded(3);
    await opened(one.session);
    const { next } = await read("ada", one.session);
    const waiting = read("ada", one.session, { from: next, wait: "60" });
    await take(messages(one, 0, 2));
    expect(texts(await waiting)).toEqual(["select 1"]);
  });
});

describe("what cannot be read", () => {
  test("a session that was not recorded, and one sealed to a key that is gone", async () => {
    const bare = newId("session", clock, control.random);
    await opened(bare);
    expect(await read("ada", bare)).toMatchObject({ state: "live", events: [] });
    await applyMessages(control, outpost, [event("session.closed", bare, { why: "client" })]);
    expect(await codeOf(read("ada", bare))).toBe("recording_unavailable");
    expect(await codeOf(read("ada", newId("session", clock, control.random)))).toBe("not_found");
  });

  test("sealed to another key under this key's name, it is broken", async () => {
    const foreign = await recordingKeyOf(control.random.bytes(32));
    const one = await recorded(2, { key: foreign.publicKey });
    await take(messages(one));
    await closed(one);
    expect(await codeOf(read("ada", one.session))).toBe("recording_broken");
  });
});

describe("a disk that is full", () => {
  test("keeps pieces at their outpost: they are not acknowledged, and come later", async () => {
    const one = await recorded(4);
    await take(messages(one, 0, 1));
    const { directory } = control.settings.recordings;
    const month = (await maybeOneRecording(control.db, one.session))?.month ?? "";
    const path = await pathOf(one.session);
    const head = await readFile(path);
    // A folder where the file should be refuses every write, as a full disk does.
    await rm(path);
    await mkdir(path);
    expect(await take(messages(one, 1))).toEqual([]);
    expect((await maybeOneRecording(control.db, one.session))?.pieces).toBe(1);
    await rm(path, { recursive: true });
    await mkdir(`${directory}/${month}`, { recursive: true });
    await writeFile(path, head, { mode: 0o600 });
    expect(await take(messages(one, 1))).toHaveLength(3);
    await closed(one);
    expect(texts(await read("ada", one.session))).toEqual(["select 1", "select 2", "select 3"]);
  });

  test.each(mayMount() ? ["one megabyte"] : [])(
    "of %s takes what it can, and nothing is told that it did not take",
    async () => {
      mountTiny(control.settings.recordings.directory);
      try {
        const one = await recorded(2);
        await take(messages(one, 0, 1));
        const large = Array.from({ length: 4 }, (_, index) =>
          message(one.session, index + 1, strandsBytes(control.random.bytes(400_000), new Uint8Array(0))),
        );
        let had = 0;
        for (const piece of large) {
          const ids = await take([piece]);
          if (ids.length === 0) break;
          had++;
        }
        expect(had).toBe(2);
        expect((await maybeOneRecording(control.db, one.session))?.pieces).toBe(1 + had);
      } finally {
        execFileSync("umount", [control.settings.recordings.directory]);
      }
    },
  );
});

describe("after its time", () => {
  test("a recording is removed, and the log says so", async () => {
    const one = await recorded(3);
    await take(messages(one));
    await closed(one);
    const path = await pathOf(one.session);
    expect(await oldRecordings(control, 10)).toEqual([]);
    clock.advance(365 * 86_400_000 + 1);
    expect(await oldRecordings(control, 100)).toContain(one.session);
    await removeRecording(control, one.session);
    expect(existsSync(path)).toBe(false);
    expect(await codeOf(read("root", one.session))).toBe("recording_unavailable");
    expect(await oldRecordings(control, 100)).not.toContain(one.session);
    // What still comes of it is not kept.
    expect(await take(messages(one))).toHaveLength(3);
    expect(existsSync(path)).toBe(false);
  });
});

function mountTiny(path: string): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path], { stdio: "ignore" });
}

/** Whether this account may make a file system; where it may not, the test before has to do. */
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
