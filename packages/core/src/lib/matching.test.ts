import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchToPlaces } from "./matching.ts";

/** The most places that can be filled, by trying everything. */
function most(fits: readonly (readonly number[])[], places: readonly number[], person = 0): number {
  const options = fits[person];
  if (options === undefined) return 0;
  const filled = options.map((place) => {
    const left = places[place] ?? 0;
    return left === 0 ? 0 : 1 + most(fits, places.with(place, left - 1), person + 1);
  });
  return Math.max(most(fits, places, person + 1), ...filled);
}

describe("matching people to places", () => {
  it("moves somebody who fits twice", () => {
    expect(matchToPlaces([[0, 1], [0]], [1, 1])).toEqual([[1], [0]]);
  });

  it("never fills more places than there are, and keeps those who came first", () => {
    expect(matchToPlaces([[0], [0], [0]], [2])).toEqual([[0, 1]]);
    expect(matchToPlaces([[0]], [0])).toEqual([[]]);
    expect(matchToPlaces([], [1, 2])).toEqual([[], []]);
  });

  it("fills as many as trying everything would, each person once and only where they fit", () => {
    const world = fc.integer({ min: 1, max: 3 }).chain((kinds) =>
      fc.record({
        places: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: kinds, maxLength: kinds }),
        fits: fc.array(fc.uniqueArray(fc.integer({ min: 0, max: kinds - 1 }), { maxLength: kinds }), { maxLength: 6 }),
      }),
    );
    fc.assert(
      fc.property(world, ({ places, fits }) => {
        const seated = matchToPlaces(fits, places);
        const everyone = seated.flat();
        expect(everyone).toHaveLength(most(fits, places));
        expect(new Set(everyone).size).toBe(everyone.length);
        for (const [place, people] of seated.entries()) {
          expect(people.length).toBeLessThanOrEqual(places[place] ?? 0);
          for (const person of people) expect(fits[person]).toContain(place);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("whoever is seated stays seated when more people come", () => {
    const fits = fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 2 }), { maxLength: 3 }), { maxLength: 6 });
    fc.assert(
      fc.property(fits, fits, (some, more) => {
        const before = matchToPlaces(some, [1, 1, 1]).flat();
        expect(matchToPlaces([...some, ...more], [1, 1, 1]).flat()).toEqual(expect.arrayContaining(before));
      }),
    );
  });
});
