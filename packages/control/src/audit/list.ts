import type { z } from "zod";
import type { AuditEntry, AuditQuery } from "@cardea/core/wire/api/operations";
import type { Page } from "@cardea/core/wire/api/conventions";
import { auditTypes } from "@cardea/core/contract/audit-types";
import { CardeaError } from "@cardea/core/contract/errors";
import { SubjectId } from "@cardea/core/contract/ids";
import { AuditLeaf, opensCommitment } from "@cardea/core/documents/audit-leaf";
import type { Actor, Control } from "../control.ts";
import { currentRoster, type RosterView } from "../people/roster.ts";
import { subjectRef } from "../requests/subject-ref.ts";
import { manyEntries, type StoredEntry } from "../store/log.ts";

/**
 * Entries of the log, with the data beside them where it was not erased. Auditors and administrators see all, others what names them. Each
 * shown piece of data is what its leaf committed to; what was altered beside the log is left out.
 */
export async function listAudit(
  control: Control,
  actor: Actor,
  query: z.output<typeof AuditQuery>,
): Promise<Page<AuditEntry>> {
  const roster = await currentRoster(control);
  const cursor = cursorOf(query.cursor);
  const entries = await manyEntries(control.db, {
    type: query.type,
    id: query.id,
    visibleTo: overseesLog(actor) ? undefined : actor.subject,
    from: query.from,
    to: query.to,
    after: query.order === "asc" ? (cursor ?? query.after) : query.after,
    before: query.order === "desc" ? cursor : undefined,
    order: query.order,
    limit: query.limit + 1,
  });
  const items = entries.slice(0, query.limit).map((entry) => auditEntry(control, roster, entry));
  const last = items.at(-1);
  return entries.length > query.limit && last !== undefined ? { items, next: String(last.index) } : { items };
}

/** Whether the caller sees the whole log. */
export function overseesLog(actor: Actor): boolean {
  return actor.permissions.includes("auditor") || actor.permissions.includes("admin");
}

function auditEntry(control: Control, roster: RosterView, { index, leaf: text, salt, data }: StoredEntry): AuditEntry {
  const leaf = AuditLeaf.parse(JSON.parse(text));
  const opened = salt === undefined || data === undefined ? undefined : open(leaf, salt, data);
  if (opened === undefined && data !== undefined)
    control.log.error({ index }, "the data beside an entry of the log is not what the entry committed to");
  const actor = SubjectId.safeParse(leaf.ids["actor"]);
  return {
    index,
    leaf,
    ...(opened !== undefined && { data: opened, salt }),
    ...(actor.success && { actor: subjectRef(roster, actor.data) }),
    words: auditTypes[leaf.type],
  };
}

function open(leaf: AuditLeaf, salt: string, text: string): AuditEntry["data"] {
  try {
    const data: unknown = JSON.parse(text);
    // The commitment was made over an object of this shape.
    return opensCommitment(leaf, salt, data) ? (data as AuditEntry["data"]) : undefined;
  } catch {
    return undefined;
  }
}

function cursorOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const index = /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
  if (index === undefined)
    throw new CardeaError("invalid_request", "the cursor is not one of ours", {
      pointers: [{ path: "cursor", message: "not a cursor" }],
    });
  return index;
}
