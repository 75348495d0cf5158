import type { AuditType } from "@cardea/core/contract/audit-types";
import { CardeaError } from "@cardea/core/contract/errors";
import type { OutpostId, SubjectId } from "@cardea/core/contract/ids";
import type { RosterEntry } from "@cardea/core/documents/roster";
import type { Enrolment } from "@cardea/core/wire/enrolment";
import type { Control, Tx } from "../control.ts";
import { notify } from "../notify/notify.ts";
import { lockRoster, upsertRosterEntry } from "../store/people.ts";
import { rosterIn, storeNextRoster, type RosterView } from "./roster.ts";
import { rosterLeaf, RosterTree } from "./roster-tree.ts";

/**
 * The one way to change the roster: under its lock, on what verifies, to a new signed head, in the caller's transaction. `edit` sees
 * the roster as it is and answers the entries that become different or new.
 * @throws CardeaError `roster_invalid`; `conflict` where a name is taken or no active administrator would be left
 */
export async function changeRoster(
  tx: Tx,
  control: Control,
  edit: (view: RosterView) => readonly RosterEntry[] | Promise<readonly RosterEntry[]>,
): Promise<void> {
  await lockRoster(tx);
  const view = await rosterIn(tx, control);
  const changed = (await edit(view)).map(rosterLeaf);
  const changedIds = new Set(changed.map((leaf) => leaf.entry.subject));
  const tree = new RosterTree([...view.tree.leaves.filter((leaf) => !changedIds.has(leaf.entry.subject)), ...changed]);
  refuseUnsound(view, tree);
  await storeNextRoster(tx, control, view, { tree });
  for (const leaf of changed) await upsertRosterEntry(tx, leaf.entry.subject, leaf.text);
  control.wake.signal("people", tx);
}

const maxOutposts = 1_000;

/**
 * Gives a name to an outpost in the caller's transaction, in the place of the one that `replaces` says has it. `false`, and nothing is changed,
 * where that has changed meanwhile. @throws CardeaError `roster_invalid`, `conflict` beyond 1,000 outposts
 */
export async function nameOutpost(
  tx: Tx,
  control: Control,
  { name, id, identityKey }: NamedOutpost,
  replaces: OutpostId | undefined,
): Promise<boolean> {
  await lockRoster(tx);
  const view = await rosterIn(tx, control);
  if (view.outpost(name) !== replaces) return false;
  const others = (view.head.outposts ?? []).filter((outpost) => outpost.name !== name);
  if (others.length >= maxOutposts)
    throw new CardeaError("conflict", `there are ${maxOutposts} outposts; replace one of them`);
  await storeNextRoster(tx, control, view, { outposts: [...others, { name, id, key: identityKey }] });
  control.wake.signal("people", tx);
  return true;
}

/** Puts the outpost's key beside its name where it is not there yet: outposts that enrolled before the roster held keys. */
export async function nameOutpostKey(tx: Tx, control: Control, { name, id, identityKey }: NamedOutpost): Promise<void> {
  const isKeyless = (view: RosterView): boolean =>
    view.head.outposts?.some((outpost) => outpost.id === id && outpost.key === undefined) === true;
  if (!isKeyless(await rosterIn(tx, control))) return;
  await lockRoster(tx);
  const view = await rosterIn(tx, control);
  if (!isKeyless(view)) return;
  const outposts = (view.head.outposts ?? []).map((outpost) =>
    outpost.id === id ? { name, id, key: identityKey } : outpost,
  );
  await storeNextRoster(tx, control, view, { outposts });
  control.wake.signal("people", tx);
}

/** An outpost as the roster names it: by its name, which it alone has, and its key. */
type NamedOutpost = Pick<Enrolment, "name" | "id" | "identityKey">;

function refuseUnsound(before: RosterView, after: RosterTree): void {
  const entries = after.leaves.map((leaf) => leaf.entry);
  const names = new Set<string>();
  const keys = new Set<string>();
  for (const entry of entries) {
    if (names.has(entry.name)) throw new CardeaError("conflict", `the name \`${entry.name}\` is taken; choose another`);
    names.add(entry.name);
    for (const { publicKey } of entry.credentials) {
      // One key on two subjects would let one human count twice.
      if (keys.has(publicKey)) throw new CardeaError("conflict", "this key is enrolled already; make a new one");
      keys.add(publicKey);
    }
  }
  if (before.entries().some(isReachableAdmin) && !entries.some(isReachableAdmin)) {
    throw new CardeaError(
      "conflict",
      "nobody could administer Cardea any more; make somebody else an administrator first",
    );
  }
}

/** Somebody who can sign in and change things. */
export function isReachableAdmin(entry: RosterEntry): boolean {
  return entry.active && entry.permissions.includes("admin") && entry.credentials.length > 0;
}

/** Tells all administrators of a change: until such changes are requests themselves, being seen is what keeps them honest. */
export async function tellAdmins(tx: Tx, control: Control, type: AuditType, words: string): Promise<void> {
  const view = await rosterIn(tx, control);
  const to: SubjectId[] = view
    .entries()
    .filter((entry) => entry.active && entry.permissions.includes("admin"))
    .map((entry) => entry.subject);
  if (to.length > 0) await notify(tx, control, { type, to, words });
}
