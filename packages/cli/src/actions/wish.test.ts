import { describe, expect, it } from "vitest";
import { instant, waitLimit, wholeNumber, wishOf } from "./wish.ts";

const plain = { role: "read", for: "1h", why: "to look" };
const usage = (message: string) =>
  expect.objectContaining({ code: "usage", message: expect.stringContaining(message) as unknown }) as unknown;

describe("a wish", () => {
  it("asks for no more than was said", () => {
    expect(wishOf("orders", plain)).toEqual({
      resource: "orders",
      ask: { role: "read" },
      justification: "to look",
      window: { duration: "1h" },
    });
  });

  it("says everything that was said", () => {
    const grant = `gra_${"0".repeat(26)}`;
    const options = {
      ...plain,
      ticket: "OPS-1",
      start: "2026-12-24T09:00:00+01:00",
      via: "direct" as const,
      sessions: "2",
      sourceIp: ["10.0.0.0/8"],
      breakGlass: true as const,
      extends: grant.replace("gra_", "key_"),
    };
    expect(wishOf("orders", options)).toEqual({
      resource: "orders",
      ask: { role: "read" },
      justification: "to look",
      window: { duration: "1h", start: "2026-12-24T08:00:00.000Z" },
      ticket: "OPS-1",
      via: "direct",
      limits: { sessions: 2, sourceIps: ["10.0.0.0/8"] },
      breakGlass: true,
      extends: grant,
    });
  });

  it.each([
    [{ for: "1 hour" }, "--for"],
    [{ for: "" }, "--for"],
    [{ start: "tomorrow" }, "--start"],
    [{ start: "2026-12-24T08:00:00" }, "--start"],
    [{ start: "2026-12-24" }, "--start"],
    [{ sessions: "0" }, "--sessions"],
    [{ sessions: "1e3" }, "--sessions"],
    [{ sessions: "-1" }, "--sessions"],
    [{ extends: "req_1" }, "gra_"],
  ])("of %j is refused, naming %s", (over, named) => {
    expect(() => wishOf("orders", { ...plain, ...over })).toThrow(usage(named));
  });
});

describe("options", () => {
  it("give waiting an end only where one is said", () => {
    expect(waitLimit({}, 1_000)).toEqual({});
    expect(waitLimit({ timeout: "90s" }, 1_000)).toEqual({ untilMs: 91_000 });
    expect(() => waitLimit({ timeout: "soon" }, 0)).toThrow(usage("--timeout"));
  });

  it("are instants with an offset, and whole numbers", () => {
    expect(instant("--from", "2026-01-01T00:00:00Z")).toBe("2026-01-01T00:00:00.000Z");
    expect(() => instant("--from", "2026-13-01T00:00:00Z")).toThrow(usage("--from"));
    expect(wholeNumber("--limit", "200")).toBe(200);
    expect(() => wholeNumber("--limit", "99999999")).toThrow(usage("--limit"));
  });
});
