import type { z } from "zod";
import type { SubjectRef } from "@cardea/core/wire/api/conventions";
import type { SubjectId } from "@cardea/core/contract/ids";
import type { RosterView } from "../people/roster.ts";

/** Somebody, as shown. Whoever is not in the roster any more goes by their id. */
export function subjectRef(roster: RosterView, id: SubjectId): z.infer<typeof SubjectRef> {
  const entry = roster.entry(id);
  return { id, name: entry?.name ?? id, kind: entry?.kind ?? "human" };
}
