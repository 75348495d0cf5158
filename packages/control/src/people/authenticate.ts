import { Permission } from "@cardea/core/wire/api/people";
import type { TokenId } from "@cardea/core/contract/ids";
import { timeMs, toTime, type Time } from "@cardea/core/documents/primitives";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { ok, refused, type Result } from "@cardea/core/lib/result";
import type { Actor, Control } from "../control.ts";
import { maybeOneToken, touchToken, type TokenRow } from "../store/people.ts";
import { opensToken, parseToken } from "./bearer.ts";
import { currentRoster, rosterAt } from "./roster.ts";

export interface Authenticated {
  readonly actor: Actor;
  readonly token: TokenId;
  readonly expiresAt: Time;
}

export type AuthenticationRefusal = "unauthenticated" | "sign_in_expired" | "subject_inactive";

const unauthenticated = refused("unauthenticated", "the token is missing or not valid; sign in with `cardea login`");
const touchEveryMs = 60_000;

/**
 * Who calls, from an `Authorization` header. The subject's standing is the newest roster's, so a person made inactive, a permission or a
 * credential taken away counts from the next call. An unknown and a wrong token get the same answer.
 * @throws CardeaError `roster_invalid`, `database_unavailable`
 */
export async function authenticate(
  control: Control,
  header: string | undefined,
  sourceIp: string,
): Promise<Result<Authenticated, AuthenticationRefusal>> {
  const parsed = parseToken(/^Bearer ([^ ]{1,200})$/i.exec(header ?? "")?.[1] ?? "");
  if (parsed === undefined) return unauthenticated;
  const found = await maybeOneToken(control.db, parsed.id);
  // Without a head there are no people at all: that is a fault to be told, not a wrong token.
  if (found.roster === undefined) await currentRoster(control);
  if (!opensToken(control, found.token, parsed.secret)) return unauthenticated;
  const { token } = found;
  const now = control.clock.now();
  if (timeMs(token.expires_at) <= now)
    return refused("sign_in_expired", "the token is over; sign in again with `cardea login`");

  const roster = await rosterAt(control, found.roster);
  const entry = roster.entry(token.subject_id);
  if (entry === undefined || !roster.isActive(entry.subject))
    return refused("subject_inactive", "this subject is not active; ask an administrator");
  const presence = presenceOf(token);
  if (!isGood(entry, presence)) return unauthenticated;
  await touch(control, token, now);
  const actor: Actor = {
    subject: entry.subject,
    name: entry.name,
    entry,
    permissions: entry.permissions.filter((permission) => token.permissions.includes(permission)),
    presence,
    sourceIp,
  };
  return ok({ actor, token: token.id, expiresAt: token.expires_at });
}

/** Whether the signed roster still names what the token rests on: rows that were taken away can be put back. */
function isGood(entry: RosterEntry, presence: Actor["presence"]): boolean {
  return presence.method === "sign-in"
    ? entry.credentials.some((credential) => credential.id === presence.credential)
    : entry.tokens?.includes(presence.token) === true;
}

function presenceOf(token: TokenRow): Actor["presence"] {
  return token.credential_id === null
    ? { method: "api-token", token: token.id }
    : { method: "sign-in", credential: token.credential_id };
}

async function touch(control: Control, token: TokenRow, now: number): Promise<void> {
  if (token.method !== "api-token") return;
  if (token.last_used_at !== null && timeMs(token.last_used_at) > now - touchEveryMs) return;
  await touchToken(control.db, token.id, toTime(now));
}

/** Permissions as stored, read back as the contract's words. */
export function permissionsOf(row: Pick<TokenRow, "permissions">): Permission[] {
  return row.permissions.map((permission) => Permission.parse(permission));
}
