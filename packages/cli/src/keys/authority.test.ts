import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toTime } from "@cardea/core/documents/primitives";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { keepAuthority } from "./authority.ts";

const keyWith = (endpoint: DeliveredKey["endpoint"]): DeliveredKey => ({
  via: "gateway",
  kind: "postgres",
  user: "key_1",
  secret: "s",
  endpoint,
  notAfter: toTime(Date.UTC(2026, 0, 1)),
});

describe("the authority of a gateway", () => {
  let directory = "";
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "cardea-authority-"));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it("is written for its owner alone, under the same name each time and another for another", async () => {
    const first = await keepAuthority(keyWith({ ca: "one" }), directory);
    expect(await keepAuthority(keyWith({ ca: "one" }), directory)).toBe(first);
    expect(await keepAuthority(keyWith({ ca: "other" }), directory)).not.toBe(first);
    expect(await readFile(first ?? "", "utf8")).toBe("one");
    expect((await stat(first ?? "")).mode & 0o777).toBe(0o600);
  });

  it("is no file where the key came without one", async () => {
    for (const endpoint of [{}, { ca: "" }, { ca: 7 }])
      expect(await keepAuthority(keyWith(endpoint), directory)).toBeUndefined();
  });
});
