// Lint. Types, formatting and imports between packages are judged elsewhere (tsc, prettier, dependency-cruiser); here
// is what a reader would otherwise have to watch for: unsafe types, lost promises, ambient clock, randomness and
// environment, names that say nothing. `scripts/canary/lint` holds one violation of each; `npm run check -- lint` fails
// unless each is reported (plain `eslint .` shows them as errors).
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";
import { houseRules } from "./scripts/house-rules.mjs";

const tests = ["**/*.test.ts", "testing/**"];

/** Where a program is put together from its parts, and so the only place that reads the world around it. */
const compositionRoots = [
  "packages/server/src/main.ts",
  "packages/server/src/programs/*.ts",
  "packages/cli/src/main.ts",
  "packages/*/src/**/system.ts",
  "bench/**",
  "torture/**",
];

const ambient = {
  clock: [
    { object: "Date", property: "now", message: "take a `Clock`" },
    { object: "performance", property: "now", message: "take a `Clock`" },
  ],
  randomness: [
    { object: "Math", property: "random", message: "take a `Random`" },
    { object: "crypto", property: "randomUUID", message: "take a `Random`" },
    { object: "crypto", property: "randomBytes", message: "take a `Random`" },
    { object: "crypto", property: "getRandomValues", message: "take a `Random`" },
  ],
  environment: [
    { object: "process", property: "env", message: "read the environment in `main` and pass what it says" },
  ],
};

const syntax = [
  { selector: "TSEnumDeclaration", message: "use a union of literals" },
  { selector: "TSModuleDeclaration[kind!='global']", message: "a file is a module already" },
  { selector: "ExportDefaultDeclaration", message: "export by name" },
  { selector: "ExportAllDeclaration", message: "no barrels: import from the file that has it" },
];

const ambientClockSyntax = [
  { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: "take a `Clock`" },
  { selector: "CallExpression[callee.name='Date']", message: "take a `Clock`" },
];

const randomImports = [
  "randomBytes",
  "randomUUID",
  "randomInt",
  "randomFill",
  "randomFillSync",
  "webcrypto",
  "getRandomValues",
];
const randomPaths = ["crypto", "node:crypto"].map((name) => ({
  name,
  importNames: randomImports,
  message: "take a `Random`",
}));
const environmentPaths = ["process", "node:process"].map((name) => ({
  name,
  importNames: ["env"],
  message: "read the environment in `main` and pass what it says",
}));

export default defineConfig(
  {
    ignores: ["**/dist/", "**/node_modules/", ".cardea/", "coverage/", "scripts/canary/imports/"],
  },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    // Scripts and configuration: plain JavaScript, without types to look at.
    files: ["**/*.js", "**/*.mjs"],
    plugins: { house: houseRules },
    rules: {
      eqeqeq: "error",
      "no-unused-vars": "error",
      "no-var": "error",
      "prefer-const": "error",
      "house/file-names": "error",
      "house/disable-reason": "error",
    },
  },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    plugins: { house: houseRules },
    languageOptions: {
      parserOptions: {
        project: ["./tsconfig.lint.json", "./scripts/canary/lint/tsconfig.json"],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/consistent-type-exports": "error",
      "@typescript-eslint/no-import-type-side-effects": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: false },
      ],
      "@typescript-eslint/no-floating-promises": ["error", { ignoreVoid: false }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": [
        "error",
        { ignoreArrowShorthand: true, ignoreVoidOperator: true },
      ],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", caughtErrors: "all" }],
      "@typescript-eslint/no-misused-spread": ["error", { allow: ["string"] }],
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/promise-function-async": "off",
      "@typescript-eslint/strict-boolean-expressions": ["error", { allowString: false, allowNumber: false }],
      eqeqeq: "error",
      "no-console": "error",
      "prefer-const": "error",
      "no-var": "error",
      "max-lines": ["error", { max: 400 }],
      "no-restricted-properties": ["error", ...ambient.clock, ...ambient.randomness, ...ambient.environment],
      "no-restricted-syntax": ["error", ...syntax, ...ambientClockSyntax],
      "@typescript-eslint/no-restricted-imports": ["error", { paths: [...randomPaths, ...environmentPaths] }],
      "house/file-names": "error",
      "house/cast-reason": "error",
      "house/disable-reason": "error",
    },
  },
  {
    // The core is pure, hashing and signatures included: they come from one file.
    files: ["packages/core/src/**/*.ts", "scripts/canary/lint/core/**/*.ts"],
    ignores: ["packages/core/src/lib/crypto.ts", ...tests],
    rules: {
      "@typescript-eslint/no-restricted-imports": [
        "error",
        {
          patterns: [
            {
              regex: "^(node:|crypto$|fs$)",
              message: "the core does no I/O; `lib/crypto.ts` has the hashes and signatures",
            },
          ],
        },
      ],
    },
  },
  {
    files: compositionRoots,
    rules: {
      "no-restricted-properties": "off",
      "no-restricted-syntax": ["error", ...syntax],
      "@typescript-eslint/no-restricted-imports": "off",
    },
  },
  {
    // Tests use the real clock and dice where they test real servers, and hold partial values on purpose.
    files: tests,
    rules: {
      "no-restricted-properties": "off",
      "no-restricted-syntax": ["error", ...syntax],
      "@typescript-eslint/no-restricted-imports": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "max-lines": ["error", { max: 800 }],
      "house/cast-reason": "off",
    },
  },
  {
    files: ["**/*.config.ts", "**/*.config.js"],
    rules: { "no-restricted-syntax": "off" },
  },
);
