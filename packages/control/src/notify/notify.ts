import type { AuditType } from "@cardea/core/contract/audit-types";
import { newId, type GrantId, type RequestId, type SubjectId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import type { Control, Tx } from "../control.ts";
import { insertNotification } from "../store/notifications.ts";

/** Something that certain people should hear of without watching a page. Never a secret: it leaves by mail and webhooks. */
export interface Notification {
  readonly type: AuditType | "request.reminder";
  readonly to: readonly SubjectId[];
  readonly request?: RequestId;
  readonly grant?: GrantId;
  /** The request's short digest code, to compare with what `cardea show` says. */
  readonly code?: string;
  /** One sentence for a person. */
  readonly words: string;
  /** What they would type, such as `cardea approve req_…`. */
  readonly command?: string;
}

/**
 * Writes the notification into the outbox in the caller's transaction, so that it is sent if and only if what it tells has happened.
 * Sent by `notifier.ts` after the commit, at least once.
 */
export async function notify(tx: Tx, control: Control, notification: Notification): Promise<void> {
  const { type, to, request, grant, code, words, command } = notification;
  const row = {
    id: newId("event", control.clock, control.random),
    type,
    recipients: [...new Set(to)],
    request_id: request ?? null,
    grant_id: grant ?? null,
    code: code ?? null,
    words,
    command: command ?? null,
    created_at: toTime(control.clock.now()),
  };
  await insertNotification(tx, row, control.settings.mail !== undefined);
  control.wake.signal("notifications", tx);
}
