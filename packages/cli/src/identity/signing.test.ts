import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseSshPublicKey, verifySshSignature } from "@cardea/core/contract/sshsig";
import { digestOf } from "@cardea/core/documents/digest";
import { sshPublicKey, sshSigner } from "./signing.ts";

const sshKeygen = "ssh-keygen";
const opensshIsThere = spawnSync(sshKeygen, ["-?"]).error === undefined;
const namespace = "cardea-sign-in@v1";
const digest = digestOf("sign-in", { purpose: "test" });
const sha512 = (bytes: Uint8Array) => new Uint8Array(createHash("sha512").update(bytes).digest());

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cardea-ssh-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function generate(type: string): string {
  const key = join(folder, type);
  execFileSync(sshKeygen, ["-q", "-t", type, "-N", "", "-C", "somebody", "-f", key]);
  return key;
}

describe.skipIf(!opensshIsThere)("an SSH key", () => {
  it("signs what the control plane and OpenSSH itself verify", async () => {
    const key = generate("ed25519");
    const line = await sshPublicKey(key);
    const signature = await sshSigner(key)(digest);
    const publicKey = parseSshPublicKey(line);
    if (!publicKey.ok) throw new TypeError(publicKey.detail);
    const message = new TextEncoder().encode(digest);
    expect(verifySshSignature(signature, { publicKey: publicKey.value, namespace, message }, sha512)).toEqual({
      ok: true,
      value: undefined,
    });

    const [allowed, file] = [join(folder, "allowed"), join(folder, "signature")];
    await writeFile(allowed, `somebody ${line}\n`);
    await writeFile(file, signature);
    const verify = (input: string) =>
      spawnSync(sshKeygen, ["-Y", "verify", "-f", allowed, "-I", "somebody", "-n", namespace, "-s", file], { input })
        .status;
    expect([verify(digest), verify(`${digest} `)]).toEqual([0, 255]);
  });

  it("is found by its private half, by its public one, and without a `.pub` beside it", async () => {
    const key = generate("ed25519");
    const line = (await readFile(`${key}.pub`, "utf8")).trim();
    expect([await sshPublicKey(key), await sshPublicKey(`${key}.pub`)]).toEqual([line, line]);
    await rm(`${key}.pub`);
    expect((await sshPublicKey(key)).split(" ").slice(0, 2)).toEqual(line.split(" ").slice(0, 2));
  });

  it("of another kind, or that is not there, is refused with what to do", async () => {
    await expect(sshPublicKey(generate("ecdsa"))).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("ssh-keygen -t ed25519") as unknown,
    });
    await expect(sshPublicKey(join(folder, "nothing"))).rejects.toMatchObject({ code: "usage" });
    await expect(sshSigner(join(folder, "nothing"))(digest)).rejects.toMatchObject({ code: "usage" });
  });

  it("leaves nothing of what was signed behind", async () => {
    const before = (await readdir(tmpdir())).filter((name) => name.startsWith("cardea-sign-"));
    await sshSigner(generate("ed25519"))(digest);
    expect((await readdir(tmpdir())).filter((name) => name.startsWith("cardea-sign-"))).toEqual(before);
  });
});
