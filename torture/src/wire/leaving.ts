/** Clients that go without a word, in the middle of whatever; that close half; that take for ever. */
import { setTimeout as sleep } from "node:timers/promises";
import { message } from "@cardea/connectors/postgres/gateway/messages";
import * as raw from "@cardea/connectors/postgres/gateway/fixture/raw-client";
import { protocol } from "@cardea/connectors/postgres/gateway/startup-message";
import type { Dice } from "../kill/dice.ts";
import { bytesOf, conversations, large } from "./conversations.ts";
import type { Place } from "./place.ts";
import { inTurn } from "./splits.ts";
import type { Talker } from "./talker.ts";

export interface Leaving {
  readonly left: number;
  readonly hanging: readonly string[];
}

const waysToLeave = ["reset", "close", "half"] as const;
const endsWithinMs = 8_000;

/** What was under way when they left: bytes, and for how long they waited after them. */
function moments(dice: Dice): readonly { readonly name: string; readonly bytes: Buffer; readonly waitMs: number }[] {
  const cutShort = (bytes: Buffer): Buffer => bytes.subarray(0, 1 + dice.below(bytes.length - 1));
  return [
    { name: "idle", bytes: Buffer.alloc(0), waitMs: 0 },
    ...conversations.map((one) => ({ name: `amid ${one.name}`, bytes: cutShort(bytesOf(one)), waitMs: dice.below(5) })),
    ...large.map((one) => ({ name: `amid ${one.name}`, bytes: cutShort(bytesOf(one)), waitMs: dice.below(20) })),
    { name: "while a query runs", bytes: raw.query("select pg_sleep(30)"), waitMs: 20 },
    { name: "in a transaction", bytes: raw.query("begin; lock table things in access share mode"), waitMs: 20 },
    {
      name: "while COPY comes",
      bytes: raw.query("copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout"),
      waitMs: 30,
    },
    {
      name: "in the middle of COPY's data",
      bytes: Buffer.concat([
        raw.query("copy filled from stdin"),
        raw.copyData("1\tone\n"),
        raw.copyData("2\ttwo\n").subarray(0, 7),
      ]),
      waitMs: 20,
    },
    {
      name: "with much unread",
      bytes: raw.query("select repeat('x', 1000000) from generate_series(1, 100)"),
      waitMs: 30,
    },
    {
      name: "with a pipeline unanswered",
      bytes: Buffer.concat(Array.from({ length: 500 }, () => raw.query("select 1"))),
      waitMs: 1,
    },
    {
      name: "after Terminate with work to do",
      bytes: Buffer.concat([raw.query("select pg_sleep(0.05)"), raw.terminate]),
      waitMs: 0,
    },
  ];
}

/** Each moment, left in each way; in the short form, in one. */
export async function leave(place: Place, dice: Dice, short: boolean, signal: AbortSignal): Promise<Leaving> {
  const hanging: string[] = [];
  let left = 0;
  const tasks = waysToLeave.flatMap((way, turn) =>
    moments(dice).map(({ name, bytes, waitMs }, index) => async () => {
      if (signal.aborted || (short && index % waysToLeave.length !== turn)) return;
      const talker = await place.session();
      if (name.includes("unread") || name.includes("COPY comes")) talker.socket.pause();
      talker.write(bytes);
      await sleep(waitMs);
      left += 1;
      switch (way) {
        case "reset":
          talker.socket.resetAndDestroy();
          return;
        case "close":
          talker.socket.destroy();
          return;
        case "half":
          talker.socket.resume();
          talker.socket.end();
          if (!(await talker.untilClosed(endsWithinMs))) hanging.push(`half closed, ${name}`);
          talker.socket.destroy();
      }
    }),
  );
  await inTurn(tasks);
  // Amid signing in, after each of its messages.
  for (const [index, way] of ["reset", "close", "reset", "close"].entries()) {
    const talker = await place.connect();
    let sends = 0;
    const gone = ({ socket }: Talker): unknown => (way === "reset" ? socket.resetAndDestroy() : socket.destroy());
    await talker.signIn(place.credentials, (by, bytes) => {
      by.write(index % 2 === 0 ? bytes : bytes.subarray(0, bytes.length - 3));
      if ((sends += 1) > index - 1) setTimeout(() => gone(by), index);
    });
    left += 1;
    talker.socket.destroy();
  }
  return { left, hanging };
}

export interface Loris {
  readonly connections: number;
  /** Those let go within the time for arriving, and the slowest of them. */
  readonly letGo: number;
  readonly slowestMs: number;
}

const arrivalMs = 15_000;

/** Many that say a byte now and then, from one address; others sign in beside them from another. */
export async function slowLoris(place: Place, connections: number, signal: AbortSignal): Promise<Loris> {
  const { user, database } = place.credentials;
  const startup = message(undefined, protocol.v3_0, "user", user, "database", database, Uint8Array.of(0));
  const lasted: number[] = [];
  const drip = async (): Promise<void> => {
    const talker = await place.connect("127.0.0.2").catch(() => undefined);
    if (talker === undefined) return;
    const startedAt = performance.now();
    for (let at = 0; at < startup.length - 1 && !talker.closed && !signal.aborted; at += 1) {
      talker.write(startup.subarray(at, at + 1));
      await talker.untilClosed(400);
    }
    await talker.untilClosed(Math.max(0, arrivalMs + 3_000 - (performance.now() - startedAt)));
    if (talker.closed) lasted.push(performance.now() - startedAt);
    talker.socket.destroy();
  };
  await Promise.all(Array.from({ length: connections }, drip));
  return { connections, letGo: lasted.length, slowestMs: Math.round(Math.max(0, ...lasted)) };
}
