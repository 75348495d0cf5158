/** What every command gets: who acts, where to, how to speak, when to stop. Made once per run from the global options. */
import { resolve } from "node:path";
import type { CardeaClient } from "@cardea/sdk/client";
import { openHome, type Home } from "./identity/identity.ts";
import { openClient } from "./identity/session-client.ts";
import { Terminal } from "./output/terminal.ts";

export interface GlobalOptions {
  readonly as?: string;
  readonly url?: string;
  readonly json?: boolean;
}

export interface Context {
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
  home(): Promise<Home>;
  client(): Promise<CardeaClient>;
  readonly url: string | undefined;
}

export function newContext(options: GlobalOptions, environment: NodeJS.ProcessEnv, signal: AbortSignal): Context {
  const nowMs = () => Date.now();
  const url = options.url ?? environment["CARDEA_URL"];
  let home: Promise<Home> | undefined;
  let client: Promise<CardeaClient> | undefined;
  const openedHome = () => (home ??= openHome(options.as ?? environment["CARDEA_AS"], environment));
  return {
    terminal: new Terminal(options.json ?? false),
    signal,
    nowMs,
    url,
    home: openedHome,
    client: () => (client ??= openedHome().then((opened) => openClient({ home: opened, url, apiToken: options.as === undefined ? environment["CARDEA_TOKEN"] : undefined, nowMs }))),
  };
}

/** A path as the user wrote it, from where they are. */
export function userPath(path: string): string {
  return resolve(process.cwd(), path);
}
