import { Store } from "@cardea/outpost/store/store";
import { addLease, changeLease, leaseCounts, resourcesWithLeases, nextDueMs, dueLeases } from "@cardea/outpost/store/leases";
import { noteGrant } from "@cardea/outpost/store/grants";
import { newId } from "@cardea/core/contract/ids";
import { randomBytes } from "node:crypto";
const random = { bytes: (n) => new Uint8Array(randomBytes(n)) }, clock = { now: () => Date.now() };
const dir = "/tmp/prof/million";
if (process.argv[2] === "make") {
  const s = Store.open(dir); const t = performance.now();
  const res = [0,1,2].map(() => newId("resource", clock, random));
  for (let b = 0; b < 100; b++) await s.write(() => { for (let i = 0; i < 10000; i++) {
    const id = newId("lease", clock, random), grant = newId("grant", clock, random);
    const l = { id, grant, resource: res[i % 3], nativeName: "cardea_" + id, deadlineMs: Date.now() + 3600_000 + i, state: "intended" };
    addLease(s, l); changeLease(s, l, { ...l, state: "live", liveAtMs: Date.now() });
    noteGrant(s, grant, { state: "issued", lease: id, task: newId("task", clock, random), untilMs: l.deadlineMs, receipt: { sealed: "x".repeat(600) } });
  } });
  console.log("made in", performance.now() - t); await s.close();
} else {
  const m0 = process.memoryUsage().rss; const t = performance.now();
  const s = Store.open(dir);
  const c = leaseCounts(s), r = resourcesWithLeases(s), n = r.map((x) => nextDueMs(s, x)), d = [...dueLeases(s, r[0], Date.now())].length;
  console.log(c, r.length, d, "ms", (performance.now() - t).toFixed(1), "rss +MB", ((process.memoryUsage().rss - m0) / 1e6).toFixed(1));
  const t2 = performance.now(); await s.write(() => { s.facts.putSync("x", 1); }); console.log("write", (performance.now() - t2).toFixed(1));
  await s.close();
}
