/**
 * Maximum matching of voters to the places that a stage's requirements have, so that someone who fits two requirements fills the one that
 * nobody else can. Kuhn's augmenting paths: whoever has a place keeps one, so earlier voters are never displaced out of the count.
 */
export interface Matching {
  /** For each requirement, the voters that fill its places. */
  readonly voters: readonly (readonly number[])[];
}

/** `fits[voter]` lists the requirements that the voter fits; `places[requirement]` is how many it needs. */
export function matchVoters(fits: readonly (readonly number[])[], places: readonly number[]): Matching {
  const voters: number[][] = places.map(() => []);
  for (let voter = 0; voter < fits.length; voter++) seat(voter, fits, places, voters, new Set());
  return { voters };
}

function seat(voter: number, fits: readonly (readonly number[])[], places: readonly number[], voters: number[][], tried: Set<number>): boolean {
  for (const requirement of fits[voter] ?? []) {
    if (tried.has(requirement)) continue;
    tried.add(requirement);
    const seated = voters[requirement];
    if (seated === undefined) continue;
    if (seated.length < (places[requirement] ?? 0)) {
      seated.push(voter);
      return true;
    }
    for (const [place, other] of seated.entries()) {
      if (!seat(other, fits, places, voters, tried)) continue;
      seated[place] = voter;
      return true;
    }
  }
  return false;
}
