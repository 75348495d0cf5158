/** Requests and their votes. A `…Locked` query holds the row until the transaction ends. */
import { sql, type ColumnType, type Generated, type Selectable } from "kysely";
import type { GrantId, RequestId, SessionId, SubjectId } from "@cardea/core/contract/ids";
import { Request } from "@cardea/core/documents/request";
import { Vote } from "@cardea/core/documents/vote";
import type { Time } from "@cardea/core/documents/primitives";
import { Signature } from "@cardea/core/documents/signature";
import type { RequestState } from "@cardea/core/lifecycle/states";
import type { Control, ControlKeys, Tx } from "../control.ts";
import { readSigned, signedColumns, type Signed } from "./signed.ts";

type Db = Control["db"] | Tx;

/** Not as a parameter: a prepared statement would not know that the indexes of pending requests serve it. */
const pending = sql.lit<RequestState>("pending");

/** jsonb, written as text. */
type JsonColumn = ColumnType<unknown, string, string>;

interface RequestsTable {
  id: RequestId;
  state: RequestState;
  previous_state: RequestState | null;
  why: string | null;
  requester: SubjectId;
  on_behalf_of: SubjectId | null;
  resource_id: string;
  resource: string;
  outpost: string;
  digest: string;
  document: string;
  signatures: JsonColumn;
  judged_policy: number;
  vote_count: Generated<number>;
  created_at: Time;
  expires_at: Time;
  remind_at: Time | null;
  escalate_at: Time | null;
  decided_at: Time | null;
  within_grant: GrantId | null;
  within_session: SessionId | null;
  nonce: string | null;
  asked_signature: ColumnType<unknown, string | null, never>;
}

interface VotesTable {
  id: string;
  request_id: RequestId;
  approver: SubjectId;
  verdict: "approve" | "deny";
  digest: string;
  document: string;
  signatures: JsonColumn;
  cast_at: Time;
}

export interface RequestTables {
  requests: RequestsTable;
  votes: VotesTable;
}

/** A request with its verified document. */
export interface StoredRequest {
  readonly id: RequestId;
  readonly state: RequestState;
  readonly why: string | undefined;
  readonly signed: Signed<Request>;
  readonly judgedPolicy: number;
  readonly voteCount: number;
  readonly remindAt: Time | undefined;
  readonly escalateAt: Time | undefined;
  readonly decidedAt: Time | undefined;
}

export interface NewRequest {
  readonly signed: Signed<Request>;
  readonly state: "pending" | "approved" | "denied";
  readonly why?: string | undefined;
  readonly judgedPolicy: number;
  readonly expiresAt: Time;
  readonly remindAt?: Time | undefined;
  readonly escalateAt?: Time | undefined;
  /** Of what a session asks for: its outpost's, over `asked`. */
  readonly askedSignature?: Signature | undefined;
}

export async function insertRequest(tx: Tx, request: NewRequest): Promise<void> {
  const { signed } = request;
  const { id, asked, resource, createdAt } = signed.document;
  const pending = request.state === "pending";
  await tx
    .insertInto("requests")
    .values({
      id,
      state: request.state,
      previous_state: pending ? null : "pending",
      why: request.why ?? null,
      requester: asked.requester.id,
      on_behalf_of: asked.requester.onBehalfOf ?? null,
      resource_id: resource.id,
      resource: asked.resource,
      outpost: resource.outpost,
      ...signedColumns(signed),
      judged_policy: request.judgedPolicy,
      created_at: createdAt,
      expires_at: request.expiresAt,
      remind_at: request.remindAt ?? null,
      escalate_at: request.escalateAt ?? null,
      decided_at: pending ? null : createdAt,
      ...heldColumns(request),
    })
    .execute();
}

function heldColumns({ signed, askedSignature }: NewRequest) {
  const { within, nonce } = signed.document.asked;
  if (within === undefined || askedSignature === undefined) return {};
  return {
    within_grant: within.grant,
    within_session: within.session,
    nonce,
    asked_signature: JSON.stringify(askedSignature),
  };
}

/** The request that an outpost's hold was filed as; the row is locked. */
export async function maybeOneHeldLocked(
  tx: Tx,
  keys: ControlKeys,
  hold: { readonly grant: GrantId; readonly nonce: string },
): Promise<StoredRequest | undefined> {
  const row = await tx
    .selectFrom("requests")
    .selectAll()
    .where("within_grant", "=", hold.grant)
    .where("nonce", "=", hold.nonce)
    .forUpdate()
    .executeTakeFirst();
  return row === undefined ? undefined : stored(keys, row);
}

