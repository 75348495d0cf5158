import { expect, it } from "vitest";
import { decide } from "./decide.ts";
import { largePolicy, sampleAsked, sampleFacts, sampleSpec, sampleTime } from "./samples.ts";

it("measure", () => {
  const policy = largePolicy(1000), spec = sampleSpec(), facts = sampleFacts();
  for (const ask of [{ role: "read" }, { role: "write" }, { role: "admin" }, { action: { type: "sql", name: "sql.update", what: {}, binding: { facets: { tables: ["public.orders"] } } } }] as const) {
    const t: number[] = [];
    const asked = sampleAsked({ ask });
    const t0 = performance.now(); const first = decide({ policy, asked, spec, facts, createdAt: sampleTime }); const t1 = performance.now();
    for (let i = 0; i < 2000; i++) { const a = performance.now(); decide({ policy, asked, spec, facts, createdAt: sampleTime }); t.push(performance.now() - a); }
    t.sort((a, b) => a - b);
    console.log(JSON.stringify(ask), first.effect, first.rule, first.reasons, "first", (t1 - t0).toFixed(2), "p50", t[1000]!.toFixed(3), "p99", t[1980]!.toFixed(3));
  }
  expect(1).toBe(1);
});
