/**
 * The programs of the `@cardea/server` package. It is looked up at run time, beside this package or in the working directory, and loaded into this
 * very process: signals, terminal and exit code are the program's own, and nothing is left behind whatever ends it.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CardeaError } from "@cardea/core/contract/errors";

const packageName = "@cardea/server";

export async function runServerProgram(name: string, args: readonly string[]): Promise<void> {
  const main = findServer([import.meta.url, pathToFileURL(join(process.cwd(), "package.json")).href]);
  if (main === undefined) {
    throw new CardeaError(
      "usage",
      `\`cardea ${name}\` needs the package \`${packageName}\`, which is not installed here; \`npm install ${packageName}\` beside this one (in a checkout: \`npm run build\`)`,
    );
  }
  process.argv = [process.execPath, fileURLToPath(main), name, ...args];
  await import(main);
}

/** The URL of the server's main module as seen from any of these places, or `undefined`. */
export function findServer(places: readonly string[]): string | undefined {
  for (const place of places) {
    try {
      const path = createRequire(place).resolve(`${packageName}/main`);
      if (existsSync(path)) return pathToFileURL(path).href;
    } catch (error) {
      // Not there: the next place may have it.
      if (!(error instanceof Error && "code" in error)) throw error;
    }
  }
  return undefined;
}