/** Which session waits for the request, as its row says: enough to tell it something, and nothing to act on. */
export async function maybeOneHold(
  db: Db,
  id: RequestId,
): Promise<{ readonly session: SessionId; readonly nonce: string } | undefined> {
  const row = await db
    .selectFrom("requests")
    .select(["within_session", "nonce"])
    .where("id", "=", id)
    .executeTakeFirst();
  return row === undefined || row.within_session === null || row.nonce === null
    ? undefined
    : { session: row.within_session, nonce: row.nonce };
}

/** Requests of a session that wait, locked. */
export async function manyWaitingWithin(
  tx: Tx,
  keys: ControlKeys,
  within: { readonly grant: GrantId; readonly session: SessionId },
): Promise<StoredRequest[]> {
  const rows = await tx
    .selectFrom("requests")
    .selectAll()
    .where("within_session", "=", within.session)
    .where("within_grant", "=", within.grant)
    .where("state", "=", pending)
    .orderBy("id")
    .forUpdate()
    .execute();
  return rows.map((row) => stored(keys, row));
}

/** The outpost's signature over what its session asks for; its row is believed no further than the signature verifies. */
export function readAskedSignature(column: unknown): Signature | undefined {
  return Signature.safeParse(column).data;
}

export async function maybeOneRequest(db: Db, keys: ControlKeys, id: RequestId): Promise<StoredRequest | undefined> {
  const row = await db.selectFrom("requests").selectAll().where("id", "=", id).executeTakeFirst();
  return row === undefined ? undefined : stored(keys, row);
}

export async function maybeOneRequestLocked(
  tx: Tx,
  keys: ControlKeys,
  id: RequestId,
): Promise<StoredRequest | undefined> {
  const row = await tx.selectFrom("requests").selectAll().where("id", "=", id).forUpdate().executeTakeFirst();
  return row === undefined ? undefined : stored(keys, row);
}

/** Moves a pending request to its final state. The caller holds its lock. */
export async function decideRequest(
  tx: Tx,
  id: RequestId,
  state: Exclude<RequestState, "pending">,
  at: Time,
  why?: string,
): Promise<void> {
  await tx
    .updateTable("requests")
    .set({ state, decided_at: at, why: why ?? null, remind_at: null, escalate_at: null })
    .where("id", "=", id)
    .execute();
}

/** When the next reminder and escalation are due; `null` for never. */
export async function setReminders(
  tx: Tx,
  id: RequestId,
  times: { readonly remind_at?: Time | null; readonly escalate_at?: Time | null },
): Promise<void> {
  await tx.updateTable("requests").set(times).where("id", "=", id).execute();
}

export async function setJudgedPolicy(tx: Tx, id: RequestId, version: number): Promise<void> {
  await tx.updateTable("requests").set({ judged_policy: version }).where("id", "=", id).execute();
}

