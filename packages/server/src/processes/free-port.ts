import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { CardeaError } from "@cardea/core/contract/errors";
import { monotonicMs } from "./system.ts";

/** A killed supervisor's children end a moment after it. */
const patienceMs = 5_000;

/** A TCP port that nobody used on loopback a moment ago. Another process may take it first; then its user fails and asks again. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === "object") resolve(address.port);
        else reject(new TypeError("a TCP server has an address"));
      });
    });
  });
}

/** Waits until nobody listens at the port on loopback. @throws CardeaError `port_taken`, naming the setting */
export async function untilPortFree(port: number, setting: string): Promise<void> {
  const deadline = monotonicMs() + patienceMs;
  while (!(await isFree(port))) {
    if (monotonicMs() > deadline)
      throw new CardeaError(
        "port_taken",
        `port ${String(port)} is taken by another process; set \`${setting}\` to a free one`,
      );
    await sleep(50);
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => {
      resolve(false);
    });
    server.listen(port, "127.0.0.1", () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
