import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toTime } from "@cardea/core/documents/primitives";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { connectionUri, fillTemplate, libpqAddress, libpqEnvironment, passfileLine } from "./render.ts";

const notAfter = toTime(Date.UTC(2026, 0, 1));
const text = fc
  .string({ minLength: 1, maxLength: 40, unit: "grapheme" })
  .filter((value) => value.isWellFormed() && !value.includes("\n") && !value.includes("\0"));
const host = fc.constantFrom("db.internal", "10.0.0.7", "::1", "/var/run/postgresql");
const key = fc
  .record({ user: text, secret: text, database: text, host })
  .map(({ user, secret, database, host: at }): DeliveredKey => ({
    via: "direct",
    kind: "postgres",
    user,
    secret,
    endpoint: { host: at, port: 5432, databases: [database, "other"], sslmode: "verify-full" },
    notAfter,
  }));
const nth = (list: DeliveredKey["endpoint"][string]) => (Array.isArray(list) ? (list[0] ?? "") : String(list));

/** A passfile's line as libpq's manual describes it: fields divided by colons, a backslash takes the next character as it is. */
function passfileFields(line: string): string[] {
  const fields: string[] = [];
  let field = "";
  for (let i = 0; i < line.length; i++) {
    if (line[i] === ":") {
      fields.push(field);
      field = "";
    } else {
      if (line[i] === "\\") i++;
      field += line.charAt(i);
    }
  }
  return [...fields, field];
}

describe("a delivered key", () => {
  it("reads back from a passfile, whatever its characters", () => {
    fc.assert(
      fc.property(key, (one) => {
        const { endpoint, user, secret } = one;
        expect(passfileFields(passfileLine(one))).toEqual([
          endpoint["host"],
          "5432",
          nth(endpoint["databases"] ?? ""),
          user,
          secret,
        ]);
      }),
    );
  });

  it("reads back from a connection URI, whatever its characters", () => {
    fc.assert(
      fc.property(key, (one) => {
        const uri = new URL(connectionUri(one));
        const { endpoint, user, secret } = one;
        expect([decodeURIComponent(uri.username), decodeURIComponent(uri.password), uri.port]).toEqual([
          user,
          secret,
          "5432",
        ]);
        expect(decodeURIComponent(uri.pathname.slice(1))).toBe(nth(endpoint["databases"] ?? ""));
        expect(uri.searchParams.get("sslmode")).toBe("verify-full");
        expect(decodeURIComponent(uri.hostname.replace(/^\[|\]$/g, ""))).toBe(endpoint["host"]);
      }),
    );
  });

  it("names the file of the authority that it came with, wherever a client looks for it", () => {
    fc.assert(
      fc.property(key, text, (one, file) => {
        expect(new URL(connectionUri(one, file)).searchParams.get("sslrootcert")).toBe(file);
        expect(libpqEnvironment(one, file)["PGSSLROOTCERT"]).toBe(file);
        expect(libpqAddress(one)).not.toHaveProperty("PGSSLROOTCERT");
        expect(connectionUri(one)).not.toContain("sslrootcert");
        expect(fillTemplate("{{caFile}}", one, file)).toBe(file);
      }),
    );
  });

  it("is in the environment whole, or without its secret", () => {
    fc.assert(
      fc.property(key, (one) => {
        const { PGPASSWORD, ...rest } = libpqEnvironment(one);
        expect(PGPASSWORD).toBe(one.secret);
        expect(rest).toEqual(libpqAddress(one));
      }),
    );
  });

  it("fills a template, and leaves other braces and its own values alone", () => {
    const [one] = fc.sample(key, 1);
    if (one === undefined) throw new TypeError("a sample has one element");
    const sly = { ...one, secret: "{{user}}" };
    expect(fillTemplate("{{ secret }} {{constructor}} {{{host}}}", sly)).toBe(
      `{{user}} {{constructor}} {${nth(one.endpoint["host"] ?? "")}}`,
    );
  });

  it("of something without an address is refused, with another way", () => {
    const web: DeliveredKey = {
      via: "gateway",
      kind: "http",
      user: "key_1",
      secret: "s",
      endpoint: { url: "https://gateway" },
      notAfter,
    };
    expect(() => libpqEnvironment(web)).toThrow(expect.objectContaining({ code: "usage" }));
  });
});
