import { describe, expect, it } from "vitest";
import { maxPolicyText, parsePolicy } from "./parse.ts";
import type { Problem } from "./problem.ts";

/** The document that the reference shows. */
const reference = `version: 1
rules:
  - name: no-destructive-ddl-in-prod
    resources: { labels: { env: prod } }
    permits: { actions: [sql.truncate, sql.ddl.drop] }
    effect: deny
    message: Dropping or truncating in production goes through a migration.

  - name: engineers-read
    subjects: { kinds: [human], groups: [engineering] }
    resources: { kinds: [postgres], labels: { env: prod } }
    permits: { roles: [read], actions: [sql.select] }
    require: { justification: { minLength: 5 } }
    limits: { maxDuration: 4h, sessions: 3, via: [gateway, direct] }
    effect: allow

  - name: engineers-change
    subjects: { kinds: [human, agent], groups: [engineering] }
    resources: { labels: { env: prod } }
    permits: { roles: [write], actions: [sql.insert, sql.update, { name: sql.delete, tables: ["public.*"], requireWhere: true }, http.write] }
    when: request.window.durationSeconds <= 3600 || (has(verified.onCall) && verified.onCall)
    hold: [sql.delete]
    require: { justification: { minLength: 10 }, ticket: "^OPS-[0-9]+$" }
    limits: { maxDuration: 2h, sourceIps: [10.0.0.0/8] }
    effect: review
    approvals:
      - { count: 1, from: { groups: [dba] }, signed: passkey }
      - [{ count: 1, from: { groups: [security] } }, { count: 1, from: { groups: [owners-of-orders] } }]
    pending: { expire: 8h, remind: 30m, escalate: { after: 1h, to: { groups: [security-leads] } } }
    onPolicyChange: end

  - name: fire
    subjects: { groups: [on-call] }
    resources: { labels: { env: prod } }
    permits: { roles: [write] }
    require: { justification: { minLength: 10 } }
    limits: { maxDuration: 30m }
    effect: allow
    breakGlass: { review: { within: 24h, from: { groups: [security] } } }
`;

function problems(text: string): readonly Problem[] {
  const parsed = parsePolicy(text);
  return parsed.ok ? [] : parsed.problems;
}

/** One rule around the given lines, which begin on line 4. */
const rule = (...lines: string[]): string =>
  ["version: 1", "rules:", "  - name: one", ...lines.map((line) => `    ${line}`)].join("\n");
const whole = ["permits: { roles: [read] }", "limits: { maxDuration: 4h }", "effect: allow"];

describe("a policy", () => {
  it("as the reference shows it parses", () => {
    const parsed = parsePolicy(reference);
    expect(parsed.ok && parsed.document.rules.map(({ name }) => name)).toEqual([
      "no-destructive-ddl-in-prod",
      "engineers-read",
      "engineers-change",
      "fire",
    ]);
  });

  it("may be JSON", () => {
    expect(parsePolicy(JSON.stringify({ version: 1, rules: [] }))).toMatchObject({ ok: true, document: { rules: [] } });
  });

  it("may share lists by alias, and problems found later are located again", () => {
    const parsed = parsePolicy(
      `version: 1\nrules:\n  - name: one\n    subjects: { groups: &eng [a, b] }\n    permits: { roles: [read] }\n    limits: { maxDuration: 4h }\n    effect: allow\n  - name: two\n    subjects: { groups: *eng }\n    permits: { roles: [read] }\n    limits: { maxDuration: 4h }\n    effect: allow\n`,
    );
    expect(parsed.ok && parsed.document.rules[1]?.subjects).toEqual({ groups: ["a", "b"] });
    if (!parsed.ok) return;
    const located = parsed.source.locate({
      severity: "warning",
      code: "role_unknown",
      message: "",
      path: ["rules", 1, "permits", "roles", 0],
    });
    expect(located).toMatchObject({ rule: "two", line: 10, column: 24 });
  });
});

