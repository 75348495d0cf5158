// Set-up that every command does for itself: the right Node, dependencies, a build that is not stale. Called by
// run.mjs, test.mjs, build.mjs and check.mjs before anything from node_modules or dist is loaded, so it needs nothing
// but Node itself. When nothing is stale it only reads: a checkout that is complete works for any user who can read it.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/[\\/]$/, "");

/** What each target compiles: TypeScript projects, which bring the ones that they refer to. */
const projects = {
  product: ["packages/server", "packages/cli"],
  bench: ["packages/server", "packages/cli", "bench"],
  torture: ["packages/server", "packages/cli", "torture"],
  everything: ["packages/server", "packages/cli", "bench", "torture"],
};

/** Ends the process with a message for the person at the terminal, without a stack. */
function stop(message) {
  process.stderr.write(`cardea: ${message}\n`);
  process.exit(1);
}

/** Ctrl-C reaches the tools that we wait for, and ends us with them. */
function endIfInterrupted({ signal }) {
  if (signal === "SIGINT") process.exit(130);
}

const say = (message) => process.stderr.write(`cardea: ${message}\n`);
const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

/**
 * Makes the checkout ready to run `target`, doing only what is missing.
 *
 * @param {keyof typeof projects | "dependencies"} target
 */
export function prepare(target) {
  checkNode();
  installWhenMissing();
  if (target !== "dependencies") buildWhenStale(target);
}

function checkNode() {
  const wanted = readJson(join(root, "package.json")).engines.node.replace(">=", "");
  const [major, minor] = wanted.split(".").map(Number);
  const [ourMajor, ourMinor] = process.versions.node.split(".").map(Number);
  if (ourMajor > major || (ourMajor === major && ourMinor >= minor)) return;
  stop(
    `this is Node ${process.versions.node}; Cardea needs ${wanted} or newer (24 is recommended): install it from https://nodejs.org`,
  );
}

// The marker holds what was installed; a lock file that differs from it means another `npm ci`.
function installWhenMissing() {
  const marker = join(root, "node_modules/.cardea-installed");
  const lock = readFileSync(join(root, "package-lock.json"));
  const wanted = createHash("sha256").update(lock).update(`${process.platform}-${process.arch}`).digest("hex");
  if (existsSync(marker) && readFileSync(marker, "utf8") === wanted) return;
  if (installedByHand()) {
    writeWhenPossible(marker, wanted);
    return;
  }
  requireWritable(root, "install dependencies");
  const modules = join(root, "node_modules");
  if (existsSync(modules)) requireWritable(modules, "install dependencies");
  say("installing dependencies (once, about half a minute)");
  const npm = process.env["npm_execpath"];
  const args = ["ci", "--include=dev", "--include=optional", "--loglevel=error"];
  const result =
    npm !== undefined && /npm-cli\.[cm]?js$/.test(npm)
      ? spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: ["ignore", 2, 2] })
      : spawnSync("npm", args, { cwd: root, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
  if (result.error !== undefined)
    stop(`npm could not be started (${result.error.message}): install npm, which comes with Node`);
  endIfInterrupted(result);
  if (result.status !== 0) stop("the dependencies could not be installed: see npm's words above; `npm ci` tries again");
  writeFileSync(marker, wanted);
}

// npm keeps a lock file of its own inside node_modules, newer than ours when somebody ran npm after it last changed.
function installedByHand() {
  const hidden = join(root, "node_modules/.package-lock.json");
  return existsSync(hidden) && statSync(hidden).mtimeMs >= statSync(join(root, "package-lock.json")).mtimeMs;
}

/**
 * Compiles `target` when its sources differ from those last compiled, or when a package's output is gone. Compared by
 * content, not by time: a fresh copy or a branch switched to and back is not stale.
 */
function buildWhenStale(target) {
  const stamp = join(root, `node_modules/.cache/cardea/built-${target}`);
  const folders = compiledFolders(projects[target]);
  const sources = folders.map(sourcesOf);
  const wanted = fingerprint(sources);
  const complete = folders.every((folder) => existsSync(join(root, folder, "dist/.tsbuildinfo")));
  if (complete && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;

  for (const { folder } of sources) requireWritable(join(root, folder), "build");
  say("building");
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const result = spawnSync(process.execPath, [tsc, "-b", ...projects[target]], { cwd: root, stdio: ["ignore", 2, 2] });
  endIfInterrupted(result);
  if (result.status !== 0) stop("the build failed: see the messages above");
  for (const source of sources) {
    copyAssets(source);
    removeLeftovers(source);
  }
  writeWhenPossible(stamp, wanted);
}

/** The folders of `references`, followed through every tsconfig.json, each once. */
function compiledFolders(references) {
  const found = new Set();
  const visit = (folder) => {
    if (found.has(folder)) return;
    found.add(folder);
    for (const { path } of readJson(join(root, folder, "tsconfig.json")).references ?? []) {
      visit(relative(root, join(root, folder, path)));
    }
  };
  for (const folder of references) visit(folder);
  return [...found].sort();
}

function fingerprint(sources) {
  const hash = createHash("sha256");
  const add = (path) => hash.update(relative(root, path)).update("\0").update(readFileSync(path)).update("\0");
  add(join(root, "tsconfig.base.json"));
  for (const { folder, files } of sources) {
    add(join(root, folder, "tsconfig.json"));
    add(join(root, folder, "package.json"));
    for (const file of files) add(file);
  }
  return hash.digest("hex");
}

const isTest = (file) => file.endsWith(".test.ts");

function sourcesOf(folder) {
  const path = join(root, folder, readJson(join(root, folder, "tsconfig.json")).compilerOptions.rootDir);
  return { folder, path, files: filesBelow(path).filter((file) => !isTest(file)) };
}

function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isFile()) return [path];
      return entry.isDirectory() && entry.name !== "dist" && entry.name !== "node_modules" ? filesBelow(path) : [];
    })
    .sort();
}

// The compiler copies no SQL, no vectors and no templates; code finds them beside itself in src and in dist alike.
function copyAssets({ folder, path, files }) {
  for (const file of files) {
    if (/\.tsx?$/.test(file) || dirname(file) === join(root, folder)) continue;
    const copy = join(root, folder, "dist", relative(path, file));
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(file, copy);
  }
}

// The compiler leaves the output of a source that is gone; a migration among them would still be run.
function removeLeftovers({ folder, path }) {
  const output = join(root, folder, "dist");
  for (const file of filesBelow(output)) {
    const made = relative(output, file);
    const stem = made.replace(/(\.d)?\.[jt]s(\.map)?$/, "");
    const hasSource = [made, `${stem}.ts`, `${stem}.tsx`].some((name) => existsSync(join(path, name)));
    if (!hasSource && !made.endsWith(".tsbuildinfo")) rmSync(file);
  }
}

function requireWritable(path, purpose) {
  try {
    accessSync(path, constants.W_OK);
  } catch {
    stop(
      `cannot ${purpose}: \`${path}\` is not writable by ${userInfo().username}; run this as the owner of the checkout, or in a copy of it`,
    );
  }
}

// A marker only saves time: where it cannot be written, the next run looks again.
function writeWhenPossible(path, content) {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  } catch (error) {
    if (error.code !== "EACCES" && error.code !== "EROFS" && error.code !== "EPERM") throw error;
  }
}
