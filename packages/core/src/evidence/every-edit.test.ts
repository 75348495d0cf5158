/**
 * Nothing in evidence may be altered: every value of good evidence is changed, every field and element left out or doubled, one at a time, by
 * somebody without a key. All of it must be refused, by an answer and not by a fault.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseBase64Url } from "../lib/base64url.ts";
import { timeMs } from "../documents/primitives.ts";
import { honestKeys, evidenceOf, noDropRule, changeRule, sampleScene, sampleTrust } from "./samples.ts";
import { heldScene } from "./held-samples.ts";
import { samplePolicy } from "../policy/samples.ts";
import { verifyEvidence } from "./verify.ts";

const trust = sampleTrust(honestKeys);
/** With a newer policy, so that every part of evidence is there. */
const current = samplePolicy([noDropRule, changeRule()], 2);
const scenes = {
  "a role": sampleScene({ current }),
  "an action that a session held, with its run": heldScene({ current }),
};

type Path = readonly (string | number)[];

/** What proves nothing and so may differ: the name of the key beside a signature, which only helps to find it. */
const unbound = (path: Path): boolean => path[0] === "signatures" && path.at(-1) === "credential";

/** A base64url text whose last character holds bits that belong to no byte: not the one canonical text of anything. */
function isLoose(value: unknown): boolean {
  return (
    typeof value === "string" &&
    /^[A-Za-z0-9_-]{43}$|^[A-Za-z0-9_-]{86,87}$/.test(value) &&
    parseBase64Url(value) === undefined
  );
}

function* pathsOf(value: unknown, path: Path = []): Generator<Path> {
  if (path.length > 0) yield path;
  if (typeof value !== "object" || value === null) return;
  for (const [key, member] of Object.entries(value))
    yield* pathsOf(member, [...path, Array.isArray(value) ? Number(key) : key]);
}

function at(root: unknown, path: Path): unknown {
  return path.reduce((value, key) => (value as Record<string | number, unknown>)[key], root);
}

type Edit = (holder: Record<string | number, unknown>, key: string | number) => void;

/** A copy with the member at the path as `edit` leaves it; `edit` is given its holder. */
function copyWith(good: unknown, path: Path, edit: Edit): unknown {
  const copy = structuredClone(good);
  const key = path.at(-1);
  if (key === undefined) throw new TypeError("the whole is not a member");
  edit(at(copy, path.slice(0, -1)) as Record<string | number, unknown>, key);
  return copy;
}

/** Values that are not this one, but look like it. */
function lookalikes(value: unknown): unknown[] {
  return similar(value).filter((other) => other !== value);
}

function similar(value: unknown): unknown[] {
  if (typeof value === "number") return [value + 1, value - 1];
  if (typeof value === "boolean") return [!value];
  if (typeof value !== "string") return [];
  const [first, last] = [value.slice(0, 1), value.slice(-1)];
  const other = (char: string) => (char === "a" ? "b" : char === "1" ? "2" : /[0-9]/.test(char) ? "1" : "a");
  return [other(first) + value.slice(1), value.slice(0, -1) + other(last), value.slice(0, -1), `${value}a`];
}

describe.each(Object.entries(scenes))("evidence of %s, of which one thing was altered, is refused", (_, scene) => {
  const good: unknown = evidenceOf(scene);
  const nowMs = timeMs(scene.grant.window.notBefore) + 1_000;
  const paths = [...pathsOf(good)].filter((path) => !unbound(path));
  const edited = (path: Path, edit: Edit): unknown => copyWith(good, path, edit);
  const verdict = (evidence: unknown): string => {
    const outcome = verifyEvidence(evidence, trust, nowMs, { purpose: "issue" });
    return outcome.ok ? "accepted" : outcome.code;
  };

  it("the honest evidence itself is accepted, and has hundreds of values", () => {
    expect(verdict(good)).toBe("accepted");
    expect(paths.length).toBeGreaterThan(400);
  });

  it("whichever value is another", () => {
    for (const path of paths) {
      for (const other of lookalikes(at(good, path)).filter((one) => !isLoose(one))) {
        const result = verdict(edited(path, (holder, key) => (holder[key] = other)));
        expect(result, `${path.join(".")} = ${JSON.stringify(other)}`).toMatch(/^evidence_/);
      }
    }
  });

  it("whichever base64url text is written in another way", () => {
    for (const path of paths) {
      for (const other of lookalikes(at(good, path)).filter(isLoose)) {
        expect(verdict(edited(path, (holder, key) => (holder[key] = other))), path.join(".")).toMatch(/^evidence_/);
      }
    }
  });

  it("whichever field or element is left out", () => {
    // Which policy is in force an outpost knows by itself, and what everybody may is nothing of the grant's; who leaves
    // them out hides nothing; nor does how the run went, whose signature then is over nothing.
    for (const path of paths.filter((one) => !["current", "publicPrivileges", "run"].includes(one.join(".")))) {
      const result = verdict(
        edited(path, (holder, key) =>
          Array.isArray(holder) ? holder.splice(Number(key), 1) : Reflect.deleteProperty(holder, key),
        ),
      );
      expect(result, path.join(".")).toMatch(/^evidence_/);
    }
  });

  it("whichever element is doubled", () => {
    for (const path of paths.filter(
      (one) => typeof one.at(-1) === "number" && one[0] !== "signatures" && one[0] !== "log",
    )) {
      const result = verdict(
        edited(path, (holder, key) =>
          (holder as unknown as unknown[]).splice(Number(key), 0, structuredClone(holder[key])),
        ),
      );
      expect(result, path.join(".")).toMatch(/^evidence_/);
    }
  });

  it("whatever stands in the place of any part", () => {
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue({ maxDepth: 3 }), (path, value) => {
        const before = JSON.stringify(at(good, path));
        fc.pre(JSON.stringify(value) !== before);
        expect(verdict(edited(path, (holder, key) => (holder[key] = value))), path.join(".")).toMatch(/^evidence_/);
      }),
      { numRuns: 1_000 },
    );
  });
});
