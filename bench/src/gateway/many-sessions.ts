/** A thousand people at the gateway: sessions that are open, have run something, and wait. */
import { Client } from "pg";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { doorOf } from "./ground.ts";

/** As many sign in at once; a gateway lets no more than 128 from one address stand at its door. */
const atOnce = 32;

export interface OpenSession {
  readonly client: Client;
  /** The login that the session has at the resource. */
  readonly login: string;
  /** The moment at which its socket was closed, by `performance.now`. */
  readonly closed: Promise<number>;
}

/** Opens them, each with a first query. */
export async function openSessions(key: DeliveredKey, count: number): Promise<OpenSession[]> {
  const sessions: OpenSession[] = [];
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < count) {
      started += 1;
      sessions.push(await openSession(key));
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
  return sessions;
}

export async function openSession(key: DeliveredKey): Promise<OpenSession> {
  const client = new Client(doorOf(key));
  // The gateway's last words come as an error outside of any query.
  client.on("error", () => undefined);
  await client.connect();
  const closed = new Promise<number>((resolve) => client.once("end", () => resolve(performance.now())));
  const { rows } = await client.query<{ login: string }>("select current_user as login");
  return { client, login: rows[0]?.login ?? "", closed };
}
