/** Grants, and their leases as outposts report them. A `…Locked` query holds the row until the transaction ends. */
import { sql, type ColumnType, type Selectable } from "kysely";
import { SealedKey } from "@cardea/core/wire/delivery";
import type { EventId, GrantId, LeaseId, OutpostId, RequestId, ResourceId, SubjectId } from "@cardea/core/contract/ids";
import { Grant } from "@cardea/core/documents/grant";
import type { Time } from "@cardea/core/documents/primitives";
import { Request } from "@cardea/core/documents/request";
import type { Signature } from "@cardea/core/documents/signature";
import { finalStates, type GrantState, type LeaseState } from "@cardea/core/lifecycle/states";
import type { Control, ControlKeys, Tx } from "../control.ts";
import type { GrantRosterTables } from "./grant-rosters.ts";
import type { LeaseTables, StoredLease } from "./leases.ts";
import type { StoredEntry } from "./log.ts";
import { readAskedSignature } from "./requests.ts";
import type { ReviewTables } from "./reviews.ts";
import { readSigned, signedColumns, type Signed } from "./signed.ts";

type Db = Control["db"] | Tx;

/** States with a window still to keep. Literally in statements: a prepared one would not know that the indexes of such grants serve it. */
const open = ["scheduled", "issuing", "active"] as const satisfies readonly GrantState[];
type JsonColumn<Read = unknown> = ColumnType<Read, string | null, string | null>;

interface GrantsTable {
  id: GrantId;
  request_id: RequestId;
  state: GrantState;
  previous_state: GrantState | null;
  why: string | null;
  detail: string | null;
  requester: SubjectId;
  on_behalf_of: SubjectId | null;
  resource_id: string;
  resource: string;
  role: string | null;
  outpost: OutpostId;
  digest: string;
  document: string;
  signatures: ColumnType<unknown, string, string>;
  created_policy: number;
  judged_policy: number;
  judged_roster: number;
  created_event: EventId;
  created_at: Time;
  not_before: Time;
  not_after: Time;
  review_due_at: Time | null;
  reviewed_at: Time | null;
  sealed: JsonColumn;
  lease_id: LeaseId | null;
  issued_at: Time | null;
  ending_at: Time | null;
  ended_at: Time | null;
}

export interface GrantTables extends LeaseTables, GrantRosterTables, ReviewTables {
  grants: GrantsTable;
}

/** A grant with its verified document; what stands beside it is what the control plane noted, and opens nothing. */
export interface StoredGrant {
  readonly id: GrantId;
  readonly request: RequestId;
  readonly state: GrantState;
  readonly why: string | undefined;
  readonly detail: string | undefined;
  readonly requester: SubjectId;
  readonly onBehalfOf: SubjectId | undefined;
  readonly resource: string;
  readonly role: string | undefined;
  readonly outpost: OutpostId;
  readonly signed: Signed<Grant>;
  /** Policy version in force when it was created. */
  readonly createdPolicy: number;
  readonly judgedPolicy: number;
  readonly judgedRoster: number;
  readonly createdEvent: EventId;
  readonly reviewDueAt: Time | undefined;
  readonly reviewedAt: Time | undefined;
  readonly sealed: SealedKey | undefined;
  readonly issuedAt: Time | undefined;
  readonly endedAt: Time | undefined;
  readonly lease: StoredLease | undefined;
}

export interface NewGrant {
  readonly signed: Signed<Grant>;
  readonly request: RequestId;
  readonly state: "scheduled" | "issuing";
  readonly requester: SubjectId;
  readonly onBehalfOf: SubjectId | undefined;
  readonly resourceId: string;
  readonly resource: string;
  readonly role: string | undefined;
  readonly outpost: OutpostId;
  readonly createdPolicy: number;
  readonly judgedRoster: number;
  /** Canonical JSON: who the people it concerns were at its approval, proven to the signed head. */
  readonly rosterPart: string;
  readonly createdEvent: EventId;
  readonly createdAt: Time;
  readonly reviewDueAt: Time | undefined;
}

/** One grant a request: a second one violates `grants_request_key`. One statement, because a key waits for it. */
export async function insertGrant(tx: Tx, grant: NewGrant): Promise<void> {
  const { document } = grant.signed;
  await tx
    .with("kept", (db) => db.insertInto("grant_rosters").values({ grant_id: document.id, document: grant.rosterPart }))
    .insertInto("grants")
    .values({
      id: document.id,
      request_id: grant.request,
      state: grant.state,
      requester: grant.requester,
      on_behalf_of: grant.onBehalfOf ?? null,
      resource_id: grant.resourceId,
      resource: grant.resource,
      role: grant.role ?? null,
      outpost: grant.outpost,
      ...signedColumns(grant.signed),
      created_policy: grant.createdPolicy,
      judged_policy: grant.createdPolicy,
      judged_roster: grant.judgedRoster,
      created_event: grant.createdEvent,
      created_at: grant.createdAt,
      not_before: document.window.notBefore,
      not_after: document.window.notAfter,
      review_due_at: grant.reviewDueAt ?? null,
    })
    .execute();
}

