/** Reads a processor's profile in Chrome's form: how its time divides among files, and among functions. */
import { readFile } from "node:fs/promises";

/** As much of the form as is read; Node writes it. */
interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface HotPath {
  /** Microseconds of the profile in all, the idle time left out. */
  readonly busyUs: number;
  /** Shares of the busy time, the largest first; each file's own time. */
  readonly files: readonly Share[];
  /** The same by function, `name file:line`. */
  readonly functions: readonly Share[];
}

export interface Share {
  readonly name: string;
  readonly us: number;
}

export async function readHotPath(path: string): Promise<HotPath> {
  // Written by `profile-process.ts`.
  const { nodes, samples, timeDeltas } = JSON.parse(await readFile(path, "utf8")) as Profile;
  const own = new Map<number, number>();
  for (const [index, id] of samples.entries()) own.set(id, (own.get(id) ?? 0) + (timeDeltas[index] ?? 0));
  const [files, functions] = [new Map<string, number>(), new Map<string, number>()];
  let busyUs = 0;
  for (const { id, callFrame } of nodes) {
    const us = own.get(id) ?? 0;
    const { functionName, url, lineNumber } = callFrame;
    if (us === 0 || functionName === "(idle)") continue;
    busyUs += us;
    const file = url === "" ? nameOr(functionName, "(native)") : fileOf(url);
    add(files, file, us);
    add(functions, url === "" ? file : `${nameOr(functionName, "(anonymous)")} ${file}:${String(lineNumber + 1)}`, us);
  }
  return { busyUs, files: sorted(files), functions: sorted(functions) };
}

function nameOr(name: string, otherwise: string): string {
  return name === "" ? otherwise : name;
}

function add(shares: Map<string, number>, name: string, us: number): void {
  shares.set(name, (shares.get(name) ?? 0) + us);
}

function sorted(shares: ReadonlyMap<string, number>): Share[] {
  return [...shares].map(([name, us]) => ({ name, us })).sort((one, other) => other.us - one.us);
}

/** Without what differs from checkout to checkout. */
function fileOf(url: string): string {
  return url.replace(/^file:\/\/.*\/(?=packages\/|node_modules\/)/, "").replace("/dist/", "/");
}
