/** Streams altered by chance: from the client, before and after it has signed in, and from a server that means ill. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { fromClient, message } from "@cardea/connectors/postgres/gateway/messages";
import * as raw from "@cardea/connectors/postgres/gateway/fixture/raw-client";
import { protocol } from "@cardea/connectors/postgres/gateway/startup-message";
import type { Dice } from "../kill/dice.ts";
import { bytesOf, conversations } from "./conversations.ts";
import type { Place } from "./place.ts";
import type { Talker } from "./talker.ts";

export interface Mutations {
  streams: number;
  sessions: number;
  /** Still open long after their client had gone quiet and said so. */
  readonly hanging: string[];
}

/** A client that has hung up its side is let go within this. */
const endsWithinMs = 8_000;
/** As long as one waits for an answer to a stream that may want none. */
const quietMs = 150;
const extremes = [0, 1, 3, 4, 5, 0x7f, 0xff, 0x7fff_ffff, -1, -2_147_483_648, 1_048_577, 0x0400_0000];

export function mutate(stream: Buffer, dice: Dice): Buffer {
  let bytes = stream;
  for (let edits = 1 + dice.below(3); edits > 0; edits -= 1) bytes = mutateOnce(bytes, dice);
  return bytes;
}

function mutateOnce(stream: Buffer, dice: Dice): Buffer {
  const parts = cut(stream);
  const at = dice.below(parts.length);
  const part = parts[at] ?? Buffer.alloc(0);
  const copy = Buffer.from(part);
  const put = (...pieces: readonly Uint8Array[]): Buffer =>
    Buffer.concat([...parts.slice(0, at), ...pieces, ...parts.slice(at + 1)]);
  const extreme = extremes[dice.below(extremes.length)] ?? 0;
  switch (dice.below(16)) {
    case 0:
    case 1:
      if (copy.length > 0) copy[dice.below(copy.length)] = dice.below(256);
      return put(copy);
    case 2:
    case 3:
      if (copy.length >= 5)
        copy.writeInt32BE(dice.below(3) === 0 ? (copy.readInt32BE(1) + dice.below(7) - 3) | 0 : extreme, 1);
      return put(copy);
    case 4:
      if (copy.length > 0)
        copy[0] = dice.below(2) === 0 ? dice.below(256) : (Object.values(fromClient)[dice.below(14)] ?? 0);
      return put(copy);
    case 5:
      return stream.subarray(0, dice.below(stream.length + 1));
    case 6:
      return put(copy, copy);
    case 7:
      return put();
    case 8: {
      const other = parts[dice.below(parts.length)] ?? copy;
      return put(other, copy);
    }
    case 9:
      return put(copy.subarray(0, dice.below(copy.length + 1)), randomBytes(1 + dice.below(64)), copy);
    case 10:
      return put(Buffer.alloc(1 + dice.below(32)), copy);
    case 11:
      return put(copy, bytesOf(conversations[dice.below(conversations.length)] ?? { name: "", turns: [] }));
    case 12:
      return put(
        message(
          undefined,
          [protocol.sslRequest, protocol.cancelRequest, protocol.v3_0, protocol.gssEncRequest][dice.below(4)] ?? 0,
        ),
        copy,
      );
    case 13:
      // A body that ends too early or too late, framed as it should be.
      return put(framed(copy, copy.subarray(5, 5 + dice.below(Math.max(1, copy.length - 4)))));
    case 14:
      return put(framed(copy, Buffer.concat([copy.subarray(5), randomBytes(1 + dice.below(16))])));
    default:
      if (copy.length >= 9) copy.writeInt32BE(extreme, 5 + dice.below(copy.length - 8));
      else if (copy.length >= 7) copy.writeInt16BE(dice.below(2) === 0 ? -1 : 0x7fff, 5);
      return put(copy);
  }
}

function framed(part: Buffer, body: Uint8Array): Buffer {
  return part.length < 5 ? part : message(part[0], body);
}

/** Into messages, as far as it is such. */
function cut(stream: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  while (at + 5 <= stream.length) {
    const end = at + 1 + stream.readUInt32BE(at + 1);
    if (end < at + 5 || end > stream.length) break;
    parts.push(stream.subarray(at, end));
    at = end;
  }
  if (at < stream.length || parts.length === 0) parts.push(stream.subarray(at));
  return parts;
}

/** Alters what clients send in their sessions until the time is over. */
export async function mutateClients(
  place: Place,
  dice: Dice,
  untilMs: number,
  signal: AbortSignal,
  found: Mutations,
): Promise<void> {
  let talker: Talker | undefined;
  while (performance.now() < untilMs && !signal.aborted) {
    talker ??= await place.session().catch(() => undefined);
    if (talker === undefined) {
      await sleep(100);
      continue;
    }
    const conversation = conversations[dice.below(conversations.length)];
    if (conversation === undefined) continue;
    const stream = mutate(bytesOf(conversation), dice);
    const about = `after signing in: ${stream.toString("base64")}`;
    found.streams += 1;
    place.note(about);
    talker.heard.length = 0;
    await dribble(talker, stream, dice);
    // Whoever can still follow answers a Sync; a query before it would be answered on its own.
    talker.write(Buffer.concat([raw.copyDone, raw.sync]));
    await talker.until(() => talker?.heard.at(-1)?.type === "Z", quietMs);
    await sleep(2);
    const alive = !talker.closed && talker.heard.at(-1)?.type === "Z" && (await answers(talker));
    place.watch.words(about, talker.heard, stream);
    if (alive) continue;
    talker.socket.end();
    if (!(await talker.untilClosed(endsWithinMs))) found.hanging.push(about);
    place.watch.whole(about, talker);
    talker.socket.destroy();
    talker = undefined;
    found.sessions += 1;
  }
  talker?.socket.destroy();
}

