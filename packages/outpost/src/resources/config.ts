/** Entries of `outpost.yaml`, and single ones that came sealed: found by kind, parsed by their connector, refused with words that say where. */
import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { parseDocument } from "yaml";
import { z } from "zod";
import type { Connector, ResourceConfig, SecretReference } from "@cardea/connectors/connector";
import { CardeaError } from "@cardea/core/contract/errors";
import { Name } from "@cardea/core/documents/primitives";
import { ok, refused, type Result } from "@cardea/core/lib/result";
import { GatewaySection } from "../gateway/settings.ts";

export type Connectors = Readonly<Record<string, Connector>>;

/** An entry whose connector accepts it. */
export interface Configured {
  readonly config: ResourceConfig;
  readonly connector: Connector;
}

/** One entry of the file: its name, and its configuration or what is wrong with it. */
export interface Entry {
  readonly name: string;
  readonly configured: Result<Configured, "resource_config_invalid">;
}

const maxFileBytes = 1_048_576;
const ConfigFile = z.strictObject({
  resources: z.array(z.unknown()).max(1_000).default([]),
  gateway: GatewaySection.default({}),
});
const EntryHead = z.looseObject({ name: Name, kind: z.string().max(63) });

/** What `outpost.yaml` says. */
export interface OutpostFile {
  readonly entries: readonly Entry[];
  readonly gateway: GatewaySection;
}

/** Reads `outpost.yaml`. One bad entry does not stop the others. @throws CardeaError `resource_config_invalid` for a file that cannot be read as one */
export async function readConfigFile(path: string, connectors: Connectors): Promise<OutpostFile> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new CardeaError("resource_config_invalid", `\`${path}\` cannot be read`, { cause: error });
  });
  if (Buffer.byteLength(text) > maxFileBytes)
    throw new CardeaError("resource_config_invalid", `\`${path}\` is larger than 1 MiB`);
  const document = parseDocument(text);
  const [fault] = document.errors;
  if (fault !== undefined)
    throw new CardeaError(
      "resource_config_invalid",
      `\`${path}\`, line ${String(fault.linePos?.[0].line ?? 1)}: ${firstLine(fault.message)}`,
    );
  const file = ConfigFile.safeParse(plain(document, path) ?? {});
  if (!file.success) throw new CardeaError("resource_config_invalid", `\`${path}\`: ${words(file.error)}`);
  const entries = file.data.resources.map((entry, index) =>
    readEntry(entry, `resources[${String(index)}]`, connectors),
  );
  const seen = new Set<string>();
  for (const { name } of entries) {
    if (seen.has(name))
      throw new CardeaError("resource_config_invalid", `\`${path}\` has two resources with the name \`${name}\``);
    seen.add(name);
  }
  return { entries, gateway: file.data.gateway };
}

/** @throws CardeaError `resource_config_invalid` where aliases multiply beyond reason, the one thing that the library throws for here */
function plain(document: ReturnType<typeof parseDocument>, path: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new CardeaError("resource_config_invalid", `\`${path}\` repeats itself by aliases too often`, {
      cause: error,
    });
  }
}

/** One entry, from wherever it came. `place` names it where it has no name of its own. */
export function readEntry(entry: unknown, place: string, connectors: Connectors): Entry {
  const head = EntryHead.safeParse(entry);
  if (!head.success)
    return { name: place, configured: refused("resource_config_invalid", `\`${place}\`: ${words(head.error)}`) };
  const { name, kind } = head.data;
  const connector = Object.hasOwn(connectors, kind) ? connectors[kind] : undefined;
  if (connector === undefined) {
    const known = Object.keys(connectors).map((one) => `\`${one}\``);
    return {
      name,
      configured: refused(
        "resource_config_invalid",
        `\`${name}\`: there is no kind \`${kind}\`; there is ${known.join(", ")}`,
      ),
    };
  }
  const config = connector.spec.schema.safeParse(entry);
  if (!config.success)
    return { name, configured: refused("resource_config_invalid", `\`${name}\`: ${words(config.error)}`) };
  return { name, configured: ok({ config: config.data, connector }) };
}

/** How an entry's secrets are found: beside the file that names them, or not at all where the entry came over the link. */
export type SecretSource = { readonly from: "file"; readonly path: string } | { readonly from: "link" };

const maxSecretBytes = 1_048_576;

/** Resolves references for one resource. What came over the link may hold values only: it must not read this machine's files for somebody else. */
export function secretsFor(
  source: SecretSource,
  environment: Readonly<Record<string, string | undefined>>,
): (reference: SecretReference) => Promise<string> {
  return async (reference) => {
    if ("value" in reference) return reference.value;
    if (source.from === "link") {
      throw new CardeaError(
        "resource_config_invalid",
        "a configuration that is sent to the outpost holds its secrets as `value`; `env` and `file` are for `outpost.yaml`",
      );
    }
    if ("env" in reference) {
      const value = environment[reference.env];
      if (value === undefined || value === "")
        throw new CardeaError(
          "resource_config_invalid",
          `the environment variable \`${reference.env}\` is not set for the outpost`,
        );
      return value;
    }
    const path = isAbsolute(reference.file) ? reference.file : join(dirname(source.path), reference.file);
    const text = await readFile(path, "utf8").catch((error: unknown) => {
      throw new CardeaError("resource_config_invalid", `the secret's file \`${path}\` cannot be read`, {
        cause: error,
      });
    });
    if (text.length > maxSecretBytes)
      throw new CardeaError("resource_config_invalid", `the secret's file \`${path}\` is larger than 1 MiB`);
    // Editors end a file with a line break; certificates bear it too.
    return text.replace(/\r?\n$/, "");
  };
}

/** Where and what, never the value: it may be a secret in the wrong place. */
function words(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map(({ path, message }) => `\`${path.length === 0 ? "(whole)" : path.map(String).join(".")}\`: ${message}`)
    .join("; ");
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}
