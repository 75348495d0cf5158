/**
 * Runs of approved actions as outposts report them, and their sealed answers. The document that tells how a run went is the outpost's, signed by it;
 * the columns beside it are for finding and showing. A `…Locked` query holds the row until the transaction ends.
 */
import { sql, type ColumnType, type Insertable, type Selectable } from "kysely";
import { SealedResult } from "@cardea/core/wire/delivery";
import type { GrantId, OutpostId, RequestId, RunId, SessionId, SubjectId } from "@cardea/core/contract/ids";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { digestOf, type Digest } from "@cardea/core/documents/digest";
import { Run } from "@cardea/core/documents/grant";
import type { Time } from "@cardea/core/documents/primitives";
import { Signature } from "@cardea/core/documents/signature";
import type { StateOf } from "@cardea/core/lifecycle/states";
import type { Control, Tx } from "../control.ts";

type Db = Control["db"] | Tx;
export type RunState = StateOf<"run">;
type Outcome = "done" | "failed";

interface RunsTable {
  id: RunId;
  request_id: RequestId;
  grant_id: GrantId;
  session_id: SessionId | null;
  outpost: OutpostId;
  requester: SubjectId;
  on_behalf_of: SubjectId | null;
  resource: string;
  action: string;
  state: RunState;
  previous_state: RunState | null;
  digest: string | null;
  document: string | null;
  signature: ColumnType<unknown, string | null, string>;
  row_count: number | null;
  error_code: string | null;
  error_message: string | null;
  result_digest: string | null;
  started_at: Time;
  ended_at: Time | null;
  resolved_outcome: Outcome | null;
  resolved_at: Time | null;
  resolved_by: SubjectId | null;
  comment: string | null;
}

interface RunResultsTable {
  run_id: RunId;
  sealed: ColumnType<unknown, string, never>;
  created_at: Time;
}

export interface RunTables {
  runs: RunsTable;
  run_results: RunResultsTable;
}

export interface StoredRun {
  readonly id: RunId;
  readonly request: RequestId;
  readonly grant: GrantId;
  readonly session: SessionId | undefined;
  readonly requester: SubjectId;
  readonly onBehalfOf: SubjectId | undefined;
  readonly resource: string;
  readonly action: string;
  readonly state: RunState;
  /** Of the document, once it has ended. */
  readonly digest: string | undefined;
  readonly rowCount: number | undefined;
  readonly error: { readonly code: string; readonly message: string } | undefined;
  readonly resultDigest: string | undefined;
  readonly startedAt: Time;
  readonly endedAt: Time | undefined;
  readonly resolved:
    | {
        readonly outcome: Outcome;
        readonly at: Time;
        /** A person; the outpost where absent. */
        readonly by: SubjectId | undefined;
        readonly comment: string | undefined;
      }
    | undefined;
}

/** A run that begins, beside what it is of. */
export interface NewRun {
  readonly id: RunId;
  readonly request: RequestId;
  readonly grant: GrantId;
  readonly session: SessionId | undefined;
  readonly outpost: OutpostId;
  readonly requester: SubjectId;
  readonly onBehalfOf: SubjectId | undefined;
  readonly resource: string;
  readonly action: string;
  readonly at: Time;
}

/** How a run ended, by its outpost. */
export interface RunEnd {
  readonly document: Run;
  readonly signature: Signature;
  readonly error: { readonly code: string; readonly message: string } | undefined;
}

/** Notes a run that is under way. One grant has one run: a second violates `runs_grant_key`. */
export async function insertRunningRun(tx: Tx, run: NewRun): Promise<void> {
  await tx
    .insertInto("runs")
    .values({ ...columnsOf(run), state: "running", previous_state: "intended" })
    .execute();
}

/** Notes a run of which only the end was heard. One that failed may never have been begun. */
export async function insertEndedRun(tx: Tx, run: NewRun, end: RunEnd): Promise<void> {
  const state = end.document.outcome;
  const previous = state === "failed" ? "intended" : "running";
  await tx
    .insertInto("runs")
    .values({ ...columnsOf(run), ...endColumns(end), state, previous_state: previous })
    .execute();
}

/** The end of a run that was under way. The caller holds the row. */
export async function endRun(tx: Tx, id: RunId, end: RunEnd): Promise<void> {
  await tx
    .updateTable("runs")
    .set({ ...endColumns(end), state: end.document.outcome })
    .where("id", "=", id)
    .execute();
}

export interface Resolution {
  readonly outcome: Outcome;
  readonly at: Time;
  readonly by?: SubjectId | undefined;
  readonly comment?: string | undefined;
}

/** What was found out of a run; it moves the row only where nobody knew before. The caller holds it. */
export async function resolveRunRow(
  tx: Tx,
  { id, state }: Pick<StoredRun, "id" | "state">,
  { outcome, at, by, comment }: Resolution,
): Promise<void> {
  await tx
    .updateTable("runs")
    .set({
      ...(state === "unknown" && { state: outcome }),
      resolved_outcome: outcome,
      resolved_at: at,
      resolved_by: by ?? null,
      comment: comment ?? null,
    })
    .where("id", "=", id)
    .execute();
}

