/** Makes databases in an embedded cluster. What is inside them is their owners' business. */
import { Client, DatabaseError } from "pg";
import type { ClusterConnection } from "./settings.ts";

/** Makes the database when it is missing; concurrent calls all succeed. Answers whether this call made it. */
export async function ensureDatabase(connection: ClusterConnection, name: string): Promise<boolean> {
  const client = new Client(connection);
  await client.connect();
  try {
    const { rowCount } = await client.query("select from pg_database where datname = $1", [name]);
    if (rowCount === 1) return false;
    await client.query(`create database ${client.escapeIdentifier(name)}`);
    return true;
  } catch (error) {
    // duplicate_database; two at the very same moment meet on the catalogue's unique index instead
    if (error instanceof DatabaseError && (error.code === "42P04" || error.code === "23505")) return false;
    throw error;
  } finally {
    await client.end();
  }
}
