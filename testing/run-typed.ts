/**
 * Runs a page's commands exactly as they are typed, in order, in one shell after the other, against a whole Cardea in development mode. What
 * the page says of them holds: a line that ends in `# refused: CODE` is refused with that code, one that ends in `# refused …` is refused,
 * every other one succeeds. `name=req_…` takes the newest id of that kind that was printed, as the reader would. `npm …` is passed over:
 * the stack stands for it. A block of SQL behind `cardea connect` is typed into the psql that it opened, in a terminal, which stays open; a
 * statement marked `-- waits` waits for its approval until the next one is typed, or the page ends.
 */
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TerminalProgram } from "@cardea/server/demo/terminal";
import { readPage, repositoryRoot, typedBlocks, type TypedLine } from "./documentation.ts";

export interface TypedStack {
  /** Where `--as NAME` finds its people. */
  readonly dataDirectory: string;
}

export interface Typed extends TypedLine {
  readonly exitCode: number;
  readonly output: string;
}

const lineTimeoutMs = 60_000;

/** Runs one page. Needs what the page asks for (`psql`), and built packages. @throws Error at the first line that does not do what the page says */
export async function runPage(stack: TypedStack, path: string): Promise<readonly Typed[]> {
  const directory = await mkdtemp(join(tmpdir(), "cardea-typed-"));
  let psql: TerminalProgram | undefined;
  try {
    const environment = await environmentOf(stack, directory);
    const variables: Record<string, string> = {};
    const done: Typed[] = [];
    const blocks = typedBlocks(readPage(path));
    for (const [index, { into, lines }] of blocks.entries()) {
      for (const line of lines) {
        const where = `${path}:${String(line.line)}`;
        const [, name, prefix] = /^([a-z]+)=([a-z]{3}_)…/.exec(line.text) ?? [];
        if (into === "psql") {
          if (psql !== undefined) done.push({ ...line, exitCode: 0, output: await typeSql(psql, line.text) });
        } else if (/^npm /.test(line.text)) {
          continue;
        } else if (name !== undefined && prefix !== undefined) {
          variables[name] = newestId(done, prefix, where);
        } else if (/cardea connect/.test(line.text) && line === lines.at(-1) && blocks[index + 1]?.into === "psql") {
          await psql?.[Symbol.asyncDispose]();
          psql = TerminalProgram.open(
            line.text,
            { ...environment, ...variables, TERM: "dumb", PAGER: "cat" },
            directory,
          );
          await psql.sees(prompt, lineTimeoutMs);
          done.push({ ...line, exitCode: 0, output: psql.shown });
        } else {
          const result = { ...line, ...(await runLine(line.text, { ...environment, ...variables }, directory)) };
          done.push(result);
          judge(path, result);
        }
      }
    }
    // What waited has run by now.
    if (psql !== undefined && !done.some(({ text }) => text === leave)) await typeSql(psql, leave);
    return done;
  } finally {
    await psql?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  }
}

const prompt = /=[*!]?> $/;
const leave = "\\q";

/** Answers what psql showed. @throws Error where the line does not do what it says */
async function typeSql(psql: TerminalProgram, text: string): Promise<string> {
  const before = psql.shown.length;
  // After what waited.
  if (!prompt.test(psql.shown)) await psql.sees(prompt, lineTimeoutMs);
  await psql.sees(/$/);
  psql.type(text);
  if (text === leave) {
    const exit = await psql.ended;
    if (exit !== 0) throw new Error(`psql ended with ${String(exit)}:\n${psql.shown}`);
  } else await psql.sees(text.endsWith("-- waits") ? /NOTICE: .*req_.*\n/ : prompt, lineTimeoutMs);
  const shown = psql.shown.slice(before);
  if (/ERROR|FATAL/.test(shown)) throw new Error(`\`${text}\` in psql:\n${shown}`);
  return shown;
}

/** `npx cardea` outside the repository would ask a registry, so it is a script here that runs the repository's own. */
async function environmentOf({ dataDirectory }: TypedStack, directory: string): Promise<NodeJS.ProcessEnv> {
  const npx = join(directory, "npx");
  const cardea = join(repositoryRoot, "packages", "cli", "bin", "cardea.js");
  await writeFile(npx, `#!/bin/sh\n[ "$1" = cardea ] || exit 127\nshift\nexec ${process.execPath} ${cardea} "$@"\n`);
  await chmod(npx, 0o755);
  // What the surrounding shell says of another Cardea is not the page's business.
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith("CARDEA_"));
  return {
    ...Object.fromEntries(others),
    PATH: `${directory}:${process.env["PATH"] ?? ""}`,
    CARDEA_DATA: dataDirectory,
    PSQLRC: "/dev/null",
  };
}

function newestId(done: readonly Typed[], prefix: string, where: string): string {
  const pattern = new RegExp(`${prefix}[0-9a-hjkmnp-tv-z]{26}`);
  for (const { output } of [...done].reverse()) {
    const id = pattern.exec(output)?.[0];
    if (id !== undefined) return id;
  }
  throw new Error(`${where}: nothing printed so far holds a \`${prefix}…\` to keep`);
}

function runLine(
  text: string,
  environment: NodeJS.ProcessEnv,
  directory: string,
): Promise<Pick<Typed, "exitCode" | "output">> {
  return new Promise((resolve, reject) => {
    const child = spawn("sh", ["-c", text], {
      cwd: directory,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: lineTimeoutMs,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (part: string) => (output += part));
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ exitCode: code ?? 1, output });
    });
  });
}

function judge(path: string, { text, line, exitCode, output }: Typed): void {
  const [, code] = /# refused(?:: ([a-z_]+))?/.exec(text) ?? [];
  const isRefused = text.includes("# refused");
  const holds = isRefused ? exitCode !== 0 && (code === undefined || output.includes(`(${code})`)) : exitCode === 0;
  if (!holds) throw new Error(`${path}:${String(line)}: \`${text}\` ended with ${String(exitCode)}:\n${output}`);
}
