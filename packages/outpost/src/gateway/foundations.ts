import type { Digest } from "@cardea/core/documents/digest";
import { Policy } from "@cardea/core/documents/policy";
import { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { Store } from "../store/store.ts";

export interface Foundation {
  /** The policy that decided. */
  readonly policy: Policy;
  readonly spec: ResourceSpec;
}

const maxKept = 32;

/** The documents that keys rest on. Few are in use at a time, and each is compiled when it is first asked, so the objects are kept. */
export class Foundations {
  readonly #store: Store;
  readonly #policies = new Map<Digest, Policy>();
  readonly #specs = new Map<Digest, ResourceSpec>();

  constructor(store: Store) {
    this.#store = store;
  }

  of(policy: Digest, spec: Digest): Foundation {
    return {
      policy: this.#kept(this.#policies, policy, (value) => Policy.parse(value)),
      spec: this.#kept(this.#specs, spec, (value) => ResourceSpec.parse(value)),
    };
  }

  #kept<T>(kept: Map<Digest, T>, digest: Digest, parse: (value: unknown) => T): T {
    const known = kept.get(digest);
    if (known !== undefined) return known;
    const read = parse(this.#store.documents.get(digest));
    for (const oldest of kept.keys()) if (kept.size >= maxKept) kept.delete(oldest);
    kept.set(digest, read);
    return read;
  }
}
