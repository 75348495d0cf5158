// Who may import whom. The reasons are in each rule's comment; the drawing is in ARCHITECTURE.md. Every rule has a
// violation in scripts/canary/imports, and scripts/check-imports.mjs fails unless each of them is reported: this tool
// fails open in three ways (see docs/adr/0002-import-rules.md), so a rule that has never fired proves nothing.
import { join } from "node:path";

// Paths are matched without an anchor, because the canary tree sees the real packages from below.
const src = (name) => `(^|/)packages/${name}/src/`;
const packages = ["core", "connectors", "control", "outpost", "sdk", "cli", "server"];
const test = "[.]test[.]ts$";
const outsideThePackages = "(^|/)(testing|bench|torture)/";
// Run by every connector's tests against its real server.
const conformance = `${src("connectors")}conformance/`;

/** The folders of the core, lowest first: each imports itself and what stands before it. */
const coreLayers = [
  "lib",
  "log",
  "contract",
  "documents",
  "recording",
  "wire",
  "lifecycle",
  "policy",
  "approval",
  "evidence",
];

/** What a package may import of the others. */
const mayImport = {
  core: [],
  connectors: ["core"],
  control: ["core", "connectors"],
  outpost: ["core", "connectors"],
  sdk: ["core"],
  cli: ["core", "sdk"],
  server: ["core", "connectors", "control", "outpost", "sdk"],
};

const forbid = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

const packageRules = packages.map((name) => {
  const others = packages.filter((other) => other !== name && !mayImport[name].includes(other));
  return forbid(
    `${name}-imports`,
    `${name} imports ${mayImport[name].length === 0 ? "no other package" : `only ${mayImport[name].join(", ")}`}`,
    { path: src(name) },
    { path: src(`(${others.join("|")})`) },
  );
});

const coreRules = [
  ...coreLayers
    .slice(0, -1)
    .map((layer, index) =>
      forbid(
        `core-${layer}-imports-downward`,
        `in the core, ${layer} knows nothing of what is built on it`,
        { path: `${src("core")}${layer}/`, pathNot: test },
        { path: `${src("core")}(${coreLayers.slice(index + 1).join("|")})/` },
      ),
    ),
  forbid(
    "core-has-only-its-layers",
    "a new folder of the core first finds its place in the order",
    {},
    { path: src("core"), pathNot: `${src("core")}(${coreLayers.join("|")})/` },
  ),
  forbid(
    "core-libraries",
    "what both sides must agree on depends on schema, YAML and CEL libraries alone",
    { path: src("core"), pathNot: test },
    { path: "node_modules/", pathNot: "node_modules/(zod|yaml|@marcbachmann/cel-js)/" },
  ),
  forbid(
    "core-no-cycles",
    "in the core even types have one direction",
    { path: src("core"), pathNot: test },
    { circular: true },
  ),
  forbid(
    "core-no-io",
    "the core is pure; hashes and signatures come from one file",
    { path: src("core"), pathNot: [test, `${src("core")}lib/crypto[.]ts$`] },
    { dependencyTypes: ["core"] },
  ),
];

const connectorRules = [
  forbid(
    "connector-siblings",
    "connectors know the port and the core, never each other",
    { path: `${src("connectors")}([^/]+)/` },
    { path: `${src("connectors")}[^/]+/`, pathNot: [`${src("connectors")}$2/`, conformance] },
  ),
  forbid(
    "connector-spec-is-pure",
    "the control plane loads a spec, so a spec reaches no resource: it is data and decisions",
    { path: `${src("connectors")}[^/]+/spec/`, pathNot: test },
    { path: [`${src("connectors")}[^/]+/(?!spec/)`, "node_modules/pg/"] },
  ),
  forbid(
    "control-reaches-only-specs",
    "the control plane holds no way to a resource, by whatever detour",
    { path: src("control"), pathNot: test },
    { path: `${src("connectors")}[^/]+/(provider|gateway)/`, reachable: true },
  ),
];

const houseRules = [
  forbid(
    "cli-judges-nothing",
    "the command line shows what the rules say through the sdk; of the core it calls only lib, contract, documents and wire",
    { path: src("cli"), pathNot: test },
    { path: `${src("core")}(log|lifecycle|policy|approval|evidence)/`, dependencyTypesNot: ["type-only"] },
  ),
  forbid(
    "sql-only-in-store",
    "all SQL of the control plane is in one place",
    {
      path: src("control"),
      pathNot: [test, `${src("control")}store/`],
    },
    { path: "node_modules/(pg|kysely)/", dependencyTypesNot: ["type-only"] },
  ),
  forbid(
    "no-test-code-in-products",
    "what ships does not depend on what tests it",
    { path: src("[^/]+"), pathNot: [test, conformance] },
    { path: [test, conformance, outsideThePackages] },
  ),
  forbid(
    "no-cycles",
    "of two files that load each other, one is in the wrong place",
    {},
    { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
  ),
  forbid("resolvable", "an import that cannot be followed cannot be judged", {}, { couldNotResolve: true }),
];

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [...packageRules, ...coreRules, ...connectorRules, ...houseRules],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/" },
    // Without this, imports of types alone are not seen.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: join(import.meta.dirname, "tsconfig.base.json") },
    enhancedResolveOptions: {
      // Without this, imports of workspace packages are not seen.
      exportsFields: ["exports"],
      conditionNames: ["source", "import", "types", "node", "default"],
      mainFields: ["module", "main", "types"],
      extensions: [".ts", ".js", ".mjs", ".cjs", ".d.ts"],
    },
  },
};
