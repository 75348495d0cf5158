/** PostgreSQL's own load generator, select-only: one row by its primary key, again and again. */
import type { Client } from "pg";
import type { Door } from "./ground.ts";
import { demandProgram, libpqEnvironment, run } from "./programs.ts";

export const pgbenchModes = ["simple", "extended", "prepared"] as const;
export type PgbenchMode = (typeof pgbenchModes)[number];

/** Sessions that each run opens. */
export const pgbenchClients = 8;

/** 100,000 accounts each. */
const scale = 10;

/**
 * Makes pgbench's tables, as rows of the sample database that its roles may read and write, and a login that stands where a session's own would:
 * the superuser is asked for no privilege, which would flatter whoever is measured with it.
 */
export async function makePgbenchTables(superuser: Client, direct: Door): Promise<Door> {
  const program = await demandProgram("pgbench", "postgresql-15");
  await run(program, ["-i", "-q", "-s", String(scale), "--unlogged-tables"], libpqEnvironment(direct));
  const tables = ["accounts", "branches", "tellers", "history"].map((name) => `pgbench_${name}`).join(", ");
  await superuser.query(`grant select on ${tables} to app_ro`);
  await superuser.query(`grant select, insert, update, delete on ${tables} to app_rw`);
  await superuser.query("create role bench_peer login password 'bench_peer' in role app_ro");
  return { ...direct, user: "bench_peer", password: "bench_peer" };
}

export interface PgbenchRun {
  readonly mode: PgbenchMode;
  readonly seconds: number;
  readonly tls?: boolean;
}

/** Of a run in which nobody was through signing in, again with so much more time. */
const patience = 5;

/** Transactions a second, the time for connecting left out. @throws Error where any of them failed */
export async function pgbench(door: Door, { mode, seconds, tls = false }: PgbenchRun): Promise<number> {
  const program = await demandProgram("pgbench", "postgresql-15");
  const load = ["-n", "-S", "-M", mode, "-c", String(pgbenchClients), "-j", "1", "-T", String(seconds)];
  const printed = await run(program, load, libpqEnvironment(door, tls ? "require" : "disable"));
  const tps = /^tps = ([0-9.]+) \(without initial connection time\)$/m.exec(printed)?.[1];
  if (/^number of transactions actually processed: 0$/m.test(printed) && seconds < patience * patience)
    return pgbench(door, { mode, seconds: seconds * patience, tls });
  const failed = /^number of failed transactions: ([0-9]+)/m.exec(printed)?.[1] ?? "0";
  if (tps === undefined || failed !== "0") throw new Error(`pgbench did not measure: ${printed}`);
  return Number(tps);
}
