import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Door } from "./ground.ts";
import type { Peer } from "./pgbouncer.ts";

/** Starts the bare pipe in a process of its own, as the gateway has one. The caller ends it. */
export async function startPipe(to: Door): Promise<Peer> {
  const child = fork(fileURLToPath(new URL("pipe-process.js", import.meta.url)), [to.host, String(to.port)]);
  // What it sends is the port; it sends nothing else.
  const [port] = (await once(child, "message")) as [number];
  if (child.pid === undefined) throw new TypeError("a process that said something has a number");
  return {
    door: { ...to, host: "127.0.0.1", port },
    pid: child.pid,
    [Symbol.asyncDispose]: async () => {
      const exit = once(child, "exit");
      child.disconnect();
      await exit;
    },
  };
}
