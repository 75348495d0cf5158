/**
 * Holds the reference page equal to the program: every command with its options, every environment variable. `CARDEA_WRITE_REFERENCE=1` writes
 * the list of commands anew.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command, Option } from "commander";
import { describe, expect, it } from "vitest";
import { errors } from "@cardea/core/contract/errors";
import type { World } from "./context.ts";
import { buildProgram } from "./program.ts";

const source = fileURLToPath(new URL(".", import.meta.url));
const page = fileURLToPath(new URL("../../../docs/reference/cli.md", import.meta.url));
const marks = /(<!-- commands: [^>]*-->\n)([\s\S]*?)(<!-- end of commands -->)/;

// Nothing of the world is looked at before a command runs.
const program = buildProgram({} as World, () => undefined);

function visible(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== "help");
}

function optionLine({ flags, description, defaultValue, argChoices, mandatory, negate }: Option): string {
  const choices = argChoices === undefined ? "" : `; one of ${argChoices.map((choice) => `\`${choice}\``).join(", ")}`;
  const shown =
    negate ||
    defaultValue === undefined ||
    (Array.isArray(defaultValue) && defaultValue.length === 0) ||
    defaultValue === ""
      ? ""
      : ` (default \`${String(defaultValue)}\`)`;
  return `- \`${flags}\`: ${description}${choices}${mandatory ? " (required)" : shown}`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function section(command: Command, path: string): string[] {
  const usage = [
    path,
    ...command.registeredArguments.map((argument) =>
      argument.required
        ? `<${argument.name()}${argument.variadic ? "..." : ""}>`
        : `[${argument.name()}${argument.variadic ? "..." : ""}]`,
    ),
  ].join(" ");
  const own = command.options.filter(({ hidden }) => !hidden).map(optionLine);
  const told = command.registeredArguments
    .filter(({ description }) => description !== "")
    .map((argument) => `- \`${argument.name()}\`: ${argument.description}`);
  const subcommands = visible(command);
  const text = [
    `#### \`${usage}\``,
    "",
    sentence(command.description()),
    "",
    ...(told.length + own.length === 0 ? [] : [...told, ...own, ""]),
  ];
  return subcommands.length === 0 ? text : subcommands.flatMap((one) => section(one, `${path} ${one.name()}`));
}

function commandsText(): string {
  const groups = new Set(visible(program).map((command) => command.helpGroup()));
  const inGroup = (group: string) => visible(program).filter((command) => command.helpGroup() === group);
  const common = ["### Common options", "", ...program.options.map(optionLine), ""];
  const listed = [...groups].flatMap((group) => [
    `### ${group.replace(/:$/, "")}`,
    "",
    ...inGroup(group).flatMap((command) => section(command, `cardea ${command.name()}`)),
  ]);
  return `\n${[...common, ...listed].join("\n")}\n`;
}

describe("the reference page", () => {
  if (process.env["CARDEA_WRITE_REFERENCE"] === "1") {
    writeFileSync(
      page,
      readFileSync(page, "utf8").replace(
        marks,
        (_, begin: string, _list: string, end: string) => begin + commandsText() + end,
      ),
    );
  }
  const text = readFileSync(page, "utf8");

  it("lists every command with its options, in these words", () => {
    expect(marks.exec(text)?.[2]).toBe(commandsText());
  });

  it("names every environment variable that is read, and no other", () => {
    const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter(
      (name) => name.endsWith(".ts") && !name.endsWith(".test.ts"),
    );
    const code = files.map((name) => readFileSync(`${source}${name}`, "utf8")).join("\n");
    const read = [...code.matchAll(/(?:environment\[|set\()"([A-Z_]+)"/g)].map(([, name]) => name);
    const told = [...text.matchAll(/^\| `([A-Z_]+)` /gm)].map(([, name]) => name);
    expect(new Set(told)).toEqual(new Set(read));
  });

  it("names every exit code of the table of errors", () => {
    const told = [...text.matchAll(/^\| (\d+) /gm)].map(([, exit]) => Number(exit));
    expect(told).toEqual(
      [...new Set([0, ...Object.values(errors).map(({ exit }) => exit), 130])].sort((a, b) => a - b),
    );
  });
});
