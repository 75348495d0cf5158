import type { z } from "zod";
import type { StreamedEvent } from "@cardea/core/wire/api/operations";
import { AuditLeaf } from "@cardea/core/documents/audit-leaf";
import type { Actor, Control } from "../control.ts";
import { manyEntries, maybeOneLogHead } from "../store/log.ts";
import { overseesLog } from "./list.ts";

/** What the caller may see of the log after an index, in order: the ids and never the data. `-1` is from the beginning. */
export async function eventsAfter(
  control: Control,
  actor: Actor,
  index: number,
  limit: number,
): Promise<z.infer<typeof StreamedEvent>[]> {
  const entries = await manyEntries(control.db, {
    after: index,
    visibleTo: overseesLog(actor) ? undefined : actor.subject,
    order: "asc",
    limit,
  });
  return entries.map((entry) => {
    const { at, type, ids } = AuditLeaf.parse(JSON.parse(entry.leaf));
    return { index: entry.index, at, type, ids };
  });
}

/** The index of the newest entry; -1 while there is none. */
export async function newestIndex(control: Control): Promise<number> {
  return ((await maybeOneLogHead(control.db))?.size ?? 0) - 1;
}
