/**
 * Enrolment: a new outpost shows a one-time token and its keys, and gets the trust document and its mark seed. Of a token the database
 * knows only whether it was used: its secret follows from the installation's key, so that no row makes one, and from the outpost that had the
 * name when it was made, as the signed roster says, so that the first enrolment under the name spends it for good.
 */
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from "@hpke/core";
import { enrolStatement, tokenProof, type Enrolment, type LinkNonces } from "@cardea/core/wire/enrolment";
import type { SealedKey } from "@cardea/core/wire/delivery";
import { newId, type OutpostId, type TokenId } from "@cardea/core/contract/ids";
import type { LinkHello } from "@cardea/core/wire/link";
import { markSeedInfo, markSeedOf } from "@cardea/core/contract/outpost-marks";
import { timeMs, toTime } from "@cardea/core/documents/primitives";
import { verifyDigest } from "@cardea/core/documents/signature";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { hmacSha256, timingSafeEqual } from "@cardea/core/lib/crypto";
import { ok, refused, type Result } from "@cardea/core/lib/result";
import type { Control, ControlKeys, Tx } from "../control.ts";
import { record } from "../audit/record.ts";
import { endGrantIn } from "../grants/end.ts";
import { nameOutpost } from "../people/change-roster.ts";
import { currentRoster } from "../people/roster.ts";
import { maybeOneGrantLocked } from "../store/grants.ts";
import { closeSessionsOf } from "../sessions/outcomes.ts";
import { insertOutpost, spendEnrolmentToken, type Inheritance } from "../store/outposts.ts";
import { signDocument } from "../store/signed.ts";
import { moveEndings } from "../store/tasks.ts";
import { transact } from "../store/transaction.ts";

const encoder = new TextEncoder();

export type EnrolHello = Extract<LinkHello, { kind: "enrol" }>;

/** The secret inside a token; 32 bytes. `replaces`: which outpost has the name. */
export function enrolmentSecret(
  keys: ControlKeys,
  {
    token,
    name,
    expiresAt,
    replaces = "",
  }: {
    readonly token: TokenId;
    readonly name: string;
    readonly expiresAt: string;
    readonly replaces: OutpostId | "" | undefined;
  },
): Uint8Array {
  return hmacSha256(
    keys.installation,
    encoder.encode(`cardea/enrolment-token/v1\0${token}\0${name}\0${expiresAt}\0${replaces}`),
  );
}

export interface Enrolled {
  readonly enrolment: Enrolment;
  readonly markSeed: SealedKey;
}

/** Spends the token and stores the outpost. An outpost of the same name is retired by it; its resources and unfinished endings pass over. */
export async function enrol(
  control: Control,
  nonces: LinkNonces,
  hello: EnrolHello,
): Promise<Result<Enrolled, "enrolment_invalid">> {
  const invalid = refused(
    "enrolment_invalid",
    "the enrolment token is unknown, used or expired; have an administrator make another",
  );
  const now = control.clock.now();
  if (timeMs(hello.tokenExpiresAt) <= now) return invalid;
  const replaces = (await currentRoster(control)).outpost(hello.name);
  if (!isGenuine(control.keys, nonces, hello, replaces)) return invalid;
  const markSeed = await sealMarkSeed(control.keys, hello);
  if (markSeed === undefined) return refused("enrolment_invalid", "the outpost's sealing key is not a point of P-256");
  const enrolment: Enrolment = {
    v: 1,
    id: newId("outpost", control.clock, control.random),
    name: hello.name,
    identityKey: hello.identityKey,
    sealKey: hello.sealKey,
    enrolledAt: toTime(now),
  };
  const stored = await transact(control, (tx) => store(tx, control, hello.token, enrolment, replaces));
  return stored ? ok({ enrolment, markSeed }) : invalid;
}

function isGenuine(keys: ControlKeys, nonces: LinkNonces, hello: EnrolHello, replaces: OutpostId | undefined): boolean {
  const statement = enrolStatement(nonces, {
    token: hello.token,
    name: hello.name,
    identityKey: hello.identityKey,
    sealKey: hello.sealKey,
  });
  const { token, name, tokenExpiresAt: expiresAt } = hello;
  const secret = enrolmentSecret(keys, { token, name, expiresAt, replaces });
  const proven = timingSafeEqual(encoder.encode(tokenProof(secret, statement)), encoder.encode(hello.tokenProof));
  return proven && verifyDigest(hello.signature, "outpost", fromBase64Url(hello.identityKey), statement);
}

async function store(
  tx: Tx,
  control: Control,
  token: TokenId,
  enrolment: Enrolment,
  replaces: OutpostId | undefined,
): Promise<boolean> {
  if (!(await spendEnrolmentToken(tx, token, enrolment.enrolledAt))) return false;
  if (!(await nameOutpost(tx, control, enrolment, replaces))) return false;
  const inheritance = await insertOutpost(tx, signDocument(control.keys, "link", enrolment));
  if (inheritance !== undefined) await inherit(tx, control, enrolment, inheritance);
  await record(tx, control, {
    type: "outpost.enrolled",
    ids: { outpost: enrolment.id, token, ...(inheritance !== undefined && { replaced: inheritance.from }) },
    data: { name: enrolment.name, identityKey: enrolment.identityKey, sealKey: enrolment.sealKey },
  });
  return true;
}

/** The keys that the lost outpost made are found by their mark and removed; their grants end with it. */
async function inherit(
  tx: Tx,
  control: Control,
  { id, enrolledAt }: Enrolment,
  { from, grants }: Inheritance,
): Promise<void> {
  await moveEndings(tx, from, id, enrolledAt);
  await closeSessionsOf(tx, control, from, enrolledAt);
  for (const grantId of grants) {
    const grant = await maybeOneGrantLocked(tx, control.keys, grantId);
    if (grant !== undefined)
      await endGrantIn(tx, control, grant, { why: "voided", detail: "the outpost that held the key was replaced" });
  }
}

// @hpke/core declares its keys as `CryptoKey`, a name that only a browser's library knows: what WebCrypto imports.
type Key = Awaited<ReturnType<typeof globalThis.crypto.subtle.importKey>>;

const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

/** `undefined` where the key is no point of the curve. */
async function sealMarkSeed(keys: ControlKeys, { name, sealKey }: EnrolHello): Promise<SealedKey | undefined> {
  try {
    // A `CryptoKey`, see `Key`.
    const recipientPublicKey = (await suite.kem.deserializePublicKey(fromBase64Url(sealKey))) as Key;
    const { enc, ct } = await suite.seal(
      { recipientPublicKey, info: encoder.encode(markSeedInfo) },
      markSeedOf(keys.installation, name),
      encoder.encode(name),
    );
    return { enc: toBase64Url(new Uint8Array(enc)), ciphertext: toBase64Url(new Uint8Array(ct)) };
  } catch {
    return undefined;
  }
}
