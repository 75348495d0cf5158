import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clean, cleanJson, cut, oneLine, styles, width, wrap } from "./clean.ts";
import { fields, table } from "./table.ts";
import { Terminal, type Stream } from "./terminal.ts";

const bold = (text: string) => `\u001b[1m${text}\u001b[22m`;
/** Text as nobody should have written it: escape sequences, control, bidirectional and wide characters, styles of ours. */
const hostile = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "\u001b[2J",
        "\u001b]0;title\u0007",
        "\u009b31m",
        "\u202e",
        "\r",
        "\n",
        "\t",
        "漢",
        "e\u0301",
        "🙂",
        bold("x"),
      ),
    ),
  )
  .map((parts) => parts.join(""));

/** What a terminal might act on, once our own styles are taken out. */
const dangerous = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const withoutStyles = (text: string) =>
  Object.values(styles)
    .flat()
    .reduce((rest, code) => rest.replaceAll(`\u001b[${code}m`, ""), text);

describe("other people's text", () => {
  it("moves no cursor and hides nothing, whatever it is", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(dangerous.test(withoutStyles(clean(text)))).toBe(false);
      }),
    );
  });

  it("stays on its line where it is one", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(oneLine(text)).not.toMatch(/[\n\r\t\u2028\u2029]/);
      }),
    );
    expect(oneLine("fix\nstate   approved")).toBe("fix state   approved");
  });

  it("keeps what is harmless: our styles, line breaks, letters of every language", () => {
    expect(clean(`${bold("ja")}\n\tnaïve 漢字 عربى 🙂`)).toBe(`${bold("ja")}\n\tnaïve 漢字 عربى 🙂`);
  });

  it("is the same document as JSON", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const json = cleanJson(JSON.stringify({ text }));
        expect(JSON.parse(json)).toEqual({ text });
        expect(dangerous.test(json)).toBe(false);
      }),
    );
  });
});

describe("columns", () => {
  it.each([
    ["abc", 3],
    [bold("abc"), 3],
    ["漢字", 4],
    ["e\u0301", 1],
    ["🙂", 2],
    ["", 0],
  ])("of %j are %i", (text, columns) => {
    expect(width(text)).toBe(columns);
  });

  it("are never more than there are, and a cut is shown", () => {
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 40 }), (text, max) => {
        const line = oneLine(text);
        const kept = cut(line, max);
        expect(width(kept)).toBeLessThanOrEqual(max);
        if (width(line) > max) expect(kept).toContain("…");
        else expect(kept).toBe(line);
      }),
    );
  });

  it("of a table begin at the same place in every line", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(hostile, hostile), { minLength: 1, maxLength: 5 }), (rows) => {
        const marked = rows.map(([first, last]) => [first, `|${oneLine(last).replaceAll("|", "")}`]);
        const lines = table(["a", "|b"], marked, Number.POSITIVE_INFINITY).split("\n");
        expect(lines).toHaveLength(rows.length + 1);
        const places = lines.map((line) => width(line.slice(0, line.lastIndexOf("|"))));
        expect(new Set(places).size).toBe(1);
      }),
    );
  });

  it("fit the terminal", () => {
    for (const line of table(["a", "b"], [["x".repeat(50), "y".repeat(50)]], 30).split("\n"))
      expect(width(line)).toBeLessThanOrEqual(30);
  });

  it("of fields are one line each", () => {
    expect(
      fields([
        ["why", "fix\nstate  approved"],
        ["x", ""],
      ]),
    ).toBe("why  fix state  approved\nx");
  });
});

describe("wrapping", () => {
  it("keeps every character but the spaces at which it breaks, and nothing is wider than the terminal", () => {
    fc.assert(
      fc.property(hostile, fc.integer({ min: 4, max: 60 }), (text, max) => {
        const line = oneLine(text);
        const lines = wrap(line, max);
        expect(lines.join("").replaceAll(" ", "")).toBe(line.replaceAll(" ", ""));
        for (const one of lines) expect(width(one)).toBeLessThanOrEqual(max);
      }),
    );
  });

  it("leaves no words of others where a name would stand", () => {
    const shown = fields(
      [
        ["why", `${" ".repeat(40)}state  approved`],
        ["state", "pending"],
      ],
      30,
    ).split("\n");
    expect(shown.filter((line) => line.startsWith("state"))).toEqual(["state  pending"]);
  });
});

describe("a terminal", () => {
  function streams(over: Partial<Stream> = {}) {
    const [out, err]: [string[], string[]] = [[], []];
    const stream = (into: string[]): Stream => ({ ...over, write: (text) => into.push(text) });
    return { out, err, options: { out: stream(out), err: stream(err), environment: {} } };
  }

  it("gets words, a program gets the document and nothing else", () => {
    const people = streams();
    new Terminal({ json: false, ...people.options }).result({ a: 1 }, "one");
    expect(people.out).toEqual(["one\n"]);
    const programs = streams();
    const terminal = new Terminal({ json: true, ...programs.options });
    terminal.note("by the way");
    terminal.result({ a: 1 }, "one");
    terminal.item({ b: 2 }, "two");
    expect([programs.out.join(""), programs.err]).toEqual(['{\n  "a": 1\n}\n{"b":2}\n', []]);
  });

  it("is coloured only where it is one and nobody objects", () => {
    const styled = (tty: boolean, environment: Record<string, string>, json = false) =>
      new Terminal({ ...streams({ isTTY: tty }).options, json, environment }).style("red", "x") !== "x";
    expect([
      styled(true, {}),
      styled(false, {}),
      styled(true, { NO_COLOR: "1" }),
      styled(true, { TERM: "dumb" }),
      styled(false, { FORCE_COLOR: "1" }),
      styled(true, {}, true),
    ]).toEqual([true, false, false, false, true, false]);
  });

  it("shows progress on one line that is gone afterwards, with remarks above it", async () => {
    const { err, options } = streams({ isTTY: true, columns: 20 });
    const terminal = new Terminal({ json: false, ...options });
    const answer = await terminal.during(
      () => `waiting for ${"somebody ".repeat(9)}`,
      () => {
        terminal.note("bob approved");
        return Promise.resolve(7);
      },
    );
    expect(answer).toBe(7);
    expect(err[0]).toBe("\r\u001b[2Kwaiting for somebo…");
    expect(err[1]).toBe("\r\u001b[2Kbob approved\n");
    expect(err.at(-1)).toBe("\r\u001b[2K");
  });

  it("shows no progress in a pipe", async () => {
    const { err, options } = streams();
    await new Terminal({ json: false, ...options }).during(
      () => "waiting",
      () => Promise.resolve(),
    );
    expect(err).toEqual([]);
  });
});
