// What no file of the repository may hold: the addresses of one machine or mirror, secrets, conflict marks, tests left
// switched to one. Files are read as text; the rules are below, each with where it does not apply.
import { lstatSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "./prepare.mjs";
import { repositoryFiles } from "./repository-files.mjs";

// Written in pieces, so that this file does not break its own rules.
const privateKey = new RegExp(`-----BEGIN [A-Z ]*PRIVATE ${"KEY"}-----`);
const homes = new RegExp(
  String.raw`(?<![\w.~$}-])/(${["work", "home", "root", "Users", "workspace"].join("|")})/[\w.]`,
);

const rules = [
  {
    name: "a registry's address: the lock file names none (.npmrc: omit-lockfile-registry-resolved)",
    pattern: /"resolved": "[a-z+]+:\/\//,
    only: /package-lock\.json$/,
  },
  {
    name: "a registry's address",
    pattern: new RegExp(`https?://[^\\s"'/]*(${["registry", "artifactory", "nexus", "verdaccio"].join("|")})[.:/]`),
  },
  { name: "a path of one machine", pattern: homes },
  { name: "a private key", pattern: privateKey },
  { name: "a conflict mark", pattern: /^(<{7}|>{7}) /m },
  {
    name: "a test that silences the others (`.only`)",
    pattern: /\b(describe|it|test|suite)\.only\(/,
    only: /\.test\.[cm]?[jt]s$/,
  },
  {
    name: "an unexplained to-do: open an issue and say its number",
    pattern: /\b(TODO|FIXME|XXX)\b(?!\(#\d+\))/,
    only: /\.([cm]?[jt]sx?|sql|sh|ya?ml)$/,
  },
];

const files = repositoryFiles();
const documents = new Set(files.filter((path) => path.endsWith(".md")).map((path) => basename(path)));

const failures = files.flatMap((path) => {
  const absolute = join(root, path);
  if (!lstatSync(absolute).isFile()) return [];
  const text = readFileSync(absolute, "utf8");
  if (text.includes("\0")) return [];
  if (path === "scripts/check-hygiene.mjs") return [];
  const lineOf = (match) => text.slice(0, match.index).split("\n").length;
  const held = rules
    .filter(({ only }) => only === undefined || only.test(path))
    .flatMap(({ name, pattern }) => {
      const match = pattern.exec(text);
      return match === null ? [] : [`${path}:${lineOf(match)}: holds ${name}`];
    });
  // A reader can open every document that is spoken of, a standard's section apart.
  const unknown = [...text.matchAll(/\b([A-Z]{3,}[A-Z_]*)(?:\.md\b| §)/g)]
    .filter(([whole, name]) => !(whole.endsWith("§") && name === "RFC") && !documents.has(`${name}.md`))
    .map((match) => `${path}:${lineOf(match)}: speaks of \`${match[1]}\`, a document that is not here`);
  return [...held, ...unknown];
});
for (const failure of failures) process.stdout.write(`${failure}\n`);
process.exitCode = failures.length === 0 ? 0 : 1;
