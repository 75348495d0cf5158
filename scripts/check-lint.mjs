// Lints the tree by eslint.config.js, and a canary tree whose every violation must be reported. In the canary,
// `// expect +N: RULE` says that RULE fires N lines below; `unused-directive` is a disabled rule that did not fire.
//
// Unchanged files are skipped through a cache, which cannot know that a type in another file has changed; so under
// CI=true, and with `--no-cache`, everything is looked at.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ESLint } from "eslint";
import { root } from "./prepare.mjs";

const canary = join(root, "scripts/canary/lint");
const cache = process.env["CI"] !== "true" && !process.argv.includes("--no-cache");
const cacheLocation = join(root, "node_modules/.cache/cardea/eslint");

const eslint = new ESLint({ cwd: root, cache, cacheLocation, cacheStrategy: "content", warnIgnored: false });
const results = await eslint.lintFiles(["."]);
const inCanary = (result) => result.filePath.startsWith(canary);

const real = results.filter((result) => !inCanary(result));
const report = await (await eslint.loadFormatter("stylish")).format(real);
if (report !== "") process.stdout.write(`${report}\n`);

const canaryFailures = results.filter(inCanary).flatMap(unreported);
for (const failure of canaryFailures) process.stdout.write(`${failure}\n`);
if (!results.some(inCanary)) process.stdout.write("the canary tree was not looked at\n");

const clean = real.every((result) => result.errorCount === 0 && result.warningCount === 0);
process.exitCode = clean && results.some(inCanary) && canaryFailures.length === 0 ? 0 : 1;

function unreported({ filePath, messages }) {
  const reported = new Set(messages.map(({ line, ruleId }) => `${line} ${ruleId ?? "unused-directive"}`));
  return readFileSync(filePath, "utf8")
    .split("\n")
    .flatMap((text, index) => {
      const [, below, rule] = /\/\/ expect \+(\d+): (\S+)/.exec(text) ?? [];
      if (rule === undefined || reported.has(`${index + 1 + Number(below)} ${rule}`)) return [];
      return [`${filePath}:${index + 1}: the canary does not trip ${rule}`];
    });
}
