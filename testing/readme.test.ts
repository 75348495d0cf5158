import { buildProgram } from "cardea/program";
import { describe, expect, it } from "vitest";
import { cardeaCommands, pagePaths, readPage, typedLines } from "./documentation.ts";

/** Parses a command as `cardea` would, and runs nothing. @throws CommanderError */
async function parse(words: readonly string[]): Promise<void> {
  const program = buildProgram(
    {
      environment: {},
      clock: { now: () => 0 },
      random: { bytes: (length) => new Uint8Array(length) },
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      signal: new AbortController().signal,
    },
    () => undefined,
  );
  disarm(program);
  await program.parseAsync([...words], { from: "user" });
}

type Program = ReturnType<typeof buildProgram>;

function disarm(command: Program): void {
  for (const inner of command.commands) {
    inner.action(() => undefined);
    disarm(inner);
  }
}

describe("the README", () => {
  const typed = typedLines(readPage("README.md")).map(({ text }) => text);

  it("begins with the two commands", () => {
    expect(typed.slice(0, 2)).toEqual(["npm start", "npm test"]);
  });

  it("tells the whole cycle", () => {
    const commands = typed.flatMap(cardeaCommands).map(([name]) => name);
    for (const name of ["connect", "request", "approve", "key", "release", "evidence", "verify", "audit"])
      expect(commands).toContain(name);
  });

  it("says of each refusal which it is", () => {
    for (const text of typed.filter((line) => line.includes("#")))
      expect(text).toMatch(/# refused(: [a-z_]+| by PostgreSQL| by the gateway)$/);
  });
});

describe("what the documentation tells people to type", () => {
  const all = pagePaths().flatMap((path) =>
    typedLines(readPage(path)).flatMap(({ text, line }) =>
      cardeaCommands(text).map((words): [string, readonly string[]] => [
        `${path}:${String(line)} cardea ${words.join(" ")}`,
        words,
      ]),
    ),
  );

  it("is found", () => {
    expect(all.length).toBeGreaterThan(40);
  });

  it.each(all)("%s", async (_, words) => {
    await expect(parse(words)).resolves.toBeUndefined();
  });

  it.each([
    ["an unknown command", ["approve-all"]],
    ["an unknown option", ["approve", "req_…", "--force"]],
    ["a missing argument", ["approve"]],
    ["an argument too many", ["withdraw", "req_…", "req_…"]],
    ["a missing mandatory option", ["review", "gra_…", "--misuse"]],
  ])("would be refused with %s", async (_, words) => {
    await expect(parse(words)).rejects.toMatchObject({ name: "CommanderError" });
  });
});
