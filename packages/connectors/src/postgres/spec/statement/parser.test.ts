import { createRequire } from "node:module";
import fc from "fast-check";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { loadParser, maxTextBytes, parse, readText } from "./parser.ts";

beforeAll(loadParser);

/** Chains and nests of one construct, `n` times. */
const deep: readonly (readonly [name: string, make: (n: number) => string])[] = [
  ["parentheses", (n) => `select ${"(".repeat(n)}1${")".repeat(n)}`],
  ["sums", (n) => `select 1${"+1".repeat(n)}`],
  ["minuses", (n) => `select ${"- ".repeat(n)}1`],
  ["nots", (n) => `select ${"not ".repeat(n)}true`],
  ["subqueries", (n) => `select ${"(select ".repeat(n)}1${")".repeat(n)}`],
  ["subqueries in from", (n) => `select 1 from ${"(select 1 from ".repeat(n)}t${") x".repeat(n)}`],
  ["arrays", (n) => `select ${"array[".repeat(n)}1${"]".repeat(n)}`],
  ["unions", (n) => `select 1${" union select 1".repeat(n)}`],
  ["unions with commas", (n) => `select 1, 2${" union select 1, 2".repeat(n)}`],
  ["joins", (n) => `select 1 from a${" join a on true".repeat(n)}`],
  ["comma joins", (n) => `select 1 from a${", a join a on true and false".repeat(n)}`],
  ["cases", (n) => `select ${"case when true then ".repeat(n)}1${" end".repeat(n)}`],
  ["cases with a column called end", (n) => `select ${"case when x.end then ".repeat(n)}1${" end".repeat(n)} from x`],
  ["parentheses with a column called end", (n) => `select ${"(x.end + ".repeat(n)}1${")".repeat(n)} from x`],
  ["casts", (n) => `select 1${"::int".repeat(n)}`],
  ["concatenations", (n) => `select 'a'${"||'a'".repeat(n)}`],
  ["arrows", (n) => `select x${"->'a'".repeat(n)}`],
  ["null tests", (n) => `select 1${" is null".repeat(n)}`],
  ["collations", (n) => `select 'a'${' collate "C"'.repeat(n)}`],
  ["time zones", (n) => `select now()${" at time zone 'utc'".repeat(n)}`],
  ["calls", (n) => `select ${"f(".repeat(n)}1${")".repeat(n)}`],
  ["common table expressions", (n) => `${"with x as (".repeat(n)}select 1${") select 1".repeat(n)}`],
  ["comments", (n) => `select ${"/*".repeat(n)}${"*/".repeat(n)} 1`],
  ["exists", (n) => `select ${"exists (select 1 where ".repeat(n)}true${")".repeat(n)}`],
  ["rows", (n) => `select ${"row(".repeat(n)}1${")".repeat(n)}`],
  ["pluses", (n) => `select 1 ${"+".repeat(n)}1`],
  ["sums behind a quote in a comment", (n) => `select 1 +/*'*/ 1${"+1".repeat(n)}`],
  ["sums behind a quote that only looks escaped", (n) => `select éE'\\', 1${"+1".repeat(n)}, 'a'`],
  ["subscripts in subscripts", (n) => `select ${"a[".repeat(n)}1${"]".repeat(n)} from a`],
];

