/** Files that the user names: what they hold, and where results are written. */
import { readFile, writeFile } from "node:fs/promises";
import { CardeaError } from "@cardea/core/contract/errors";
import { userPath, type Context } from "./context.ts";

/** Larger than any document of Cardea's. */
const maxBytes = 64 * 1024 * 1024;

/** The text of a file, or of standard input for `-`. @throws CardeaError `usage` where it cannot be read, `too_large` */
export async function readUserFile({ stdin }: Pick<Context, "stdin">, path: string): Promise<string> {
  if (path === "-") return readAll(stdin);
  try {
    return await readFile(userPath(path), "utf8");
  } catch (cause) {
    throw new CardeaError("usage", `\`${path}\` cannot be read`, { cause });
  }
}

/** The JSON value in a file. @throws CardeaError `usage` */
export async function readUserJson(context: Pick<Context, "stdin">, path: string): Promise<unknown> {
  const text = await readUserFile(context, path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CardeaError("usage", `\`${path}\` is not JSON`, { cause });
  }
}

/** @throws CardeaError `usage` where it cannot be written */
export async function writeUserFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(userPath(path), text);
  } catch (cause) {
    throw new CardeaError("usage", `\`${path}\` cannot be written`, { cause });
  }
}

async function readAll(stdin: NodeJS.ReadStream): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Without an encoding set, a stream's chunks are buffers.
  for await (const chunk of stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new CardeaError("too_large", "standard input is larger than anything that is read from it");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
