/** Small files of the data directory that are written whole or not at all. */
import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";

/** Reads a file of ours; `undefined` where there is none. @throws CardeaError `data_directory_invalid` */
export async function readWhole<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new CardeaError("data_directory_invalid", `\`${path}\` cannot be read`, { cause: error });
  });
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new CardeaError(
      "data_directory_invalid",
      `\`${path}\` is damaged; restore it, or enrol the outpost anew under its name`,
      { cause: error },
    );
  }
}

/** Writes a file for its owner alone (0600). A crash leaves the old file or the new one: the name moves only after the content is on the disk, and the move itself is flushed. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