describe("a text that is too deep is refused before it hurts the parser", () => {
  test.each(deep)("%s", (_name, make) => {
    for (const n of [10, 20, 50, 100, 200, 400, 800, 2_000, 20_000, 200_000]) {
      const parsed = parse(make(n));
      if (parsed.is === "refused") expect(["too_deep", "too_large"]).toContain(parsed.code);
      if (n <= 20) expect(parsed.is).toBe("parsed");
    }
    expect(parse("select 1").is).toBe("parsed");
  });

  test.each([
    ["a long condition", `select 1 from t where ${Array.from({ length: 5_000 }, (_, i) => `a = ${i}`).join(" or ")}`],
    ["a long list", `select 1 from t where a in (${Array.from({ length: 20_000 }, (_, i) => i).join(",")})`],
    [
      "many rows",
      `insert into t values ${Array.from({ length: 5_000 }, (_, i) => `(${i}, 'it''s', e'\\'')`).join(",")}`,
    ],
    ["many columns", `select ${Array.from({ length: 1_500 }, (_, i) => `c${i} as "d ${i}"`).join(", ")} from t`],
    ["a long string", `select '${"((((+ + + ".repeat(50_000)}'`],
    ["a long dollar-quoted string", `select $a$${"((((+ + + ".repeat(50_000)}$a$`],
    ["a long comment", `select 1 /*${"((((+ + + ".repeat(50_000)}*/`],
    ["two hundred unions", `select 1${" union all select 1".repeat(200)}`],
  ])("%s is flat", (_name, text) => {
    expect(parse(text).is).toBe("parsed");
  });
});

describe("what is no text is refused", () => {
  test.each([
    ["bytes that are no UTF-8", Buffer.from([0x73, 0xc3, 0x28]), "not_text"],
    ["an overlong encoding", Buffer.from([0xc0, 0xa7]), "not_text"],
    ["a surrogate in UTF-8", Buffer.from([0xed, 0xa0, 0x80]), "not_text"],
    ["a NUL, after which the parser would not look", Buffer.from("select 1\0; drop table t"), "not_text"],
    ["more than a mebibyte", Buffer.alloc(maxTextBytes + 1, "x"), "too_large"],
  ])("%s", (_name, bytes, code) => {
    expect(readText(bytes)).toMatchObject({ is: "refused", code });
  });

  test("a byte order mark stays what it is: no white space", () => {
    const text = readText(Buffer.from("\ufeffselect 1"));
    expect(text).toEqual({ is: "text", text: "\ufeffselect 1" });
  });

  test.each([
    ["select 1\0", "not_text"],
    ["select '\ud800'", "not_text"],
    ["x".repeat(maxTextBytes + 1), "too_large"],
    ["select 1;".repeat(201), "too_large"],
    [`select ${"1,".repeat(200_000)}1`, "too_large"],
    ["selec 1", "syntax_error"],
    ["select 'a", "syntax_error"],
  ])("%j", (text, code) => {
    expect(parse(text)).toMatchObject({ is: "refused", code });
  });
});

test("a parser that fails as a program is replaced by a new one", async () => {
  const require = createRequire(import.meta.url);
  // The module object that the parser under test holds as well; its text does not matter.
  const loaded = require("libpg-query") as { parseSync: () => never };
  loaded.parseSync = () => {
    throw new RangeError("Maximum call stack size exceeded");
  };
  expect(parse("select 1")).toMatchObject({ is: "refused", code: "parser_fault" });
  expect(parse("select 1")).toMatchObject({ is: "refused", code: "parser_fault" });
  await vi.waitFor(() => {
    expect(parse("select 1").is).toBe("parsed");
  });
  expect(require("libpg-query")).not.toBe(loaded);
});

describe("the answer", () => {
  test("says where the error is, in characters as the protocol counts", () => {
    expect(parse("select 1 fron t x y")).toMatchObject({ sqlState: "42601", position: 15 });
  });

  test("gives each statement its place in the text, beyond ASCII too", () => {
    const text = "select 'żółć'; select 'ł'";
    const parsed = parse(text);
    const places = parsed.is === "parsed" ? parsed.statements.map(({ start, end }) => text.slice(start, end)) : [];
    expect(places).toEqual(["select 'żółć'", "select 'ł'"]);
  });

  test.each(["", ";", "-- nothing", "/* nothing */;;"])("%j holds no statement", (text) => {
    expect(parse(text)).toMatchObject({ is: "parsed", statements: [] });
  });

  test("is one for whatever it is given: never an error", () => {
    const words = fc.constantFrom(
      ..."select from where ( ) [ ] , ; . * 'a' \"b\" $$ $1 e'\\' U&' -- /* */ case when then end :: int insert into values update set delete union with as".split(
        " ",
      ),
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(words, fc.string({ unit: "binary", maxLength: 4 })), { maxLength: 40 }),
        (parts) => {
          const parsed = parse(parts.join(" "));
          expect(parsed.is === "parsed" || parsed.code !== "parser_fault").toBe(true);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