/** Whether the session still does what it should, from idle. */
async function answers(talker: Talker): Promise<boolean> {
  talker.write(raw.query("rollback"));
  const before = talker.count("Z");
  await talker.until(() => talker.count("Z") > before, 500);
  talker.heard.length = 0;
  talker.write(raw.query("select 4711"));
  const came = await talker.until(() => talker.heard.at(-1)?.type === "Z", 500);
  return came && talker.heard.some(({ type, body }) => type === "D" && body.includes("4711"));
}

/** Alters what is said before and while signing in, and says what is no PostgreSQL at all. */
export async function mutateArrivals(
  place: Place,
  dice: Dice,
  untilMs: number,
  signal: AbortSignal,
  found: Mutations,
): Promise<void> {
  const { user, database } = place.credentials;
  const startup = message(undefined, protocol.v3_0, "user", user, "database", database, Uint8Array.of(0));
  const first = Buffer.from("n,,n=,r=abcdefghijklmnopqrstuvwx");
  const initial = message(fromClient.password, "SCRAM-SHA-256", first.length, first);
  const beginnings: readonly Buffer[] = [
    startup,
    Buffer.concat([message(undefined, protocol.sslRequest), startup]),
    Buffer.concat([message(undefined, protocol.gssEncRequest), startup]),
    Buffer.concat([startup, initial]),
    Buffer.concat([startup, initial, message(fromClient.password, Buffer.from("c=biws,r=abc,p=AAAA"))]),
    message(undefined, protocol.cancelRequest, 1, 2),
    message(
      undefined,
      protocol.v3_2,
      "user",
      user,
      "_pq_.x",
      "1",
      "options",
      "-c search_path=private",
      Uint8Array.of(0),
    ),
    Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]),
    Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"),
  ];
  while (performance.now() < untilMs && !signal.aborted) {
    const beginning = beginnings[dice.below(beginnings.length)] ?? startup;
    const stream = dice.below(6) === 0 ? randomBytes(1 + dice.below(300)) : mutate(beginning, dice);
    const about = `before signing in: ${stream.toString("base64")}`;
    found.streams += 1;
    place.note(about);
    const talker = await place.connect().catch(() => undefined);
    if (talker === undefined) continue;
    await dribble(talker, stream, dice);
    await talker.until(() => talker.heard.length > 0, 20 + dice.below(30));
    talker.socket.end();
    if (!(await talker.untilClosed(endsWithinMs))) found.hanging.push(about);
    place.watch.words(about, talker.heard, stream);
    talker.socket.destroy();
  }
}

/** Alters what the database answers, while clients do ordinary things. */
export async function mutateServer(
  place: Place,
  dice: Dice,
  untilMs: number,
  signal: AbortSignal,
  found: Mutations,
): Promise<void> {
  place.between.tamper ??= (bytes, link) => {
    // Seldom already while it signs in, so that there are sessions.
    if (dice.below(link.sent === undefined ? 60 : 3) !== 0) return [bytes];
    found.streams += 1;
    const altered = mutate(bytes, dice);
    place.note(`from the server: ${bytes.toString("base64")} became ${altered.toString("base64")}`);
    if (dice.below(8) === 0) return [altered.subarray(0, dice.below(altered.length + 1)), undefined];
    const at = dice.below(altered.length + 1);
    return [altered.subarray(0, at), altered.subarray(at)];
  };
  try {
    while (performance.now() < untilMs && !signal.aborted) {
      const talker = await place.session().catch(() => undefined);
      if (talker === undefined) continue;
      found.sessions += 1;
      for (let turns = 1 + dice.below(4); turns > 0 && !talker.closed; turns -= 1) {
        const conversation = conversations[dice.below(conversations.length)];
        if (conversation === undefined) break;
        talker.write(bytesOf(conversation));
        await talker.until(() => talker.heard.at(-1)?.type === "Z", quietMs);
      }
      place.watch.words("a hostile server", talker.heard);
      talker.socket.end();
      if (!(await talker.untilClosed(endsWithinMs))) found.hanging.push("a session with a hostile server");
      talker.socket.destroy();
    }
  } finally {
    place.between.tamper = undefined;
  }
}

/** In one piece, or in several. */
async function dribble(talker: Talker, stream: Buffer, dice: Dice): Promise<void> {
  const pieces = dice.below(3) === 0 ? 1 + dice.below(6) : 1;
  let from = 0;
  for (let left = pieces; left > 0; left -= 1) {
    const to = left === 1 ? stream.length : from + dice.below(stream.length - from + 1);
    talker.write(stream.subarray(from, to));
    from = to;
    if (left > 1) await sleep(1);
  }
}
