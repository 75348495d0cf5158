/**
 * What outposts are to do. Use cases enqueue a task in their transaction; `link/` takes due ones, sends them, and closes each by its
 * receipt. A task that is not receipted is taken again: outposts do each once by its id. Rows carry no authority: behind
 * a forged one the outpost finds no evidence that verifies, and no configuration that the control plane signed; or it ends what it would
 * have ended later, or looks at a resource once more.
 */
import { sql, type ColumnType, type Generated } from "kysely";
import { z } from "zod";
import { SealedKey } from "@cardea/core/wire/delivery";
import {
  newId,
  GrantId,
  RequestId,
  SessionId,
  type EventId,
  type OutpostId,
  type TaskId,
} from "@cardea/core/contract/ids";
import { ConfigurationAuthority, EndReason } from "@cardea/core/wire/link";
import { Name, toTime, type Time } from "@cardea/core/documents/primitives";
import { Action } from "@cardea/core/documents/request";
import type { Control, Tx } from "../control.ts";

type Db = Control["db"] | Tx;

/** A task as it waits: `issue` and `run` without their evidence, which is assembled when it is sent. */
export const WaitingTask = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("issue"), grant: GrantId }),
  z.strictObject({ type: z.literal("end"), grant: GrantId, why: EndReason }),
  z.strictObject({ type: z.literal("run"), grant: GrantId }),
  z.strictObject({
    type: z.literal("filed"),
    session: SessionId,
    nonce: z.string(),
    request: RequestId,
    code: z.string(),
    words: z.string(),
  }),
  z.strictObject({
    type: z.literal("settle"),
    session: SessionId,
    nonce: z.string(),
    verdict: z.enum(["refused", "expired", "withdrawn"]),
    words: z.string(),
  }),
  z.strictObject({ type: z.literal("preview"), resource: Name, action: Action.pick({ type: true, what: true }) }),
  z.strictObject({ type: z.literal("close"), session: SessionId, why: z.string() }),
  z.strictObject({ type: z.literal("check"), resource: Name }),
  z.strictObject({
    type: z.literal("configure"),
    authority: ConfigurationAuthority,
    sealed: SealedKey.optional(),
  }),
]);
export type WaitingTask = z.infer<typeof WaitingTask>;

type TaskState = "open" | "done" | "failed";

/** Not as a parameter: a prepared statement would not know that the index of open tasks serves it. */
const open = sql.lit<TaskState>("open");

interface TasksTable {
  id: TaskId;
  outpost: OutpostId;
  type: WaitingTask["type"];
  grant_id: GrantId | null;
  resource: string | null;
  payload: ColumnType<unknown, string, never>;
  state: Generated<TaskState>;
  attempts: Generated<number>;
  next_at: Time;
  created_at: Time;
  done_at: Time | null;
  code: string | null;
  detail: string | null;
  result: ColumnType<unknown, never, string>;
}

interface LinkInboxTable {
  id: EventId;
  outpost: OutpostId;
  received_at: Time;
}

export interface TaskTables {
  tasks: TasksTable;
  link_inbox: LinkInboxTable;
}

/**
 * Leaves a task for the outpost, in the caller's transaction; it is sent as soon as that commits. A grant has at most one open task of
 * each type: enqueueing it again answers with the first. An `end` takes the place of an `issue` or `run` that waits.
 */
export async function enqueueTask(
  tx: Tx,
  control: Pick<Control, "clock" | "random" | "wake">,
  outpost: OutpostId,
  task: WaitingTask,
): Promise<TaskId> {
  const now = toTime(control.clock.now());
  const id = newId("task", control.clock, control.random);
  const grant = "grant" in task ? task.grant : null;
  if (task.type === "end") {
    await closeTasks(
      tx,
      { grant: task.grant, types: ["issue", "run"] },
      { state: "failed", at: now, code: "grant_ended" },
    );
  }
  const inserted = await tx
    .insertInto("tasks")
    .values({
      id,
      outpost,
      type: task.type,
      grant_id: grant,
      resource: resourceOf(task),
      payload: JSON.stringify(task),
      next_at: now,
      created_at: now,
    })
    .onConflict((conflict) =>
      conflict.columns(["grant_id", "type"]).where("state", "=", open).where("grant_id", "is not", null).doNothing(),
    )
    .returning("id")
    .executeTakeFirst();
  control.wake.signal("tasks", tx);
  if (inserted !== undefined || grant === null) return id;
  const earlier = await tx
    .selectFrom("tasks")
    .select("id")
    .where("grant_id", "=", grant)
    .where("type", "=", task.type)
    .where("state", "=", open)
    .executeTakeFirst();
  return earlier?.id ?? id;
}