describe("what is wrong is told with its place", () => {
  it.each<[string, string, object]>([
    [
      "a misspelt field",
      rule("permitss: { roles: [read] }", ...whole),
      { code: "unknown_field", line: 4, column: 5, rule: "one", hint: "did you mean `permits`? if not, take it out" },
    ],
    ["a field far from any", rule("zzzzzzzzzz: 1", ...whole), { code: "unknown_field", line: 4, hint: "take it out" }],
    [
      "a misspelt field inside",
      rule("subjects: { group: [a] }", ...whole),
      { code: "unknown_field", line: 4, column: 17, hint: "did you mean `groups`? if not, take it out" },
    ],
    [
      "a missing field",
      rule("permits: { roles: [read] }", "effect: allow"),
      { code: "missing_field", message: "`limits` is missing", line: 3 },
    ],
    [
      "a missing effect",
      rule("permits: { roles: [read] }"),
      {
        code: "missing_field",
        message: "`effect` is missing",
        hint: "write `effect: allow`, `effect: review` or `effect: deny`",
      },
    ],
    [
      "an unknown effect",
      rule("effect: permit"),
      { code: "invalid_value", message: "`permit` is no effect", line: 4, column: 5 },
    ],
    [
      "a wrong type",
      rule("description: 5", ...whole),
      { code: "invalid_value", message: "this must be a text, not `5`, a number", line: 4 },
    ],
    [
      "a duration",
      rule("permits: { roles: [read] }", "limits: { maxDuration: 4 hours }", "effect: allow"),
      {
        code: "invalid_value",
        line: 5,
        column: 15,
        message: "`4 hours` is not a duration such as `90s`, `15m`, `4h` or `2d`",
      },
    ],
    [
      "a network with host bits",
      rule("permits: { roles: [read] }", "limits: { maxDuration: 4h, sourceIps: [10.0.0.1/8] }", "effect: allow"),
      { code: "invalid_value", line: 5, column: 44 },
    ],
    [
      "a name",
      rule("permits: { roles: [Read] }", "limits: { maxDuration: 4h }", "effect: allow"),
      { code: "invalid_value", line: 4, column: 24 },
    ],
    [
      "a facet that is one text",
      rule(
        "permits: { actions: [{ name: sql.select, tables: public.orders }] }",
        "limits: { maxDuration: 4h }",
        "effect: allow",
      ),
      { code: "invalid_value", line: 4, column: 46 },
    ],
    [
      "a flag set to false",
      rule(
        "permits: { actions: [{ name: sql.select, requireWhere: false }] }",
        "limits: { maxDuration: 4h }",
        "effect: allow",
      ),
      { code: "invalid_value", line: 4 },
    ],
    [
      "trustAsserted: false",
      rule("trustAsserted: false", ...whole),
      { code: "invalid_value", message: "`false` is not possible here", hint: "write `true`" },
    ],
    [
      "an empty list, which would mean nobody or everybody",
      rule("subjects: { groups: [] }", ...whole),
      { code: "invalid_value", message: "this must have at least 1 entries", line: 4 },
    ],
    [
      "a review without approvals",
      rule("permits: { roles: [read] }", "limits: { maxDuration: 4h }", "effect: review"),
      { code: "missing_field", message: "`approvals` is missing" },
    ],
    [
      "a requirement without whom",
      rule(...whole.slice(0, 2), "effect: review", "approvals: [{ count: 1 }]"),
      { code: "missing_field", message: "`from` is missing", line: 7 },
    ],
    [
      "a requirement of nobody",
      rule(...whole.slice(0, 2), "effect: review", "approvals: [{ count: 0, from: { groups: [a] } }]"),
      { code: "invalid_value", message: "this must have at least 1 as its value", line: 7 },
    ],
    ["approvals on a rule that allows", rule(...whole, "approvals: []"), { code: "unknown_field", line: 7 }],
    [
      "a name used twice",
      `${rule(...whole)}\n  - name: one\n    permits: { roles: [read] }\n    limits: { maxDuration: 4h }\n    effect: allow`,
      { code: "duplicate_rule", line: 7, column: 5, hint: "give each rule a name of its own" },
    ],
    ["a key written twice", rule(...whole, "effect: allow"), { code: "duplicate_key", line: 7 }],
    ["broken YAML", "version: 1\nrules: [\n", { code: "yaml_invalid" }],
    ["two documents", "version: 1\nrules: []\n---\nversion: 1\nrules: []\n", { code: "yaml_invalid" }],
    ["a tag", "version: 1\nrules: !!js/function []\n", { code: "yaml_invalid", line: 2 }],
    ["nothing", "", { code: "invalid_value", line: 1, column: 1 }],
    ["a list", "- a", { code: "invalid_value", message: "this must be a mapping, not a list", line: 1 }],
    [
      "another version",
      "version: 2\nrules: []",
      { code: "invalid_value", message: "`2` is not possible here", hint: "write `1`", line: 1 },
    ],
    ["no version", "rules: []", { code: "missing_field", message: "`version` is missing", line: 1 }],
    ["a rule that is a text", "version: 1\nrules: [abc]", { code: "invalid_value", line: 2, column: 9 }],
    [
      "a merge key, which is no feature here",
      rule("<<: { effect: deny }", ...whole),
      { code: "unknown_field", line: 4 },
    ],
  ])("%s", (_, text, expected) => {
    expect(problems(text)).toContainEqual(expect.objectContaining({ severity: "error", ...expected }));
  });

  it("everything at once, with the rule it is in", () => {
    const text = `version: 1\nrules:\n  - name: one\n    efect: allow\n    permits: {}\n    limits: { maxDuration: 4h }\n    effect: allow\n  - name: two\n    permits: { roles: read }\n    limits: { maxDuration: 4 }\n    effect: allow\n`;
    const found = problems(text).map(({ rule: name, line }) => [name, line]);
    expect(found).toEqual(
      expect.arrayContaining([
        ["one", 4],
        ["two", 9],
        ["two", 10],
      ]),
    );
  });

  it("never with characters that a terminal would obey", () => {
    const texts = [
      rule(`"x\\e[2J": 1`, ...whole),
      rule(`effect: "\\e[31m"`),
      rule(`description: "\\u202e"`, ...whole),
      `version: 1\nrules: *x\u001b[2J`,
    ];
    const shown = texts.flatMap(problems).map(({ message, hint, rule: name }) => [message, hint, name].join(" "));
    expect(shown.length).toBeGreaterThanOrEqual(texts.length);
    expect(shown.join(" ")).not.toMatch(/[\u001b\u202e]/);
  });
});

