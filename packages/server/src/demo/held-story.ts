/**
 * What the steps about held statements do: a real psql in a terminal, with a gateway's key, and the people who answer while it waits. What the
 * database says of a row is always asked of the database itself, beside Cardea.
 */
import type { RequestView } from "@cardea/core/wire/api/requests";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import type { Stack } from "../dev/stack.ts";
import { systemEnvironment } from "../processes/system.ts";
import { holds } from "./narrator.ts";
import { eventually } from "./patience.ts";
import type { Story } from "./story.ts";
import { TerminalProgram } from "./terminal.ts";

/** A statement that waits: its request, and the words that psql showed. */
export interface Waiting {
  readonly view: RequestView;
  readonly notice: string;
}

export class HeldStory implements AsyncDisposable {
  readonly #stack: Stack;
  readonly #story: Story;
  readonly #psqls: TerminalProgram[] = [];

  constructor(stack: Stack, story: Story) {
    this.#stack = stack;
    this.#story = story;
  }

  /** psql as `cardea connect` opens it. */
  async openPsql(key: DeliveredKey): Promise<TerminalProgram> {
    const { host, port, databases, sslmode, ca } = key.endpoint;
    const caFile = join(this.#stack.dataDirectory, "gateway-ca.pem");
    if (typeof ca === "string") await writeFile(caFile, ca);
    const psql = TerminalProgram.open("psql --no-psqlrc --no-readline --pset=pager=off", {
      ...systemEnvironment,
      TERM: "dumb",
      PGHOST: String(host),
      PGPORT: String(port),
      PGDATABASE: String(Array.isArray(databases) ? databases[0] : databases),
      PGUSER: key.user,
      PGPASSWORD: key.secret,
      ...(sslmode !== undefined && { PGSSLMODE: String(sslmode) }),
      ...(ca !== undefined && { PGSSLROOTCERT: caFile }),
    });
    this.#psqls.push(psql);
    await psql.sees(/shop=> $/);
    return psql;
  }

  /** Types a statement that has to wait, and finds what was filed for it. */
  async waits(psql: TerminalProgram, statement: string): Promise<Waiting> {
    psql.type(statement);
    const [notice, id] = await psql.sees(/NOTICE: .*(req_[0-9a-z]{26}).*\n/);
    const bob = await this.#story.as("bob");
    const view = await eventually(
      async () => {
        const { items } = await bob.requests({ view: "to-approve" });
        return items.find((item) => item.id === id);
      },
      `bob is asked about ${String(id)}`,
    );
    const { ask, within } = view.document.asked;
    holds("action" in ask && ask.action.what["statement"] === statement, "exactly what was typed is asked for");
    holds(within !== undefined, "it says in which session it waits");
    holds(notice.includes(view.code), "psql shows the code that bob sees");
    return { view, notice: notice.trim() };
  }

  /** What bob sees of it, line by line. */
  touches({ view }: Waiting): string {
    const { ask } = view.document.asked;
    const lines = "action" in ask ? ask.action.binding?.["lines"] : undefined;
    holds(Array.isArray(lines) && lines.length > 0, "it says what it touches");
    return [view.words, ...lines.map(String)].join("\n");
  }

  /** The request once its run is over or it is decided otherwise. */
  async outcome(name: string, { view }: Waiting): Promise<RequestView> {
    const client = await this.#story.as(name);
    return eventually(async () => {
      const now = await client.request(view.id);
      const over =
        now.state === "approved"
          ? now.run?.state !== "intended" && now.run?.state !== "running"
          : now.state !== "pending";
      return over && (now.state !== "approved" || now.run !== undefined) ? now : undefined;
    }, `${view.id} comes to an end`);
  }

  /** A row as the database's own superuser sees it. */
  async noteOf(order: number): Promise<string | null> {
    return this.#beside(async (client) => {
      const { rows } = await client.query<{ note: string | null }>("select note from orders where id = $1", [order]);
      return rows[0]?.note ?? null;
    });
  }

  /** Keeps a row locked until told otherwise, so that a statement about it cannot come to its end. */
  async lockRow(order: number): Promise<() => Promise<void>> {
    const client = new Client(this.#stack.shop.connection("shop"));
    await client.connect();
    await client.query("begin");
    await client.query("select from orders where id = $1 for update", [order]);
    return async () => {
      await client.query("rollback");
      await client.end();
    };
  }

  /** Waits until a statement of one of our logins is stopped by a lock. */
  async untilBlocked(): Promise<void> {
    await this.#beside((client) =>
      eventually(async () => {
        const { rowCount } = await client.query(
          "select from pg_stat_activity where wait_event_type = 'Lock' and usename like 'cardea\\_%'",
        );
        return (rowCount ?? 0) > 0 || undefined;
      }, "the approved statement runs"),
    );
  }

  /** Kills the outpost as a crash would; its supervisor starts it again. */
  killOutpost(): void {
    const { pid } = this.#stack.outpost;
    holds(pid !== undefined, "the outpost runs");
    process.kill(pid, "SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const psql of this.#psqls) await psql[Symbol.asyncDispose]();
  }

  async #beside<T>(use: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client(this.#stack.shop.connection("shop"));
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  }
}
