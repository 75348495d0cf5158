/**
 * All SQL about people: the signed roster as stored, profiles, identities, invitations, tokens. Called by `people/` alone. It judges
 * nothing: what is read here counts only after `people/` has verified it against the control plane's keys.
 */
import { sql, type ColumnType, type Generated } from "kysely";
import type { CredentialId, SubjectId, TokenId } from "@cardea/core/contract/ids";
import type { Time } from "@cardea/core/documents/primitives";
import type { RosterHead } from "@cardea/core/documents/roster";
import type { Control, Tx } from "../control.ts";
import { signedColumns, type Signed } from "./signed.ts";

export interface PeopleTables {
  roster_heads: {
    version: number;
    document: string;
    digest: string;
    signatures: ColumnType<unknown, string, string>;
    at: Time;
  };
  roster_entries: { subject_id: SubjectId; document: string };
  subject_profiles: { subject_id: SubjectId; display_name: string; email: string | null; created_at: Time };
  subject_identities: { issuer: string; issuer_subject: string; subject_id: SubjectId; mac: string };
  credential_labels: { credential_id: CredentialId; subject_id: SubjectId; label: string };
  invitations: {
    lookup: string;
    subject_id: SubjectId;
    made_by: SubjectId | null;
    created_at: Time;
    expires_at: Time;
    bound: string;
    mac: string;
  };
  tokens: {
    id: TokenId;
    subject_id: SubjectId;
    method: "sign-in" | "api-token";
    credential_id: CredentialId | null;
    label: string;
    permissions: string[];
    created_at: Time;
    expires_at: Time;
    last_used_at: Generated<Time | null>;
    mac: string;
  };
  spent_challenges: { nonce: string; expires_at: Time };
}

type Db = Control["db"] | Tx;

/** Lets one change of the roster through at a time; spells `car` and a number, like the other advisory locks. */
const rosterLock = 0x63617210;

/** A row as it is read. */
type Row<Table> = {
  readonly [Column in keyof Table]: Table[Column] extends Generated<infer Value> ? Value : Table[Column];
};
export type TokenRow = Row<PeopleTables["tokens"]>;
export type InvitationRow = Row<PeopleTables["invitations"]>;
export type ProfileRow = Row<PeopleTables["subject_profiles"]>;
export type IdentityRow = Row<PeopleTables["subject_identities"]>;
export interface RosterHeadRow {
  readonly version: number;
  readonly document: string;
  readonly digest: string;
  readonly signatures: unknown;
}

/** Which head is the newest; undefined before the first. */
export function maybeOneRosterVersion(
  db: Db,
): Promise<{ readonly version: number; readonly digest: string } | undefined> {
  return db
    .selectFrom("roster_heads")
    .select(["version", "digest"])
    .orderBy("version", "desc")
    .limit(1)
    .executeTakeFirst();
}

export interface StoredRoster {
  readonly head: RosterHeadRow | undefined;
  /** Canonical texts. */
  readonly entries: readonly string[];
  readonly profiles: readonly Omit<ProfileRow, "created_at">[];
}

/** Newest head, entries and profiles as one statement saw them, so that a change in between is seen whole or not at all. */
export async function oneStoredRoster(db: Db): Promise<StoredRoster> {
  const { rows } = await sql<{
    head: RosterHeadRow | null;
    entries: string[];
    profiles: Omit<ProfileRow, "created_at">[];
  }>`
    select
      (select json_build_object('version', version, 'document', document, 'digest', digest, 'signatures', signatures)
         from roster_heads order by version desc limit 1) as head,
      (select coalesce(json_agg(document order by subject_id collate "C"), '[]') from roster_entries) as entries,
      (select coalesce(json_agg(json_build_object('subject_id', subject_id, 'display_name', display_name, 'email', email)), '[]')
         from subject_profiles) as profiles`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new TypeError("a select without a source always gives one row");
  return { head: row.head ?? undefined, entries: row.entries, profiles: row.profiles };
}