export async function maybeOneGrant(
  db: Db,
  keys: ControlKeys,
  which: { readonly id: GrantId } | { readonly request: RequestId },
): Promise<StoredGrant | undefined> {
  const query = grantsWithLease(db);
  const row = await (
    "id" in which ? query.where("grants.id", "=", which.id) : query.where("grants.request_id", "=", which.request)
  ).executeTakeFirst();
  return row === undefined ? undefined : stored(keys, row);
}

/** What the row says of a grant: a hint, nothing to act on. */
export async function maybeOneGrantGlance(
  db: Db,
  id: GrantId,
): Promise<Pick<GrantsTable, "state" | "requester" | "role"> | undefined> {
  return await db.selectFrom("grants").select(["state", "requester", "role"]).where("id", "=", id).executeTakeFirst();
}

/** A grant with the request that its row names and its entry in the log, if that has one yet. */
export interface GrantGround {
  readonly grant: StoredGrant;
  readonly request: Signed<Request>;
  readonly entry: StoredEntry | undefined;
  /** Of what a session asks for: its outpost's. */
  readonly askedSignature: Signature | undefined;
}

/** Everything of a grant that its evidence needs, in one round trip: a key waits for it. */
export async function maybeOneGrantGround(db: Db, keys: ControlKeys, id: GrantId): Promise<GrantGround | undefined> {
  const row = await grantsWithLease(db)
    .innerJoin("requests", "requests.id", "grants.request_id")
    .leftJoin("audit_entries", "audit_entries.event_id", "grants.created_event")
    .where("grants.id", "=", id)
    .select([
      "requests.digest as request_digest",
      "requests.document as request_document",
      "requests.signatures as request_signatures",
      "requests.asked_signature as request_asked_signature",
      "audit_entries.index as entry_index",
      "audit_entries.leaf as entry_leaf",
      "audit_entries.salt as entry_salt",
      "audit_entries.data as entry_data",
    ])
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { request_digest: digest, request_document: document, request_signatures: signatures } = row;
  return {
    grant: stored(keys, row),
    request: readSigned(keys, "request", Request, { id: row.request_id, digest, document, signatures }),
    askedSignature: readAskedSignature(row.request_asked_signature),
    entry:
      row.entry_index === null || row.entry_leaf === null
        ? undefined
        : {
            index: row.entry_index,
            leaf: row.entry_leaf,
            salt: row.entry_salt ?? undefined,
            data: row.entry_data ?? undefined,
          },
  };
}

export async function maybeOneGrantLocked(tx: Tx, keys: ControlKeys, id: GrantId): Promise<StoredGrant | undefined> {
  // After waiting for the lock, PostgreSQL reads the locked table's row again; its lease may be as it was before the wait.
  const row = await grantsWithLease(tx).where("grants.id", "=", id).forUpdate("grants").executeTakeFirst();
  return row === undefined ? undefined : stored(keys, row);
}

export interface GrantChange {
  readonly state?: GrantState;
  readonly why?: string | null;
  readonly detail?: string | null;
  readonly judged_policy?: number;
  readonly judged_roster?: number;
  readonly reviewed_at?: Time;
  readonly sealed?: SealedKey | null;
  readonly lease_id?: LeaseId;
  readonly issued_at?: Time;
  readonly ending_at?: Time;
  readonly ended_at?: Time;
}

/** The caller holds the grant's lock. An illegal step violates `grants_state_legal`. */
export async function changeGrant(tx: Tx, id: GrantId, { sealed, ...change }: GrantChange): Promise<void> {
  await tx
    .updateTable("grants")
    .set({ ...change, ...(sealed === undefined ? {} : { sealed: sealed === null ? null : JSON.stringify(sealed) }) })
    .where("id", "=", id)
    .execute();
}

