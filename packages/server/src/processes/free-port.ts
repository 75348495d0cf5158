import { createServer } from "node:net";

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
