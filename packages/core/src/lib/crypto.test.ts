import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ed25519PublicKey,
  ed25519Sign,
  ed25519Verify,
  hmacSha256,
  openAes256Gcm,
  sealAes256Gcm,
  sha256,
  timingSafeEqual,
} from "./crypto.ts";
import { fromHex, toHex } from "./hex.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

describe("SHA-256", () => {
  // FIPS 180-4 examples.
  it.each([
    ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    [
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ],
  ])("of %j", (text, digest) => {
    expect(toHex(sha256(bytesOf(text)))).toBe(digest);
  });

  it("answers plain bytes that stand for every digest, whatever its bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const digest = sha256(bytes);
        expect(digest.constructor).toBe(Uint8Array);
        expect(toHex(digest)).toBe(createHash("sha256").update(bytes).digest("hex"));
      }),
    );
  });

  it("hashes a view, not the buffer below it", () => {
    expect(sha256(bytesOf("xabcx").subarray(1, 4))).toEqual(sha256(bytesOf("abc")));
  });
});

describe("HMAC-SHA-256", () => {
  // RFC 4231, test cases 1, 2 and 6.
  it.each([
    ["0b".repeat(20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"],
    [
      toHex(bytesOf("Jefe")),
      "what do ya want for nothing?",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ],
    [
      "aa".repeat(131),
      "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ],
  ])("with the key %s", (key, text, mac) => {
    expect(toHex(hmacSha256(fromHex(key), bytesOf(text)))).toBe(mac);
    expect(toHex(hmacSha256(fromHex(key), bytesOf(text)))).toBe(
      createHmac("sha256", fromHex(key)).update(text).digest("hex"),
    );
  });
});

describe("Ed25519", () => {
  // RFC 8032, section 7.1, tests 1 to 3.
  const published = [
    {
      seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      message: "",
      signature:
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    },
    {
      seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      message: "72",
      signature:
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    },
    {
      seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
      message: "af82",
      signature:
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    },
  ];

  it.each(published)("signs and verifies as published: $publicKey", ({ seed, publicKey, message, signature }) => {
    expect(toHex(ed25519PublicKey(fromHex(seed)))).toBe(publicKey);
    expect(toHex(ed25519Sign(fromHex(seed), fromHex(message)))).toBe(signature);
    expect(ed25519Verify(fromHex(publicKey), fromHex(message), fromHex(signature))).toBe(true);
  });

  const seed = new Uint8Array(32).fill(7);
  const publicKey = ed25519PublicKey(seed);
  const message = bytesOf("message");
  const signature = ed25519Sign(seed, message);

  it("refuses every signature with one bit flipped", () => {
    for (let bit = 0; bit < signature.length * 8; bit++) {
      const flipped = Uint8Array.from(signature);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(ed25519Verify(publicKey, message, flipped)).toBe(false);
    }
  });

  it("refuses keys and signatures of another length, and keys that are no point", () => {
    expect(ed25519Verify(publicKey, message, signature.subarray(1))).toBe(false);
    expect(ed25519Verify(publicKey.subarray(1), message, signature)).toBe(false);
    expect(ed25519Verify(new Uint8Array(33), message, signature)).toBe(false);
    expect(ed25519Verify(new Uint8Array(32).fill(0xff), message, signature)).toBe(false);
    expect(() => ed25519Sign(new Uint8Array(31), message)).toThrow(RangeError);
    expect(() => ed25519PublicKey(new Uint8Array(33))).toThrow(RangeError);
  });

  it("never uses a remembered key after its array was overwritten", () => {
    const mutableSeed = Uint8Array.from(seed);
    const mutableKey = Uint8Array.from(publicKey);
    expect(ed25519Sign(mutableSeed, message)).toEqual(signature);
    expect(ed25519Verify(mutableKey, message, signature)).toBe(true);
    mutableSeed.fill(8);
    mutableKey.set(ed25519PublicKey(mutableSeed));
    expect(ed25519Sign(mutableSeed, message)).not.toEqual(signature);
    expect(ed25519Verify(mutableKey, message, signature)).toBe(false);
    expect(ed25519Verify(mutableKey, message, ed25519Sign(mutableSeed, message))).toBe(true);
  });
});

describe("comparing in constant time", () => {
  it("tells equal from unequal, and from other lengths", () => {
    expect(timingSafeEqual(bytesOf("same"), bytesOf("same"))).toBe(true);
    expect(timingSafeEqual(bytesOf("same"), bytesOf("sane"))).toBe(false);
    expect(timingSafeEqual(bytesOf("same"), bytesOf("same "))).toBe(false);
    expect(timingSafeEqual(bytesOf(""), bytesOf(""))).toBe(true);
  });
});

describe("AES-256-GCM", () => {
  // The GCM specification's test case 16.
  const key = fromHex("feffe9928665731c6d6a8f9467308308".repeat(2));
  const nonce = fromHex("cafebabefacedbaddecaf888");
  const context = fromHex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const plaintext = fromHex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
  );
  const sealed = fromHex(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
  );

  it("seals as published, and opens it", () => {
    expect(toHex(sealAes256Gcm(key, nonce, context, plaintext))).toBe(toHex(sealed));
    expect(toHex(openAes256Gcm(key, nonce, context, sealed) ?? new Uint8Array(0))).toBe(toHex(plaintext));
  });

  it("opens nothing that is another in any bit, or shorter", () => {
    for (let at = 0; at < sealed.length; at++) {
      const changed = Uint8Array.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(openAes256Gcm(key, nonce, context, changed)).toBeUndefined();
      expect(openAes256Gcm(key, nonce, context, sealed.subarray(0, at))).toBeUndefined();
    }
    expect(openAes256Gcm(key, nonce, new Uint8Array(0), sealed)).toBeUndefined();
    expect(openAes256Gcm(new Uint8Array(32), nonce, context, sealed)).toBeUndefined();
  });
});
