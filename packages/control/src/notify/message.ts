import type { RosterView } from "../people/roster.ts";
import type { NotificationRow } from "../store/notifications.ts";

/** What a webhook's body holds. */
export interface WebhookBody {
  readonly type: string;
  readonly timestamp: string;
  readonly data: {
    readonly words: string;
    /** Whom it concerns. */
    readonly to: readonly { readonly id: string; readonly name: string }[];
    readonly request?: string;
    readonly grant?: string;
    readonly code?: string;
    readonly command?: string;
  };
}

export function webhookBody(notification: NotificationRow, roster: RosterView): WebhookBody {
  const { type, created_at, words, recipients, request_id, grant_id, code, command } = notification;
  return {
    type,
    timestamp: created_at,
    data: {
      words,
      to: recipients.map((id) => ({ id, name: roster.entry(id)?.name ?? id })),
      ...(request_id !== null && { request: request_id }),
      ...(grant_id !== null && { grant: grant_id }),
      ...(code !== null && { code }),
      ...(command !== null && { command }),
    },
  };
}

const maxSubjectLength = 120;

/** What a mail says: what happened, what to type, and what to compare. Line breaks in words never reach a header. */
export function mailText(
  notification: NotificationRow,
  publicUrl: string,
): { readonly subject: string; readonly text: string } {
  const { words, command, code, request_id, grant_id } = notification;
  const line = words.replaceAll(/\s+/g, " ");
  const subject = `[Cardea] ${line.length > maxSubjectLength ? `${line.slice(0, maxSubjectLength - 1)}…` : line}`;
  const parts = [
    words,
    command === null ? undefined : `To answer, type:\n\n    ${command}`,
    code === null ? undefined : `The command shows this code; where it differs, stop: ${code}`,
    [request_id === null ? "" : `Request ${request_id}`, grant_id === null ? "" : `Grant ${grant_id}`]
      .filter((part) => part !== "")
      .join("\n"),
    `Sent by Cardea at ${publicUrl}. Approving is never done by answering this mail.`,
  ];
  return { subject, text: `${parts.filter((part) => part !== undefined && part !== "").join("\n\n")}\n` };
}
