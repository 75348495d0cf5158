import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Context } from "../context.ts";
import { readResources } from "./resource-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cardea-resource-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function read(yaml: string) {
  const file = join(folder, "resources.yaml");
  await writeFile(file, yaml);
  // The two members that reading a file needs.
  return readResources(
    { stdin: process.stdin, environment: { ADMIN: "from the environment", EMPTY: "" } } as unknown as Context,
    file,
  );
}

describe("a file of resources", () => {
  it("is one entry, or a list of them", async () => {
    expect(await read("name: a\nkind: postgres\n")).toEqual([{ name: "a", kind: "postgres" }]);
    expect(await read("resources: [{ name: a }, { name: b }]")).toEqual([{ name: "a" }, { name: "b" }]);
  });

  it("brings its secrets along, from variables and from files beside it", async () => {
    await writeFile(join(folder, "ca.pem"), "-----BEGIN\n-----END\n");
    const [entry] = await read(
      "{ name: a, connect: { password: { env: ADMIN }, tls: { mode: verify-full, ca: { file: ca.pem } }, list: [{ value: given }] } }",
    );
    expect(entry?.["connect"]).toEqual({
      password: { value: "from the environment" },
      tls: { mode: "verify-full", ca: { value: "-----BEGIN\n-----END" } },
      list: [{ value: "given" }],
    });
  });

  it("may be labelled `env: prod` all the same", async () => {
    expect(await read("{ name: a, labels: { env: prod } }")).toEqual([{ name: "a", labels: { env: "prod" } }]);
  });

  it.each([
    ["{ name: a, connect: { password: { env: NONE } } }", "`NONE`"],
    ["{ name: a, connect: { password: { env: EMPTY } } }", "`EMPTY`"],
    ["{ name: a, connect: { password: { file: none.txt } } }", "none.txt"],
    ["resources: []", "neither one resource"],
    ["[1, 2]", "neither one resource"],
    ["name: [", "not YAML"],
    ["name: a\nname: b", "not YAML"],
  ])("of %s is refused, naming %s", async (yaml, named) => {
    await expect(read(yaml)).rejects.toMatchObject({
      code: "resource_config_invalid",
      message: expect.stringContaining(named) as unknown,
    });
  });
});
