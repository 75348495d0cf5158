/**
 * Bearer tokens: what a sign-in gives, and API tokens. The text carries the token's id, so that it is found by key, and a secret, whose hash is
 * bound with everything that the token may do by a keyed hash: a row made or widened by SQL is no token.
 */
import { newId, TokenId, type CredentialId, type SubjectId } from "@cardea/core/contract/ids";
import type { Permission } from "@cardea/core/wire/api/people";
import { toTime, type Time } from "@cardea/core/documents/primitives";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { sha256 } from "@cardea/core/lib/crypto";
import type { Control, Tx } from "../control.ts";
import { insertToken, type TokenRow } from "../store/people.ts";
import { keyedHash, matchesKeyedHash } from "../store/sealed.ts";

const form = /^cardea_(tok_[0-9a-z]{26})_([A-Za-z0-9_-]{43})$/;
const secretBytes = 32;

export interface NewToken {
  readonly subject: SubjectId;
  readonly method: TokenRow["method"];
  readonly credential?: CredentialId;
  readonly label: string;
  readonly permissions: readonly Permission[];
  readonly lifetimeMs: number;
}

export interface MadeToken {
  readonly id: TokenId;
  /** Shown once, kept nowhere. */
  readonly text: string;
  readonly createdAt: Time;
  readonly expiresAt: Time;
}

/** Makes and stores a token in the caller's transaction. */
export async function makeToken(tx: Tx, control: Control, token: NewToken): Promise<MadeToken> {
  const id = newId("token", control.clock, control.random);
  const secret = toBase64Url(control.random.bytes(secretBytes));
  const now = control.clock.now();
  const [createdAt, expiresAt] = [toTime(now), toTime(now + token.lifetimeMs)];
  const row = {
    id,
    subject_id: token.subject,
    method: token.method,
    credential_id: token.credential ?? null,
    label: token.label,
    permissions: [...token.permissions],
    created_at: createdAt,
    expires_at: expiresAt,
  };
  await insertToken(tx, { ...row, mac: keyedHash(control, "token", bindingOf(row, secret)) });
  return { id, text: `cardea_${id}_${secret}`, createdAt, expiresAt };
}

/** A token's two parts, or undefined for any other text. */
export function parseToken(text: string): { readonly id: TokenId; readonly secret: string } | undefined {
  const [, id, secret] = form.exec(text) ?? [];
  const parsed = TokenId.safeParse(id);
  return parsed.success && secret !== undefined ? { id: parsed.data, secret } : undefined;
}

/** Whether the secret is the row's, and the row says what it said when it was made. Constant time, for a missing row too. */
export function opensToken(control: Control, row: TokenRow | undefined, secret: string): row is TokenRow {
  const mac = row?.mac ?? keyedHash(control, "token", "nobody's");
  const opens = matchesKeyedHash(control, "token", row === undefined ? { secret } : bindingOf(row, secret), mac);
  return row !== undefined && opens;
}

function bindingOf(
  row: Pick<TokenRow, "id" | "subject_id" | "method" | "credential_id" | "permissions" | "expires_at">,
  secret: string,
): object {
  const { id, subject_id, method, credential_id, permissions, expires_at } = row;
  const secretHash = toBase64Url(sha256(new TextEncoder().encode(secret)));
  return { id, subject: subject_id, method, credential: credential_id, permissions, expiresAt: expires_at, secretHash };
}
