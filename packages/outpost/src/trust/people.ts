import { z } from "zod";
import type { SubjectId } from "@cardea/core/contract/ids";
import { Digest } from "@cardea/core/documents/digest";
import { RosterEntry } from "@cardea/core/documents/roster";
import type { ProvenRoster } from "@cardea/core/evidence/roster";
import type { Store } from "../store/store.ts";

/** Which roster entries were proven for. */
const RosterVersion = z.strictObject({ version: z.int(), digest: Digest });
export type RosterVersion = z.infer<typeof RosterVersion>;

const rosterFact = "people-of";

/**
 * The people of the newest roster, as far as states and evidence have proven them. A newer roster makes everything known before worthless;
 * whoever it does not prove is nobody. Kept over a restart, so that who may come in is known before the control plane speaks again; how old that
 * may be is for `TrustState` to say.
 */
export class People {
  #of: RosterVersion | undefined;
  #entries = new Map<SubjectId, RosterEntry>();
  /** Proven since the last `persist`; `undefined` for everything. */
  #unsaved: Set<SubjectId> | undefined = new Set();

  /** What an earlier process knew. */
  static read(store: Store): People {
    const people = new People();
    const of = store.facts.get(rosterFact);
    if (of === undefined) return people;
    people.#of = RosterVersion.parse(of);
    for (const { key, value } of store.people.getRange({})) people.#entries.set(key, RosterEntry.parse(value));
    return people;
  }

  /** `undefined` until anything is known. */
  get version(): number | undefined {
    return this.#of?.version;
  }

  note(of: RosterVersion, entries: ProvenRoster): void {
    if (this.#of !== undefined && of.version < this.#of.version) return;
    if (this.#of?.digest !== of.digest) {
      this.#entries = new Map();
      this.#unsaved = undefined;
    }
    this.#of = of;
    for (const [subject, entry] of entries) {
      // Of one roster there is one entry for a subject.
      if (this.#entries.has(subject)) continue;
      this.#entries.set(subject, entry);
      this.#unsaved?.add(subject);
    }
  }

  entry(subject: SubjectId): RosterEntry | undefined {
    return this.#entries.get(subject);
  }

  /** Inside `Store.write`. */
  persist(store: Store): void {
    if (this.#of === undefined) return;
    if (this.#unsaved === undefined) {
      for (const subject of [...store.people.getKeys({})]) store.people.removeSync(subject);
      store.facts.putSync(rosterFact, this.#of);
    }
    for (const subject of this.#unsaved ?? this.#entries.keys()) {
      const entry = this.#entries.get(subject);
      if (entry !== undefined) store.people.putSync(subject, entry);
    }
    this.#unsaved = new Set();
  }
}