describe("texts made to hurt", () => {
  it.each<[string, string]>([
    ["too long", `# ${"x".repeat(maxPolicyText)}`],
    [
      "an alias bomb",
      `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n`,
    ],
    ["lists without end", "[".repeat(1_000_000)],
    ["lists without end, closed", "[".repeat(500_000) + "]".repeat(500_000)],
    ["mappings without end", "{a: ".repeat(250_000)],
    ["block lists without end", "- ".repeat(500_000)],
    ["explicit keys without end", "? ".repeat(500_000)],
    ["values without end", ": ".repeat(500_000)],
    ["indented without end", Array.from({ length: 1_400 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n")],
    ["quotes without end", '"'.repeat(1_000_000)],
    ["anchors without end", "&a ".repeat(300_000)],
    ["tags without end", "!!a ".repeat(250_000)],
    ["lines with an error each", "- ]\n".repeat(250_000)],
    ["keys written a hundred thousand times", "a: 1\n".repeat(200_000)],
    [
      "a hundred thousand unknown fields",
      Array.from({ length: 90_000 }, (_, index) => `k${String(index)}: 1`).join("\n"),
    ],
    ["an alias to itself", "version: 1\nrules: &r [*r]\n"],
    ["a key of the prototype", "version: 1\n__proto__: { rules: [] }\n"],
    ["an alias to nothing", "version: 1\nrules: *none\n"],
  ])("%s is refused soon", (_, text) => {
    const started = performance.now();
    expect(problems(text).length).toBeGreaterThan(0);
    // A second or two on an idle machine; what this rules out takes minutes.
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});
