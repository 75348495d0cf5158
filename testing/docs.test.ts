import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectors } from "@cardea/connectors/catalog";
import { connectorSpecs } from "@cardea/connectors/spec-catalog";
import { endpoints, type Endpoint } from "@cardea/core/wire/api/endpoints";
import { auditTypes } from "@cardea/core/contract/audit-types";
import { errors } from "@cardea/core/contract/errors";
import { FromControl, FromOutpost, Task } from "@cardea/core/wire/link";
import type { DocumentType } from "@cardea/core/documents/digest";
import { limitNames } from "@cardea/core/documents/resource-spec";
import { transitions } from "@cardea/core/lifecycle/states";
import { openCheckpoint } from "@cardea/core/log/checkpoint";
import { parseVerifierKey } from "@cardea/core/log/note";
import { parseCases, PolicyCase, testPolicy } from "@cardea/core/policy/fixtures";
import { policyFieldNames, policyJsonSchema } from "@cardea/core/policy/json-schema";
import { parsePolicy } from "@cardea/core/policy/parse";
import { readConfigFile } from "@cardea/outpost/resources/config";
import { readSettings } from "@cardea/server/settings/settings";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blocksOf, codeIn, pagePaths, readPage, repositoryRoot, rowsOf, sectionOf } from "./documentation.ts";

const code = (text: string): string => `\`${text}\``;

/** Rows whose first cell is one piece of code. */
function codeRows(page: string): readonly (readonly string[])[] {
  return rowsOf(page).filter(([first]) => first !== undefined && /^`[^`]+`$/.test(first));
}

describe("reference pages are equal to the code", () => {
  it("errors.md: code, meaning, status, exit, retry", () => {
    const expected = Object.entries(errors).map(([name, { title, status, exit, retryable }]) => [
      code(name),
      title,
      String(status),
      String(exit),
      retryable ? "yes" : "no",
    ]);
    expect(codeRows(readPage("docs/reference/errors.md"))).toEqual(expected);
  });

  it("audit-events.md: type, meaning", () => {
    const expected = Object.entries(auditTypes).map(([type, meaning]) => [code(type), meaning]);
    expect(codeRows(readPage("docs/reference/audit-events.md"))).toEqual(expected);
  });

  it.each(Object.entries(transitions))("states.md: %s", (lifecycle, states) => {
    const expected = Object.entries<readonly string[]>(states).map(([from, to]) => [
      code(from),
      to.length === 0 ? "nothing: final" : to.map(code).join(", "),
    ]);
    expect(codeRows(sectionOf(readPage("docs/reference/states.md"), `## ${lifecycle}`))).toEqual(expected);
  });

  it("states.md: every lifecycle, and none besides", () => {
    const headings = [...readPage("docs/reference/states.md").matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual(Object.keys(transitions));
  });

  it("api.md: every call, what it does, what it needs", () => {
    const expected = Object.values<Endpoint>(endpoints).map(({ method, path, summary, access, presence }) => [
      code(`${method} ${path}`),
      summary,
      `${access === "public" ? "nothing" : access.join(" or ")}${presence === "sign-in" ? "; no API token" : ""}`,
    ]);
    expect(rowsOf(readPage("docs/reference/api.md")).filter((row) => row.length === 3)).toEqual(expected);
  });

  it("requests-and-grants.md: every type of document that has a digest", () => {
    const page = readPage("docs/reference/requests-and-grants.md");
    const [, listed = ""] = /Types: (.*)\.$/m.exec(page) ?? [];
    // The union spelt out as values, so that a new type does not compile until it stands here and on the page.
    const types: Record<DocumentType, true> = {
      asked: true,
      request: true,
      decision: true,
      vote: true,
      grant: true,
      run: true,
      review: true,
      policy: true,
      spec: true,
      configuration: true,
      sealed: true,
      roster: true,
      trust: true,
      permissions: true,
      "public-privileges": true,
      "sign-in": true,
      link: true,
    };
    expect(codeIn(listed)).toEqual(Object.keys(types));
  });

  it("policy.md: every field that a policy may have", () => {
    const named = new Set(codeIn(readPage("docs/reference/policy.md")).flatMap((text) => text.split(/[^A-Za-z]+/)));
    expect(policyFieldNames().filter((name) => !named.has(name))).toEqual([]);
  });

  it("policy.schema.json: what a control plane serves", async () => {
    const file = await readFile(join(repositoryRoot, "docs/reference/policy.schema.json"), "utf8");
    expect(JSON.parse(file)).toEqual(JSON.parse(JSON.stringify(policyJsonSchema())));
  });

  it("policy.md: every field of a case", () => {
    const section = sectionOf(readPage("docs/reference/policy.md"), "## Testing a policy");
    expect(codeRows2(section).sort()).toEqual(Object.keys(PolicyCase.shape).sort());
  });

  it("policy.md: every problem that a check can find", async () => {
    const source = await readFile(join(repositoryRoot, "packages/core/src/policy/problem.ts"), "utf8");
    const codes = [...source.matchAll(/^ {2}\| "([a-z_]+)"/gm)].map(([, name]) => name);
    const documented = codeRows2(sectionOf(readPage("docs/reference/policy.md"), "## Checking a policy"));
    expect(codes.length).toBeGreaterThan(20);
    expect(documented.sort()).toEqual(codes.sort());
  });

  it("postgres.md: actions, restrictions, and who enforces what", () => {
    const page = readPage("docs/reference/connectors/postgres.md");
    const spec = connectorSpecs["postgres"];
    const actions = sectionOf(page, "## Actions");
    expect(codeIn(actions.split("\n\n")[0] ?? "")).toEqual(spec?.actionNames);
    for (const facet of Object.keys(spec?.capabilities.facets ?? {})) expect(codeIn(actions)).toContain(facet);
    const { gateway, direct, ...others } = spec?.capabilities.vias ?? {};
    expect(others).toEqual({});
    const words = { native: "PostgreSQL", none: "nobody", gateway: "the gateway" };
    const expected = limitNames.map((limit) => [
      code(limit),
      words[gateway?.[limit] ?? "none"],
      words[direct?.[limit] ?? "none"],
    ]);
    const shown = codeRows(sectionOf(page, "## Who enforces what")).map((row) => row.slice(0, 3));
    expect(shown.sort()).toEqual(expected.sort());
  });

  it("link-protocol.md: every task and every message", () => {
    const page = readPage("docs/reference/link-protocol.md");
    const named = new Set(codeIn(page));
    const kinds = [
      ...Task.options.map(({ shape }) => shape.type.value),
      ...FromControl.options.map(({ shape }) => shape.kind.value),
      ...FromOutpost.options.map(({ shape }) => shape.kind.value),
    ];
    const inWords = new Set(["task", "receipt", "event", "report"]);
    expect(kinds.filter((kind) => !named.has(kind) && !inWords.has(kind))).toEqual([]);
  });

  it("settings.md: every variable that the programs read, and no other", async () => {
    const documented = new Set(
      codeIn(readPage("docs/reference/settings.md")).filter((name) => /^(CARDEA_[A-Z_]+|DATABASE_URL)$/.test(name)),
    );
    const read = await variablesRead();
    expect([...documented].sort()).toEqual([...read].sort());
  });
});

