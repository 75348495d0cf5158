import { describe, expect, test } from "vitest";
import type { Judgement } from "@cardea/core/documents/grant";
import type { Pattern } from "@cardea/core/documents/pattern";
import { judgeStatement } from "./judge.ts";
import type { Statement } from "./statement.ts";

const on = (name: string, table?: string): Pattern => ({
  name,
  facets: {
    databases: { matcher: "set", values: ["shop"] },
    ...(table === undefined ? {} : { tables: { matcher: "names", values: [table] } }),
  },
});

const statement = (atoms: readonly Pattern[], aspects: readonly Pattern[] = []): Statement => ({
  kind: "select",
  start: 0,
  end: 1,
  atoms,
  aspects,
  anyColumn: new Map(),
  touches: [],
  functions: [],
  binds: { relations: [], functions: [], types: [] },
  effects: [],
  hold: { is: "may" },
  transaction: "may",
  ddl: false,
  beyondOwn: new Map(),
  mayMove: false,
  looksUp: true,
  parameters: 0,
  notes: [],
});

const nothing: Judgement = { denied: [], hold: [], covered: [], askable: [] };
const reads: Judgement = { ...nothing, covered: [on("sql.select", "public.*")] };
const copied = statement([on("sql.select", "public.orders")], [on("sql.copy.out", "public.orders")]);

describe("a statement under a grant's judgement", () => {
  test("what every session may do is covered under any, and never held", () => {
    expect(judgeStatement(nothing, statement([on("sql.session")]))).toEqual({ is: "covered" });
    expect(judgeStatement({ ...nothing, hold: [{ name: "sql.*" }] }, statement([on("sql.session")]))).toEqual({
      is: "covered",
    });
  });

  test("every other atom must be covered", () => {
    const both = statement([on("sql.select", "public.orders"), on("sql.delete", "public.orders")]);
    expect(judgeStatement(reads, statement([on("sql.select", "public.orders")]))).toEqual({ is: "covered" });
    expect(judgeStatement(reads, both)).toEqual({ is: "denied" });
    expect(judgeStatement({ ...reads, askable: [on("sql.delete", "public.orders")] }, both)).toEqual({ is: "askable" });
  });

  test("a grant that reads also copies out, without naming it", () => {
    expect(judgeStatement(reads, copied)).toEqual({ is: "covered" });
  });

  test("a rule may deny or hold it by its other name", () => {
    const denied = [{ pattern: on("sql.copy.out"), message: "no bulk copies" }];
    expect(judgeStatement({ ...reads, denied }, copied)).toEqual({ is: "denied", message: "no bulk copies" });
    expect(judgeStatement({ ...reads, hold: [on("sql.copy.out")] }, copied)).toEqual({ is: "held" });
  });

  test("counting rows needs one covered column, whichever, as at the server", () => {
    const atom = on("sql.select", "public.orders");
    const counts: Statement = { ...statement([atom]), anyColumn: new Map([[atom, ["secret", "id"]]]) };
    const id: Pattern = { ...atom, facets: { ...atom.facets, columns: { matcher: "set", values: ["id"] } } };
    const secret: Pattern = { ...atom, facets: { ...atom.facets, columns: { matcher: "set", values: ["secret"] } } };
    const some: Judgement = { ...nothing, covered: [id], denied: [{ pattern: secret, message: "no" }] };
    expect(judgeStatement(some, counts)).toEqual({ is: "covered" });
    expect(judgeStatement(some, statement([atom]))).toEqual({ is: "denied", message: "no" });
    expect(judgeStatement({ ...some, covered: [] }, counts)).toEqual({ is: "denied", message: "no" });
  });

  test("a denial is not softened by what could be asked for", () => {
    const denied = [{ pattern: on("sql.copy.out"), message: "no" }];
    const askable = [on("sql.select", "public.orders")];
    expect(judgeStatement({ ...nothing, denied, askable }, copied)).toEqual({ is: "denied", message: "no" });
  });
});
