/**
 * Who a command acts as: a file with the control plane's URL, the subject and the credential that signs in. `cardea login` writes one
 * to the user's configuration; development mode writes one for each sample person, which `--as NAME` picks. Files are for their
 * owner alone; tokens are cached beside them until they are over.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { CardeaError } from "@cardea/core/contract/errors";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import { deviceKey, type SignDigest } from "@cardea/sdk/device-key";
import { z } from "zod";

const head = { v: z.literal(1), url: z.url(), name: z.string(), subject: z.string(), credential: z.string() };

export const Identity = z.discriminatedUnion("kind", [
  z.object({ ...head, kind: z.literal("device"), seed: z.string().length(43) }),
  /** `key`: path of the private SSH key, or of the public one where an agent holds the private half. */
  z.object({ ...head, kind: z.literal("ssh"), key: z.string() }),
]);
export type Identity = z.infer<typeof Identity>;

export interface Home {
  /** Identity, tokens and delivery keys. */
  readonly directory: string;
  readonly identity: Identity | undefined;
}

/** Where the acting person's files are. @throws CardeaError `usage` where `--as` names nobody; `data_directory_invalid` */
export async function openHome(as: string | undefined, environment: NodeJS.ProcessEnv): Promise<Home> {
  if (as !== undefined) return openSample(as, environment);
  const directory = environment["CARDEA_HOME"] ?? join(environment["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "cardea");
  return { directory, identity: await readIdentity(join(directory, "identity.json")) };
}

async function openSample(name: string, environment: NodeJS.ProcessEnv): Promise<Home> {
  const people = join(resolve(environment["CARDEA_DATA"] ?? ".cardea"), "dev", "people");
  const identity = /^[a-z0-9._-]+$/.test(name) ? await readIdentity(join(people, `${name}.json`)) : undefined;
  if (identity === undefined) {
    throw new CardeaError("usage", `\`${name}\` is no sample person of ${people}; \`--as\` works in development mode, in the folder where \`npm start\` runs (or name its data directory by CARDEA_DATA)`);
  }
  return { directory: join(people, name), identity };
}

async function readIdentity(path: string): Promise<Identity | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new CardeaError("data_directory_invalid", `\`${path}\` cannot be read`, { cause });
  }
  const parsed = Identity.safeParse(JSON.parse(text));
  if (!parsed.success) throw new CardeaError("data_directory_invalid", `\`${path}\` is not an identity; sign in again with \`cardea login\``);
  return parsed.data;
}

export async function writeIdentity(directory: string, identity: Identity): Promise<void> {
  await writePrivate(join(directory, "identity.json"), `${JSON.stringify(identity, null, 2)}\n`);
}

/** A file for its owner alone, in a folder for its owner alone. */
export async function writePrivate(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, text, { mode: 0o600 });
}

export function signerOf(identity: Identity): SignDigest {
  return identity.kind === "device" ? deviceKey(fromBase64Url(identity.seed)).sign : sshSigner(identity.key, "cardea-sign-in@v1");
}

/** Signs with OpenSSH's own program, so that agents, hardware keys and passphrases work as everywhere. */
export function sshSigner(key: string, namespace: string): SignDigest {
  return async (digest) => {
    const directory = await mkdtemp(join(tmpdir(), "cardea-sign-"));
    try {
      const message = join(directory, "message");
      await writeFile(message, digest, { mode: 0o600 });
      await promisify(execFile)("ssh-keygen", ["-Y", "sign", "-n", namespace, "-f", key, message]);
      return await readFile(`${message}.sig`, "utf8");
    } catch (cause) {
      throw new CardeaError("usage", `\`ssh-keygen\` could not sign with \`${key}\`; is the key there, and OpenSSH 8.2 or newer installed?`, { cause });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  };
}
