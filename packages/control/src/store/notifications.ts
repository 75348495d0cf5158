/**
 * The outbox: notifications, a delivery for each place that wants one, and how each target has been doing. Deliveries are leased with
 * `for update skip locked`, at most one a target at a time, so that a receiver that hangs holds up nobody but itself. (Taking the oldest due
 * rows whatever their target was rejected: one dead receiver's backlog then occupies every worker.)
 */
import { sql, type Generated } from "kysely";
import type { EventId, SubjectId } from "@cardea/core/contract/ids";
import type { Time } from "@cardea/core/documents/primitives";
import type { Control, Tx } from "../control.ts";

type Db = Control["db"] | Tx;

export interface NotificationTables {
  webhooks: {
    id: EventId;
    url: string;
    events: string[];
    label: string;
    secret: Buffer;
    created_at: Time;
    created_by: SubjectId;
  };
  notifications: {
    id: EventId;
    type: string;
    recipients: SubjectId[];
    request_id: string | null;
    grant_id: string | null;
    code: string | null;
    words: string;
    command: string | null;
    created_at: Time;
  };
  deliveries: {
    id: Generated<number>;
    notification_id: EventId;
    target: string;
    recipient: SubjectId | null;
    webhook_id: EventId | null;
    attempts: Generated<number>;
    next_at: Time;
    claimed_until: Time | null;
    state: Generated<"due" | "delivered" | "abandoned">;
    detail: string | null;
  };
  delivery_targets: {
    target: string;
    failures: Generated<number>;
    retry_at: Time | null;
    last_delivered_at: Time | null;
    detail: string | null;
  };
}

export type NotificationRow = NotificationTables["notifications"];

/** What all mail is a delivery to: one server, which fails and recovers for every recipient together. */
const mailTarget = "mail";

/** Stores a notification and its deliveries: one for each webhook that listens to its type and, with `mail`, each recipient who has an address. */
export async function insertNotification(tx: Tx, row: NotificationRow, mail: boolean): Promise<void> {
  await sql`
    with told as (
      insert into notifications (id, type, recipients, request_id, grant_id, code, words, command, created_at)
      values (${row.id}, ${row.type}, ${[...row.recipients]}, ${row.request_id}, ${row.grant_id}, ${row.code}, ${row.words}, ${row.command}, ${row.created_at})
      returning id, type, recipients, created_at
    )
    insert into deliveries (notification_id, target, recipient, webhook_id, next_at)
    select told.id, webhooks.id, null, webhooks.id, told.created_at
      from told join webhooks on cardinality(webhooks.events) = 0 or told.type = any (webhooks.events)
    union all
    select told.id, ${mailTarget}, subject_profiles.subject_id, null, told.created_at
      from told join subject_profiles on subject_profiles.subject_id = any (told.recipients)
     where ${mail} and subject_profiles.email is not null`.execute(tx);
}

export interface DueDelivery {
  readonly id: number;
  readonly target: string;
  readonly recipient: SubjectId | null;
  readonly webhook_id: EventId | null;
  readonly attempts: number;
  readonly notification_id: EventId;
}

/** Leases the oldest due delivery of each target that is neither busy here nor pausing, at most `limit`. */
export async function claimDeliveries(
  db: Db,
  claim: { readonly now: Time; readonly until: Time; readonly busy: readonly string[]; readonly limit: number },
): Promise<DueDelivery[]> {
  const { rows } = await sql<DueDelivery>`
    with targets as (
      select distinct due.target from deliveries due
       where due.state = 'due' and due.target <> all (${[...claim.busy]}::text[])
         and not exists (select from delivery_targets pausing where pausing.target = due.target and pausing.retry_at > ${claim.now})
    ), picked as (
      select one.id from targets, lateral (
        select id from deliveries
         where state = 'due' and target = targets.target and next_at <= ${claim.now} and (claimed_until is null or claimed_until <= ${claim.now})
         order by next_at, id limit 1 for update skip locked
      ) one
      limit ${claim.limit}
    )
    update deliveries set claimed_until = ${claim.until}, attempts = attempts + 1
      from picked where deliveries.id = picked.id
    returning deliveries.id, target, recipient, webhook_id, attempts, notification_id`.execute(db);
  return rows;
}

/** When the next delivery to a target that is not busy here could be tried, or undefined where none waits. */
export async function maybeOneNextDelivery(db: Db, busy: readonly string[]): Promise<Time | undefined> {
  const { rows } = await sql<{ at: Time | null }>`
    select min(greatest(next_at, claimed_until, retry_at)) as at
      from deliveries left join delivery_targets using (target)
     where state = 'due' and target <> all (${[...busy]}::text[])`.execute(db);
  return rows[0]?.at ?? undefined;
}

