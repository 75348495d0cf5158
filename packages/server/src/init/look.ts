/** Looks at the newcomer's own resource with the connector that will serve it, so that what init says is what the outpost will say. */
import { readFile } from "node:fs/promises";
import { connectors } from "@cardea/connectors/catalog";
import type { Inspection } from "@cardea/connectors/connector";
import { CardeaError } from "@cardea/core/contract/errors";
import { systemClock, systemEnvironment, systemRandom } from "../processes/system.ts";

const timeoutMs = 20_000;

/** @throws CardeaError `resource_…` as the connector says it, `resource_config_invalid` */
export async function inspect(entry: { readonly kind: string }): Promise<Inspection> {
  const connector = connectors[entry.kind];
  if (connector === undefined)
    throw new CardeaError("resource_config_invalid", `there is no connector of the kind \`${entry.kind}\``);
  const config = connector.spec.schema.safeParse(entry);
  if (!config.success) {
    const issue = config.error.issues[0];
    throw new CardeaError(
      "resource_config_invalid",
      `\`${issue?.path.join(".") ?? ""}\`: ${issue?.message ?? "invalid"}`,
    );
  }
  const provider = connector.open(config.data, {
    clock: systemClock,
    random: systemRandom,
    // Nothing is made here, so no name needs a real mark.
    markKey: systemRandom.bytes(32),
    secret: async (reference) => {
      if ("value" in reference) return reference.value;
      if ("env" in reference) return systemEnvironment[reference.env] ?? "";
      return (await readFile(reference.file, "utf8")).replace(/\r?\n$/, "");
    },
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined },
  });
  try {
    return await provider.inspect(AbortSignal.timeout(timeoutMs));
  } finally {
    await provider.close();
  }
}
