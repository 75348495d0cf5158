import { expect, it } from "vitest";
import { startServerProgram } from "./program.ts";

it("the demo tells the whole cycle, and every step holds", async () => {
  await using demo = startServerProgram(["demo"]);
  expect(await demo.ended(), demo.output()).toBe(0);
  expect(demo.output()).toMatch(/All \d+ steps hold/);
}, 180_000);
