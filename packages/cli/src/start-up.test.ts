/** What a start costs. Time depends on the machine; what is loaded does not. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { version } from "./version.ts";

/** Everything that loading this file loads before anything runs: imports of values, followed through our own packages. */
function loadedBy(url: URL, seen = new Map<string, string>()): Map<string, string> {
  const text = readFileSync(url, "utf8");
  const imports = text.matchAll(/^import\s+(?!type\s)(?:[^;]*?\sfrom\s+)?"([^"]+)"/gm);
  for (const [, name = ""] of imports) {
    const ours = name.startsWith("@cardea/")
      ? new URL(`../../${name.replace(/^@cardea\/([^/]+)\//, "$1/src/")}.ts`, import.meta.url)
      : name.startsWith(".")
        ? new URL(name, url)
        : undefined;
    const key = ours?.href ?? name;
    if (seen.has(key)) continue;
    seen.set(key, name);
    if (ours !== undefined) loadedBy(ours, seen);
  }
  return seen;
}

describe("starting", () => {
  it("loads the tree of commands and nothing that a command needs", () => {
    const loaded = [...loadedBy(new URL("main.ts", import.meta.url)).values()].filter((name) => !name.startsWith("."));
    expect(new Set(loaded)).toEqual(new Set(["commander", "@cardea/core/contract/errors", "node:crypto", "node:path"]));
  });

  it("says the package's version", () => {
    const { version: packaged } = createRequire(import.meta.url)(
      fileURLToPath(new URL("../package.json", import.meta.url)),
    ) as { version: string };
    expect(version).toBe(packaged);
  });
});
