/**
 * Looks at a statement through a connection: the same questions whether the administrator asks for a preview or the run's own login does, and so
 * the same answers as long as nothing has changed.
 */
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Action } from "@cardea/core/documents/request";
import type { SqlBinding, SqlWhat } from "../spec/statement/action.ts";
import { loadParser } from "../spec/statement/parser.ts";
import type { Refusal } from "../spec/statement/refusal.ts";
import { lookAt, type AskServer } from "../spec/statement/resolve.ts";
import type { SessionContext, Statement } from "../spec/statement/statement.ts";
import type { Connection } from "./connection.ts";
import { quoteIdent } from "./quoting.ts";

let parser: Promise<void> | undefined;

/** What a statement is, and what it was found to be. */
export interface Looked {
  readonly action: Action;
  readonly statement: Statement;
}

/** Asks by a connection; what a user may have made in the search path stands in for nothing, because the questions are fully qualified. */
export function askBy(connection: Connection, signal: AbortSignal): AskServer {
  return async (sql, values) => (await connection.send({ text: sql, values }, "read", signal)).rows;
}

const Settings = z.tuple([z.string(), z.string(), z.string(), z.string()]);

/** How the connection reads texts. Changes only with it. */
export async function readingOf(
  what: SqlWhat,
  login: string,
  ask: AskServer,
): Promise<Omit<SessionContext, "catalog">> {
  const names = ["server_version_num", "standard_conforming_strings", "client_encoding", "server_encoding"];
  const [row] = await ask(`select ${names.map((name) => `pg_catalog.current_setting('${name}')`).join(", ")}`, []);
  const [version, standardConformingStrings, clientEncoding, serverEncoding] = Settings.parse(row);
  return {
    database: what.database,
    login,
    serverVersion: Math.floor(Number(version) / 10_000),
    settings: { standardConformingStrings, clientEncoding, serverEncoding },
    prepared: () => undefined,
  };
}

/** @throws CardeaError `action_refused` where it cannot be asked for */
export async function look(what: SqlWhat, reading: Omit<SessionContext, "catalog">, ask: AskServer): Promise<Looked> {
  await (parser ??= loadParser());
  const seen = await lookAt(what, reading, ask);
  if (seen.is === "refused") throw refusedAs(seen);
  return seen;
}

function refusedAs({ why, instead, position }: Refusal): CardeaError {
  const where = position === undefined ? "" : ` (at character ${position})`;
  return new CardeaError("action_refused", `${why}${where}${instead === undefined ? "" : `; ${instead}`}`);
}

/** The parameters as they are sent. */
export function valuesOf({ params = [] }: SqlWhat): readonly (string | Uint8Array | null)[] {
  return params.map((param) =>
    param === null || typeof param === "string" ? param : Buffer.from(param.base64, "base64"),
  );
}

/** Schemas as the setting `search_path` takes them. */
export function pathText(schemas: readonly string[]): string {
  return schemas.map(quoteIdent).join(", ");
}

/** The settings that a binding was made under, for a connection that is to read the text in the same way. */
export function settingsOf({ settings }: SqlBinding): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(settings)
      .filter(([name]) => /^[A-Za-z_]+$/.test(name))
      .map(([name, value]) => [name, typeof value === "string" ? value : pathText(value)]),
  );
}
