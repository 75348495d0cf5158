/**
 * Who a command acts as: a file with the control plane's URL, the subject and the credential that signs in. `cardea login` writes one
 * to the user's configuration; development mode writes one for each sample person, which `--as NAME` picks. Files are for their
 * owner alone; tokens are cached beside them until they are over.
 */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import { CredentialId, SubjectId } from "@cardea/core/contract/ids";
import { z } from "zod";
import { readPrivate, writePrivate } from "./private-file.ts";

const head = {
  v: z.literal(1),
  url: z.url(),
  /** The public URL that the control plane named at enrolment: challenges of any other are not signed. */
  origin: z.string().optional(),
  name: z.string(),
  subject: SubjectId,
  credential: CredentialId,
};

export const Identity = z.discriminatedUnion("kind", [
  /** `seed`: the Ed25519 private key, 32 bytes in base64url. */
  z.object({ ...head, kind: z.literal("device"), seed: z.string().length(43) }),
  /** `key`: path of the private SSH key, or of the public one where an agent holds the private half. */
  z.object({ ...head, kind: z.literal("ssh"), key: z.string() }),
]);
export type Identity = z.infer<typeof Identity>;

export interface Home {
  /** Tokens, delivery keys, remembered checkpoints and, unless it is a sample person's, the identity. */
  readonly directory: string;
  readonly identity: Identity | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the acting person's files are. @throws CardeaError `usage` where `--as` names nobody; `data_directory_invalid` */
export async function openHome(as: string | undefined, environment: Environment): Promise<Home> {
  if (as !== undefined) return openSample(as, environment);
  const directory =
    environment["CARDEA_HOME"] ?? join(environment["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "cardea");
  return { directory, identity: await readIdentity(identityFile(directory)) };
}

async function openSample(name: string, environment: Environment): Promise<Home> {
  const people = join(resolve(environment["CARDEA_DATA"] ?? ".cardea"), "dev", "people");
  const identity = /^[a-z0-9._-]+$/.test(name) ? await readIdentity(join(people, `${name}.json`)) : undefined;
  if (identity === undefined) {
    throw new CardeaError(
      "usage",
      `\`${name}\` is no sample person of ${people}; \`--as\` works in development mode, in the folder where \`npm start\` runs (or name its data directory by CARDEA_DATA)`,
    );
  }
  return { directory: join(people, name), identity };
}

async function readIdentity(path: string): Promise<Identity | undefined> {
  const text = await readPrivate(path);
  if (text === undefined) return undefined;
  try {
    return Identity.parse(JSON.parse(text));
  } catch (cause) {
    throw new CardeaError(
      "data_directory_invalid",
      `\`${path}\` is not an identity; remove it and sign in again with \`cardea login\``,
      { cause },
    );
  }
}

export function identityFile(directory: string): string {
  return join(directory, "identity.json");
}

export async function writeIdentity(directory: string, identity: Identity): Promise<void> {
  await writePrivate(identityFile(directory), `${JSON.stringify(identity, null, 2)}\n`);
}
