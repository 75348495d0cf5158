import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findServer } from "./server.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cardea-server-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const place = () => pathToFileURL(join(folder, "package.json")).href;

async function install({ built }: { built: boolean }): Promise<string> {
  const root = join(folder, "node_modules/@cardea/server");
  await mkdir(join(root, "dist"), { recursive: true });
  await writeFile(
    join(root, "package.json"),
    JSON.stringify({ name: "@cardea/server", exports: { "./*": "./dist/*.js" } }),
  );
  if (built) await writeFile(join(root, "dist/main.js"), "");
  return pathToFileURL(join(root, "dist/main.js")).href;
}

describe("the server's package", () => {
  it("is found where it is installed, and where it is not the next place is asked", async () => {
    const main = await install({ built: true });
    expect(findServer([place()])).toBe(main);
    expect(findServer(["file:///nowhere/package.json", place()])).toBe(main);
  });

  it("is not there where it is not installed, or not built", async () => {
    expect(findServer([place()])).toBeUndefined();
    await install({ built: false });
    expect(findServer([place()])).toBeUndefined();
  });
});
