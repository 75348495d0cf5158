/** Every conversation split at every byte, the client's and the server's; what comes back must be the same as unsplit. */
import { setTimeout as sleep } from "node:timers/promises";
import { bytesOf, conversations, large, type Conversation } from "./conversations.ts";
import type { Place } from "./place.ts";
import { transcript, type Send, type Talker } from "./talker.ts";

export interface Splits {
  readonly points: number;
  readonly differing: readonly string[];
}

const pauseMs = 1.5;
const atOnce = 4;
/** Points that are taken of conversations with large messages. */
const largePoints = 60;

/** Holds one conversation, its bytes sent as `send` wants; what was heard, or why it did not come to its end. */
async function hold(talker: Talker, { turns }: Conversation, send?: Send): Promise<string> {
  talker.heard.length = 0;
  for (const { bytes, until } of turns) {
    const before = talker.count(until.type);
    if (send === undefined) talker.write(bytes);
    else await send(talker, bytes);
    if (!(await talker.until(() => talker.count(until.type) >= before + until.times, 15_000)))
      return `${talker.closed ? "closed" : "NO ANSWER"} after ${transcript(talker.heard)}`;
  }
  return transcript(talker.heard);
}

/** Sends what stands before a point in the whole stream, waits, and sends the rest. */
function splitAt(point: number): Send {
  let offset = 0;
  return async (talker, bytes) => {
    const within = point - offset;
    offset += bytes.length;
    if (within <= 0 || within >= bytes.length) {
      talker.write(bytes);
      return;
    }
    talker.write(bytes.subarray(0, within));
    await sleep(pauseMs);
    talker.write(bytes.subarray(within));
  };
}

/** `every`: 1 for each point, more for a sample of them. */
export async function splitConversations(place: Place, every: number, signal: AbortSignal): Promise<Splits> {
  const differing: string[] = [];
  let points = 0;
  const tasks: (() => Promise<void>)[] = [];
  const add = (
    conversation: Conversation,
    size: number,
    step: number,
    by: (talker: Talker, point: number) => Promise<string>,
  ): void => {
    tasks.push(async () => {
      let talker = await place.session();
      const wanted = await hold(talker, conversation);
      for (let point = 1; point < size && !signal.aborted; point += step) {
        const got = await by(talker, point);
        points += 1;
        if (got === wanted) continue;
        differing.push(`${conversation.name}, at byte ${String(point)}: ${firstDifference(wanted, got)}`);
        talker.socket.destroy();
        talker = await place.session();
      }
      talker.socket.destroy();
    });
  };
  for (const conversation of [...conversations, ...large]) {
    const size = bytesOf(conversation).length;
    const step = large.includes(conversation) ? Math.ceil(size / largePoints) * every : every;
    add(conversation, size, step, (talker, point) => hold(talker, conversation, splitAt(point)));
  }
  await inTurn(tasks);

  // The server's side goes one conversation after the other, since one hand splits for all.
  for (const conversation of [...conversations, ...large]) {
    const talker = await place.session();
    const wanted = await hold(talker, conversation);
    const size = talker.heard.reduce((sum, { body }) => sum + 5 + body.length, 0);
    const step = large.includes(conversation) ? Math.ceil(size / largePoints) * every : every;
    for (let point = 1; point < size && !signal.aborted; point += step) {
      let left = point;
      place.between.tamper = (bytes) => {
        const at = left;
        left -= bytes.length;
        return at > 0 && at < bytes.length ? [bytes.subarray(0, at), bytes.subarray(at)] : [bytes];
      };
      const got = await hold(talker, conversation);
      points += 1;
      if (got !== wanted) {
        differing.push(`${conversation.name}, the answer at byte ${String(point)}: ${firstDifference(wanted, got)}`);
        break;
      }
    }
    place.between.tamper = undefined;
    talker.socket.destroy();
  }
  return { points, differing };
}

/** Signing in, split at every byte of either side. With a wrong secret, which costs no login, and with the right one. */
export async function splitSignIn(place: Place, every: number, signal: AbortSignal): Promise<Splits> {
  const differing: string[] = [];
  let points = 0;
  const attempt = async (secret: string, wanted: string, about: string, send?: Send): Promise<void> => {
    const talker = await place.connect();
    const came = await talker.signIn({ ...place.credentials, secret }, send);
    points += 1;
    if (came !== wanted) differing.push(`${about}: ${came} instead of ${wanted}`);
    place.watch.words(about, talker.heard);
    place.watch.whole(about, talker);
    talker.socket.destroy();
  };
  const wrong = `${place.credentials.secret.slice(0, -1)}_`;
  const size = 300;
  const tasks: (() => Promise<void>)[] = [];
  for (let point = 1; point < size; point += every) {
    tasks.push(() => attempt(wrong, "28P01", `signing in wrongly, at byte ${String(point)}`, splitAt(point)));
    if (point % 4 === 1)
      tasks.push(() =>
        attempt(place.credentials.secret, "ready", `signing in, at byte ${String(point)}`, splitAt(point)),
      );
  }
  await inTurn(tasks.map((task) => async () => (signal.aborted ? undefined : task())));
  // The server's greeting to the outpost: authentication, parameters, key data.
  for (let point = 1; point < 700 && !signal.aborted; point += 4 * every) {
    const seen = new Map<number, number>();
    place.between.tamper = (bytes, link) => {
      const before = seen.get(link.number) ?? 0;
      seen.set(link.number, before + bytes.length);
      const at = point - before;
      return at > 0 && at < bytes.length ? [bytes.subarray(0, at), bytes.subarray(at)] : [bytes];
    };
    await attempt(place.credentials.secret, "ready", `the resource's greeting, at byte ${String(point)}`);
  }
  place.between.tamper = undefined;
  return { points, differing };
}

export async function inTurn(tasks: readonly (() => Promise<void>)[], workers = atOnce): Promise<void> {
  const queue = [...tasks];
  const work = async (): Promise<void> => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) await task();
  };
  await Promise.all(Array.from({ length: workers }, work));
}

function firstDifference(wanted: string, got: string): string {
  const [a, b] = [wanted.split("\n"), got.split("\n")];
  const at = a.findIndex((line, index) => line !== b[index]);
  return `${JSON.stringify(a[at]?.slice(0, 120) ?? "the end")} became ${JSON.stringify(b[at]?.slice(0, 120) ?? "the end")}`;
}
