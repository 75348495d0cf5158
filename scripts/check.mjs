// `npm run check`: everything about the code that can be judged without running it. All of it runs, two at a time, and
// what failed is shown whole; `npm run check -- lint docs` runs only those named.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { prepare, root } from "./prepare.mjs";

const tool = (path, ...args) => [join(root, "node_modules", path), ...args];
const script = (name) => [join(root, "scripts", name)];
const prettierCache = join(root, "node_modules/.cache/cardea/prettier");

// The slow ones first, so that the quick ones run beside them.
const steps = {
  types: tool("typescript/bin/tsc", "-b", "--pretty"),
  lint: script("check-lint.mjs"),
  format: tool(
    "prettier/bin/prettier.cjs",
    "--check",
    "--log-level=warn",
    "--cache",
    `--cache-location=${prettierCache}`,
    ".",
  ),
  imports: script("check-imports.mjs"),
  unused: tool("knip/bin/knip.js", "--no-progress", "--treat-config-hints-as-errors"),
  docs: script("check-docs.mjs"),
  hygiene: script("check-hygiene.mjs"),
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(steps, name));
if (unknown.length > 0) {
  process.stderr.write(`cardea: no check \`${unknown.join("`, `")}\`; there are ${Object.keys(steps).join(", ")}\n`);
  process.exit(2);
}

prepare("dependencies");
const queue = asked.length === 0 ? Object.keys(steps) : asked;
const failed = [];
await Promise.all([worker(), worker()]);
if (failed.length > 0) process.stdout.write(`\nfailed: ${failed.join(", ")}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;

async function worker() {
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    const startedAt = performance.now();
    const { status, output } = await run(steps[name]);
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    process.stdout.write(`${status === 0 ? "ok    " : "FAILED"} ${name.padEnd(8)} ${seconds} s\n`);
    if (status === 0) continue;
    failed.push(name);
    process.stdout.write(`${output.trimEnd()}\n\n`);
  }
}

function run(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (output += text));
    child.once("error", (error) => resolve({ status: 1, output: error.message }));
    child.once("close", (code) => resolve({ status: code ?? 1, output }));
  });
}
