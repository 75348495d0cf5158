/**
 * Real conversations after signing in, each from idle to idle, as turns: what a client sends before it waits. They hold every message that a client
 * may send, and between them bring every answer that a server gives to one.
 */
import { fromClient, message } from "@cardea/connectors/postgres/gateway/messages";
import * as raw from "@cardea/connectors/postgres/gateway/fixture/raw-client";

export interface Turn {
  readonly bytes: Buffer;
  /** The turn is over when a message of this type has come so often. */
  readonly until: { readonly type: string; readonly times: number };
}

export interface Conversation {
  readonly name: string;
  readonly turns: readonly Turn[];
}

const ready = (times = 1): Turn["until"] => ({ type: "Z", times });
const turn = (...parts: readonly Buffer[]): Turn => ({ bytes: Buffer.concat(parts), until: ready() });
const describeStatement = (name: string): Buffer => message(fromClient.describe, Buffer.from("S"), name);
const closePortal = (name: string): Buffer => message(fromClient.close, Buffer.from("P"), name);
const copyFail = message(fromClient.copyFail, "enough");
const functionCall = message(0x46, 1_598, Buffer.from([0, 0, 0, 0, 0, 0]));
/** Formats: the first value binary. */
const bindBinary = message(
  fromClient.bind,
  "",
  "typed",
  Buffer.from([0, 1, 0, 1, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1, 0, 1, 0, 1]),
);
const parseTyped = message(
  fromClient.parse,
  "typed",
  "select id, note from things where id = $1",
  Buffer.from([0, 1]),
  23,
);

export const conversations: readonly Conversation[] = [
  { name: "a query", turns: [turn(raw.query("select id, note from things order by id"))] },
  { name: "several in one", turns: [turn(raw.query("select 1; select 2 where false; begin; commit"))] },
  { name: "nothing", turns: [turn(raw.query("")), turn(raw.query("  ;; ")), turn(raw.sync)] },
  { name: "an error", turns: [turn(raw.query("select 1 / (id - 1) from things")), turn(raw.query("selec"))] },
  { name: "a notice", turns: [turn(raw.query("rollback"))] },
  {
    name: "what is not covered",
    turns: [turn(raw.query("select * from secrets")), turn(raw.query("drop table things"))],
  },
  {
    name: "a transaction that fails",
    turns: [
      turn(raw.query("begin")),
      turn(raw.query("select 1 / 0")),
      turn(raw.query("select 2")),
      turn(raw.query("rollback")),
    ],
  },
  {
    name: "the extended protocol",
    turns: [
      turn(
        raw.parse("select id, note from things where id > $1 order by id", "s"),
        describeStatement("s"),
        raw.bind(["0"], "s", "c"),
        raw.describePortal("c"),
        raw.execute(1, "c"),
        raw.execute(0, "c"),
        closePortal("c"),
        raw.closeStatement("s"),
        raw.sync,
      ),
    ],
  },
  {
    name: "binary",
    turns: [turn(parseTyped, bindBinary, raw.describePortal(), raw.execute(), raw.closeStatement("typed"), raw.sync)],
  },
  {
    name: "a pipeline with an error",
    turns: [
      turn(
        raw.parse("select 1"),
        raw.bind(),
        raw.execute(),
        raw.parse("select 1 / 0"),
        raw.bind(),
        raw.execute(),
        raw.parse("select 3"),
        raw.bind(),
        raw.execute(),
        raw.sync,
      ),
    ],
  },
  {
    name: "a pipeline of several groups",
    turns: [
      {
        bytes: Buffer.concat([
          raw.parse("select 1"),
          raw.bind(),
          raw.execute(),
          raw.sync,
          raw.query("select 2"),
          raw.parse("select * from secrets"),
          raw.bind(),
          raw.execute(),
          raw.sync,
          raw.query("select 3"),
        ]),
        until: ready(4),
      },
    ],
  },
  {
    name: "flush",
    turns: [
      { bytes: Buffer.concat([raw.parse("select 1", "f"), raw.flush]), until: { type: "1", times: 1 } },
      turn(raw.bind([], "f"), raw.execute(), raw.closeStatement("f"), raw.sync),
    ],
  },
  {
    name: "what is missing",
    turns: [turn(raw.bind([], "nobody"), raw.sync), turn(raw.execute(0, "nobody"), raw.sync)],
  },
  {
    name: "copy out",
    turns: [turn(raw.query("copy things to stdout")), turn(raw.query("copy (select 1 from secrets) to stdout"))],
  },
  {
    name: "copy in",
    turns: [
      { bytes: raw.query("copy filled from stdin"), until: { type: "G", times: 1 } },
      turn(raw.copyData("1\tone\n2\t"), raw.copyData("two\n"), raw.flush, raw.sync, raw.copyDone),
    ],
  },
  {
    name: "copy in, extended, and given up",
    turns: [
      {
        bytes: Buffer.concat([raw.parse("copy filled from stdin"), raw.bind(), raw.execute(), raw.flush]),
        until: { type: "G", times: 1 },
      },
      turn(raw.copyData("1\tone\n"), copyFail, raw.sync),
    ],
  },
  { name: "a function call", turns: [turn(functionCall)] },
  {
    name: "prepared by sql",
    turns: [turn(raw.query("prepare q as select 7")), turn(raw.query("execute q")), turn(raw.query("deallocate q"))],
  },
  {
    name: "a cursor",
    turns: [
      turn(raw.query("begin; declare c cursor for select id from things order by id")),
      turn(raw.query("fetch 1 from c")),
      turn(raw.query("close c; commit")),
    ],
  },
  {
    name: "a setting",
    turns: [turn(raw.query("set application_name = 'other'")), turn(raw.query("reset application_name"))],
  },
];

/** Large enough that messages come in several pieces anyway; not split at every byte. */
export const large: readonly Conversation[] = [
  { name: "a large row", turns: [turn(raw.query("select repeat('x', 300000) from things"))] },
  {
    name: "a large value",
    turns: [turn(raw.parse("select length($1)"), raw.bind(["y".repeat(200_000)]), raw.execute(), raw.sync)],
  },
  { name: "a large statement", turns: [turn(raw.query(`select length('${"z".repeat(200_000)}')`))] },
  { name: "too large a statement", turns: [turn(raw.query(`select length('${"z".repeat(1_200_000)}')`))] },
];

export function bytesOf({ turns }: Conversation): Buffer {
  return Buffer.concat(turns.map(({ bytes }) => bytes));
}
