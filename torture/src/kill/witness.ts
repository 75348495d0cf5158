/** What an outsider sees while the torture goes on: every checkpoint that was published, and every login that ever was at the resource. */
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { CardeaClient } from "@cardea/sdk/client";
import type { Connection } from "./supervisor-messages.ts";

const loginsEveryMs = 25;
const checkpointEveryMs = 200;
/** The sample resource's administrator bears our prefix, and no mark. */
export const ourLogins = "rolname ~ '^cardea_[0-9a-hjkmnp-tv-z]{25}$' and rolcanlogin";

export class Witness {
  /** Signed notes in the order of their appearance. */
  readonly checkpoints: string[] = [];
  readonly logins = new Set<string>();
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(url: string, shop: Connection) {
    this.#running = Promise.all([this.#watchLog(url), this.#watchLogins(shop)]);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #watchLog(url: string): Promise<void> {
    const client = new CardeaClient({ baseUrl: url });
    while (!this.#stop.signal.aborted) {
      const note = await client.checkpoint().catch(() => undefined);
      if (note !== undefined && note !== this.checkpoints.at(-1)) this.checkpoints.push(note);
      await sleep(checkpointEveryMs);
    }
  }

  async #watchLogins(connection: Connection): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const client = new Client({ ...connection, connectionTimeoutMillis: 2_000 });
      client.on("error", () => undefined);
      try {
        await client.connect();
        // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- a signal changes while we wait
        while (!this.#stop.signal.aborted) {
          const { rows } = await client.query<{ rolname: string }>(`select rolname from pg_roles where ${ourLogins}`);
          for (const { rolname } of rows) this.logins.add(rolname);
          await sleep(loginsEveryMs);
        }
      } catch {
        // The server was killed; it comes again.
        await sleep(100);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }
}
