import { expect, test } from "vitest";
import { systemClock, systemRandom } from "@cardea/connectors/postgres/fixture/system";
import { newId } from "@cardea/core/contract/ids";
import type { Digest } from "@cardea/core/documents/digest";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { People } from "./people.ts";

const digest = (text: string) => text as Digest;
const entry = (name: string, groups: string[]): RosterEntry => ({
  subject: newId("subject", systemClock, systemRandom),
  name,
  kind: "human",
  groups,
  claims: {},
  credentials: [],
  permissions: ["member"],
  active: true,
});
const proven = (...entries: RosterEntry[]) => new Map(entries.map((one) => [one.subject, one]));

test("people of one roster add up", () => {
  const people = new People();
  expect(people.version).toBeUndefined();
  const [ada, bob] = [entry("ada", ["a"]), entry("bob", ["b"])];
  people.note({ version: 3, digest: digest("three") }, proven(ada));
  people.note({ version: 3, digest: digest("three") }, proven(bob));
  expect([people.entry(ada.subject), people.entry(bob.subject)]).toEqual([ada, bob]);
});

test("a newer roster forgets whom it does not prove, and an older one says nothing", () => {
  const people = new People();
  const [ada, bob] = [entry("ada", ["a"]), entry("bob", ["b"])];
  people.note({ version: 3, digest: digest("three") }, proven(ada, bob));
  const later = { ...ada, groups: [] };
  people.note({ version: 4, digest: digest("four") }, proven(later));
  expect(people.entry(bob.subject)).toBeUndefined();
  people.note({ version: 3, digest: digest("three") }, proven(ada, bob));
  expect([people.entry(ada.subject), people.entry(bob.subject)]).toEqual([later, undefined]);
  expect(people.version).toBe(4);
});
