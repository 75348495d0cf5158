/**
 * `bench -- revoke`: from the moment at which somebody asks for a revocation to the moment at which nothing is left of it, while a thousand
 * sessions are open. Twice: keys with one session each, revoked one by one; then the one key that all the others came in by. The clock starts
 * before the call is sent. A socket is closed when its client hears of it; a login is shut when a look at the database, taken again and again,
 * has come back without it.
 */
import { parseArgs } from "node:util";
import type { Client } from "pg";
import type { GrantId } from "@cardea/core/contract/ids";
import type { CardeaClient } from "@cardea/sdk/client";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { rounded, spreadFigures, spreadOf } from "../figures.ts";
import { obtainGatewayKey, startGround } from "./ground.ts";
import { openSession, openSessions, type OpenSession } from "./many-sessions.ts";

const targetP99Ms = 150;

const sizes = { long: { together: 1_000, alone: 100 }, short: { together: 40, alone: 10 } } as const;

/** Moments after the revocation was asked for, in milliseconds. */
interface Ends {
  readonly answeredMs: number;
  readonly socketsMs: readonly number[];
  readonly loginsMs: readonly number[];
}

export async function run({ args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { short } = parseArgs({ args: [...args], options: { short: { type: "boolean", default: false } } }).values;
  const size = sizes[short ? "short" : "long"];
  await using ground = await startGround({ say, connections: size.together + size.alone + 50 });
  const { alice, superuser } = ground;
  const ada = await ground.whole.as("ada");
  const crowd = await obtainGatewayKey(alice, "read");
  say(`opening ${String(size.together)} sessions by one key`);
  const together = await openSessions(crowd.key, size.together);

  const one: Ends[] = [];
  for (let turn = 0; turn < size.alone && !signal.aborted; turn += 1) {
    const { grant, key } = await obtainGatewayKey(alice, "read");
    one.push(await revoke(ada, superuser, grant, [await openSession(key)]));
  }
  const oneMs = one.map(({ socketsMs, loginsMs }) => Math.max(...socketsMs, ...loginsMs));
  say(
    `one session of ${String(size.together)}: p50 ${String(rounded(spreadOf(oneMs).p50))} ms, p99 ${String(rounded(spreadOf(oneMs).p99))} ms`,
  );

  const all = await revoke(ada, superuser, crowd.grant, together);
  const allMs = [...all.socketsMs].map((ms, index) => Math.max(ms, all.loginsMs[index] ?? NaN));
  say(
    `all ${String(together.length)}: sockets p99 ${String(rounded(spreadOf(all.socketsMs).p99))} ms, logins p99 ${String(rounded(spreadOf(all.loginsMs).p99))} ms`,
  );
  return {
    name: "revoke",
    pass: !signal.aborted && spreadOf(oneMs).p99 <= targetP99Ms && spreadOf(allMs).p99 <= targetP99Ms,
    figures: {
      sessionsOpen: together.length,
      keysOfOneSession: one.length,
      ...spreadFigures(
        "oneAnswered",
        one.map(({ answeredMs }) => answeredMs),
        "Ms",
      ),
      ...spreadFigures(
        "oneSocket",
        one.flatMap(({ socketsMs }) => socketsMs),
        "Ms",
      ),
      ...spreadFigures(
        "oneLogin",
        one.flatMap(({ loginsMs }) => loginsMs),
        "Ms",
      ),
      ...spreadFigures("one", oneMs, "Ms"),
      allAnsweredMs: rounded(all.answeredMs),
      ...spreadFigures("allSocket", all.socketsMs, "Ms"),
      ...spreadFigures("allLogin", all.loginsMs, "Ms"),
      targetP99Ms,
    },
  };
}

/** Revokes and waits until every socket is closed and no login of these can sign in any more. */
async function revoke(
  admin: CardeaClient,
  superuser: Client,
  grant: GrantId,
  sessions: readonly OpenSession[],
): Promise<Ends> {
  const startedMs = performance.now();
  const answered = admin.revoke(grant, "measuring").then(() => performance.now() - startedMs);
  const sockets = Promise.all(sessions.map(({ closed }) => closed));
  const [answeredMs, closedMs, shutMs] = await Promise.all([answered, sockets, watchLogins(superuser, sessions)]);
  return { answeredMs, socketsMs: closedMs.map((ms) => ms - startedMs), loginsMs: shutMs.map((ms) => ms - startedMs) };
}

/** The moment at which each login was first seen to be shut, by `performance.now`. */
async function watchLogins(superuser: Client, sessions: readonly OpenSession[]): Promise<number[]> {
  const shut = new Map<string, number>();
  const giveUpMs = performance.now() + 120_000;
  while (shut.size < sessions.length) {
    const { rows } = await superuser.query<{ login: string }>(
      "select rolname as login from pg_roles where rolcanlogin and rolname = any($1)",
      [sessions.map(({ login }) => login)],
    );
    const nowMs = performance.now();
    const open = new Set(rows.map(({ login }) => login));
    for (const { login } of sessions) if (!open.has(login) && !shut.has(login)) shut.set(login, nowMs);
    if (nowMs > giveUpMs)
      throw new Error(`${String(open.size)} logins are open two minutes after their key was revoked`);
  }
  return sessions.map(({ login }) => shut.get(login) ?? NaN);
}
