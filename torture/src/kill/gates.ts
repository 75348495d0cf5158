/**
 * Pause points in processes that have none of their own: a gate is a table lock that lets everybody pass but the statement before which the process is to
 * be killed. While it is shut, whoever comes to that statement waits in the server; then the process is killed, and the gate opened, so that the
 * server finds its client gone in the middle of just that step.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import type { Connection } from "./supervisor-messages.ts";

export interface Gate {
  readonly name: string;
  /** In which server. */
  readonly at: "database" | "shop";
  readonly table: string;
}

/** In the order in which a request meets them. */
export const gates: readonly Gate[] = [
  { name: "control.files-request", at: "database", table: "requests" },
  { name: "control.makes-grant", at: "database", table: "grants" },
  { name: "control.leaves-task", at: "database", table: "tasks" },
  { name: "control.queues-event", at: "database", table: "audit_pending" },
  { name: "control.logs-batch", at: "database", table: "log_head" },
  { name: "control.takes-receipt", at: "database", table: "link_inbox" },
  { name: "control.notes-lease", at: "database", table: "leases" },
  { name: "resource.makes-login", at: "shop", table: "pg_authid" },
  { name: "resource.gives-membership", at: "shop", table: "pg_auth_members" },
];

const waitsForSomebodyMs = 4_000;

/** Shuts the gate, does `then` as soon as somebody waits before it, and opens it. Whether somebody came. */
export async function atGate(gate: Gate, connection: Connection, then: () => Promise<unknown>): Promise<boolean> {
  const client = new Client({ ...connection, connectionTimeoutMillis: 3_000 });
  const watcher = new Client({ ...connection, connectionTimeoutMillis: 3_000 });
  // Either may be killed with the server: then the gate is open.
  client.on("error", () => undefined);
  watcher.on("error", () => undefined);
  try {
    await Promise.all([client.connect(), watcher.connect()]);
    await client.query("begin");
    // Its own turn takes a while where others hold the table; nobody queues behind for longer than this.
    await client.query("set local lock_timeout = '2s'");
    await client.query(`lock table ${gate.table} in share row exclusive mode`);
    const came = await somebodyWaits(watcher, gate.table);
    if (came) await then();
    await client.query("rollback");
    return came;
  } catch {
    return false;
  } finally {
    await Promise.all([client, watcher].map((one) => one.end().catch(() => undefined)));
  }
}

async function somebodyWaits(watcher: Client, table: string): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < waitsForSomebodyMs; waitedMs += 10) {
    const { rows } = await watcher.query(
      "select 1 from pg_locks where not granted and relation = $1::regclass limit 1",
      [table],
    );
    if (rows.length > 0) return true;
    await sleep(10);
  }
  return false;
}
