/**
 * Signing in: a credential signs a challenge and gets a token for 12 hours. Challenges are not stored: the nonce carries who it is for,
 * until when, and our own keyed hash, so asking for many costs nothing; an answered one is remembered, so each is good once. Who asks for a
 * credential that does not exist gets a challenge like anybody, and the same refusal as for a wrong signature.
 */
import type { z } from "zod";
import { challengeDigest } from "@cardea/core/wire/api/sign-in";
import type { Challenge, SignedIn, SignIn } from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import { CredentialId, type TokenId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { record } from "../audit/record.ts";
import type { Actor, Control } from "../control.ts";
import { deleteToken, spendChallenge } from "../store/people.ts";
import { keyedHash, matchesKeyedHash } from "../store/sealed.ts";
import { transact } from "../store/transaction.ts";
import { makeToken } from "./bearer.ts";
import { currentRoster, type RosterView } from "./roster.ts";
import { unknownCredential, verifySignIn } from "./sign-in-signature.ts";

const challengeLifetimeMs = 5 * 60_000;
const signInLifetimeMs = 12 * 3_600_000;

/** A challenge for the credential to sign, good for 5 minutes. */
export function challenge(control: Control, credential: CredentialId): Challenge {
  const expiresMs = control.clock.now() + challengeLifetimeMs;
  const body = `${credential}.${String(expiresMs)}.${toBase64Url(control.random.bytes(16))}`;
  return challengeOf(control, credential, `${body}.${keyedHash(control, "challenge", body)}`, expiresMs);
}

/**
 * Exchanges a signed challenge for a token.
 * @throws CardeaError `challenge_invalid`, `signature_invalid`, `subject_inactive`
 */
export async function signIn(
  control: Control,
  input: z.output<typeof SignIn>,
  sourceIp: string,
): Promise<z.infer<typeof SignedIn>> {
  const asked = openChallenge(control, input.challenge);
  if (asked === undefined) throw challengeInvalid();
  const roster = await currentRoster(control);
  const held = credentialIn(roster, asked.credential);
  const valid = verifySignIn(held?.credential ?? unknownCredential, challengeDigest(asked), input.signature);
  if (held === undefined || !valid)
    throw new CardeaError("signature_invalid", "the signature is not the credential's over this challenge");
  const { entry, credential } = held;
  // Only after the signature: nobody else learns that the credential exists.
  if (!roster.isActive(entry.subject))
    throw new CardeaError("subject_inactive", `\`${entry.name}\` is not active; ask an administrator`);
  return transact(control, async (tx) => {
    if (!(await spendChallenge(tx, input.challenge, asked.expiresAt))) throw challengeInvalid();
    const token = await makeToken(tx, control, {
      subject: entry.subject,
      method: "sign-in",
      credential: credential.id,
      label: "",
      permissions: entry.permissions,
      lifetimeMs: signInLifetimeMs,
    });
    await record(tx, control, {
      type: "subject.signed_in",
      ids: { subject: entry.subject, credential: credential.id },
      data: { kind: credential.kind, sourceIp },
      actor: entry.subject,
    });
    return { token: token.text, expiresAt: token.expiresAt, subject: entry.subject, name: entry.name };
  });
}

/** Ends the calling sign-in. */
export async function signOut(control: Control, _actor: Actor, token: TokenId): Promise<void> {
  await transact(control, async (tx) => {
    await deleteToken(tx, token);
  });
}

function challengeOf(control: Control, credential: CredentialId, nonce: string, expiresMs: number): Challenge {
  return { v: 1, origin: control.settings.publicUrl, credential, nonce, expiresAt: toTime(expiresMs) };
}

/** The challenge behind a nonce of ours that is not over. */
function openChallenge(
  control: Control,
  nonce: string,
): (Challenge & { readonly credential: CredentialId }) | undefined {
  const dot = nonce.lastIndexOf(".");
  const body = nonce.slice(0, Math.max(dot, 0));
  if (!matchesKeyedHash(control, "challenge", body, nonce.slice(dot + 1))) return undefined;
  const [id, expires] = body.split(".");
  const credential = CredentialId.safeParse(id);
  const expiresMs = Number(expires);
  if (!credential.success || expiresMs <= control.clock.now()) return undefined;
  return challengeOf(control, credential.data, nonce, expiresMs);
}

function credentialIn(
  roster: RosterView,
  id: CredentialId,
): { entry: RosterEntry; credential: RosterEntry["credentials"][number] } | undefined {
  for (const entry of roster.entries()) {
    const credential = entry.credentials.find((held) => held.id === id);
    if (credential !== undefined) return { entry, credential };
  }
  return undefined;
}

function challengeInvalid(): CardeaError {
  return new CardeaError("challenge_invalid", "the challenge is unknown, used or over; ask for a new one");
}
