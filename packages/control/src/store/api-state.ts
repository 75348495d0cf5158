/** What the HTTP interface remembers between calls: answers to calls that carried an `Idempotency-Key`. */
import { sql } from "kysely";
import type { Time } from "@cardea/core/documents/primitives";
import type { SubjectId } from "@cardea/core/contract/ids";
import type { Control } from "../control.ts";

type Db = Control["db"];

export interface ApiTables {
  idempotent_calls: {
    subject_id: SubjectId;
    key: string;
    fingerprint: string;
    claim: string;
    claimed_until: Time;
    expires_at: Time;
    status: number | null;
    answer: Buffer | null;
  };
}

export type IdempotentCall = ApiTables["idempotent_calls"];
export interface CallKey {
  readonly subject: SubjectId;
  readonly key: string;
}

/**
 * Claims the key. Answers the row as it stands afterwards: the caller's own where `claim` is theirs, else that of the call that came
 * first. The primary key decides between two at once; an expired row is taken over.
 */
export async function claimCall(
  db: Db,
  call: Omit<IdempotentCall, "status" | "answer">,
  now: Time,
): Promise<IdempotentCall> {
  const { rows } = await sql<IdempotentCall>`
    insert into idempotent_calls as stored (subject_id, key, fingerprint, claim, claimed_until, expires_at)
    values (${call.subject_id}, ${call.key}, ${call.fingerprint}, ${call.claim}, ${call.claimed_until}, ${call.expires_at})
    on conflict (subject_id, key) do update
      set fingerprint = case when stored.expires_at <= ${now} then excluded.fingerprint else stored.fingerprint end,
          claim = case when stored.expires_at <= ${now} then excluded.claim else stored.claim end,
          claimed_until = case when stored.expires_at <= ${now} then excluded.claimed_until else stored.claimed_until end,
          status = case when stored.expires_at <= ${now} then null else stored.status end,
          answer = case when stored.expires_at <= ${now} then null else stored.answer end,
          expires_at = case when stored.expires_at <= ${now} then excluded.expires_at else stored.expires_at end
    returning subject_id, key, fingerprint, claim, claimed_until, expires_at, status, answer`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new TypeError("an upsert always gives its row");
  return row;
}

export function maybeOneCall(db: Db, { subject, key }: CallKey): Promise<IdempotentCall | undefined> {
  return db
    .selectFrom("idempotent_calls")
    .select(["subject_id", "key", "fingerprint", "claim", "claimed_until", "expires_at", "status", "answer"])
    .where("subject_id", "=", subject)
    .where("key", "=", key)
    .executeTakeFirst();
}

/** Keeps the answer, if the claim is still the caller's. */
export async function keepAnswer(
  db: Db,
  { subject, key }: CallKey,
  claim: string,
  status: number,
  answer: Buffer,
): Promise<void> {
  await db
    .updateTable("idempotent_calls")
    .set({ status, answer })
    .where("subject_id", "=", subject)
    .where("key", "=", key)
    .where("claim", "=", claim)
    .execute();
}

/** Gives the key back: the call certainly did nothing. */
export async function releaseCall(db: Db, { subject, key }: CallKey, claim: string): Promise<void> {
  await db
    .deleteFrom("idempotent_calls")
    .where("subject_id", "=", subject)
    .where("key", "=", key)
    .where("claim", "=", claim)
    .execute();
}

/** Removes what is over, a bounded piece at a time. */
export async function purgeCalls(db: Db, now: Time): Promise<void> {
  await sql`
    delete from idempotent_calls where (subject_id, key) in (
      select subject_id, key from idempotent_calls where expires_at < ${now} limit 1000)`.execute(db);
}
