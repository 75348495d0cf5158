/**
 * The roster: who the subjects are, with groups, permissions and credentials, and which outposts there are, under a head that the control plane signs with a key that is not
 * in the database. Everybody who needs to know who somebody is reads it here. What is handed out was verified: signature, tree, and a
 * version that never goes backwards, remembered in a file as well. A row edited by SQL makes it `roster_invalid`, never another person.
 * Changes are made in `change-roster.ts` and nowhere else.
 */
import { join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import type { OutpostId, SubjectId } from "@cardea/core/contract/ids";
import type { Digest } from "@cardea/core/documents/digest";
import { toTime } from "@cardea/core/documents/primitives";
import { RosterEntry, RosterHead, type RosterOutpost, type RosterProof } from "@cardea/core/documents/roster";
import type { Signature } from "@cardea/core/documents/signature";
import type { Control, Tx } from "../control.ts";
import {
  insertRosterHead,
  lockRoster,
  maybeOneRosterVersion,
  oneStoredRoster,
  type StoredRoster,
} from "../store/people.ts";
import { openSigned, signDocument, type Signed } from "../store/signed.ts";
import { transact } from "../store/transaction.ts";
import { rememberedHead, rememberHead } from "./roster-memory.ts";
import { rosterLeaf, RosterTree } from "./roster-tree.ts";

interface Profile {
  readonly displayName: string;
  readonly email: string | undefined;
}

/** One version of the roster, verified. Immutable. */
export class RosterView {
  readonly head: RosterHead;
  readonly digest: Digest;
  readonly signature: Signature;
  readonly tree: RosterTree;
  readonly #profiles: ReadonlyMap<SubjectId, Profile>;
  readonly #entries: readonly RosterEntry[];
  readonly #byName: ReadonlyMap<string, RosterEntry>;

  constructor(signed: Signed<RosterHead>, tree: RosterTree, profiles: ReadonlyMap<SubjectId, Profile>) {
    const [signature] = signed.signatures;
    if (signature === undefined) throw new TypeError("a signed head has a signature");
    this.head = signed.document;
    this.digest = signed.digest;
    this.signature = signature;
    this.tree = tree;
    this.#profiles = profiles;
    this.#entries = tree.leaves.map((leaf) => leaf.entry);
    this.#byName = new Map(this.#entries.map((entry) => [entry.name, entry]));
  }

  /** The version after this one; new subjects have no profile yet. */
  next(signed: Signed<RosterHead>, tree: RosterTree): RosterView {
    return new RosterView(signed, tree, this.#profiles);
  }

  /** By subject id. */
  entries(): readonly RosterEntry[] {
    return this.#entries;
  }

  entry(id: SubjectId): RosterEntry | undefined {
    return this.tree.entry(id);
  }

  byName(name: string): RosterEntry | undefined {
    return this.#byName.get(name);
  }

  /** The entry and its way up to the head. */
  proof(id: SubjectId): RosterProof | undefined {
    return this.tree.proof(id);
  }

  /** Which outpost has this name now. */
  outpost(name: string): OutpostId | undefined {
    return this.head.outposts?.find((outpost) => outpost.name === name)?.id;
  }

  /** For people to read; not part of what is signed. */
  displayName(id: SubjectId): string {
    return this.#profiles.get(id)?.displayName ?? this.entry(id)?.name ?? id;
  }

  email(id: SubjectId): string | undefined {
    return this.#profiles.get(id)?.email;
  }

  /** Active, and so is the one for whom an agent acts. */
  isActive(id: SubjectId): boolean {
    const entry = this.entry(id);
    if (entry?.active !== true) return false;
    return entry.actsFor === undefined || this.entry(entry.actsFor)?.active === true;
  }
}

interface Cache {
  view: RosterView | undefined;
  loading: Promise<RosterView> | undefined;
}

const caches = new WeakMap<Control, Cache>();

/** What anything newer than the memory in a database must be compared with. */
type Version = Pick<RosterView, "digest"> & { readonly version: number };

/** The newest roster, verified; an installation begins with an empty one. One short query where nothing changed. @throws CardeaError `roster_invalid` */
export async function currentRoster(control: Control): Promise<RosterView> {
  const stored = await maybeOneRosterVersion(control.db);
  return rosterAt(control, stored);
}

/** Like `currentRoster` for whoever has just read which version is the newest. */
export async function rosterAt(
  control: Control,
  stored: { readonly version: number; readonly digest: string } | undefined,
): Promise<RosterView> {
  const cache = cacheOf(control);
  if (cache.view !== undefined && isSame(cache.view, stored)) return cache.view;
  for (;;) {
    // Single flight, because a change wakes everybody at once; but a flight that took off before that change is not enough.
    const view = await (cache.loading ??= load(control).finally(() => (cache.loading = undefined)));
    if (view.head.version >= (stored?.version ?? 0)) return view;
  }
}

/** What transactions have changed and not yet committed; seen by themselves alone. */
const changedIn = new WeakMap<Tx, RosterView>();

/** The roster as the transaction sees it: the newest committed one, or the one that the transaction itself has made. */
export async function rosterIn(tx: Tx, control: Control): Promise<RosterView> {
  const changed = changedIn.get(tx);
  if (changed !== undefined) return changed;
  const stored = await maybeOneRosterVersion(tx);
  const { view } = cacheOf(control);
  if (view !== undefined && isSame(view, stored)) return view;
  const fresh = verified(control, await oneStoredRoster(tx));
  refuseOlder(fresh, view === undefined ? undefined : { version: view.head.version, digest: view.digest });
  return fresh;
}

async function load(control: Control): Promise<RosterView> {
  const cache = cacheOf(control);
  const remembered = await rememberedHead(memoryOf(control));
  let stored = await oneStoredRoster(control.db);
  if (stored.head === undefined && remembered === undefined) {
    await storeFirstRoster(control);
    stored = await oneStoredRoster(control.db);
  }
  const view = verified(control, stored);
  // The file holds what was accepted as `Digest`; whoever writes it holds the signing key's folder too.
  if (remembered !== undefined) refuseOlder(view, { version: remembered.version, digest: remembered.digest as Digest });
  if (cache.view !== undefined) refuseOlder(view, { version: cache.view.head.version, digest: cache.view.digest });
  if (remembered?.version !== view.head.version) await rememberHead(memoryOf(control), view.head.version, view.digest);
  cache.view = view;
  return view;
}

/** Only where nothing says that there was a roster before: an emptied database must not make everybody start anew. */
async function storeFirstRoster(control: Control): Promise<void> {
  await transact(control, async (tx) => {
    await lockRoster(tx);
    if ((await maybeOneRosterVersion(tx)) === undefined)
      await insertRosterHead(tx, signHead(control, 1, new RosterTree([])));
  });
}

function verified(control: Control, stored: StoredRoster): RosterView {
  const { head } = stored;
  if (head === undefined) throw invalid("there is no signed head");
  const signed = openSigned(control.keys.signing.publicKey, "roster", RosterHead, head);
  if (signed?.document.version !== head.version)
    throw invalid("the newest head does not bear the control plane's signature");
  const tree = new RosterTree(stored.entries.map((text) => rosterLeaf(parseEntry(text))));
  if (tree.root !== signed.document.root || tree.leaves.length !== signed.document.size)
    throw invalid("the entries are not those that the head was signed over");
  const profiles = stored.profiles.map((row): [SubjectId, Profile] => [
    row.subject_id,
    { displayName: row.display_name, email: row.email ?? undefined },
  ]);
  return new RosterView(signed, tree, new Map(profiles));
}

function parseEntry(text: string): RosterEntry {
  try {
    return RosterEntry.parse(JSON.parse(text));
  } catch {
    throw invalid("an entry does not have the form of one");
  }
}

function refuseOlder(view: RosterView, known: Version | undefined): void {
  if (known === undefined) return;
  const { version } = view.head;
  if (version < known.version)
    throw invalid(
      `version ${String(version)} is older than version ${String(known.version)}, which was in force before; was a backup restored?`,
    );
  if (version === known.version && view.digest !== known.digest)
    throw invalid(`there were two different rosters of version ${String(version)}`);
}

/** Signs and stores the next version in the transaction, which holds the roster's lock. Entries are stored by the caller. */
export async function storeNextRoster(
  tx: Tx,
  control: Control,
  before: RosterView,
  { tree = before.tree, outposts = before.head.outposts }: RosterChange,
): Promise<void> {
  const signed = signHead(control, before.head.version + 1, tree, outposts);
  await insertRosterHead(tx, signed);
  changedIn.set(tx, before.next(signed, tree));
}

/** What is left out stays. */
interface RosterChange {
  readonly tree?: RosterTree;
  readonly outposts?: RosterOutpost[];
}

function signHead(
  control: Pick<Control, "clock" | "keys">,
  version: number,
  tree: RosterTree,
  outposts?: RosterOutpost[],
): Signed<RosterHead> {
  const head: RosterHead = {
    v: 1,
    version,
    at: toTime(control.clock.now()),
    size: tree.leaves.length,
    root: tree.root,
    ...(outposts !== undefined && { outposts }),
  };
  return signDocument(control.keys, "roster", head);
}

function invalid(why: string): CardeaError {
  return new CardeaError(
    "roster_invalid",
    `the stored people do not verify: ${why}; somebody or something changed the database beside Cardea`,
  );
}

function isSame(view: RosterView, stored: { readonly version: number; readonly digest: string } | undefined): boolean {
  return stored?.version === view.head.version && stored.digest === view.digest;
}

function memoryOf(control: Control): string {
  return join(control.settings.logDirectory, "roster");
}

function cacheOf(control: Control): Cache {
  const found = caches.get(control);
  if (found !== undefined) return found;
  const cache: Cache = { view: undefined, loading: undefined };
  caches.set(control, cache);
  return cache;
}
