import { describe, expect, it } from "vitest";
import { CardeaError, errors, isErrorCode, OutsideError, type ErrorCode } from "./errors.ts";

// The table's own keys.
const rows = (Object.keys(errors) as ErrorCode[]).map((code) => ({ code, ...errors[code] }));

describe("the table of codes", () => {
  it.each(rows)("$code is written as all are", ({ code, title, status, exit }) => {
    expect(code).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
    expect(title).not.toMatch(/[.!]$/);
    expect(title.slice(0, 2)).toBe(title.startsWith("API") ? "AP" : title.slice(0, 2).toLowerCase());
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect([1, 2, 3, 4, 5]).toContain(exit);
  });

  it("has a title of its own for each", () => {
    expect(new Set(rows.map(({ title }) => title)).size).toBe(rows.length);
  });

  it("says still pending only of what is worth trying again", () => {
    for (const { code, exit, retryable } of rows) if (exit === 4) expect(retryable, code).toBe(true);
  });

  it("never asks to repeat what was refused", () => {
    for (const { code, exit, retryable } of rows) if (exit === 3 || exit === 5) expect(retryable, code).toBe(false);
  });

  it("knows its own codes and no other word", () => {
    expect(isErrorCode("policy_denied")).toBe(true);
    for (const text of ["", "constructor", "toString", "__proto__", "Policy_denied"])
      expect(isErrorCode(text)).toBe(false);
  });
});

describe("what is thrown", () => {
  it("carries code, words, pointers and cause", () => {
    const cause = new Error("inner");
    const error = new CardeaError("policy_invalid", "the policy is invalid", {
      cause,
      pointers: [{ path: "/rules/0", message: "x" }],
      extra: { rule: "a" },
    });
    expect(error).toMatchObject({
      name: "CardeaError",
      code: "policy_invalid",
      message: "the policy is invalid",
      cause,
      pointers: [{ path: "/rules/0", message: "x" }],
      extra: { rule: "a" },
    });
    expect(new CardeaError("internal", "x")).toMatchObject({ pointers: [], extra: {} });
    expect("cause" in new CardeaError("internal", "x")).toBe(false);
  });

  it("says of an outside fault whether it may have happened", () => {
    const error = new OutsideError("resource_timeout", "maybe", "no answer in time");
    expect(error).toBeInstanceOf(CardeaError);
    expect(error).toMatchObject({ name: "OutsideError", effect: "maybe", code: "resource_timeout" });
  });
});