/** Whether anything of the resource is granted, or will be, or is still being ended. */
export async function hasOpenGrants(db: Db, resource: ResourceId): Promise<boolean> {
  const row = await db
    .selectFrom("grants")
    .select("id")
    .where("resource_id", "=", resource)
    .where("state", "not in", finalStates("grant"))
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Grants whose instant has come: scheduled ones to begin, open ones to end. */
export async function manyDueGrants(
  db: Db,
  due: "not_before" | "not_after",
  now: Time,
  limit: number,
): Promise<GrantId[]> {
  const states: readonly GrantState[] = due === "not_before" ? ["scheduled"] : open;
  const rows = await db
    .selectFrom("grants")
    .select("id")
    .where(
      "state",
      "in",
      states.map((state) => sql.lit(state)),
    )
    .where(due, "<=", now)
    .orderBy(due)
    .limit(limit)
    .execute();
  return rows.map((row) => row.id);
}

/** Open grants that were not yet looked at under these versions of policy and roster. */
export async function manyUnjudgedGrants(db: Db, policy: number, roster: number, limit: number): Promise<GrantId[]> {
  const rows = await db
    .selectFrom("grants")
    .select("id")
    .where(
      "state",
      "in",
      open.map((state) => sql.lit(state)),
    )
    .where((eb) => eb.or([eb("judged_policy", "<", policy), eb("judged_roster", "<", roster)]))
    .orderBy("id")
    .limit(limit)
    .execute();
  return rows.map((row) => row.id);
}

export interface GrantFilter {
  readonly states?: readonly GrantState[] | undefined;
  readonly resource?: string | undefined;
  /** Only this subject's own, or their agent's. */
  readonly concerning?: SubjectId | undefined;
  /** Only what waits for its review. */
  readonly reviewOwed?: boolean | undefined;
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Newest first; altered rows are named instead of hiding the others. */
export async function manyGrants(
  db: Db,
  keys: ControlKeys,
  filter: GrantFilter,
): Promise<(StoredGrant | { readonly altered: GrantId })[]> {
  let query = grantsWithLease(db).orderBy("grants.id", "desc").limit(filter.limit);
  if (filter.states !== undefined) query = query.where("grants.state", "in", [...filter.states]);
  if (filter.resource !== undefined) query = query.where("grants.resource", "=", filter.resource);
  if (filter.before !== undefined) query = query.where(sql<string>`grants.id`, "<", filter.before);
  if (filter.reviewOwed === true)
    query = query.where("grants.review_due_at", "is not", null).where("grants.reviewed_at", "is", null);
  const { concerning } = filter;
  if (concerning !== undefined) {
    query = query.where((eb) =>
      eb.or([eb("grants.requester", "=", concerning), eb("grants.on_behalf_of", "=", concerning)]),
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

function grantsWithLease(db: Db) {
  return db
    .selectFrom("grants")
    .leftJoin("leases", "leases.id", "grants.lease_id")
    .selectAll("grants")
    .select([
      "leases.state as lease_state",
      "leases.native_name as lease_native_name",
      "leases.stuck as lease_stuck",
      "leases.detail as lease_detail",
    ]);
}

type GrantRow = Selectable<GrantsTable> & {
  readonly lease_state: LeaseState | null;
  readonly lease_native_name: string | null;
  readonly lease_stuck: boolean | null;
  readonly lease_detail: string | null;
};

function stored(keys: ControlKeys, row: GrantRow): StoredGrant {
  return {
    id: row.id,
    request: row.request_id,
    state: row.state,
    why: row.why ?? undefined,
    detail: row.detail ?? undefined,
    requester: row.requester,
    onBehalfOf: row.on_behalf_of ?? undefined,
    resource: row.resource,
    role: row.role ?? undefined,
    outpost: row.outpost,
    signed: readSigned(keys, "grant", Grant, row),
    createdPolicy: row.created_policy,
    judgedPolicy: row.judged_policy,
    judgedRoster: row.judged_roster,
    createdEvent: row.created_event,
    reviewDueAt: row.review_due_at ?? undefined,
    reviewedAt: row.reviewed_at ?? undefined,
    sealed: row.sealed === null ? undefined : SealedKey.parse(row.sealed),
    issuedAt: row.issued_at ?? undefined,
    endedAt: row.ended_at ?? undefined,
    lease:
      row.lease_id === null || row.lease_state === null
        ? undefined
        : {
            id: row.lease_id,
            grant: row.id,
            outpost: row.outpost,
            state: row.lease_state,
            nativeName: row.lease_native_name ?? undefined,
            stuck: row.lease_stuck ?? false,
            detail: row.lease_detail ?? undefined,
          },
  };
}

/** Who holds live grants at an outpost. */
export async function manyHolders(db: Db, outpost: OutpostId): Promise<SubjectId[]> {
  const rows = await db
    .selectFrom("grants")
    .select("requester")
    .distinct()
    .where("outpost", "=", outpost)
    .where("state", "in", ["issuing", "active"])
    .orderBy("requester")
    .execute();
  return rows.map((row) => row.requester);
}
