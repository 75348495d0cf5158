/**
 * What every command gets: who acts, where to, how to speak, when to stop. Made once per run from the global options and from what `main`
 * found around the process; nothing below reads the environment, the clock or dice by itself. Heavy parts are loaded when asked for.
 */
import { resolve } from "node:path";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { CardeaClient } from "@cardea/sdk/client";
import type { Home } from "./identity/identity.ts";
import { Terminal, type Stream } from "./output/terminal.ts";

export interface GlobalOptions {
  readonly as?: string;
  readonly url?: string;
  readonly json?: boolean;
}

/** What `main` finds around the process. */
export interface World {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: Stream;
  readonly stderr: Stream;
  /** Aborted when the user asks to stop. */
  readonly signal: AbortSignal;
}

export interface Context extends World {
  readonly terminal: Terminal;
  /** From `--url`, `CARDEA_URL`; absent: the identity's own. */
  readonly url: string | undefined;
  readonly nowMs: () => number;
  readonly home: () => Promise<Home>;
  readonly client: () => Promise<CardeaClient>;
}

export function newContext(options: GlobalOptions, world: World): Context {
  const { environment, clock, stdout, stderr } = world;
  const url = options.url ?? environment["CARDEA_URL"];
  const as = options.as ?? environment["CARDEA_AS"];
  // Who says `--as` means that person, whatever token a surrounding script has set.
  const apiToken = options.as === undefined ? environment["CARDEA_TOKEN"] : undefined;
  let home: Promise<Home> | undefined;
  let client: Promise<CardeaClient> | undefined;
  const openedHome = () =>
    (home ??= import("./identity/identity.ts").then(({ openHome }) => openHome(as, environment)));
  const openedClient = async () => {
    const { openClient } = await import("./identity/session-client.ts");
    return openClient({ home: await openedHome(), url, apiToken, nowMs: () => clock.now() });
  };
  return {
    ...world,
    terminal: new Terminal({ json: options.json ?? false, out: stdout, err: stderr, environment }),
    url,
    nowMs: () => clock.now(),
    home: openedHome,
    client: () => (client ??= openedClient()),
  };
}

/** A path as the user wrote it, from where they are. */
export function userPath(path: string): string {
  return resolve(process.cwd(), path);
}
