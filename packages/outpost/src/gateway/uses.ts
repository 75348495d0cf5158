/** How often each permission was used in a session, so that one can later tell which are needed. Cheap for each action, bounded for any client. */
import type { Facet, Pattern } from "@cardea/core/documents/pattern";
import type { PermissionUse } from "@cardea/core/wire/session-events";

/** Judged texts that are told apart before they are put together. */
const maxTexts = 500;
const maxPermissions = 2_000;
const maxTold = 200;
const maxValues = 100;

export class Uses {
  /** By identity: the same text is judged once. */
  #texts = new Map<readonly Pattern[], number>();
  readonly #permissions = new Map<string, { readonly pattern: Pattern; count: number }>();

  note(uses: readonly Pattern[]): void {
    this.#texts.set(uses, (this.#texts.get(uses) ?? 0) + 1);
    if (this.#texts.size > maxTexts) this.#fold();
  }

  /** The most used first; the rarest are left out. */
  told(): PermissionUse[] {
    this.#fold();
    return [...this.#permissions.values()]
      .sort((a, b) => b.count - a.count)
      .slice(0, maxTold)
      .map(({ pattern: { name, facets = {} }, count }) => {
        const told = Object.entries(facets).map(([key, facet]) => [key, valuesOf(facet)] as const);
        return { name, count, ...(told.length > 0 && { facets: Object.fromEntries(told) }) };
      });
  }

  #fold(): void {
    const texts = this.#texts;
    this.#texts = new Map();
    for (const [patterns, count] of texts) {
      for (const pattern of patterns) {
        const key = JSON.stringify(pattern);
        const known = this.#permissions.get(key);
        if (known !== undefined) known.count += count;
        else if (this.#permissions.size < maxPermissions) this.#permissions.set(key, { pattern, count });
      }
    }
  }
}

function valuesOf(facet: Facet): string[] {
  return facet.matcher === "flag" ? ["true"] : facet.values.slice(0, maxValues);
}
