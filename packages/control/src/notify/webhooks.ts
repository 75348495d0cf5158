import type { z } from "zod";
import type { Page, PageQuery } from "@cardea/core/wire/api/conventions";
import type { CreatedWebhook, CreateWebhook, WebhookView } from "@cardea/core/wire/api/operations";
import { AuditType } from "@cardea/core/contract/audit-types";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type EventId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { toBase64 } from "@cardea/core/lib/base64";
import { record } from "../audit/record.ts";
import type { Actor, Control } from "../control.ts";
import { tellAdmins } from "../people/change-roster.ts";
import { demand, demandSignIn } from "../people/demand.ts";
import { deleteWebhook, insertWebhook, manyWebhooks, type WebhookRow } from "../store/notifications.ts";
import { seal } from "../store/sealed.ts";
import { transact } from "../store/transaction.ts";
import { checkWebhookUrl } from "./addresses.ts";

/** What can be listened to beside the log's own types. */
const reminder = "request.reminder";

/**
 * Sends notifications to a URL from now on, signed as Standard Webhooks. The secret is in the answer and nowhere else.
 * @throws CardeaError `forbidden`, `token_forbidden`; `invalid_request` for a URL that is not https or loopback, or an unknown event
 */
export async function createWebhook(
  control: Control,
  actor: Actor,
  input: z.output<typeof CreateWebhook>,
): Promise<z.infer<typeof CreatedWebhook>> {
  demand(actor, "admin");
  demandSignIn(actor);
  const url = checkWebhookUrl(input.url);
  const unknown = input.events.find((event) => event !== reminder && !AuditType.safeParse(event).success);
  if (unknown !== undefined)
    throw new CardeaError("invalid_request", `there is no event \`${unknown}\`; see the list of audit types`, {
      pointers: [{ path: "events", message: `\`${unknown}\` is not a type of event` }],
    });
  const id = newId("event", control.clock, control.random);
  const createdAt = toTime(control.clock.now());
  const events = [...new Set(input.events)].sort();
  const secret = `whsec_${toBase64(control.random.bytes(32))}`;
  await transact(control, async (tx) => {
    await insertWebhook(tx, {
      id,
      url: url.href,
      events,
      label: input.label,
      secret: seal(control, "webhook", id, secret),
      created_at: createdAt,
      created_by: actor.subject,
    });
    await record(tx, control, {
      type: "webhook.created",
      ids: { webhook: id },
      data: { host: url.host, events, label: input.label },
      actor: actor.subject,
    });
    await tellAdmins(
      tx,
      control,
      "webhook.created",
      `${actor.name} made ${url.host} hear of ${events.length === 0 ? "everything" : events.join(", ")}`,
    );
  });
  return { id, url: url.href, events, label: input.label, createdAt, failing: false, secret };
}

/** Newest first. */
export async function listWebhooks(
  control: Control,
  actor: Actor,
  query: z.output<typeof PageQuery>,
): Promise<Page<WebhookView>> {
  demand(actor, "admin");
  const rows = await manyWebhooks(control.db, { before: query.cursor, limit: query.limit + 1 });
  const shown = rows.slice(0, query.limit);
  const next = rows.length > shown.length ? shown.at(-1)?.id : undefined;
  return { items: shown.map(viewOf), ...(next !== undefined && { next }) };
}

/** Sends there no longer; what was not delivered yet is dropped. @throws CardeaError `forbidden`, `not_found` */
export async function removeWebhook(control: Control, actor: Actor, id: EventId): Promise<void> {
  demand(actor, "admin");
  await transact(control, async (tx) => {
    if (!(await deleteWebhook(tx, id))) throw new CardeaError("not_found", `there is no webhook \`${id}\``);
    await record(tx, control, { type: "webhook.removed", ids: { webhook: id }, data: {}, actor: actor.subject });
    await tellAdmins(tx, control, "webhook.removed", `${actor.name} removed the webhook ${id}`);
  });
}

function viewOf(row: WebhookRow): WebhookView {
  return {
    id: row.id,
    url: row.url,
    events: [...row.events],
    label: row.label,
    createdAt: row.created_at,
    failing: (row.failures ?? 0) > 0,
    ...(row.last_delivered_at !== null && { lastDeliveredAt: row.last_delivered_at }),
    ...(row.detail !== null && { detail: row.detail }),
  };
}