/** Until the transaction ends, nobody else files for this subject. An advisory lock, because there may be no row to lock yet. */
export async function lockRequester(tx: Tx, requester: SubjectId): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${requester}, 0))`.execute(tx);
}

/** How many requests of a subject wait. Exact only under `lockRequester`. */
export async function onePendingCount(tx: Tx, requester: SubjectId): Promise<number> {
  const row = await tx
    .selectFrom("requests")
    .select((eb) => eb.fn.countAll<number>().as("count"))
    .where("requester", "=", requester)
    .where("state", "=", pending)
    .executeTakeFirstOrThrow();
  return row.count;
}

/** All votes on a request in the order of their casting, each verified. */
export async function manyVotes(db: Db, keys: ControlKeys, request: RequestId): Promise<Signed<Vote>[]> {
  const rows = await db
    .selectFrom("votes")
    .selectAll()
    .where("request_id", "=", request)
    .orderBy("cast_at")
    .orderBy("id")
    .execute();
  return rows.map((row) => readSigned(keys, "vote", Vote, row));
}

/** Stores a vote and counts it on its request, in one statement. */
export async function insertVote(tx: Tx, request: RequestId, signed: Signed<Vote>): Promise<void> {
  const { id, approver, verdict, at } = signed.document;
  await tx
    .with("counted", (db) =>
      db
        .updateTable("requests")
        .set((eb) => ({ vote_count: eb("vote_count", "+", 1) }))
        .where("id", "=", request),
    )
    .insertInto("votes")
    .values({ id, request_id: request, approver, verdict, ...signedColumns(signed), cast_at: at })
    .execute();
}

export type Due = "expires_at" | "remind_at" | "escalate_at";

/** Pending requests whose time has come, oldest first. Nothing is locked: whoever acts locks the row and looks again. */
export async function manyDueRequests(db: Db, due: Due, now: Time, limit: number): Promise<RequestId[]> {
  const rows = await db
    .selectFrom("requests")
    .select("id")
    .where("state", "=", pending)
    .where(due, "<=", now)
    .orderBy(due)
    .limit(limit)
    .execute();
  return rows.map((row) => row.id);
}

/** Pending requests that were not yet looked at under a policy version. */
export async function manyUnjudgedRequests(db: Db, version: number, limit: number): Promise<RequestId[]> {
  const rows = await db
    .selectFrom("requests")
    .select("id")
    .where("state", "=", pending)
    .where("judged_policy", "<", version)
    .orderBy("id")
    .limit(limit)
    .execute();
  return rows.map((row) => row.id);
}

export interface RequestFilter {
  readonly state?: RequestState | undefined;
  readonly resource?: string | undefined;
  readonly requester?: SubjectId | undefined;
  /** Only what this subject filed, or an agent of theirs. */
  readonly concerning?: SubjectId | undefined;
  /** Only what this subject filed or voted on, and whatever names it or one of its groups: the caller judges who may see that. */
  readonly visibleTo?: { readonly subject: SubjectId; readonly groups: readonly string[] } | undefined;
  /** Only ids below this one. */
  readonly before?: string | undefined;
  readonly since?: Time | undefined;
  readonly limit: number;
}

/** Newest first. Rows that were altered come as `undefined` documents, so that one of them does not hide the others. */
export async function manyRequests(
  db: Db,
  keys: ControlKeys,
  filter: RequestFilter,
): Promise<(StoredRequest | { readonly altered: RequestId })[]> {
  let query = db.selectFrom("requests").selectAll().orderBy("id", "desc").limit(filter.limit);
  if (filter.state !== undefined) query = query.where("state", "=", filter.state);
  if (filter.resource !== undefined) query = query.where("resource", "=", filter.resource);
  if (filter.requester !== undefined) query = query.where("requester", "=", filter.requester);
  if (filter.before !== undefined) query = query.where(sql<string>`id`, "<", filter.before);
  if (filter.since !== undefined) query = query.where("created_at", ">=", filter.since);
  const { concerning, visibleTo } = filter;
  if (concerning !== undefined) {
    query = query.where((eb) => eb.or([eb("requester", "=", concerning), eb("on_behalf_of", "=", concerning)]));
  }
  if (visibleTo !== undefined) {
    query = query.where((eb) =>
      eb.or([
        eb("requester", "=", visibleTo.subject),
        eb("on_behalf_of", "=", visibleTo.subject),
        // Canonical JSON writes an id or a group's name in one way, in quotes.
        ...[visibleTo.subject, ...visibleTo.groups].map(
          (name) => sql<boolean>`strpos(document, ${JSON.stringify(name)}) > 0`,
        ),
        eb.exists(
          eb
            .selectFrom("votes")
            .select("votes.id")
            .whereRef("votes.request_id", "=", "requests.id")
            .where("votes.approver", "=", visibleTo.subject),
        ),
      ]),
    );
  }
  const rows = await query.execute();
  return rows.map((row) => {
    try {
      return stored(keys, row);
    } catch {
      return { altered: row.id };
    }
  });
}

function stored(keys: ControlKeys, row: Selectable<RequestsTable>): StoredRequest {
  return {
    id: row.id,
    state: row.state,
    why: row.why ?? undefined,
    signed: readSigned(keys, "request", Request, row),
    judgedPolicy: row.judged_policy,
    voteCount: row.vote_count,
    remindAt: row.remind_at ?? undefined,
    escalateAt: row.escalate_at ?? undefined,
    decidedAt: row.decided_at ?? undefined,
  };
}
