/**
 * The supervisor that the torture run kills: a process of its own that starts the whole stack, as `npm start` does, and tells its parent which
 * processes there are. It ends with its parent.
 */
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { startStack } from "@cardea/server/dev/stack";
import { FromParent, type FromSupervisor, type SupervisorOrder } from "./supervisor-messages.ts";

function say(message: FromSupervisor): void {
  process.send?.(message);
}

async function supervise({
  dataDirectory,
  port,
  samplePort,
  gatewayPort,
  pauseAt,
}: SupervisorOrder): Promise<AsyncDisposable> {
  const stack = await startStack({
    dataDirectory,
    port,
    samplePort,
    gatewayPort,
    env: { CARDEA_LOG_LEVEL: "warn", ...(pauseAt !== undefined && { CARDEA_TORTURE: "1", CARDEA_PAUSE_AT: pauseAt }) },
    onLine: (name, line) => {
      const point = /^paused at (\S+)$/.exec(line)?.[1];
      if (point !== undefined) say({ kind: "paused", point });
      else void appendFile(join(dataDirectory, "log", "children.log"), `${name}: ${line}\n`).catch(() => undefined);
    },
    onStep: (words) =>
      void appendFile(join(dataDirectory, "log", "children.log"), `supervisor: ${words}\n`).catch(() => undefined),
  });
  process.on("message", (message) => {
    if (FromParent.parse(message).kind !== "pids") return;
    say({
      kind: "pids",
      pids: {
        supervisor: process.pid,
        control: stack.control.pid,
        outpost: stack.outpost.pid,
        database: stack.database.pid,
        shop: stack.shop.pid,
      },
    });
  });
  say({
    kind: "ready",
    url: stack.url,
    database: stack.database.connection("cardea"),
    shop: stack.shop.connection("shop"),
  });
  return stack;
}

const asked = new Promise<void>((resolve) => {
  process.once("SIGTERM", () => resolve()).once("disconnect", () => resolve());
});
const order = await new Promise<SupervisorOrder>((resolve) => {
  process.once("message", (message) => {
    const first = FromParent.parse(message);
    if (first.kind === "start") resolve(first.order);
  });
});
try {
  const stack = await supervise(order);
  await asked;
  await stack[Symbol.asyncDispose]();
} catch (error) {
  say({ kind: "failed", why: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
}
// eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- absent where nobody forked us
process.disconnect?.();
