/**
 * A file of resources as `outpost.yaml` has them, made ready to be sent: its references to secrets are resolved here, on the machine of whoever
 * applies it, because an outpost reads no file or variable of its own for somebody else. What comes out is only ever sealed.
 */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import { parse } from "yaml";
import { z } from "zod";
import { userPath, type Context } from "../context.ts";
import { readUserFile } from "../user-files.ts";

const Entry = z.looseObject({ name: z.string() });
export type ResourceEntry = z.infer<typeof Entry>;

const Entries = z.union([
  z.looseObject({ resources: z.array(Entry).min(1) }).transform(({ resources }) => resources),
  Entry.transform((entry) => [entry]),
]);

/** The entries of the file, with every secret in its place. @throws CardeaError `resource_config_invalid`, `usage` */
export async function readResources(context: Context, file: string): Promise<readonly ResourceEntry[]> {
  let document: unknown;
  const text = await readUserFile(context, file);
  try {
    document = parse(text, { maxAliasCount: 10, uniqueKeys: true });
  } catch (cause) {
    throw invalid(`\`${file}\` is not YAML: ${cause instanceof Error ? cause.message : "unreadable"}`, cause);
  }
  const parsed = Entries.safeParse(document);
  if (!parsed.success)
    throw invalid(`\`${file}\` holds neither one resource with a \`name\` nor a list \`resources\` of such`);
  const read = (reference: Reference) =>
    secretOf(reference, file === "-" ? process.cwd() : dirname(userPath(file)), context.environment);
  return Promise.all(parsed.data.map(async (entry) => Entry.parse(await withSecrets(entry, read))));
}

type Reference = { readonly env: string } | { readonly file: string };

/** A copy in which every `{ env: NAME }` and `{ file: PATH }` is a `{ value: … }`. Labels are nobody's secrets, and may be called `env`. */
async function withSecrets(value: unknown, read: (reference: Reference) => Promise<string>): Promise<unknown> {
  if (Array.isArray(value)) return Promise.all(value.map((one) => withSecrets(one, read)));
  if (typeof value !== "object" || value === null) return value;
  const members: readonly (readonly [string, unknown])[] = Object.entries(value);
  const [only, another] = members;
  if (only !== undefined && another === undefined && typeof only[1] === "string") {
    if (only[0] === "env") return { value: await read({ env: only[1] }) };
    if (only[0] === "file") return { value: await read({ file: only[1] }) };
  }
  return Object.fromEntries(
    await Promise.all(
      members.map(async ([key, member]) => [key, key === "labels" ? member : await withSecrets(member, read)] as const),
    ),
  );
}

async function secretOf(reference: Reference, folder: string, environment: Context["environment"]): Promise<string> {
  if ("env" in reference) {
    const value = environment[reference.env] ?? "";
    if (value === "")
      throw invalid(`the environment variable \`${reference.env}\` is not set here, where the file is applied`);
    return value;
  }
  const path = resolve(folder, reference.file);
  try {
    // Editors end a file with a line break; secrets do not.
    return (await readFile(path, "utf8")).replace(/\r?\n$/, "");
  } catch (cause) {
    throw invalid(`the secret's file \`${path}\` cannot be read`, cause);
  }
}

function invalid(message: string, cause?: unknown): CardeaError {
  return new CardeaError("resource_config_invalid", message, { cause });
}
