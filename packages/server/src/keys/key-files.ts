/**
 * The installation's own keys: files of the data directory, never of the database, so that whoever reads a database or its backup
 * can sign nothing. Made once, readable by their owner alone, shared by every control-plane process of the installation.
 */
import { createHash } from "node:crypto";
import { chmod, link, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ControlKeys, KeyPair } from "@cardea/control/control";
import { recordingKeyOf } from "@cardea/control/recordings/recording-key";
import { CardeaError } from "@cardea/core/contract/errors";
import { ed25519PublicKey } from "@cardea/core/lib/crypto";
import { fromHex, toHex } from "@cardea/core/lib/hex";
import type { Random } from "@cardea/core/lib/random";

/** Loads the keys of `directory`, making what is missing. @throws CardeaError `data_directory_invalid` where a key file is not a key or is readable by others. */
export async function loadControlKeys(directory: string, random: Random): Promise<ControlKeys> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const [signing, log, installation, recording] = await Promise.all(
    ["control-signing.key", "log-signing.key", "installation.key", "recording.key"].map((name) =>
      loadSecret(join(directory, name), random),
    ),
  );
  if (signing === undefined || log === undefined || installation === undefined || recording === undefined)
    throw new TypeError("four names give four keys");
  return { signing: keyPair(signing), log: keyPair(log), installation, recording: await recordingKeyOf(recording) };
}

function keyPair(seed: Uint8Array): KeyPair {
  const publicKey = ed25519PublicKey(seed);
  return { id: createHash("sha256").update(publicKey).digest("hex").slice(0, 16), seed, publicKey };
}

/** 32 bytes in hexadecimal. The file appears whole or not at all, and the first of two concurrent makers wins. */
async function loadSecret(path: string, random: Random): Promise<Uint8Array> {
  for (;;) {
    try {
      return await readSecret(path);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    const draft = `${path}.${toHex(random.bytes(6))}.new`;
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(`${toHex(random.bytes(32))}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    try {
      await link(draft, path);
    } catch (error) {
      if (!isExisting(error)) throw error;
    } finally {
      await rm(draft, { force: true });
    }
  }
}

async function readSecret(path: string): Promise<Uint8Array> {
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) await chmod(path, 0o600);
  const text = (await readFile(path, "utf8")).trim();
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new CardeaError(
      "data_directory_invalid",
      `\`${path}\` does not hold a key; restore it from a backup, a new one would orphan everything that was signed`,
    );
  }
  return fromHex(text);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function isExisting(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EEXIST";
}
