/** The outpost's program: settings from the environment, then `startOutpost` until it is asked to end. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { CardeaError } from "@cardea/core/contract/errors";
import { startOutpost } from "@cardea/outpost/start";
import { makeDataDirectory } from "../keys/installation.ts";
import { systemClock, systemRandom } from "../processes/system.ts";
import { version } from "../version.ts";
import { newLogger } from "./logger.ts";
import { sayReady, untilAsked } from "./parent.ts";

/** The token is single use, so it may only come by a variable or by standard input (`--enrol -`), never by an argument that others can list. */
async function readEnrolmentToken(args: readonly string[]): Promise<string | undefined> {
  const { values } = parseArgs({ args: [...args], options: { enrol: { type: "string" } } });
  if (values.enrol === undefined) return process.env["CARDEA_ENROLMENT_TOKEN"];
  if (values.enrol !== "-") throw new CardeaError("usage", "--enrol takes `-` and reads the token from standard input");
  return (await text(process.stdin)).trim();
}

export async function main(args: readonly string[]): Promise<number> {
  const asked = untilAsked();
  const { env } = process;
  const controlUrl = env["CARDEA_CONTROL_URL"] ?? env["CARDEA_URL"];
  const enrolmentToken = await readEnrolmentToken(args);
  const dataDir = resolve(env["CARDEA_OUTPOST_DATA"] ?? join(env["CARDEA_DATA"] ?? ".cardea", "outpost"));
  await makeDataDirectory(dataDir);
  const configFile = env["CARDEA_OUTPOST_CONFIG"] ?? (existsSync("outpost.yaml") ? "outpost.yaml" : undefined);
  const outpost = await startOutpost({
    dataDir,
    ...(configFile !== undefined && { configFile: resolve(configFile) }),
    ...(controlUrl !== undefined && { controlUrl }),
    ...(enrolmentToken !== undefined && { enrolmentToken }),
    clock: systemClock,
    random: systemRandom,
    log: newLogger("outpost", env["CARDEA_LOG_LEVEL"] ?? "info"),
    settings: { version, environment: env },
  });
  sayReady({ outpost: outpost.id });
  await asked;
  await outpost.close();
  return 0;
}
