import { describe, expect, it } from "vitest";
import { manualClock } from "./clock.ts";
import { never } from "./never.ts";
import { ok, refused } from "./result.ts";

describe("the smallest parts", () => {
  it("a manual clock stands still until it is turned", () => {
    const clock = manualClock(5);
    expect(clock.now()).toBe(5);
    clock.advance(10);
    expect(clock.now()).toBe(15);
    clock.set(1);
    expect(clock.now()).toBe(1);
  });

  it("an unforeseen case throws and names itself", () => {
    // A value that the types rule out, as it would come from outside.
    expect(() => never("odd" as never)).toThrow("unreachable case `odd`");
  });

  it("results say which they are", () => {
    expect(ok(1)).toEqual({ ok: true, value: 1 });
    expect(refused("not_found", "no such thing")).toEqual({ ok: false, code: "not_found", detail: "no such thing" });
  });
});
