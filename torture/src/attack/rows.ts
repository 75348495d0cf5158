/** What the database's administrator does to rows in several lists. */
import { setTimeout as sleep } from "node:timers/promises";
import { newId } from "@cardea/core/contract/ids";
import { systemClock, systemRandom } from "@cardea/server/processes/system";
import type { Ground } from "./ground.ts";

/** Changes a stored document's text, leaving digest and signatures. */
export async function editDocument(
  { database }: Ground,
  table: string,
  id: string,
  change: (text: string) => string,
): Promise<void> {
  const { document } = await database.one(`select document from ${table} where id = $1`, [id]);
  const changed = change(String(document));
  if (changed === document) throw new Error(`the document of ${id} was not changed`);
  await database.alter(table, { id }, { document: changed });
}

/** Marks a pending request as approved. */
export async function markApproved({ database }: Ground, request: string): Promise<void> {
  await database.alter(
    "requests",
    { id: request },
    { state: "approved", previous_state: "pending", decided_at: new Date().toISOString() },
  );
}

/** Makes the log's entries about an id impossible to find, though the tree still adds up. */
export async function hideEntries({ database }: Ground, id: string): Promise<void> {
  for (const { index } of await database.many("select index from audit_entries where $1 = any (refs)", [id]))
    await database.alter("audit_entries", { index }, { refs: [] });
}

/** A new open task for a grant, as SQL can make it; answers with how the outpost receipted it, or `done`. */
export async function taskBySql(
  { database }: Ground,
  type: "issue" | "run",
  grant: string,
  withinMs = 45_000,
): Promise<string> {
  const id = newId("task", systemClock, systemRandom);
  const { outpost } = await database.one("select outpost from grants where id = $1", [grant]);
  await database.many(
    "insert into tasks (id, outpost, type, grant_id, payload, state, next_at, created_at) values ($1, $2, $3, $4, $5, 'open', $6, $6)",
    [id, outpost, type, grant, JSON.stringify({ type, grant }), new Date().toISOString()],
  );
  database.removeLater("tasks", { id });
  await database.many("notify cardea");
  // What may pass is tried for half a minute before it counts as failed.
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += 100) {
    const { state, code } = await database.one("select state, code from tasks where id = $1", [id]);
    if (state !== "open") return typeof code === "string" ? code : "done";
    await sleep(100);
  }
  return "never answered";
}