function resourceOf(task: WaitingTask): string | null {
  if (task.type === "configure") return task.authority.document.name;
  return "resource" in task ? task.resource : null;
}

export interface TakenTask {
  readonly id: TaskId;
  readonly task: WaitingTask;
  /** How often it was taken before. */
  readonly attempts: number;
  readonly createdAt: Time;
}

/**
 * Takes due tasks of an outpost, oldest first; they come up again at `againAt` unless they are closed by then.
 * `skip locked` keeps two processes that hold a link of the same outpost for a moment from waiting for each other; a lock of the table
 * or a single taker would do it too, at the price of a stall when that one dies.
 */
export async function takeTasks(
  db: Db,
  outpost: OutpostId,
  now: Time,
  againAt: Time,
  limit: number,
): Promise<TakenTask[]> {
  const rows = await db
    .updateTable("tasks")
    .set((eb) => ({ next_at: againAt, attempts: eb("attempts", "+", 1) }))
    .where("id", "in", (eb) =>
      eb
        .selectFrom("tasks")
        .select("id")
        .where("outpost", "=", outpost)
        .where("state", "=", open)
        .where("next_at", "<=", now)
        .orderBy("next_at")
        .orderBy("id")
        .limit(limit)
        .forUpdate()
        .skipLocked(),
    )
    .returning(["id", "payload", "attempts", "created_at"])
    .execute();
  const taken: TakenTask[] = [];
  for (const row of rows) {
    const task = WaitingTask.safeParse(row.payload);
    // A row that nobody here wrote must not hold up the others.
    if (!task.success)
      await closeTasks(db, { id: row.id, outpost }, { state: "failed", at: now, code: "link_message_invalid" });
    else taken.push({ id: row.id, task: task.data, attempts: row.attempts - 1, createdAt: row.created_at });
  }
  return taken.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Puts a taken task back, to be sent at `at`. */
export async function postponeTask(db: Db, id: TaskId, at: Time): Promise<void> {
  await db.updateTable("tasks").set({ next_at: at }).where("id", "=", id).where("state", "=", open).execute();
}

/** A new link knows nothing of what an old one was sent: everything open is due again. */
export async function resendTasks(db: Db, outpost: OutpostId, now: Time): Promise<void> {
  await db
    .updateTable("tasks")
    .set({ next_at: now })
    .where("outpost", "=", outpost)
    .where("state", "=", open)
    .where("next_at", ">", now)
    .execute();
}

/** A rebuilt outpost takes over what its lost predecessor was to end; what that was to make is not made. */
export async function moveEndings(tx: Tx, from: OutpostId, to: OutpostId, now: Time): Promise<void> {
  await tx
    .updateTable("tasks")
    .set({ outpost: to, next_at: now })
    .where("outpost", "=", from)
    .where("state", "=", open)
    .where("type", "=", "end")
    .execute();
  await tx
    .updateTable("tasks")
    .set({ state: "failed", done_at: now, code: "outpost_unknown" })
    .where("outpost", "=", from)
    .where("state", "=", open)
    .execute();
}

/** When the next open task of the outpost is due. */
export async function maybeOneNextTaskTime(db: Db, outpost: OutpostId): Promise<Time | undefined> {
  const row = await db
    .selectFrom("tasks")
    .select("next_at")
    .where("outpost", "=", outpost)
    .where("state", "=", open)
    .orderBy("next_at")
    .limit(1)
    .executeTakeFirst();
  return row?.next_at;
}

/** Of these grants those whose creation has its place in the log, so that trying to prove it is worth the while. */
export async function manyLoggedGrants(db: Db, grants: readonly GrantId[]): Promise<ReadonlySet<GrantId>> {
  const rows = await db
    .selectFrom("grants")
    .innerJoin("audit_entries", "audit_entries.event_id", "grants.created_event")
    .select("grants.id")
    .where("grants.id", "in", [...grants])
    .execute();
  return new Set(rows.map((row) => row.id));
}

export interface TaskClosing {
  readonly state: "done" | "failed";
  readonly at: Time;
  readonly code?: string;
  readonly detail?: string;
}

/** Closes open tasks: one by its id, or a grant's of some types. Closing what is closed changes nothing. */
export async function closeTasks(
  db: Db,
  which:
    | { readonly id: TaskId; readonly outpost: OutpostId }
    | { readonly grant: GrantId; readonly types: readonly WaitingTask["type"][] },
  closing: TaskClosing,
): Promise<void> {
  const query = db
    .updateTable("tasks")
    .set({ state: closing.state, done_at: closing.at, code: closing.code ?? null, detail: closing.detail ?? null })
    .where("state", "=", open);
  // An outpost closes its own tasks only.
  await (
    "id" in which
      ? query.where("id", "=", which.id).where("outpost", "=", which.outpost)
      : query.where("grant_id", "=", which.grant).where("type", "in", [...which.types])
  ).execute();
}

export interface StoredTask {
  readonly id: TaskId;
  readonly task: WaitingTask;
  readonly state: TaskState;
  readonly attempts: number;
  readonly createdAt: Time;
  readonly code: string | undefined;
  readonly detail: string | undefined;
  /** What was answered, where somebody waits for it. */
  readonly result: unknown;
}

export async function maybeOneTask(db: Db, id: TaskId): Promise<StoredTask | undefined> {
  const row = await db.selectFrom("tasks").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    id: row.id,
    task: WaitingTask.parse(row.payload),
    state: row.state,
    attempts: row.attempts,
    createdAt: row.created_at,
    code: row.code ?? undefined,
    detail: row.detail ?? undefined,
    result: row.result,
  };
}

