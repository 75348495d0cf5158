/** Clients that go, cancel, or say more while a statement of theirs waits for approval, or just when it has been approved. */
import { setTimeout as sleep } from "node:timers/promises";
import { errorFields, message } from "@cardea/connectors/postgres/gateway/messages";
import * as raw from "@cardea/connectors/postgres/gateway/fixture/raw-client";
import { protocol } from "@cardea/connectors/postgres/gateway/startup-message";
import { RequestId } from "@cardea/core/contract/ids";
import type { Dice } from "../kill/dice.ts";
import { bytesOf, conversations } from "./conversations.ts";
import { mutate } from "./mutations.ts";
import type { Place } from "./place.ts";
import type { Talker } from "./talker.ts";

export interface Holds {
  readonly held: number;
  /** Approved ones that ran to their end under a client that stayed. */
  readonly ran: number;
  readonly wrong: readonly string[];
}

const held = "update filled set note = 'held'";
const filedWithinMs = 10_000;
const endsWithinMs = 10_000;

/** How the statement is sent. */
const sendings: readonly { readonly name: string; readonly bytes: Buffer }[] = [
  { name: "simple", bytes: raw.query(held) },
  {
    name: "extended",
    bytes: Buffer.concat([raw.parse(held), raw.bind(), raw.describePortal(), raw.execute(), raw.sync]),
  },
  { name: "in a transaction", bytes: Buffer.concat([raw.query("begin"), raw.query(held)]) },
];

type What = (talker: Talker, request: RequestId, place: Place, dice: Dice) => Promise<string | undefined>;

/** What happens while it waits; answers with what went wrong. */
const happenings: readonly { readonly name: string; readonly what: What; readonly slow?: boolean }[] = [
  { name: "the client resets", what: (talker) => (talker.socket.resetAndDestroy(), Promise.resolve(undefined)) },
  { name: "the client closes", what: (talker) => (talker.socket.destroy(), Promise.resolve(undefined)) },
  {
    name: "the client closes half",
    what: async (talker) => {
      talker.socket.end();
      return (await talker.untilClosed(endsWithinMs)) ? undefined : "it hangs";
    },
  },
  {
    name: "the client cancels, and goes on",
    what: async (talker, _request, place) => {
      await cancel(talker, place);
      if (!(await talker.until(() => talker.error() !== undefined))) return "nothing is said about it";
      if (talker.error() !== "57014") return `it is told ${talker.error() ?? ""}`;
      return goesOn(talker);
    },
  },
  {
    name: "the client says more and goes",
    what: async (talker, _request, _place, dice) => {
      const conversation = conversations[dice.below(conversations.length)];
      if (conversation !== undefined) talker.write(mutate(bytesOf(conversation), dice));
      await sleep(dice.below(20));
      talker.socket.destroy();
      return undefined;
    },
  },
  {
    // Of a client that is not listened to, the end is noticed when a sign of life cannot be sent: twice 15 s at most.
    name: "the client says much more",
    slow: true,
    what: async (talker) => {
      talker.write(Buffer.concat(Array.from({ length: 20_000 }, () => raw.query("select 1"))));
      await sleep(50);
      talker.socket.destroy();
      return undefined;
    },
  },
  {
    name: "it is approved, and runs",
    what: async (talker, request, place) => {
      await place.decide(request, "approve");
      if (!(await talker.until(() => talker.heard.some(({ type }) => type === "C" || type === "E"), endsWithinMs)))
        return "it does not run";
      return talker.error() === undefined ? goesOn(talker) : `it is told ${talker.error()}`;
    },
  },
  {
    name: "it is refused, and the session goes on",
    what: async (talker, request, place) => {
      await place.decide(request, "deny");
      if (!(await talker.until(() => talker.error() !== undefined, endsWithinMs))) return "nothing is said about it";
      return talker.error() === "42501" ? goesOn(talker) : `it is told ${talker.error() ?? ""}`;
    },
  },
  {
    name: "it is approved while the client goes",
    what: async (talker, request, place, dice) => {
      const approval = place.decide(request, "approve").catch(() => undefined);
      await sleep(dice.below(60));
      talker.socket.destroy();
      await approval;
      return undefined;
    },
  },
  {
    name: "it is approved while the client cancels",
    what: async (talker, request, place, dice) => {
      const approval = place.decide(request, "approve").catch(() => undefined);
      await sleep(dice.below(40));
      await cancel(talker, place);
      await approval;
      if (!(await talker.until(() => talker.heard.some(({ type }) => type === "C" || type === "E"), endsWithinMs)))
        return "it hangs";
      return goesOn(talker);
    },
  },
];

/** Each happening `rounds` times, each time sent in another way; a single round is without what takes long. */
export async function holdAndLeave(place: Place, dice: Dice, rounds: number, signal: AbortSignal): Promise<Holds> {
  const wrong: string[] = [];
  let [count, ran] = [0, 0];
  for (let round = 0; round < rounds; round += 1)
    for (const [index, { name, what, slow }] of happenings.entries()) {
      if (signal.aborted) break;
      if (slow === true && rounds === 1) continue;
      const sending = sendings[(index + round) % sendings.length];
      if (sending === undefined) continue;
      const about = `held (${sending.name}), ${name}`;
      const talker = await place.session();
      talker.write(sending.bytes);
      const request = await filed(talker);
      if (request === undefined) wrong.push(`${about}: it was not held: ${talker.error() ?? "nothing said"}`);
      else {
        count += 1;
        const failed = await what(talker, request, place, dice).catch((error: unknown) => String(error));
        if (failed !== undefined) wrong.push(`${about}: ${failed}`);
        else if (name.endsWith("and runs")) ran += 1;
      }
      place.watch.words(about, talker.heard, sending.bytes);
      talker.socket.destroy();
      await talker.untilClosed(1_000);
      place.watch.whole(about, talker);
    }
  return { held: count, ran, wrong };
}

/** The id of the request that the notice names. */
async function filed(talker: Talker): Promise<RequestId | undefined> {
  const find = (): string | undefined =>
    talker.heard
      .filter(({ type }) => type === "N")
      .map(({ body }) => /req_[0-9a-z]+/.exec(errorFields(body).get("M") ?? "")?.[0])
      .find((id) => id !== undefined);
  await talker.until(() => find() !== undefined || talker.error() !== undefined, filedWithinMs);
  const id = find();
  return id === undefined ? undefined : RequestId.parse(id);
}

async function cancel(talker: Talker, place: Place): Promise<void> {
  const other = await place.connect();
  other.write(message(undefined, protocol.cancelRequest, talker.key));
  await other.untilClosed(2_000);
}

async function goesOn(talker: Talker): Promise<string | undefined> {
  talker.write(raw.query("rollback"));
  talker.write(raw.query("select 4711"));
  const came = await talker.until(() => talker.heard.some(({ type, body }) => type === "D" && body.includes("4711")));
  return came ? undefined : "the session does not go on";
}