export type WhichRun = { readonly id: RunId } | { readonly grant: GrantId } | { readonly request: RequestId };

export async function maybeOneRun(db: Db, which: WhichRun): Promise<StoredRun | undefined> {
  const row = await chosen(db, which).executeTakeFirst();
  return row === undefined ? undefined : stored(row);
}

export async function maybeOneRunLocked(tx: Tx, which: WhichRun): Promise<StoredRun | undefined> {
  const row = await chosen(tx, which).forUpdate().executeTakeFirst();
  return row === undefined ? undefined : stored(row);
}

/** How the run of a grant ended, as its outpost signed it, whoever may have altered the row since; `undefined` while it has not. */
export async function maybeOneRunDocument(
  db: Db,
  grant: GrantId,
): Promise<{ readonly document: Run; readonly digest: Digest; readonly signature: Signature } | undefined> {
  const row = await db
    .selectFrom("runs")
    .select(["document", "signature"])
    .where("grant_id", "=", grant)
    .executeTakeFirst();
  if (row === undefined || row.document === null) return undefined;
  const document = Run.safeParse(parseJson(row.document));
  const signature = Signature.safeParse(row.signature);
  if (!document.success || !signature.success) return undefined;
  return { document: document.data, digest: digestOf("run", document.data), signature: signature.data };
}

export interface RunFilter {
  readonly state?: RunState | undefined;
  readonly resource?: string | undefined;
  /** Only this subject's own, or their agent's. */
  readonly concerning?: SubjectId | undefined;
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function manyRuns(db: Db, filter: RunFilter): Promise<StoredRun[]> {
  let query = db.selectFrom("runs").selectAll().orderBy("id", "desc").limit(filter.limit);
  const { state, resource, concerning, before } = filter;
  if (state !== undefined) query = query.where("state", "=", state);
  if (resource !== undefined) query = query.where("resource", "=", resource);
  if (before !== undefined) query = query.where(sql<string>`id`, "<", before);
  if (concerning !== undefined)
    query = query.where((eb) => eb.or([eb("requester", "=", concerning), eb("on_behalf_of", "=", concerning)]));
  return (await query.execute()).map(stored);
}

/** Keeps the sealed answer of a run; the first that is told of stays. */
export async function insertResult(tx: Tx, run: RunId, sealed: SealedResult, at: Time): Promise<void> {
  await tx
    .insertInto("run_results")
    .values({ run_id: run, sealed: JSON.stringify(sealed), created_at: at })
    .onConflict((conflict) => conflict.column("run_id").doNothing())
    .execute();
}

export async function maybeOneResult(db: Db, run: RunId): Promise<SealedResult | undefined> {
  const row = await db.selectFrom("run_results").select("sealed").where("run_id", "=", run).executeTakeFirst();
  return row === undefined ? undefined : SealedResult.parse(row.sealed);
}

/** Answers are for their requesters to fetch, not to be kept here. */
export async function forgetOldResults(db: Db, before: Time, limit: number): Promise<void> {
  await sql`delete from run_results where run_id in (select run_id from run_results where created_at < ${before} limit ${limit})`.execute(
    db,
  );
}

function chosen(db: Db, which: WhichRun) {
  const query = db.selectFrom("runs").selectAll();
  if ("id" in which) return query.where("id", "=", which.id);
  return "grant" in which ? query.where("grant_id", "=", which.grant) : query.where("request_id", "=", which.request);
}

function columnsOf(run: NewRun): Omit<Insertable<RunsTable>, "state" | "previous_state"> {
  return {
    id: run.id,
    request_id: run.request,
    grant_id: run.grant,
    session_id: run.session ?? null,
    outpost: run.outpost,
    requester: run.requester,
    on_behalf_of: run.onBehalfOf ?? null,
    resource: run.resource,
    action: run.action,
    started_at: run.at,
  };
}

function endColumns({ document, signature, error }: RunEnd) {
  return {
    digest: digestOf("run", document),
    document: canonicalJson(document),
    signature: JSON.stringify(signature),
    row_count: document.rowCount ?? null,
    error_code: error?.code ?? null,
    error_message: error?.message ?? null,
    result_digest: document.resultDigest ?? null,
    ended_at: document.at,
  };
}

function stored(row: Selectable<RunsTable>): StoredRun {
  return {
    id: row.id,
    request: row.request_id,
    grant: row.grant_id,
    session: row.session_id ?? undefined,
    requester: row.requester,
    onBehalfOf: row.on_behalf_of ?? undefined,
    resource: row.resource,
    action: row.action,
    state: row.state,
    digest: row.digest ?? undefined,
    rowCount: row.row_count ?? undefined,
    error: row.error_code === null ? undefined : { code: row.error_code, message: row.error_message ?? "" },
    resultDigest: row.result_digest ?? undefined,
    startedAt: row.started_at,
    endedAt: row.ended_at ?? undefined,
    resolved:
      row.resolved_outcome === null || row.resolved_at === null
        ? undefined
        : {
            outcome: row.resolved_outcome,
            at: row.resolved_at,
            by: row.resolved_by ?? undefined,
            comment: row.comment ?? undefined,
          },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
