/**
 * What an installation is, fixed when its data directory is made: whether it is for development, the name of its log, and the trust document
 * that its outposts pin. Changing any of it later would orphan what was signed, so it is read from here ever after and settings
 * that disagree are refused.
 */
import { mkdir, open, readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ControlKeys } from "@cardea/control/control";
import { CardeaError } from "@cardea/core/contract/errors";
import { Trust } from "@cardea/core/documents/trust";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { toHex } from "@cardea/core/lib/hex";
import type { Random } from "@cardea/core/lib/random";
import { noteSigner } from "@cardea/core/log/note";
import { z } from "zod";

const InstallationFile = z.strictObject({ v: z.literal(1), development: z.boolean(), trust: Trust });

export interface Installation {
  readonly development: boolean;
  readonly trust: Trust;
  /** Whether this call made it. */
  readonly created: boolean;
}

export interface InstallationWishes {
  readonly development: boolean;
  readonly publicUrl: string;
  readonly origin: string | undefined;
}

/** Reads the installation of a data directory, or makes it. @throws CardeaError `data_directory_invalid` where it was made for the other mode, `setting_invalid` where the origin differs. */
export async function openInstallation(
  directory: string,
  wishes: InstallationWishes,
  keys: ControlKeys,
  random: Random,
): Promise<Installation> {
  const path = join(directory, "installation.json");
  const existing = await readInstallation(path);
  if (existing === undefined) {
    const made = { v: 1 as const, development: wishes.development, trust: newTrust(wishes, keys, random) };
    await writeDurably(directory, path, `${JSON.stringify(made, null, 2)}\n`, toHex(random.bytes(6)));
    return { ...made, created: true };
  }
  if (existing.development !== wishes.development) {
    throw new CardeaError(
      "data_directory_invalid",
      `\`${directory}\` was made for ${existing.development ? "development" : "production"}; name another by CARDEA_DATA`,
    );
  }
  if (wishes.origin !== undefined && wishes.origin !== existing.trust.origin) {
    throw new CardeaError(
      "setting_invalid",
      `the log's origin is \`${existing.trust.origin}\` and cannot become \`${wishes.origin}\``,
    );
  }
  if (existing.trust.controlKey !== toBase64Url(keys.signing.publicKey)) {
    throw new CardeaError(
      "data_directory_invalid",
      `the signing key in \`${directory}\` is not the one that this installation was made with`,
    );
  }
  return { ...existing, created: false };
}

/** The trust document at the vouched level: the control plane's key and log are believed, nobody else's. */
function newTrust({ development, publicUrl, origin }: InstallationWishes, keys: ControlKeys, random: Random): Trust {
  const host = new URL(publicUrl).hostname;
  const named = origin ?? `${host}/cardea${development ? "-development" : ""}/${toHex(random.bytes(4))}`;
  return {
    v: 1,
    version: 1,
    level: "vouched",
    origin: named,
    logKey: noteSigner(named, keys.log.seed).verifierKey,
    controlKey: toBase64Url(keys.signing.publicKey),
    roots: [],
    threshold: 0,
    // An address can be no WebAuthn rpId; on one machine the name is always localhost.
    rpId: /^[0-9.]+$|^\[/.test(host) ? "localhost" : host,
    origins: [publicUrl],
  };
}

async function readInstallation(path: string) {
  try {
    return InstallationFile.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new CardeaError("data_directory_invalid", `\`${path}\` cannot be read; restore it from a backup`, { cause });
  }
}

/** After a crash the file is there whole, or not at all. */
async function writeDurably(directory: string, path: string, text: string, unique: string): Promise<void> {
  const draft = `${path}.${unique}.new`;
  const file = await open(draft, "wx", 0o600);
  await file.writeFile(text);
  await file.sync();
  await file.close();
  await rename(draft, path);
  const folder = await open(directory, "r");
  await folder.sync();
  await folder.close();
}

/** Makes the data directory, for its owner alone. @throws CardeaError `data_directory_invalid`. */
export async function makeDataDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if (!(await stat(directory)).isDirectory()) throw new Error("not a directory");
  } catch (cause) {
    throw new CardeaError(
      "data_directory_invalid",
      `\`${directory}\` cannot be made or used; name another by CARDEA_DATA`,
      { cause },
    );
  }
}
