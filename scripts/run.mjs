// `npm start`, `npm run demo`, `npm run bench -- NAME` and `npm run torture -- NAME`: set-up, then the program itself.
// The program is loaded into this very process, so that signals, the terminal and the exit code are its own and
// nothing stands between.
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
const path = join(root, main);
process.argv = [process.execPath, path, ...args, ...rest];
await import(pathToFileURL(path).href);
