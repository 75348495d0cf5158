import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSshPublicKey, sshNamespace, verifySshSignature } from "./sshsig.ts";

const sha512 = (bytes: Uint8Array): Uint8Array => createHash("sha512").update(bytes).digest();
const message = new TextEncoder().encode(`sha256:${"ab".repeat(32)}`);
const namespace = sshNamespace("sign-in");

let dir: string;
let publicKey: Uint8Array;

function keygen(...args: string[]): void {
  execFileSync("ssh-keygen", args, { stdio: "pipe" });
}

function signed(
  text: Uint8Array,
  { key = "id", as = namespace, hash = "sha512" }: { key?: string; as?: string; hash?: string } = {},
): string {
  const file = join(dir, "message");
  writeFileSync(file, text);
  rmSync(`${file}.sig`, { force: true });
  keygen("-Y", "sign", "-q", "-O", `hashalg=${hash}`, "-n", as, "-f", join(dir, key), file);
  return readFileSync(`${file}.sig`, "utf8");
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cardea-sshsig-"));
  for (const name of ["id", "other"])
    keygen("-q", "-t", "ed25519", "-N", "", "-C", `${name} with a comment`, "-f", join(dir, name));
  keygen("-q", "-t", "ecdsa", "-N", "", "-f", join(dir, "ecdsa"));
  const parsed = parseSshPublicKey(readFileSync(join(dir, "id.pub"), "utf8"));
  if (!parsed.ok) throw new Error(parsed.detail);
  publicKey = parsed.value;
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("signatures that ssh-keygen makes", () => {
  test.each(["sha512", "sha256"])("verify with %s", (hash) => {
    expect(verifySshSignature(signed(message, { hash }), { publicKey, namespace, message }, sha512)).toEqual({
      ok: true,
      value: undefined,
    });
  });

  test("verify with Windows line ends", () => {
    const armoured = signed(message).replaceAll("\n", "\r\n");
    expect(verifySshSignature(armoured, { publicKey, namespace, message }, sha512).ok).toBe(true);
  });

  test("are refused over another message, for another use, by another key", () => {
    const other = new TextEncoder().encode("something else");
    const cases = [
      verifySshSignature(signed(message), { publicKey, namespace, message: other }, sha512),
      verifySshSignature(signed(message, { as: sshNamespace("vote") }), { publicKey, namespace, message }, sha512),
      verifySshSignature(signed(message, { key: "other" }), { publicKey, namespace, message }, sha512),
    ];
    expect(cases.map((result) => !result.ok && result.code)).toEqual([
      "ssh_signature_mismatch",
      "ssh_signature_mismatch",
      "ssh_signature_mismatch",
    ]);
  });

  test("are refused by a key of another type", () => {
    const result = verifySshSignature(signed(message, { key: "ecdsa" }), { publicKey, namespace, message }, sha512);
    expect(result).toMatchObject({ ok: false, code: "ssh_signature_unsupported" });
    expect(parseSshPublicKey(readFileSync(join(dir, "ecdsa.pub"), "utf8"))).toMatchObject({
      ok: false,
      code: "ssh_key_unsupported",
    });
  });

  test("are refused with any byte changed, cut or added", () => {
    const armoured = signed(message);
    const body = armoured.split("\n").slice(1, -2).join("");
    const blob = Buffer.from(body, "base64");
    const armour = (bytes: Buffer): string =>
      `-----BEGIN SSH SIGNATURE-----\n${bytes.toString("base64")}\n-----END SSH SIGNATURE-----\n`;
    expect(verifySshSignature(armour(blob), { publicKey, namespace, message }, sha512).ok).toBe(true);
    for (let i = 0; i < blob.length; i++) {
      const changed = Buffer.from(blob);
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(verifySshSignature(armour(changed), { publicKey, namespace, message }, sha512).ok, `byte ${i}`).toBe(
        false,
      );
      expect(
        verifySshSignature(armour(blob.subarray(0, i)), { publicKey, namespace, message }, sha512).ok,
        `cut at ${i}`,
      ).toBe(false);
    }
    expect(
      verifySshSignature(armour(Buffer.concat([blob, Buffer.from([0])])), { publicKey, namespace, message }, sha512),
    ).toMatchObject({ code: "ssh_signature_malformed" });
  });
});

test("whatever is no signature is refused as malformed, and never throws", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc
          .uint8Array({ maxLength: 400 })
          .map(
            (bytes) =>
              `-----BEGIN SSH SIGNATURE-----\n${Buffer.from(bytes).toString("base64")}\n-----END SSH SIGNATURE-----`,
          ),
      ),
      (text) => {
        const result = verifySshSignature(text, { publicKey, namespace, message }, sha512);
        return !result.ok;
      },
    ),
    { numRuns: 500 },
  );
});

test("public key lines that are none are refused", () => {
  const good = readFileSync(join(dir, "id.pub"), "utf8").trim();
  const [type = "", text = ""] = good.split(" ");
  const bad = [
    "",
    "ssh-ed25519",
    `${type} !!!`,
    `${type} ${text.slice(0, -4)}`,
    `${type} AAAA`,
    `${good}\n${good}`,
    `${type} ${text}${"A".repeat(9_000)}`,
  ];
  expect(bad.map((line) => parseSshPublicKey(line)).map((result) => !result.ok && result.code)).toEqual(
    bad.map(() => "ssh_key_malformed"),
  );
  expect(parseSshPublicKey(`${type} ${text}`)).toEqual(parseSshPublicKey(`  ${good}\n`));
});
