/** Files for their owner alone: identities, tokens, delivery keys. */
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";

/** Writes a 0600 file in a 0700 folder, whole or not at all: another process that reads it never sees half of it. */
export async function writePrivate(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.new`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // A draft that a crash left behind may have been given away since.
    await rm(draft, { force: true });
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (cause) {
    throw new CardeaError("data_directory_invalid", `\`${path}\` cannot be written; CARDEA_HOME names another folder`, {
      cause,
    });
  }
}

/**
 * The text of a private file, or `undefined` where there is none.
 * @throws CardeaError `data_directory_invalid` where it cannot be read, or where others may read it too
 */
export async function readPrivate(path: string): Promise<string | undefined> {
  try {
    if (process.platform !== "win32" && ((await stat(path)).mode & 0o077) !== 0) {
      throw new CardeaError(
        "data_directory_invalid",
        `\`${path}\` may be read by others; \`chmod 600\` it, and sign in anew if somebody might have`,
      );
    }
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof CardeaError) throw cause;
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new CardeaError("data_directory_invalid", `\`${path}\` cannot be read`, { cause });
  }
}

/** As `readPrivate`, the JSON value; `undefined` also for what is not JSON. */
export async function readPrivateJson(path: string): Promise<unknown> {
  try {
    return JSON.parse((await readPrivate(path)) ?? "null") ?? undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
