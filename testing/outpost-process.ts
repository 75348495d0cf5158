/** Starts and kills outposts in processes of their own; see `outpost-child.ts`. They run built code, as what ships does. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ResourceConfig } from "@cardea/connectors/connector";
import type { GatewaySection } from "@cardea/outpost/gateway/settings";
import type { Tuning } from "@cardea/outpost/settings";
import { quickTuning, type LinkedControl } from "./linked.ts";

export interface OutpostHome extends AsyncDisposable {
  /** Starts an outpost in this home, to stop for good at a pause point if one is named. One at a time. */
  start(pauseAt?: string): Promise<OutpostProcess>;
}

export interface OutpostProcess {
  /** Resolves when it has stopped at its pause point. */
  paused(): Promise<void>;
  /** SIGKILL, and the wait until it is dead. */
  kill(): Promise<void>;
}

const program = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./dist/outpost-child.js" : "./outpost-child.js", import.meta.url),
);

/** A data directory with its `outpost.yaml` and a token for the first start. */
export async function makeOutpostHome(
  linked: LinkedControl,
  resources: readonly ResourceConfig[],
  tuning: Partial<Tuning> = {},
  gateway: GatewaySection = {},
): Promise<OutpostHome> {
  const dataDir = await mkdtemp(join(tmpdir(), "cardea-test-outpost-"));
  const configFile = join(dataDir, "outpost.yaml");
  await writeFile(configFile, JSON.stringify({ resources, gateway }));
  const enrolmentToken = await linked.token();
  const options = {
    dataDir,
    configFile,
    enrolmentToken,
    controlUrl: linked.url,
    settings: { version: "0.0.0-test", environment: {}, tuning: { ...quickTuning, ...tuning } },
  };
  const children = new Set<ChildProcess>();
  return {
    start: async (pauseAt) => {
      const child = fork(program, [JSON.stringify(options)], {
        // Not the test runner's own conditions and loaders.
        execArgv: [],
        env: { ...process.env, ...(pauseAt === undefined ? {} : { CARDEA_TORTURE: "1", CARDEA_PAUSE_AT: pauseAt }) },
        stdio: ["ignore", "inherit", "pipe", "ipc"],
      });
      children.add(child);
      let errors = "";
      const paused = new Promise<void>((resolve) => {
        child.stderr?.setEncoding("utf8").on("data", (text: string) => {
          errors += text;
          if (process.env["TEST_LOG"] !== undefined) process.stderr.write(text);
          if (errors.includes("paused at ")) resolve();
        });
      });
      const ready = once(child, "message");
      const died = once(child, "exit").then(() => {
        throw new Error(`the outpost ended: ${errors.slice(-2_000)}`);
      });
      died.catch(() => undefined);
      await Promise.race([ready, paused, died]);
      return {
        paused: () => Promise.race([paused, died]),
        kill: async () => {
          children.delete(child);
          if (child.exitCode !== null || child.signalCode !== null) return;
          const exit = once(child, "exit");
          child.kill("SIGKILL");
          await exit;
        },
      };
    },
    [Symbol.asyncDispose]: async () => {
      for (const child of children) child.kill("SIGKILL");
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