export function maybeOneNotification(db: Db, id: EventId): Promise<NotificationRow | undefined> {
  return db
    .selectFrom("notifications")
    .select(["id", "type", "recipients", "request_id", "grant_id", "code", "words", "command", "created_at"])
    .where("id", "=", id)
    .executeTakeFirst();
}

export async function markDelivered(db: Db, delivery: DueDelivery, at: Time): Promise<void> {
  await sql`
    with done as (update deliveries set state = 'delivered', claimed_until = null, detail = null where id = ${delivery.id})
    insert into delivery_targets (target, failures, retry_at, last_delivered_at) values (${delivery.target}, 0, null, ${at})
    on conflict (target) do update set failures = 0, retry_at = null, last_delivered_at = ${at}, detail = null`.execute(
    db,
  );
}

/** Not delivered: this delivery waits until `nextAt`, and where the target as a whole failed, everything for it does. */
export async function markFailed(
  db: Db,
  delivery: DueDelivery,
  failure: { readonly nextAt: Time; readonly detail: string; readonly targetFailed: boolean },
): Promise<void> {
  const { nextAt, detail, targetFailed } = failure;
  await sql`
    with again as (update deliveries set next_at = ${nextAt}, claimed_until = null, detail = ${detail} where id = ${delivery.id})
    insert into delivery_targets (target, failures, retry_at, detail)
    select ${delivery.target}, 1, ${nextAt}::timestamptz, ${detail} where ${targetFailed}
    on conflict (target) do update
      set failures = delivery_targets.failures + 1, retry_at = excluded.retry_at, detail = excluded.detail`.execute(db);
}

/** Will not be tried again. */
export async function markAbandoned(db: Db, delivery: DueDelivery, detail: string): Promise<void> {
  await db
    .updateTable("deliveries")
    .set({ state: "abandoned", claimed_until: null, detail })
    .where("id", "=", delivery.id)
    .execute();
}

/** How often in a row a target has failed. */
export async function oneTargetFailures(db: Db, target: string): Promise<number> {
  const row = await db
    .selectFrom("delivery_targets")
    .select("failures")
    .where("target", "=", target)
    .executeTakeFirst();
  return row?.failures ?? 0;
}

export interface WebhookRow {
  readonly id: EventId;
  readonly url: string;
  readonly events: readonly string[];
  readonly label: string;
  readonly created_at: Time;
  readonly last_delivered_at: Time | null;
  readonly failures: number | null;
  readonly detail: string | null;
}

export async function insertWebhook(tx: Tx, webhook: NotificationTables["webhooks"]): Promise<void> {
  await tx
    .insertInto("webhooks")
    .values({ ...webhook, events: [...webhook.events] })
    .execute();
}

/** Newest first, older than `before`. */
export function manyWebhooks(
  db: Db,
  page: { readonly before?: string | undefined; readonly limit: number },
): Promise<WebhookRow[]> {
  return db
    .selectFrom("webhooks")
    .leftJoin("delivery_targets", "delivery_targets.target", "webhooks.id")
    .select(["webhooks.id", "url", "events", "label", "created_at", "last_delivered_at", "failures", "detail"])
    .$if(page.before !== undefined, (query) => query.where(sql`webhooks.id collate "C"`, "<", page.before ?? ""))
    .orderBy(sql`webhooks.id collate "C"`, "desc")
    .limit(page.limit)
    .execute();
}

/** What is needed to call a webhook. */
export function maybeOneWebhook(
  db: Db,
  id: EventId,
): Promise<{ readonly url: string; readonly secret: Buffer } | undefined> {
  return db.selectFrom("webhooks").select(["url", "secret"]).where("id", "=", id).executeTakeFirst();
}

/** Whether it existed. Its undelivered notifications go with it. */
export async function deleteWebhook(tx: Tx, id: EventId): Promise<boolean> {
  await tx.deleteFrom("delivery_targets").where("target", "=", id).execute();
  const result = await tx.deleteFrom("webhooks").where("id", "=", id).executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Deliveries that wait, for the metrics. */
export async function oneBacklog(db: Db): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count from deliveries where state = 'due'`.execute(
    db,
  );
  return rows[0]?.count ?? 0;
}

/** Removes notifications older than a week of which nothing waits any more, a bounded piece at a time. */
export async function purgeNotifications(db: Db, now: Time): Promise<void> {
  await sql`
    delete from notifications where id in (
      select id from notifications where created_at < ${now}::timestamptz - interval '7 days'
         and not exists (select from deliveries where notification_id = notifications.id and state = 'due')
       limit 1000)`.execute(db);
}