/** Held until the transaction ends. */
export async function lockRoster(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${rosterLock})`.execute(tx);
}

export async function insertRosterHead(tx: Tx, signed: Signed<RosterHead>): Promise<void> {
  const { version, at } = signed.document;
  await tx
    .insertInto("roster_heads")
    .values({ version, ...signedColumns(signed), at })
    .execute();
}

export async function upsertRosterEntry(tx: Tx, subject: SubjectId, document: string): Promise<void> {
  await tx
    .insertInto("roster_entries")
    .values({ subject_id: subject, document })
    .onConflict((conflict) => conflict.column("subject_id").doUpdateSet({ document }))
    .execute();
}

export async function upsertProfile(tx: Tx, profile: ProfileRow): Promise<void> {
  const { display_name, email } = profile;
  await tx
    .insertInto("subject_profiles")
    .values(profile)
    .onConflict((conflict) => conflict.column("subject_id").doUpdateSet({ display_name, email }))
    .execute();
}

export function manyProfiles(db: Db, subjects: readonly SubjectId[]): Promise<ProfileRow[]> {
  return db
    .selectFrom("subject_profiles")
    .select(["subject_id", "display_name", "email", "created_at"])
    .where("subject_id", "in", [...subjects])
    .execute();
}

export function manyIdentities(db: Db, subjects: readonly SubjectId[]): Promise<IdentityRow[]> {
  return db
    .selectFrom("subject_identities")
    .select(["issuer", "issuer_subject", "subject_id", "mac"])
    .where("subject_id", "in", [...subjects])
    .orderBy("issuer")
    .orderBy("issuer_subject")
    .execute();
}

/** Puts these identities in the place of the subject's old ones. Answers those that belong to somebody else; then nothing counts. */
export async function replaceIdentities(
  tx: Tx,
  subject: SubjectId,
  identities: readonly IdentityRow[],
): Promise<number> {
  await tx.deleteFrom("subject_identities").where("subject_id", "=", subject).execute();
  if (identities.length === 0) return 0;
  const inserted = await tx
    .insertInto("subject_identities")
    .values([...identities])
    .onConflict((conflict) => conflict.columns(["issuer", "issuer_subject"]).doNothing())
    .returning("issuer")
    .execute();
  return identities.length - inserted.length;
}

export async function insertCredentialLabel(
  tx: Tx,
  credential: CredentialId,
  subject: SubjectId,
  label: string,
): Promise<void> {
  await tx.insertInto("credential_labels").values({ credential_id: credential, subject_id: subject, label }).execute();
}

export async function insertInvitation(tx: Tx, invitation: InvitationRow): Promise<void> {
  await tx.insertInto("invitations").values(invitation).execute();
}

export function maybeOneInvitation(tx: Tx, lookup: string): Promise<InvitationRow | undefined> {
  return tx
    .selectFrom("invitations")
    .select(["lookup", "subject_id", "made_by", "created_at", "expires_at", "bound", "mac"])
    .where("lookup", "=", lookup)
    .executeTakeFirst();
}

/** Until when each subject's newest open invitation lasts. */
export function manyInvitedUntil(
  db: Db,
  subjects: readonly SubjectId[],
  now: Time,
): Promise<{ readonly subject_id: SubjectId; readonly until: Time }[]> {
  return db
    .selectFrom("invitations")
    .select((select) => ["subject_id", select.fn.max("expires_at").as("until")])
    .where("subject_id", "in", [...subjects])
    .where("expires_at", ">", now)
    .groupBy("subject_id")
    .execute();
}

export async function deleteInvitations(tx: Tx, subject: SubjectId): Promise<void> {
  await tx.deleteFrom("invitations").where("subject_id", "=", subject).execute();
}

export async function insertToken(tx: Tx, token: Omit<TokenRow, "last_used_at">): Promise<void> {
  await tx
    .insertInto("tokens")
    .values({ ...token, permissions: [...token.permissions] })
    .execute();
}

export interface TokenLookup {
  readonly token: TokenRow | undefined;
  /** Of the newest roster head, so that whoever verifies a token knows whether the roster in memory is still it. */
  readonly roster: { readonly version: number; readonly digest: string } | undefined;
}

/** A token by its id and the roster's version in one round trip: this runs for every call. */
export async function maybeOneToken(db: Db, id: TokenId): Promise<TokenLookup> {
  const row = await db
    .selectFrom((select) =>
      select.selectFrom("roster_heads").select(["version", "digest"]).orderBy("version", "desc").limit(1).as("head"),
    )
    .leftJoin("tokens", (join) => join.on("tokens.id", "=", id))
    .select([
      "head.version",
      "head.digest",
      "id",
      "subject_id",
      "method",
      "credential_id",
      "label",
      "permissions",
      "created_at",
      "expires_at",
      "last_used_at",
      "mac",
    ])
    .executeTakeFirst();
  if (row === undefined) return { token: undefined, roster: undefined };
  const { version, digest, ...token } = row;
  // The outer join gives a token's columns all together or all null.
  return { token: token.id === null ? undefined : (token as TokenRow), roster: { version, digest } };
}

/** Notes a use, at most once a minute, so that reading does not write. */
export async function touchToken(db: Db, id: TokenId, now: Time): Promise<void> {
  await db
    .updateTable("tokens")
    .set({ last_used_at: now })
    .where("id", "=", id)
    .where((where) =>
      where.or([
        where("last_used_at", "is", null),
        where("last_used_at", "<", sql<Time>`${now}::timestamptz - interval '1 minute'`),
      ]),
    )
    .execute();
}

/** A subject's API tokens that are not over, newest first, older than `before`. */
export function manyTokens(
  db: Db,
  subject: SubjectId,
  page: { readonly before?: string | undefined; readonly limit: number; readonly now: Time },
): Promise<TokenRow[]> {
  return db
    .selectFrom("tokens")
    .select([
      "id",
      "subject_id",
      "method",
      "credential_id",
      "label",
      "permissions",
      "created_at",
      "expires_at",
      "last_used_at",
      "mac",
    ])
    .where("subject_id", "=", subject)
    .where("method", "=", "api-token")
    .where("expires_at", ">", page.now)
    .$if(page.before !== undefined, (query) => query.where(sql`id collate "C"`, "<", page.before ?? ""))
    .orderBy(sql`id collate "C"`, "desc")
    .limit(page.limit)
    .execute();
}

export async function deleteToken(tx: Tx, id: TokenId): Promise<void> {
  await tx.deleteFrom("tokens").where("id", "=", id).execute();
}

export async function deleteTokensOfCredential(tx: Tx, credential: CredentialId): Promise<void> {
  await tx.deleteFrom("tokens").where("credential_id", "=", credential).execute();
}

export async function deleteTokensOf(tx: Tx, subject: SubjectId): Promise<void> {
  await tx.deleteFrom("tokens").where("subject_id", "=", subject).execute();
}

/** Whether the challenge had not been answered before. The primary key decides between two answers at once. */
export async function spendChallenge(tx: Tx, nonce: string, expiresAt: Time): Promise<boolean> {
  const row = await tx
    .insertInto("spent_challenges")
    .values({ nonce, expires_at: expiresAt })
    .onConflict((conflict) => conflict.column("nonce").doNothing())
    .returning("nonce")
    .executeTakeFirst();
  return row !== undefined;
}

/** Removes what is over, a bounded piece at a time. */
export async function purgePeople(db: Db, now: Time): Promise<void> {
  await sql`delete from tokens where id in (select id from tokens where expires_at < ${now}::timestamptz - interval '30 days' limit 1000)`.execute(
    db,
  );
  await sql`delete from spent_challenges where nonce in (select nonce from spent_challenges where expires_at < ${now} limit 1000)`.execute(
    db,
  );
  await sql`delete from invitations where lookup in (select lookup from invitations where expires_at < ${now}::timestamptz - interval '30 days' limit 1000)`.execute(
    db,
  );
}
