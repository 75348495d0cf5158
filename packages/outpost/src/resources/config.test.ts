import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectors } from "@cardea/connectors/catalog";
import { readConfigFile, secretsFor } from "./config.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cardea-test-config-"));
  path = join(directory, "outpost.yaml");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function read(text: string) {
  await writeFile(path, text);
  return (await readConfigFile(path, connectors)).entries;
}

const good = `
  - name: shop
    kind: postgres
    connect: { host: /tmp, databases: [shop], user: admin, password: { env: SHOP_ADMIN } }
    roles: { read: { member: [reader] } }
`;

describe("outpost.yaml", () => {
  test("gives each entry its connector, and one bad entry leaves the others as they are", async () => {
    const entries = await read(
      `resources:${good}  - { name: other, kind: abacus }\n  - { name: third, kind: postgres, conect: 1 }\n  - 7\n`,
    );
    expect(entries.map(({ name, configured }) => [name, configured.ok])).toEqual([
      ["shop", true],
      ["other", false],
      ["third", false],
      ["resources[3]", false],
    ]);
    expect(entries[1]?.configured).toMatchObject({
      code: "resource_config_invalid",
      detail: "`other`: there is no kind `abacus`; there is `postgres`",
    });
  });

  test("an empty file has no resources", async () => {
    expect(await read("")).toEqual([]);
  });

  test.each([
    ["a syntax error, with its line", "resources:\n  - name: [", /line 2/],
    ["an unknown key", "resource: []", /resource/],
    ["a name twice", `resources:${good}${good}`, /two resources with the name `shop`/],
    ["something that is not a list", "resources: 7", /`resources`/],
  ])("is refused for %s", async (_, text, words) => {
    await expect(read(text)).rejects.toMatchObject({
      code: "resource_config_invalid",
      message: expect.stringMatching(words),
    });
  });

  test("is refused where its aliases would blow it up", async () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${"bcdefgh"
      .split("")
      .map(
        (name, index) =>
          `${name}: &${name} [${Array(10)
            .fill(`*${"abcdefgh"[index] ?? ""}`)
            .join(",")}]`,
      )
      .join("\n")}\n`;
    await expect(read(bomb)).rejects.toMatchObject({ code: "resource_config_invalid" });
  });

  test("a missing file is named", async () => {
    await expect(readConfigFile(join(directory, "none.yaml"), connectors)).rejects.toMatchObject({
      code: "resource_config_invalid",
    });
  });
});

describe("a secret", () => {
  test("is a value, a variable, or a file beside the configuration, without its last line break", async () => {
    await writeFile(join(directory, "pw"), "from file\n");
    const secret = secretsFor({ from: "file", path }, { NAME: "from variable" });
    expect(await Promise.all([secret({ value: "itself" }), secret({ env: "NAME" }), secret({ file: "pw" })])).toEqual([
      "itself",
      "from variable",
      "from file",
    ]);
  });

  test("that is missing is named, and never another one", async () => {
    const secret = secretsFor({ from: "file", path }, {});
    await expect(secret({ env: "NOT_SET" })).rejects.toMatchObject({
      code: "resource_config_invalid",
      message: "the environment variable `NOT_SET` is not set for the outpost",
    });
    await expect(secret({ file: "none" })).rejects.toMatchObject({ code: "resource_config_invalid" });
  });

  test("of a configuration that came over the link is a value: it reads no file and no variable of this machine", async () => {
    const secret = secretsFor({ from: "link" }, { NAME: "private" });
    await expect(secret({ env: "NAME" })).rejects.toMatchObject({ code: "resource_config_invalid" });
    await expect(secret({ file: "/etc/hostname" })).rejects.toMatchObject({ code: "resource_config_invalid" });
    expect(await secret({ value: "x" })).toBe("x");
  });
});
