/** The outpost's program: settings from the environment, then `startOutpost` until it is asked to end. */
import { resolve } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import { startOutpost } from "@cardea/outpost/start";
import { makeDataDirectory } from "../keys/installation.ts";
import { systemClock, systemRandom } from "../processes/system.ts";
import { newLogger } from "./logger.ts";
import { sayReady, untilAsked } from "./parent.ts";

export async function main(): Promise<number> {
  const asked = untilAsked();
  const { env } = process;
  const controlUrl = env["CARDEA_CONTROL_URL"] ?? env["CARDEA_URL"];
  const enrolmentToken = env["CARDEA_ENROLMENT_TOKEN"];
  if (controlUrl === undefined && enrolmentToken === undefined) {
    throw new CardeaError("setting_invalid", "CARDEA_CONTROL_URL is not set: say where the control plane is");
  }
  const dataDir = resolve(env["CARDEA_OUTPOST_DATA"] ?? ".cardea/outpost");
  await makeDataDirectory(dataDir);
  const configFile = env["CARDEA_OUTPOST_CONFIG"];
  const outpost = await startOutpost({
    dataDir,
    ...(configFile !== undefined && { configFile: resolve(configFile) }),
    ...(controlUrl !== undefined && { controlUrl }),
    ...(enrolmentToken !== undefined && { enrolmentToken }),
    clock: systemClock,
    random: systemRandom,
    log: newLogger("outpost", env["CARDEA_LOG_LEVEL"] ?? "info"),
  });
  sayReady({ outpost: outpost.id });
  await asked;
  await outpost.close();
  return 0;
}
