/**
 * The outpost that is tortured, in a process of its own, so that a crash is seen as one and what it holds can be weighed: options come as one JSON
 * argument. It ends with its parent. Run with `--expose-gc`.
 */
import { readdirSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { startOutpost, type OutpostOptions } from "@cardea/outpost/start";
import { ToOutpost, type Held } from "./outpost-messages.ts";

/** What of the options can be written down. */
export type WrittenOptions = Pick<
  OutpostOptions,
  "dataDir" | "configFile" | "controlUrl" | "enrolmentToken" | "settings"
>;

process.on("disconnect", () => process.exit(1));
process.on("message", (message) => {
  ToOutpost.parse(message);
  weigh().then(
    (held) => process.send?.(held),
    () => process.exit(1),
  );
});

// The parent writes what `WrittenOptions` says.
const options = JSON.parse(process.argv[2] ?? "{}") as WrittenOptions;
await startOutpost({
  ...options,
  clock: { now: () => Date.now() },
  random: { bytes: (length) => new Uint8Array(randomBytes(length)) },
  log: pino({ level: "debug" }, pino.destination(2)),
});
process.send?.({ kind: "ready" });

async function weigh(): Promise<Held> {
  for (let turn = 0; turn < 4; turn += 1) {
    globalThis.gc?.();
    await sleep(20);
  }
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  return {
    kind: "held",
    rssBytes: rss,
    heapBytes: heapUsed,
    bufferBytes: arrayBuffers,
    resources,
    files: readdirSync("/proc/self/fd").length,
  };
}
