/**
 * Starts a control plane in the order in which its parts need each other, and closes it in reverse: database, hints, people, the audit
 * writer, jobs, notices, the link, and what lets anybody in. Called by `server`, once a process; any number of processes may share a
 * database.
 */
import type { Logger } from "pino";
import type { OutpostId } from "@cardea/core/contract/ids";
import type { Trust } from "@cardea/core/documents/trust";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import { startSequencer } from "./audit/sequencer.ts";
import type { Control, ControlKeys, ControlSettings } from "./control.ts";
import { startHttp, type HttpOptions } from "./http/server.ts";
import { startJobs } from "./jobs/run.ts";
import { startLink } from "./link/server.ts";
import { startNotifier } from "./notify/notifier.ts";
import { currentRoster } from "./people/roster.ts";
import { openDatabase, type DatabaseSettings } from "./store/connection.ts";
import { migrate } from "./store/migrate.ts";
import { startWake } from "./store/wake.ts";

export interface StartControlOptions {
  readonly database: DatabaseSettings;
  readonly keys: ControlKeys;
  readonly trust: Trust;
  readonly settings: ControlSettings;
  readonly http: Omit<HttpOptions, "link">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface RunningControl {
  readonly control: Control;
  readonly url: string;
  /** Whether an outpost's link to this process is up. */
  connected(outpost: OutpostId): boolean;
  close(): Promise<void>;
}

/** @throws CardeaError `database_unavailable`, `roster_invalid`, `log_rolled_back`, `port_taken`; what was started by then is closed */
export async function startControl(options: StartControlOptions): Promise<RunningControl> {
  const { clock, random, log, keys, trust, settings } = options;
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    const database = openDatabase(options.database, log);
    closers.push(() => database.close());
    await migrate(database.connect, log);
    const wake = startWake({ connect: database.connect, random, log });
    closers.push(() => wake.close());
    const control: Control = { db: database.db, clock, random, log, keys, trust, settings, wake };
    await currentRoster(control);
    const sequencer = startSequencer(control, database.connect);
    closers.push(() => sequencer.close());
    const jobs = startJobs(control);
    closers.push(() => jobs.close());
    const notifier = startNotifier(control);
    closers.push(() => notifier.close());
    const link = startLink(control);
    const http = await startHttp(control, { ...options.http, link });
    closers.push(() => http.close());
    // Before the server that it hangs on: its sockets would hold that open.
    closers.push(() => link.close());
    return { control, url: http.url, connected: (outpost) => link.connected(outpost), close };
  } catch (error) {
    await close();
    throw error;
  }
}
