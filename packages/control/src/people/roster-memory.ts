import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "@cardea/core/documents/digest";

/** The newest head that this installation has accepted, kept outside the database: a rolled-back one is noticed by it. */
export interface RememberedHead {
  readonly version: number;
  readonly digest: string;
}

let drafts = 0;

const fileName = /^head-([0-9]{12})$/;

/** What is remembered; undefined where nothing is yet. */
export async function rememberedHead(directory: string): Promise<RememberedHead | undefined> {
  const versions = await rememberedVersions(directory);
  // Pruning by another process may take a file away between listing and reading; a newer one is there then.
  for (const version of versions) {
    const digest = await readFile(join(directory, nameOf(version)), "utf8").catch(() => undefined);
    if (digest !== undefined) return { version, digest: digest.trim() };
  }
  return versions.length === 0 ? undefined : rememberedHead(directory);
}

/**
 * Remembers a head and then forgets the older ones. One file for each version, because processes share the folder: whoever writes last
 * must not make an older version the newest. A crash leaves either the old file, both, or the new one; each reads correctly.
 */
export async function rememberHead(directory: string, version: number, digest: Digest): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, nameOf(version));
  // Several callers of one process may remember the same head at once.
  const temporary = `${path}.${String(process.pid)}.${String((drafts += 1))}`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(`${digest}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const older = (await rememberedVersions(directory)).filter((other) => other < version);
  await Promise.all(older.map((other) => rm(join(directory, nameOf(other)), { force: true })));
}

function nameOf(version: number): string {
  return `head-${String(version).padStart(12, "0")}`;
}

/** Newest first. */
async function rememberedVersions(directory: string): Promise<number[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  return names
    .flatMap((name) => fileName.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a);
}
