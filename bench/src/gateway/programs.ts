/** PostgreSQL's own programs, run as people run them. */
import { spawn } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { Door } from "./ground.ts";

/** Where Debian keeps what it leaves out of everybody's PATH. */
const further = ["/usr/sbin", "/usr/lib/postgresql/15/bin"];

/** The program's path, or `undefined` where this machine does not have it. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of [...further, ...(process.env["PATH"] ?? "").split(delimiter)]) {
    const path = join(folder, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}

/** @throws Error where it is missing, with the Debian package that has it */
export async function demandProgram(name: string, debian: string): Promise<string> {
  const path = await findProgram(name);
  if (path === undefined) throw new Error(`\`${name}\` is missing: as root, apt-get install ${debian}`);
  return path;
}

/** How `libpq` is told where to go; the secret is in no argument. */
export function libpqEnvironment(door: Door, sslmode: "disable" | "require" = "disable"): NodeJS.ProcessEnv {
  return {
    ...process.env,
    LC_ALL: "C",
    PGHOST: door.host,
    PGPORT: String(door.port),
    PGUSER: door.user,
    PGPASSWORD: door.password,
    PGDATABASE: door.database,
    PGSSLMODE: sslmode,
    PGGSSENCMODE: "disable",
  };
}

/** Runs a program to its end; answers with what it printed. @throws Error with its words where it fails */
export async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let [printed, said] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`\`${program} ${args.join(" ")}\` ended with ${String(code)}: ${said.slice(-2_000)}`);
  return printed;
}
