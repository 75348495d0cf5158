/** The bare pipe: a process that moves bytes between a client and the database and looks at none of them. Started by `pipe.ts` alone. */
import { connect, createServer } from "node:net";

const [host = "", port = ""] = process.argv.slice(2);

const server = createServer({ noDelay: true }, (down) => {
  const up = connect({ host, port: Number(port), noDelay: true });
  down.pipe(up).pipe(down);
  const drop = (): void => {
    down.destroy();
    up.destroy();
  };
  for (const socket of [down, up]) socket.on("error", drop).on("close", drop);
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("a TCP listener has a port");
  process.send?.(address.port);
});
process.once("disconnect", () => process.exit(0));
