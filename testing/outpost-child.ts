/** An outpost in a process of its own, for tests that kill it: options come as one JSON argument, `ready` goes to the parent. */
import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { startOutpost } from "@cardea/outpost/start";
import type { OutpostOptions } from "@cardea/outpost/start";

export type ChildOptions = Pick<
  OutpostOptions,
  "dataDir" | "configFile" | "controlUrl" | "enrolmentToken" | "settings"
>;

/** A child never outlives the test that started it. */
process.on("disconnect", () => process.exit(1));

// The parent writes what `ChildOptions` says.
const options = JSON.parse(process.argv[2] ?? "{}") as ChildOptions;
await startOutpost({
  ...options,
  clock: { now: () => Date.now() },
  random: { bytes: (length) => new Uint8Array(randomBytes(length)) },
  log: pino({ level: process.env["TEST_LOG"] ?? "silent" }, pino.destination(2)),
});
process.send?.("ready");
