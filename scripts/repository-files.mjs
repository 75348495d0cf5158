// The files of the repository: what is committed and what would be. Used by the checks that read files as text.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "./prepare.mjs";

/** @returns {string[]} paths from the root, sorted; deleted files are not among them */
export function repositoryFiles() {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { status, stdout, stderr } = spawnSync("git", args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`git could not list the files of \`${root}\`: ${stderr.trim()}`);
  const files = stdout.split("\0").filter((path) => path !== "" && existsSync(join(root, path)));
  return [...new Set(files)].sort();
}
