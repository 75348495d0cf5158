import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { width } from "./clean.ts";
import { statementLines } from "./sql.ts";

const plain = (_: string, text: string) => text;
const lines = (sql: string, columns = 60) => statementLines(sql, columns, plain);

describe("a statement for an approver's eyes", () => {
  it.each([
    [
      "a short one stays as it is",
      "update orders set status = 'paid' where id = 7",
      ["update orders set status = 'paid' where id = 7"],
    ],
    [
      "a long one has a line for each clause",
      "update public.orders o set status = 'paid', note = $1 from customers c where c.id = o.customer_id returning o.id",
      [
        "update public.orders o",
        "set status = 'paid', note = $1",
        "from customers c",
        "where c.id = o.customer_id",
        "returning o.id",
      ],
    ],
    [
      "words in brackets, texts, names and comments begin no line",
      `select a, (select max(x) from t where y), 'it''s from', "from", $q$ where $q$, e'\\' from ' /* from /* where */ */ from orders`,
      [
        "select a, (select max(x) from t where y), 'it''s from',",
        `"from", $q$ where $q$, e'\\' from ' /* from /* where */ */`,
        "from orders",
      ],
    ],
    [
      "joins stay together",
      `select 1 ${" ".repeat(70)}from a left join b on a.x = b.x`,
      ["select 1", "from a", "left join b", "on a.x = b.x"],
    ],
    [
      "its author's lines are kept",
      "delete from orders -- where id = 7\n  where true",
      ["delete from orders -- where id = 7", "  where true"],
    ],
    ["what is longer than a line is broken", "x".repeat(130), ["x".repeat(60), "x".repeat(60), "x".repeat(10)]],
    ["what is not closed goes to the end", "select 'a from b where", ["select 'a from b where"]],
    ["a tab is two spaces, and line ends are one thing", "a\r\n\tb\rc", ["a", "  b", "c"]],
  ])("%s", (_, sql, expected) => {
    expect(lines(sql).map((line) => line.trimEnd())).toEqual(expected);
  });

  it("shows every character of any text, in order, and nothing wider than the terminal", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 300 }),
        fc.integer({ min: 20, max: 120 }),
        (sql, columns) => {
          const shown = statementLines(sql, columns, plain);
          const visible = (text: string) => text.replaceAll("\u001b", "\ufffd").replace(/\s/gu, "");
          expect(visible(shown.join(""))).toBe(visible(sql));
          for (const line of shown) expect(width(line)).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });

  it("styles what it knows, and lets the text style nothing", () => {
    const painted = statementLines("select 'x\u001b[31m' -- y", 60, (style, text) => `<${style}>${text}</>`);
    expect(painted).toEqual(["<bold>select</> <green>'x\ufffd[31m'</> <gray>-- y</>"]);
  });
});
