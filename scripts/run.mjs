// `npm start`, `npm run demo`, `npm run bench -- NAME` and `npm run torture -- NAME`: set-up, then the program itself.
// The program is loaded into this very process, and package.json starts us by `exec`, so that npm's signals, the
// terminal and the exit code are the program's own: behind a shell, a SIGTERM to npm would leave it running.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { prepare, root } from "./prepare.mjs";

const programs = {
  start: { target: "product", main: "packages/server/dist/main.js", args: ["dev"] },
  demo: { target: "product", main: "packages/server/dist/main.js", args: ["demo"] },
  bench: { target: "bench", main: "bench/dist/main.js", args: [] },
  torture: { target: "torture", main: "torture/dist/main.js", args: [] },
};

const [name, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(programs, name)) {
  process.stderr.write(`cardea: no program \`${name}\`; there are ${Object.keys(programs).join(", ")}\n`);
  process.exit(2);
}
const { target, main, args } = programs[name];
prepare(target);
dropEchoedInterrupts();
const path = join(root, main);
process.argv = [process.execPath, path, ...args, ...rest];
await import(pathToFileURL(path).href);

// A terminal's Ctrl-C reaches npm and us, and npm passes its own on a moment later. Programs listen once and take a second
// Ctrl-C as impatience, so the echo is dropped before any listener sees it; and since a signal that nobody listens to
// ends the process at once, with what it started still running, somebody always listens.
function dropEchoedInterrupts() {
  const echoMs = 1_000;
  const emit = process.emit;
  let lastMs = -Infinity;
  process.on("SIGINT", () => {});
  process.emit = function (event, ...details) {
    if (event === "SIGINT") {
      const nowMs = performance.now();
      if (nowMs - lastMs < echoMs) return true;
      lastMs = nowMs;
      if (process.listenerCount("SIGINT") === 1) process.exit(130);
    }
    return emit.call(this, event, ...details);
  };
}