/** Notes what was answered to an open task of the outpost, before it is closed. */
export async function noteTaskResult(tx: Tx, id: TaskId, outpost: OutpostId, result: unknown): Promise<void> {
  await tx
    .updateTable("tasks")
    .set({ result: JSON.stringify(result) })
    .where("id", "=", id)
    .where("outpost", "=", outpost)
    .where("state", "=", open)
    .execute();
}

/** Takes a task away, with what was answered: nobody else is to read it, and one that is still open is done no more. */
export async function removeTask(db: Db, id: TaskId): Promise<void> {
  await db.deleteFrom("tasks").where("id", "=", id).execute();
}

/** Notes that receipts or events are being applied; answers with those that were not applied before. */
export async function noteInbox(
  tx: Tx,
  outpost: OutpostId,
  ids: readonly EventId[],
  now: Time,
): Promise<ReadonlySet<EventId>> {
  if (ids.length === 0) return new Set();
  const rows = await tx
    .insertInto("link_inbox")
    .values(ids.map((id) => ({ id, outpost, received_at: now })))
    .onConflict((conflict) => conflict.column("id").doNothing())
    .returning("id")
    .execute();
  return new Set(rows.map((row) => row.id));
}

/** Forgets closed tasks and applied messages older than `before`; an outpost never repeats what was acknowledged so long ago. */
export async function forgetOldTasks(db: Db, before: Time, limit: number): Promise<void> {
  await sql`delete from tasks where id in (select id from tasks where state <> 'open' and done_at < ${before} limit ${limit})`.execute(
    db,
  );
  await sql`delete from link_inbox where id in (select id from link_inbox where received_at < ${before} limit ${limit})`.execute(
    db,
  );
}
