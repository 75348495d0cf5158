/**
 * Brings the database to the shape that this version needs: plain numbered SQL files, applied in order, each once and in a
 * transaction of its own. An applied file never changes; one whose checksum differs stops the start. Several processes may start at
 * once: one migrates, the others wait for the lock.
 */
import { readdir, readFile } from "node:fs/promises";
import type { Client } from "pg";
import type { Logger } from "pino";
import { CardeaError } from "@cardea/core/contract/errors";
import { sha256 } from "@cardea/core/lib/crypto";
import { toHex } from "@cardea/core/lib/hex";
import { advisoryLocks } from "./locks.ts";

interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/** SQL is not compiled, so it is read from `src` by both `src/store` and `dist/store`. */
const migrationsDirectory = new URL("../../src/store/migrations/", import.meta.url);

/** Applies what is missing. @throws CardeaError `setting_invalid` where the database was made by another or newer version. */
export async function migrate(
  connect: () => Promise<Client>,
  log: Logger,
  directory: URL = migrationsDirectory,
): Promise<void> {
  const migrations = await readMigrations(directory);
  const client = await connect();
  try {
    // A migration may well take longer than a statement of every day.
    await client.query("set statement_timeout = 0");
    await client.query("set lock_timeout = 0");
    await client.query("select pg_advisory_lock($1)", [advisoryLocks.migrate]);
    await client.query(`
      create table if not exists schema_migrations (
        number integer constraint schema_migrations_pkey primary key,
        name text not null,
        checksum text not null,
        applied_at timestamptz not null default now()
      )`);
    const { rows } = await client.query<{ number: number; name: string; checksum: string }>(
      "select number, name, checksum from schema_migrations order by number",
    );
    const applied = new Map(rows.map((row) => [row.number, row]));
    refuseForeign(migrations, applied);
    for (const migration of migrations) {
      if (applied.has(migration.number)) continue;
      await apply(client, migration);
      log.info({ migration: migration.name }, "migrated the database");
    }
  } finally {
    // Ending the connection gives the lock back, whatever happened.
    await client.end();
  }
}

async function apply(client: Client, { number, name, sql, checksum }: Migration): Promise<void> {
  await client.query("begin");
  try {
    await client.query(sql);
    await client.query("insert into schema_migrations (number, name, checksum) values ($1, $2, $3)", [
      number,
      name,
      checksum,
    ]);
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}

function refuseForeign(
  migrations: readonly Migration[],
  applied: ReadonlyMap<number, { readonly name: string; readonly checksum: string }>,
): void {
  const known = new Map(migrations.map((migration) => [migration.number, migration]));
  for (const [number, row] of applied) {
    const migration = known.get(number);
    if (migration === undefined) {
      throw new CardeaError(
        "setting_invalid",
        `the database holds migration \`${row.name}\`, which this version does not know; run the newer version`,
      );
    }
    if (migration.checksum !== row.checksum) {
      throw new CardeaError(
        "setting_invalid",
        `the applied migration \`${row.name}\` is not the file \`${migration.name}\` of this version`,
      );
    }
  }
}

async function readMigrations(directory: URL): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".sql")).sort();
  const migrations: Migration[] = [];
  for (const name of names) {
    const number = Number(/^([0-9]{4})_[a-z0-9_]+\.sql$/.exec(name)?.[1]);
    if (!Number.isInteger(number))
      throw new TypeError(`the migration \`${name}\` is not named like \`0001_words.sql\``);
    if (migrations.some((other) => other.number === number))
      throw new TypeError(`two migrations have the number of \`${name}\``);
    const sql = await readFile(new URL(name, directory), "utf8");
    migrations.push({ number, name, sql, checksum: toHex(sha256(new TextEncoder().encode(sql))) });
  }
  return migrations;
}