function codeRows2(section: string): string[] {
  return rowsOf(section).flatMap(([codes = ""]) => codeIn(codes));
}

/** For torture runs and tests alone; see the program that reads them. */
const forTests = new Set(["CARDEA_PAUSE_AT", "CARDEA_TORTURE"]);
/** Given to commands that `cardea run` starts. */
const given = ["CARDEA_KEY_FILE"];

async function variablesRead(): Promise<Set<string>> {
  const found = new Set([...given, ...(await gatewayVariables())]);
  for (const name of await readdir(join(repositoryRoot, "packages"))) {
    const files = await readdir(join(repositoryRoot, "packages", name, "src"), { recursive: true }).catch(() => []);
    for (const file of files.filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))) {
      const source = await readFile(join(repositoryRoot, "packages", name, "src", file), "utf8");
      for (const [, variable = ""] of source.matchAll(/"(CARDEA_[A-Z_]+|DATABASE_URL)"/g))
        if (!forTests.has(variable)) found.add(variable);
    }
  }
  return found;
}

/** A gateway's variables are put together from its kind. */
async function gatewayVariables(): Promise<string[]> {
  const source = await readFile(join(repositoryRoot, "packages/outpost/src/gateway/settings.ts"), "utf8");
  const names = [...source.matchAll(/\bof\("([A-Z_]+)"\)/g)].map(([, name = ""]) => name);
  expect(names).toContain("LISTEN");
  const kinds = Object.keys(connectors).filter((kind) => connectors[kind]?.gateway !== undefined);
  return kinds.flatMap((kind) => names.map((name) => `CARDEA_GATEWAY_${kind.toUpperCase()}_${name}`));
}

