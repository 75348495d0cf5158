// Judges who imports whom by .dependency-cruiser.mjs, in the packages and in a canary tree that breaks every rule once.
// The tool can pass a tree whose imports it could not see, so a rule that the canary does not trip fails the check, and
// so does an import of one of our packages that did not lead into its sources.
import { spawnSync } from "node:child_process";
import { join, sep } from "node:path";
import config from "../.dependency-cruiser.mjs";
import { root } from "./prepare.mjs";

const failures = [...realTree(), ...canaryTree()];
for (const failure of failures) process.stdout.write(`${failure}\n`);
process.exitCode = failures.length === 0 ? 0 : 1;

function realTree() {
  const { modules, summary } = cruise(root, ["packages", "testing", "bench", "torture"]);
  const failures = summary.violations.map(
    ({ rule, from, to, cycle }) =>
      `${from} → ${cycle === undefined ? to : cycle.map((step) => step.name).join(" → ")}: ${rule.name}, because ${reasonOf(rule.name)}`,
  );
  const ours = modules.flatMap(({ source, dependencies }) =>
    dependencies
      .filter(({ module }) => module.startsWith("@cardea/"))
      .map(({ module, resolved }) => ({ source, module, resolved })),
  );
  for (const { source, module, resolved } of ours) {
    if (!/^(packages\/[^/]+\/src|testing)\/.*\.ts$/.test(resolved))
      failures.push(`${source}: \`${module}\` led to \`${resolved}\`, not into our sources`);
  }
  if (ours.length === 0) failures.push("no import between packages was seen: the tool is not looking");
  return failures;
}

function canaryTree() {
  const { summary } = cruise(join(root, "scripts/canary/imports"), ["packages"]);
  const reported = new Set(summary.violations.map(({ rule }) => rule.name));
  const upwardByName = summary.violations.some(
    ({ from, to }) => from.endsWith("imports-upward-by-name.ts") && to.endsWith("evidence/leaf.ts"),
  );
  return [
    ...config.forbidden
      .filter(({ name }) => !reported.has(name))
      .map(({ name }) => `the canary tree does not trip the rule ${name}`),
    ...(upwardByName ? [] : ["an import by a package's name is not followed into its sources"]),
  ];
}

function cruise(cwd, folders) {
  const tool = join(root, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs");
  const args = [tool, "--config", join(root, ".dependency-cruiser.mjs"), "--output-type", "json", ...folders];
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (error !== undefined) throw error;
  try {
    return JSON.parse(stdout);
  } catch {
    throw new Error(`dependency-cruiser in \`${cwd}${sep}\` ended with ${status} and no report: ${stderr}`);
  }
}

function reasonOf(name) {
  return config.forbidden.find((rule) => rule.name === name)?.comment ?? name;
}
