import { describe, expect, it } from "vitest";
import { AuditType, auditTypes } from "./audit-types.ts";

describe("types of audit events", () => {
  it.each(Object.entries(auditTypes))("%s is noun.verb, with its meaning", (type, meaning) => {
    expect(type).toMatch(/^[a-z]+\.[a-z_]+$/);
    expect(meaning).toMatch(/^[a-z].*[^.]$/);
  });

  it("are a closed list", () => {
    expect(AuditType.safeParse("grant.issued").success).toBe(true);
    expect(AuditType.safeParse("grant.invented").success).toBe(false);
    expect(AuditType.options).toEqual(Object.keys(auditTypes));
  });
});
