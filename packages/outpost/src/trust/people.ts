import type { SubjectId } from "@cardea/core/contract/ids";
import type { Digest } from "@cardea/core/documents/digest";
import type { RosterEntry } from "@cardea/core/documents/roster";
import type { ProvenRoster } from "@cardea/core/evidence/roster";

/** Which roster entries were proven for. */
export interface RosterVersion {
  readonly version: number;
  readonly digest: Digest;
}

/**
 * The people of the newest roster, as far as states and evidence have proven them. A newer roster makes everything known before worthless;
 * whoever it does not prove is nobody.
 */
export class People {
  #of: RosterVersion | undefined;
  #entries = new Map<SubjectId, RosterEntry>();

  /** `undefined` until anything is known. */
  get version(): number | undefined {
    return this.#of?.version;
  }

  note(of: RosterVersion, entries: ProvenRoster): void {
    if (this.#of !== undefined && of.version < this.#of.version) return;
    if (this.#of?.digest !== of.digest) this.#entries = new Map();
    this.#of = of;
    for (const [subject, entry] of entries) this.#entries.set(subject, entry);
  }

  entry(subject: SubjectId): RosterEntry | undefined {
    return this.#entries.get(subject);
  }
}
