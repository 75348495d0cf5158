/**
 * The first frames of a link, seen from the outpost. It believes the control key that it pinned when it enrolled, and before that the one whose
 * hash its token carries; whoever answers at the address proves that key over both nonces before anything else is taken from it.
 */
import {
  controlKeyHash,
  enrolStatement,
  proveStatement,
  tokenProof,
  welcomeStatement,
  type EnrolmentTokenBody,
  type LinkNonces,
} from "@cardea/core/wire/enrolment";
import { CardeaError, isErrorCode } from "@cardea/core/contract/errors";
import { LinkHello } from "@cardea/core/wire/link";
import { markSeedInfo, markSeedSize } from "@cardea/core/contract/outpost-marks";
import { digestOf } from "@cardea/core/documents/digest";
import { signDigest, verifyDigest, type Signature } from "@cardea/core/documents/signature";
import type { Trust } from "@cardea/core/documents/trust";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { sha256 } from "@cardea/core/lib/crypto";
import { toHex } from "@cardea/core/lib/hex";
import type { Random } from "@cardea/core/lib/random";
import type { Digest } from "@cardea/core/documents/digest";
import type { Keys, Membership } from "../identity.ts";
import { openSealed } from "../sealing.ts";
import type { Dialled } from "./dial.ts";

const handshakeMs = 10_000;
const nonceBytes = 32;

type Welcome = Extract<LinkHello, { kind: "welcome" }>;

export interface Parties {
  readonly link: Dialled;
  readonly keys: Keys;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Proves an enrolled outpost. @throws CardeaError with the code of the refusal, or `link_refused` where the control plane does not prove its key */
export async function prove(parties: Parties, membership: Membership): Promise<void> {
  const within = AbortSignal.any([parties.signal, AbortSignal.timeout(handshakeMs)]);
  const nonces = await hear(parties, within);
  if (nonces.controlKey !== membership.trust.controlKey)
    throw new CardeaError(
      "link_refused",
      "another control plane answers at this address than the one this outpost enrolled with",
    );
  const { outpost } = membership;
  const signature = sign(parties.keys, proveStatement(nonces, outpost));
  say(parties.link, { kind: "prove", outpost, nonce: nonces.outpostNonce, signature });
  const welcome = await welcomed(parties, nonces, within);
  if (welcome.outpost !== outpost || digestOf("trust", welcome.trust) !== digestOf("trust", membership.trust)) {
    // An outpost never fetches a root by itself: who it trusts was fixed when it enrolled.
    throw new CardeaError(
      "link_refused",
      "the control plane's trust document is not the one that was pinned; enrol the outpost anew under its name if that is meant",
    );
  }
}

export interface Enrolled {
  readonly outpost: Membership["outpost"];
  readonly trust: Trust;
  readonly markSeed: Uint8Array;
}

/** Enrols with a token. @throws CardeaError `enrolment_invalid`, `link_refused` */
export async function enrol(parties: Parties, token: EnrolmentTokenBody): Promise<Enrolled> {
  const within = AbortSignal.any([parties.signal, AbortSignal.timeout(handshakeMs)]);
  const nonces = await hear(parties, within);
  if (controlKeyHash(fromBase64Url(nonces.controlKey)) !== token.controlKeyHash) {
    throw new CardeaError(
      "link_refused",
      "whoever answers at this address is not the control plane that made the token",
    );
  }
  const { identityKey, seal } = parties.keys;
  const claims = { token: token.id, name: token.name, identityKey, sealKey: seal.publicKey };
  const statement = enrolStatement(nonces, claims);
  say(parties.link, {
    kind: "enrol",
    ...claims,
    tokenExpiresAt: token.expiresAt,
    tokenProof: tokenProof(fromBase64Url(token.secret), statement),
    nonce: nonces.outpostNonce,
    signature: sign(parties.keys, statement),
  });
  const { outpost, trust, markSeed: sealed } = await welcomed(parties, nonces, within);
  const markSeed =
    sealed === undefined ? undefined : await openSealed(seal.privateKey, markSeedInfo, token.name, sealed);
  if (markSeed?.length !== markSeedSize)
    throw new CardeaError("link_refused", "the control plane's welcome does not hold a mark seed for this outpost");
  return { outpost, trust, markSeed };
}

async function hear({ link, random }: Parties, within: AbortSignal): Promise<LinkNonces> {
  const hello = parse(await link.frames.next(within));
  if (hello.kind !== "hello")
    throw new CardeaError(
      "link_message_invalid",
      `the first message of a control plane is \`hello\`, not \`${hello.kind}\``,
    );
  return {
    controlKey: hello.controlKey,
    controlNonce: hello.nonce,
    outpostNonce: toBase64Url(random.bytes(nonceBytes)),
  };
}

/** A welcome that the announced control key signed over both nonces, with a trust document that names that very key. */
async function welcomed({ link }: Parties, nonces: LinkNonces, within: AbortSignal): Promise<Welcome> {
  const answer = parse(await link.frames.next(within));
  if (answer.kind === "refused")
    throw new CardeaError(isErrorCode(answer.code) ? answer.code : "link_refused", answer.detail);
  if (answer.kind !== "welcome")
    throw new CardeaError("link_message_invalid", `expected \`welcome\`, not \`${answer.kind}\``);
  const key = fromBase64Url(nonces.controlKey);
  const trust = digestOf("trust", answer.trust);
  const proven =
    answer.trust.controlKey === nonces.controlKey &&
    verifyDigest(answer.trustSignature, "control", key, trust) &&
    verifyDigest(answer.signature, "control", key, welcomeStatement(nonces, answer.outpost, trust, answer.markSeed));
  if (!proven) throw new CardeaError("link_refused", "the control plane did not prove its key");
  return answer;
}

function sign({ identity, identityKey }: Keys, statement: Digest): Signature {
  return signDigest("outpost", toHex(sha256(fromBase64Url(identityKey))).slice(0, 16), identity, statement);
}

function parse(text: string): LinkHello {
  try {
    return LinkHello.parse(JSON.parse(text));
  } catch (error) {
    throw new CardeaError(
      "link_message_invalid",
      "the control plane's message does not have the required form; is it of another version?",
      { cause: error },
    );
  }
}

function say({ socket }: Dialled, message: LinkHello): void {
  socket.send(JSON.stringify(message));
}
