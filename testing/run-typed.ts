/**
 * Runs a page's commands exactly as they are typed, in order, in one shell after the other, against a whole Cardea in development mode. What
 * the page says of them holds: a line that ends in `# refused: CODE` is refused with that code, one that ends in `# refused …` is refused,
 * every other one succeeds. `name=req_…` takes the newest id of that kind that was printed, as the reader would. `npm …` is passed over:
 * the stack stands for it.
 */
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPage, repositoryRoot, typedLines, type TypedLine } from "./documentation.ts";

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
  try {
    const environment = await environmentOf(stack, directory);
    const variables: Record<string, string> = {};
    const done: Typed[] = [];
    for (const line of typedLines(readPage(path))) {
      if (/^npm /.test(line.text)) continue;
      const [, name, prefix] = /^([a-z]+)=([a-z]{3}_)…/.exec(line.text) ?? [];
      if (name !== undefined && prefix !== undefined) {
        variables[name] = newestId(done, prefix, `${path}:${String(line.line)}`);
        continue;
      }
      const result = { ...line, ...(await runLine(line.text, { ...environment, ...variables }, directory)) };
      done.push(result);
      judge(path, result);
    }
    return done;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
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
