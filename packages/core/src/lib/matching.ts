/**
 * Maximum matching of people to places, several places to a requirement, so that someone who fits two requirements fills the one that nobody
 * else can. Kuhn's augmenting paths: whoever has a place keeps one, so those who come first are never displaced out of the count.
 */
/**
 * For each requirement, the people that fill its places, by index. `fits[person]` lists the requirements that the person fits;
 * `places[requirement]` is how many it needs.
 */
export function matchToPlaces(
  fits: readonly (readonly number[])[],
  places: readonly number[],
): readonly (readonly number[])[] {
  const seated: number[][] = places.map(() => []);
  for (let person = 0; person < fits.length; person++) seat(person, fits, places, seated, new Set());
  return seated;
}

function seat(
  person: number,
  fits: readonly (readonly number[])[],
  places: readonly number[],
  all: number[][],
  tried: Set<number>,
): boolean {
  for (const requirement of fits[person] ?? []) {
    if (tried.has(requirement)) continue;
    tried.add(requirement);
    const seated = all[requirement];
    if (seated === undefined) continue;
    if (seated.length < (places[requirement] ?? 0)) {
      seated.push(person);
      return true;
    }
    for (const [place, other] of seated.entries()) {
      if (!seat(other, fits, places, all, tried)) continue;
      seated[place] = person;
      return true;
    }
  }
  return false;
}
