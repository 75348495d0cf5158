/**
 * The administrator of the control plane's database: a superuser who may write any row and is held up by no trigger and no foreign key. What an
 * attack changes is noted and put back when it is over, so that the next one begins on sound ground.
 */
import { Client, escapeIdentifier, type ClientConfig } from "pg";

type Row = Record<string, unknown>;
type Key = Readonly<Record<string, unknown>>;

export class Administrator implements AsyncDisposable {
  readonly #client: Client;
  readonly #undo: (() => Promise<unknown>)[] = [];
  readonly #columns = new Map<string, readonly string[]>();

  private constructor(client: Client) {
    this.#client = client;
  }

  static async connect(connection: ClientConfig): Promise<Administrator> {
    const client = new Client(connection);
    await client.connect();
    // Replicas apply rows as they are: no triggers, no foreign keys.
    await client.query("set session_replication_role = replica");
    return new Administrator(client);
  }

  async many(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#client.query<Row>(text, [...values])).rows;
  }

  /** The first row. @throws Error where there is none */
  async one(text: string, values: readonly unknown[] = []): Promise<Row> {
    const [row] = await this.many(text, values);
    if (row === undefined) throw new Error(`no row for: ${text}`);
    return row;
  }

  /** Writes other values into the row with this key. */
  async alter(table: string, key: Key, to: Row): Promise<void> {
    const before = await this.one(
      `select * from ${escapeIdentifier(table)} where ${matching(key)}`,
      Object.values(key),
    );
    await this.#write(table, key, to);
    this.#undo.push(() =>
      this.#write(table, key, Object.fromEntries(Object.keys(to).map((name) => [name, encoded(before[name])]))),
    );
  }

  /** Like `alter`, for a row that Cardea itself writes all the time: it is put back only where nobody has written it since. */
  async alterForNow(table: string, key: Key, to: Row): Promise<void> {
    const before = await this.one(
      `select * from ${escapeIdentifier(table)} where ${matching(key)}`,
      Object.values(key),
    );
    await this.#write(table, key, to);
    const restored = Object.fromEntries(Object.keys(to).map((name) => [name, encoded(before[name])]));
    this.#undo.push(() => this.#write(table, { ...key, ...to }, restored));
  }

  /** Adds a copy of the row with this key that differs in some values. */
  async copy(table: string, key: Key, differing: Row, newKey: Key): Promise<void> {
    const columns = await this.#columnsOf(table);
    const selected = columns.map((name) =>
      name in differing ? `$${String(Object.keys(differing).indexOf(name) + 1)}` : escapeIdentifier(name),
    );
    const offset = Object.keys(differing).length;
    await this.#client.query(
      `insert into ${escapeIdentifier(table)} (${columns.map(escapeIdentifier).join(", ")}) overriding system value
       select ${selected.join(", ")} from ${escapeIdentifier(table)} where ${matching(key, offset)}`,
      [...Object.values(differing), ...Object.values(key)],
    );
    this.#undo.push(() =>
      this.#client.query(`delete from ${escapeIdentifier(table)} where ${matching(newKey)}`, Object.values(newKey)),
    );
  }

  /** Takes rows away. */
  async remove(table: string, where: string, values: readonly unknown[] = []): Promise<number> {
    const name = escapeIdentifier(table);
    const columns = await this.#columnsOf(table);
    const list = columns.map(escapeIdentifier).join(", ");
    const removed = await this.many(`delete from ${name} where ${where} returning ${list}`, values);
    this.#undo.push(async () => {
      for (const row of removed) {
        const places = columns.map((_, index) => `$${String(index + 1)}`).join(", ");
        await this.#client.query(
          `insert into ${name} (${list}) overriding system value values (${places}) on conflict do nothing`,
          columns.map((column) => encoded(row[column])),
        );
      }
    });
    return removed.length;
  }

  /** Takes rows away that match the key, when the attack is over; for rows that it adds by itself. */
  removeLater(table: string, key: Key): void {
    this.#undo.push(() =>
      this.#client.query(`delete from ${escapeIdentifier(table)} where ${matching(key)}`, Object.values(key)),
    );
  }

  /** Puts everything back, newest change first. */
  async putBack(): Promise<void> {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) await undo();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
  }

  async #write(table: string, key: Key, to: Row): Promise<void> {
    const names = Object.keys(to);
    const set = names.map((name, index) => `${escapeIdentifier(name)} = $${String(index + 1)}`).join(", ");
    await this.#client.query(`update ${escapeIdentifier(table)} set ${set} where ${matching(key, names.length)}`, [
      ...Object.values(to),
      ...Object.values(key),
    ]);
  }

  /** Those that are not generated from others. */
  async #columnsOf(table: string): Promise<readonly string[]> {
    const known = this.#columns.get(table);
    if (known !== undefined) return known;
    const rows = await this.many(
      "select column_name from information_schema.columns where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER' order by ordinal_position",
      [table],
    );
    const columns = rows.map((row) => String(row["column_name"]));
    this.#columns.set(table, columns);
    return columns;
  }
}

function matching(key: Key, offset = 0): string {
  return Object.keys(key)
    .map((name, index) => `${escapeIdentifier(name)} = $${String(offset + index + 1)}`)
    .join(" and ");
}

/** What the driver read from a jsonb column is an object, and is written as text again. */
function encoded(value: unknown): unknown {
  const plain = value === null || typeof value !== "object" || value instanceof Date || value instanceof Uint8Array;
  if (plain || (Array.isArray(value) && value.every((item) => typeof item === "string"))) return value;
  return JSON.stringify(value);
}
