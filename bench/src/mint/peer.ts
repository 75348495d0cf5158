/** What people write who have no Cardea: a login made by the administrator, and a row that says so, each durable. */
import { randomBytes } from "node:crypto";
import { Client, escapeIdentifier } from "pg";
import type { Cluster } from "@cardea/server/embedded/cluster";

export interface Peer extends AsyncDisposable {
  /** Makes one login; answers in how many milliseconds. */
  make(): Promise<number>;
  /** Takes back what was made. */
  remove(): Promise<void>;
}

export async function openPeer(shop: Cluster): Promise<Peer> {
  const client = new Client(shop.connection("shop"));
  await client.connect();
  await client.query(
    "create schema bench_peer; create table bench_peer.made (name text primary key, at timestamptz not null default now())",
  );
  let made: string[] = [];
  const remove = async (): Promise<void> => {
    for (const name of made) await client.query(`drop role ${escapeIdentifier(name)}`);
    made = [];
  };
  return {
    async make() {
      const name = `peer_${randomBytes(8).toString("hex")}`;
      const secret = randomBytes(24).toString("hex");
      const started = performance.now();
      await client.query("insert into bench_peer.made (name) values ($1)", [name]);
      await client.query(`create role ${escapeIdentifier(name)} login password '${secret}' in role app_ro`);
      const tookMs = performance.now() - started;
      made.push(name);
      return tookMs;
    },
    remove,
    async [Symbol.asyncDispose]() {
      await remove();
      await client.query("drop schema bench_peer cascade");
      await client.end();
    },
  };
}