describe("examples are what production would accept", () => {
  let directory = "";
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "cardea-docs-"));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const yaml = pagePaths().flatMap((path) =>
    blocksOf(readPage(path))
      .filter(({ language }) => language === "yaml")
      .map((block): [string, string] => [`${path}:${String(block.line)}`, block.text]),
  );
  const policies = yaml.filter(([, text]) => /^rules:/m.test(text));
  const resources = yaml.filter(([, text]) => /^resources:/m.test(text));
  const settings = yaml.filter(([, text]) => /^(publicUrl|database):/m.test(text));

  const cases = yaml.filter(([, text]) => /^cases:/m.test(text));

  it("every YAML block is a policy, cases of one, resources or settings", () => {
    expect(policies.length + cases.length + resources.length + settings.length).toBe(yaml.length);
    expect(cases.length).toBeGreaterThan(0);
    expect(Math.min(policies.length, resources.length, settings.length)).toBeGreaterThan(0);
  });

  it.each(policies)("policy %s", (_, text) => {
    const parsed = parsePolicy(text);
    expect(parsed.ok ? [] : parsed.problems).toEqual([]);
  });

  it.each(cases)("cases %s come out as they say, by the page's first policy", (place, text) => {
    const page = place.slice(0, place.lastIndexOf(":"));
    const [, policy = ""] = policies.find(([other]) => other.startsWith(`${page}:`)) ?? [];
    const [parsed, read] = [parsePolicy(policy), parseCases(text)];
    expect([parsed.ok, read.ok]).toEqual([true, true]);
    if (!parsed.ok || !read.ok) return;
    expect(testPolicy(parsed.document, read.cases).filter(({ ok }) => !ok)).toEqual([]);
  });

  it.each(resources)("resources %s", async (place, text) => {
    const file = join(directory, `${place.replaceAll(/[^a-z0-9]/gi, "-")}.yaml`);
    await writeFile(file, text);
    const { entries } = await readConfigFile(file, connectors);
    expect(entries.length).toBeGreaterThan(0);
    expect(entries.flatMap(({ configured }) => (configured.ok ? [] : [configured.detail]))).toEqual([]);
  });

  it.each(settings)("settings %s", async (place, text) => {
    const file = join(directory, `${place.replaceAll(/[^a-z0-9]/gi, "-")}.yaml`);
    await writeFile(file, text);
    await expect(readSettings({ CARDEA_CONFIG: file }, directory)).resolves.toMatchObject({
      publicUrl: expect.stringMatching(/^https:/),
    });
  });

  it("every JSON block is JSON", () => {
    for (const path of pagePaths())
      for (const { language, text } of blocksOf(readPage(path))) if (language === "json") JSON.parse(text);
  });

  it("the checkpoint of log-format-and-evidence.md opens under the key beside it", () => {
    const page = readPage("docs/reference/log-format-and-evidence.md");
    const note = blocksOf(page).find(({ language }) => language === "text")?.text ?? "";
    const key = parseVerifierKey(codeIn(page).find((text) => /^[^+ ]+\+[0-9a-f]{8}\+/.test(text)) ?? "");
    expect(key.ok && openCheckpoint(note, { origin: "cardea.example.com/log", key: key.value })).toMatchObject({
      ok: true,
      value: { size: 42 },
    });
  });
});

describe("what is promised of pages", () => {
  it.each(["bench", "torture"])("every `npm run %s -- NAME` that they name is there", async (kind) => {
    const catalog = await readFile(join(repositoryRoot, kind, "src/catalog.ts"), "utf8");
    const there = [...catalog.matchAll(/^ {2}"?([a-z-]+)"?: \(\) => import/gm)].map(([, name]) => name);
    const named = pagePaths().flatMap((path) =>
      [...readPage(path).matchAll(new RegExp(`npm run ${kind} -- ([a-z][a-z-]*)`, "g"))].map(([, name]) => name),
    );
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((name) => !there.includes(name))).toEqual([]);
  });

  it("docs/README.md leads to every page", () => {
    const index = readPage("docs/README.md");
    const linked = new Set([...index.matchAll(/\]\(([^)#]+)/g)].map(([, path = ""]) => path));
    const below = pagePaths().filter(
      (path) => path.startsWith("docs/") && path !== "docs/README.md" && !path.startsWith("docs/adr/"),
    );
    expect(below.map((path) => path.slice("docs/".length)).filter((path) => !linked.has(path))).toEqual([]);
  });

  it("files that ARCHITECTURE.md names in the way of a request are there in its order", () => {
    const way = sectionOf(readPage("ARCHITECTURE.md"), "## The way of a request");
    expect([...way.matchAll(/^(\d+)\. /gm)].map(([, number]) => Number(number))).toEqual(
      Array.from({ length: 13 }, (_, index) => index + 1),
    );
  });
});
