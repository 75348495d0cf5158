import { z } from "zod";
import { Base64Url, Name, plainText, SubjectKind, Time } from "../../documents/primitives.ts";
import { RosterEntry } from "../../documents/roster.ts";
import { CredentialId, SubjectId, TokenId } from "../../contract/ids.ts";
import { pageOf } from "./conventions.ts";

export const Permission = z.enum(["member", "auditor", "admin"]);
export type Permission = z.infer<typeof Permission>;

/** A public key that can prove a presence: Ed25519 (raw, `device`) or an OpenSSH public key line (`ssh`). */
export const NewCredential = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("device"), publicKey: Base64Url.length(43), label: plainText(100).default("") }),
  z.strictObject({ kind: z.literal("ssh"), publicKey: z.string().max(2_000), label: plainText(100).default("") }),
]);
export type NewCredential = z.input<typeof NewCredential>;

/** `POST /v1/enrolments`: spends an invitation or the set-up token. `signature`: the new key over the digest (type `sign-in`) of `{ purpose: "enrol", invitationHash, publicKey }`. */
export const Enrol = z.strictObject({
  invitation: z.string().max(200),
  credential: NewCredential,
  signature: z.string().max(8_000),
});
export type Enrol = z.input<typeof Enrol>;
export const Enrolled = z.object({ subject: SubjectId, name: z.string(), credential: CredentialId });

/** `POST /v1/sign-ins/challenges` then `POST /v1/sign-ins`: the credential signs the digest (type `sign-in`) of the challenge document. */
export const ChallengeRequest = z.strictObject({ credential: CredentialId });
export const Challenge = z.object({
  v: z.literal(1),
  origin: z.string(),
  credential: CredentialId,
  nonce: z.string(),
  expiresAt: Time,
});
export type Challenge = z.infer<typeof Challenge>;
/** `challenge`: the nonce of the challenge, which is all of it that the server needs. */
export const SignIn = z.strictObject({ challenge: z.string().max(200), signature: z.string().max(8_000) });
export const SignedIn = z.object({ token: z.string(), expiresAt: Time, subject: SubjectId, name: z.string() });
export type SignedIn = z.infer<typeof SignedIn>;

export const WhoAmI = z.object({
  subject: SubjectId,
  name: z.string(),
  displayName: z.string(),
  kind: SubjectKind,
  groups: z.array(z.string()),
  permissions: z.array(Permission),
  method: z.enum(["sign-in", "api-token"]),
  expiresAt: Time,
});
export type WhoAmI = z.infer<typeof WhoAmI>;

/** Identities elsewhere (an issuer and its subject) that are this one person. */
const Identity = z.object({ issuer: z.string().max(200), subject: z.string().max(200) });

export const PersonView = z.object({
  entry: RosterEntry,
  displayName: z.string(),
  email: z.string().optional(),
  identities: z.array(Identity),
  invitedUntil: Time.optional(),
  createdAt: Time,
});
export type PersonView = z.infer<typeof PersonView>;
export const PeoplePage = pageOf(PersonView);

/** `POST /v1/people`: a new subject. For a human an invitation is made with it. */
export const CreatePerson = z.strictObject({
  name: Name,
  displayName: plainText(200).optional(),
  email: z.email().max(254).optional(),
  kind: SubjectKind.default("human"),
  actsFor: SubjectId.optional(),
  groups: z.array(Name).max(100).default([]),
  claims: z.record(z.string().max(100), z.string().max(1_000)).default({}),
  permissions: z.array(Permission).default(["member"]),
});
export type CreatePerson = z.input<typeof CreatePerson>;

/** `PATCH /v1/people/{id}`: what is given replaces what was. */
export const ChangePerson = z.strictObject({
  displayName: plainText(200).optional(),
  email: z.email().max(254).nullable().optional(),
  groups: z.array(Name).max(100).optional(),
  claims: z.record(z.string().max(100), z.string().max(1_000)).optional(),
  permissions: z.array(Permission).optional(),
  identities: z.array(Identity).max(20).optional(),
  active: z.boolean().optional(),
});
export type ChangePerson = z.input<typeof ChangePerson>;

/** `POST /v1/people/{id}/invitations`. The text is shown once; single use. */
export const Invitation = z.object({ invitation: z.string(), subject: SubjectId, name: z.string(), expiresAt: Time });
export type Invitation = z.infer<typeof Invitation>;

/** The answer to `POST /v1/people`. */
export const CreatedPerson = z.object({ person: PersonView, invitation: Invitation.optional() });
export type CreatedPerson = z.infer<typeof CreatedPerson>;

export const CreateToken = z.strictObject({
  label: plainText(100),
  permissions: z.array(Permission).min(1),
  /** 90 days at most. */
  lifetime: z.string().default("30d"),
  /** A workload or agent, for admins; absent: oneself. */
  subject: SubjectId.optional(),
});
export type CreateToken = z.input<typeof CreateToken>;
export const TokenView = z.object({
  id: TokenId,
  label: z.string(),
  permissions: z.array(Permission),
  createdAt: Time,
  expiresAt: Time,
  lastUsedAt: Time.optional(),
});
export type TokenView = z.infer<typeof TokenView>;
/** The secret is in the answer to the creation and nowhere else. */
export const CreatedToken = TokenView.extend({ secret: z.string() });
export const TokensPage = pageOf(TokenView);
