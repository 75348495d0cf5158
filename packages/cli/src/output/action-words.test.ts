import { describe, expect, it } from "vitest";
import type { Action } from "@cardea/core/documents/request";
import { actionLines } from "./action-words.ts";
import { answerWords, readAnswer } from "./answer.ts";
import { width } from "./clean.ts";
import { fields } from "./table.ts";
import { Terminal } from "./terminal.ts";

const terminal = (): Terminal => {
  const stream = { columns: 80, isTTY: true, write: () => undefined };
  return new Terminal({ json: false, out: stream, err: stream, environment: { NO_COLOR: "1" } });
};
const words = (action: Action) => fields(actionLines(action, terminal(), 80));

const update: Action = {
  type: "sql",
  name: "sql.update",
  what: {
    database: "shop",
    statement: "update orders set note = $1 where id = $2",
    params: ["a\nb", null, { base64: "AA==" }],
  },
  binding: {
    lines: ["updates public.orders (note) where id = $2", "can run the trigger audit"],
    ddl: false,
    transaction: "may",
  },
};

describe("an action in words", () => {
  it("says where, what, with what, and what it touches, each on a line of its own", () => {
    expect(words(update)).toBe(
      [
        "database   shop",
        "statement  │ update orders set note = $1 where id = $2",
        'with       $1 = "a\\nb"',
        "           $2 = null",
        "           $3 = binary, base64 AA==",
        "touches    updates public.orders (note) where id = $2",
        "           can run the trigger audit",
      ].join("\n"),
    );
  });

  it("says what DDL runs as, and what cannot be undone", () => {
    const text = words({ ...update, binding: { lines: ["creates an index"], ddl: true, transaction: "never" } });
    expect(text).toContain("runs as    the role that owns the objects");
    expect(text).toContain("it cannot run in a transaction");
  });

  it("lets no statement look like a line of ours", () => {
    const forged = words({
      ...update,
      what: { database: "shop\nwhy        routine", statement: "select 1\nwhy        routine" },
    });
    for (const line of forged.split("\n")) expect(line).not.toMatch(/^why/);
  });

  it("wraps what is longer than the terminal without beginning a line where a name would stand", () => {
    const long = { ...update, binding: { lines: [`updates ${"x".repeat(70)} why routine`] } };
    const shown = fields(actionLines(long, terminal(), 60), 60).split("\n");
    for (const line of shown) expect(width(line)).toBeLessThanOrEqual(60);
    expect(shown.filter((line) => /^ {11}\S/.test(line))).toHaveLength(3);
    expect(shown.join("").replace(/\s/g, "")).toContain(`${"x".repeat(70)}whyroutine`);
  });

  it("shows what it does not know as data", () => {
    expect(words({ type: "http", name: "http.post", what: { path: "/v1/refunds", body: { cents: 5 } } })).toBe(
      'path  /v1/refunds\nbody  {"cents":5}',
    );
    expect(words({ ...update, what: { statement: 7 }, binding: { lines: "all" } })).toBe("statement  7");
  });
});

describe("an answer in words", () => {
  const shown = (answer: object) => answerWords(readAnswer(JSON.stringify(answer)), terminal());

  it("is a table under the columns' own names, or the command alone", () => {
    const columns = [
      { name: "id", type: "int4" },
      { name: "Note", type: "text" },
    ];
    expect(
      shown({
        columns,
        rows: [
          ["7", null],
          ["12", "a\nb"],
        ],
        command: "SELECT 2",
      }),
    ).toBe("id  Note\n7   null\n12  a b\n(2 rows)");
    expect(shown({ columns, rows: [["7", "x"]], command: "UPDATE 1" })).toBe("id  Note\n7   x\n(1 row)\nUPDATE 1");
    expect(shown({ columns: [], rows: [], command: "UPDATE 1" })).toBe("UPDATE 1");
  });

  it.each(["", "[]", '{"columns":[],"rows":[]}'])("that has another form is a fault: %s", (text) => {
    expect(() => readAnswer(text)).toThrow(expect.objectContaining({ code: "internal" }));
  });
});
