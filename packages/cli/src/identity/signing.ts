/** Signing in with what an identity holds: a device key of Cardea's own, or the person's SSH key by OpenSSH's programs. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CardeaError } from "@cardea/core/contract/errors";
import { parseSshPublicKey, sshNamespace } from "@cardea/core/contract/sshsig";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import { deviceKey, type SignDigest } from "@cardea/sdk/device-key";
import type { Identity } from "./identity.ts";

const sshKeygen = promisify(execFile);
const signInNamespace = sshNamespace("sign-in");

export function signerOf(identity: Identity): SignDigest {
  return identity.kind === "device" ? deviceKey(fromBase64Url(identity.seed)).sign : sshSigner(identity.key);
}

/** Signs with OpenSSH's own program, so that agents, hardware keys and passphrases work as everywhere. */
export function sshSigner(key: string): SignDigest {
  return async (digest) => {
    const directory = await mkdtemp(join(tmpdir(), "cardea-sign-"));
    try {
      const message = join(directory, "message");
      await writeFile(message, digest, { mode: 0o600 });
      await sshKeygen("ssh-keygen", ["-Y", "sign", "-n", signInNamespace, "-f", key, message]);
      return await readFile(`${message}.sig`, "utf8");
    } catch (cause) {
      throw new CardeaError(
        "usage",
        `\`ssh-keygen\` could not sign with \`${key}\`; is the key there (or its agent running), and OpenSSH 8.2 or newer installed?`,
        { cause },
      );
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  };
}

/** The public key line of a private key's file or of a `.pub` file, checked. @throws CardeaError `usage` */
export async function sshPublicKey(path: string): Promise<string> {
  for (const candidate of path.endsWith(".pub") ? [path] : [`${path}.pub`, path]) {
    const text = await readFile(candidate, "utf8").catch(() => undefined);
    if (text?.startsWith("ssh-") === true) return checked(text.trim(), candidate);
  }
  try {
    const { stdout } = await sshKeygen("ssh-keygen", ["-y", "-f", path]);
    return checked(stdout.trim(), path);
  } catch (cause) {
    if (cause instanceof CardeaError) throw cause;
    throw new CardeaError("usage", `--ssh-key: no public key was found for \`${path}\`; name an Ed25519 key`, {
      cause,
    });
  }
}

function checked(line: string, path: string): string {
  const parsed = parseSshPublicKey(line);
  if (!parsed.ok) throw new CardeaError("usage", `--ssh-key: \`${path}\`: ${parsed.detail}`);
  return line;
}
