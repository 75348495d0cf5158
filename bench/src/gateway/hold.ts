/**
 * `bench -- hold`: what it costs that a statement waits for its approval, beside the time that the approver takes. A key that covers reading sends an
 * update; the client is told that it waits, and by what; somebody approves at once; the statement runs and the client has its result. Measured
 * are both halves: from the statement to the notice, and from the moment at which the vote is sent to the result. Beside it the same update
 * by a key that covers it.
 */
import { parseArgs } from "node:util";
import { Client } from "pg";
import { RequestId } from "@cardea/core/contract/ids";
import type { CardeaClient } from "@cardea/sdk/client";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { rounded, spreadFigures, spreadOf } from "../figures.ts";
import { doorOf, obtainGatewayKey, startGround } from "./ground.ts";

const targetP50Ms = 20;

/** One statement that waited, in milliseconds. */
interface Held {
  /** From the statement to the words that it waits. */
  readonly noticeMs: number;
  /** From the vote, as it is sent, to the result. */
  readonly voteToResultMs: number;
  /** How long the vote's own answer took. */
  readonly voteMs: number;
}

export async function run({ args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { short } = parseArgs({ args: [...args], options: { short: { type: "boolean", default: false } } }).values;
  const [warmUp, turns] = short ? [3, 10] : [20, 200];
  await using ground = await startGround({ say });
  const bob = await ground.whole.as("bob");
  await using reader = await connect((await obtainGatewayKey(ground.alice, "read")).key);
  await using writer = await connect((await obtainGatewayKey(ground.alice, "write")).key);

  const held: Held[] = [];
  const coveredMs: number[] = [];
  for (let turn = -warmUp; turn < turns && !signal.aborted; turn += 1) {
    const statement = `update orders set note = 'turn ${String(turn)}' where id = ${String(1_000 + turn)}`;
    const one = await hold(reader.client, bob, statement);
    const startedMs = performance.now();
    await writer.client.query(statement);
    const tookMs = performance.now() - startedMs;
    if (turn < 0) continue;
    held.push(one);
    coveredMs.push(tookMs);
  }
  const beyondMs = held.map(({ noticeMs, voteToResultMs }) => noticeMs + voteToResultMs);
  const { p50 } = spreadOf(beyondMs);
  const [notice, result] = [held.map(({ noticeMs }) => noticeMs), held.map((one) => one.voteToResultMs)];
  say(
    `a hold: p50 ${String(rounded(p50))} ms beyond the approver's time: ${String(rounded(spreadOf(notice).p50))} ms to the notice, ${String(rounded(spreadOf(result).p50))} ms from the vote to the result; covered: ${String(rounded(spreadOf(coveredMs).p50))} ms`,
  );
  return {
    name: "hold",
    pass: !signal.aborted && p50 <= targetP50Ms,
    figures: {
      holds: held.length,
      ...spreadFigures("beyond", beyondMs, "Ms"),
      ...spreadFigures("notice", notice, "Ms"),
      ...spreadFigures("voteToResult", result, "Ms"),
      ...spreadFigures(
        "voteAnswer",
        held.map(({ voteMs }) => voteMs),
        "Ms",
      ),
      ...spreadFigures(
        "afterVoteAnswer",
        held.map(({ voteToResultMs, voteMs }) => voteToResultMs - voteMs),
        "Ms",
      ),
      ...spreadFigures("covered", coveredMs, "Ms"),
      targetP50Ms,
    },
  };
}

async function connect(key: Parameters<typeof doorOf>[0]): Promise<{ readonly client: Client } & AsyncDisposable> {
  const client = new Client(doorOf(key));
  client.on("error", () => undefined);
  await client.connect();
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

async function hold(client: Client, approver: CardeaClient, statement: string): Promise<Held> {
  const noticed = new Promise<RequestId>((resolve) => {
    const listen = ({ message = "" }: { readonly message?: string | undefined }): void => {
      const named = RequestId.safeParse(/req_[0-9a-z]{26}/.exec(message)?.[0]);
      if (!named.success) return;
      client.off("notice", listen);
      resolve(named.data);
    };
    client.on("notice", listen);
  });
  const sentMs = performance.now();
  const result = client.query(statement).then(() => performance.now());
  // A refusal comes as the result, without a notice before it.
  const request = await Promise.race([noticed, result.then(() => Promise.reject(new Error("it did not wait")))]);
  const noticedMs = performance.now();
  // The approver looks, and decides about what was seen.
  const { digest } = await approver.request(request);
  const votedMs = performance.now();
  const vote = approver.vote(request, { digest, verdict: "approve", comment: "" }).then(() => performance.now());
  const [resultMs, answeredMs] = await Promise.all([result, vote]);
  return { noticeMs: noticedMs - sentMs, voteToResultMs: resultMs - votedMs, voteMs: answeredMs - votedMs };
}
