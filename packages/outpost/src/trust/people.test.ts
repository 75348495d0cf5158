import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock, systemRandom } from "@cardea/connectors/postgres/fixture/system";
import { newId } from "@cardea/core/contract/ids";
import type { Digest } from "@cardea/core/documents/digest";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { Store } from "../store/store.ts";
import { People } from "./people.ts";

// The form of a digest, as whoever reads it demands.
const digest = (text: string) => `sha256:${text.padEnd(64, "0")}` as Digest;
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
  people.note({ version: 3, digest: digest("3") }, proven(ada));
  people.note({ version: 3, digest: digest("3") }, proven(bob));
  expect([people.entry(ada.subject), people.entry(bob.subject)]).toEqual([ada, bob]);
});

test("a newer roster forgets whom it does not prove, and an older one says nothing", () => {
  const people = new People();
  const [ada, bob] = [entry("ada", ["a"]), entry("bob", ["b"])];
  people.note({ version: 3, digest: digest("3") }, proven(ada, bob));
  const later = { ...ada, groups: [] };
  people.note({ version: 4, digest: digest("4") }, proven(later));
  expect(people.entry(bob.subject)).toBeUndefined();
  people.note({ version: 3, digest: digest("3") }, proven(ada, bob));
  expect([people.entry(ada.subject), people.entry(bob.subject)]).toEqual([later, undefined]);
  expect(people.version).toBe(4);
});

test("people are known again after a restart, and those of an older roster are not", async () => {
  const directory = await mkdtemp(join(tmpdir(), "cardea-test-people-"));
  const [ada, bob, cleo] = [entry("ada", ["a"]), entry("bob", ["b"]), entry("cleo", ["c"])];
  const told = async (...rosters: [number, RosterEntry[]][]): Promise<(RosterEntry | undefined)[]> => {
    const store = Store.open(directory);
    const people = People.read(store);
    const before = [ada, bob, cleo].map(({ subject }) => people.entry(subject));
    for (const [version, entries] of rosters) {
      people.note({ version, digest: digest(String(version)) }, proven(...entries));
      await store.write(() => people.persist(store));
    }
    await store.close();
    return before;
  };
  expect(await told([3, [ada]], [3, [bob]])).toEqual([undefined, undefined, undefined]);
  expect(await told([4, [bob]], [4, [cleo]])).toEqual([ada, bob, undefined]);
  expect(await told()).toEqual([undefined, bob, cleo]);
  await rm(directory, { recursive: true, force: true });
});
