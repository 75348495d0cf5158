/** Thousands who are not let in, one after the other and many at once: each by its exact code, and nothing of them stays. */
import { message } from "@cardea/connectors/postgres/gateway/messages";
import { protocol } from "@cardea/connectors/postgres/gateway/startup-message";
import { newId } from "@cardea/core/contract/ids";
import { systemClock, systemRandom } from "@cardea/server/processes/system";
import type { Place } from "./place.ts";
import { inTurn } from "./splits.ts";

export interface Crowd {
  readonly refused: number;
  readonly otherwise: readonly string[];
}

const atOnce = 16;

export async function refuseMany(place: Place, connections: number, signal: AbortSignal): Promise<Crowd> {
  const { user, secret, database } = place.credentials;
  const wrong = `${secret.slice(0, -1)}_`;
  const start = (version: number, ...options: readonly string[]): Buffer =>
    message(undefined, version, "user", user, "database", database, ...options, Uint8Array.of(0));
  /** What is sent, and the code or end that it meets. */
  const visitors: readonly { readonly sends: Buffer | "wrong" | "unknown"; readonly meets: string }[] = [
    { sends: "wrong", meets: "28P01" },
    { sends: "unknown", meets: "28P01" },
    { sends: start(2 << 16), meets: "0A000" },
    { sends: start(protocol.v3_0, "replication", "database"), meets: "0A000" },
    { sends: start(protocol.v3_0, "options", "-c search_path=private"), meets: "0A000" },
    { sends: start(protocol.v3_0, "session_preload_libraries", "x"), meets: "0A000" },
    { sends: message(undefined, protocol.v3_0, "database", database, Uint8Array.of(0)), meets: "28000" },
    { sends: message(undefined, protocol.v3_0, "user"), meets: "08P01" },
    { sends: message(undefined, protocol.cancelRequest, 4711, 4711), meets: "closed" },
    { sends: Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]), meets: "closed" },
    { sends: Buffer.from("GET / HTTP/1.1\r\nHost: cardea\r\n\r\n"), meets: "closed" },
    { sends: Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"), meets: "closed" },
  ];
  const otherwise: string[] = [];
  let refused = 0;
  const tasks = Array.from({ length: connections }, (_, index) => async () => {
    const visitor = visitors[index % visitors.length];
    if (visitor === undefined || signal.aborted) return;
    const talker = await place.connect();
    let came: string;
    if (typeof visitor.sends === "string") {
      const stranger =
        visitor.sends === "unknown" ? { user: newId("key", systemClock, systemRandom) } : { secret: wrong };
      came = await talker.signIn({ ...place.credentials, ...stranger });
    } else {
      talker.write(visitor.sends);
      await talker.untilClosed(5_000);
      came = talker.error() ?? (talker.closed ? "closed" : "kept");
    }
    if (!(await talker.untilClosed(5_000))) came += ", and kept open";
    if (came === visitor.meets) refused += 1;
    else
      otherwise.push(
        `${came} instead of ${visitor.meets}: ${typeof visitor.sends === "string" ? visitor.sends : visitor.sends.toString("latin1")}`,
      );
    place.watch.words("a stranger", talker.heard);
    place.watch.whole("a stranger", talker);
    talker.socket.destroy();
  });
  await inTurn(tasks, atOnce);
  return { refused, otherwise };
}
