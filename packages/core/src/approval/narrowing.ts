/** What approvers took away, taken together: every narrowing of a request holds, also after its vote was replaced or no longer counts. */
import type { Pattern } from "../documents/pattern.ts";
import type { Narrowing } from "../documents/vote.ts";
import { cidrContains, parseCidr } from "../lib/cidr.ts";
import { durationMs } from "../lib/duration.ts";
import { intersectAll } from "../policy/patterns.ts";

/** As `Narrowing`, but a list may be empty: then nothing is left. */
export interface CombinedNarrowing {
  readonly duration?: string | undefined;
  readonly permissions?: readonly Pattern[] | undefined;
  readonly sourceIps?: readonly string[] | undefined;
}

/** The intersection of all of them; their order does not matter to what it permits. */
export function combineNarrowings(narrowings: readonly Narrowing[]): CombinedNarrowing {
  return narrowings.reduce<CombinedNarrowing>((all, one) => {
    const duration = shorter(all.duration, one.duration);
    const permissions = both(all.permissions, one.permissions, intersectAll);
    const sourceIps = both(all.sourceIps, one.sourceIps, intersectAddresses);
    return {
      ...(duration === undefined ? {} : { duration }),
      ...(permissions === undefined ? {} : { permissions }),
      ...(sourceIps === undefined ? {} : { sourceIps }),
    };
  }, {});
}

/** The shorter of two written durations. */
export function shorter(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return durationMs(b) < durationMs(a) ? b : a;
}

/** Networks that lie in both lists. Two networks nest or are disjoint, so the smaller of each pair is their intersection. */
export function intersectAddresses(a: readonly string[], b: readonly string[]): string[] {
  const within = (list: readonly string[], other: readonly string[]): string[] => {
    const outer = other.map(parseCidr);
    return list.filter((text) => {
      const network = parseCidr(text);
      return network !== undefined && outer.some((one) => one !== undefined && cidrContains(one, network));
    });
  };
  return [...new Set([...within(a, b), ...within(b, a)])].sort();
}

function both<T>(
  a: readonly T[] | undefined,
  b: readonly T[] | undefined,
  intersection: (a: readonly T[], b: readonly T[]) => T[],
): readonly T[] | undefined {
  return a === undefined || b === undefined ? (a ?? b) : intersection(a, b);
}
