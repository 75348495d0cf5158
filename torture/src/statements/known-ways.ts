/**
 * The numbered list: each known way round through a real gateway, by a key that may read one table, and refused with its exact SQLSTATE. First
 * statements alone, then ways that only the protocol offers.
 */
import { fromClient, message } from "@cardea/connectors/postgres/gateway/messages";
import { waysRound } from "@cardea/connectors/postgres/fixture/known-ways-round";
import * as raw from "@cardea/connectors/postgres/gateway/fixture/raw-client";
import type { Field } from "./field.ts";
import { placed } from "./generate.ts";
import { scopes } from "./ground.ts";
import { Speaker, type Answer, type Part } from "./speaker.ts";

export interface Way {
  readonly tries: string;
  /** What must come of it: codes of the gateway's refusals, in order. */
  readonly meets: string;
  /** Tries it in a session of its own grant. */
  run(speaker: Speaker, field: Field): Promise<string>;
}

export interface NumberedWay {
  readonly number: number;
  readonly way: Way;
}

export interface Tried extends NumberedWay {
  readonly came: string;
  readonly refused: boolean;
}

export function numberedWays(): readonly NumberedWay[] {
  return [...statements, ...byProtocol].map((way, index) => ({ number: index + 1, way }));
}

/**
 * Refusals that are not for want of a permission (42501): `0A000` for what no permission could allow here, `42P01` and `26000` for names that mean
 * nothing before the statement's first part has run.
 */
const otherCodes: readonly (readonly [string, RegExp])[] = [
  ["0A000", /^(?:begin; )?set (?:session |local )?(?:role |session.authorization|session_authorization)/],
  ["0A000", /set_config\(/],
  ["0A000", /^set (?:standard_conforming_strings|client_encoding|names|session_replication_role|backslash_quote)/],
  ["0A000", /^set (?:session_preload_libraries|local_preload_libraries)/],
  ["0A000", /^copy orders (?:\(id\) )?(?:to|from) (?:program |')/],
  ["0A000", /^do |; do /],
  ["0A000", /^(?:prepare transaction|commit prepared|rollback prepared)/],
  ["0A000", /^alter (?:role|user) (?:current_user|all)/],
  ["0A000", /pg_toast|^create unlogged table public.planted as execute/],
  ["42P01", /^set search_path|^select set_config\('search_path', 'private', false\);|^reset all;/],
  ["26000", /^(?:explain analyze )?execute (?:unknown_statement|x\()/],
  ["42601", /cursor for delete/],
];

const statements: readonly Way[] = waysRound.map((text) => ({
  tries: text,
  meets: otherCodes.findLast(([, form]) => form.test(text))?.[0] ?? "42501",
  run: async (speaker, field) => {
    const place = { file: field.canaries.file, folder: field.folder, typeOids: [] };
    return outcome(await speaker.say({ kind: "simple", text: placed(text, place) }));
  },
}));

/** The gateway's codes; whatever else there was speaks against it. */
function outcome({ refusals, end }: Answer): string {
  if (refusals.length === 0) return end === "ready" ? "accepted" : end;
  return refusals.map(({ code, by }) => (by === "gateway" ? code : `${code} by the resource`)).join(" ");
}

const secrets = "select * from private.secrets";
const parse = (text: string, name = "", types: readonly number[] = []): Part => ({ is: "parse", text, name, types });
const bind = (name = "", portal = "", values: readonly string[] = []): Part => ({ is: "bind", name, portal, values });
const execute = (portal = "", rows = 0): Part => ({ is: "execute", portal, rows });

/** Units one after the other; what the last one met. */
function units(tries: string, meets: string, ...steps: readonly (string | readonly Part[])[]): Way {
  return {
    tries,
    meets,
    run: async (speaker) => {
      let came = "nothing";
      for (const step of steps)
        came = outcome(
          await speaker.say(
            typeof step === "string" ? { kind: "simple", text: step } : { kind: "extended", parts: step },
          ),
        );
      return came;
    },
  };
}

/** Starting a session in a way that must not be possible; the code of the refusal. */
function arrival(tries: string, meets: string, options: (field: Field) => Readonly<Record<string, string>>): Way {
  return {
    tries,
    meets,
    run: async (speaker, field) => {
      try {
        const other = await Speaker.open({ ...speaker.options, options: options(field) });
        other.close();
        return "accepted";
      } catch (error) {
        return error instanceof Error && "code" in error ? String(error.code) : String(error);
      }
    },
  };
}

const byProtocol: readonly Way[] = [
  units("Parse of what is not covered", "42501", [parse(secrets), bind(), execute()]),
  units("Parse under a name, and Bind of it after the refusal", "26000", [parse(secrets, "s")], [bind("s"), execute()]),
  units(
    "a name parsed as covered, and parsed again as something else",
    "42501",
    [parse("select 1", "s")],
    [{ is: "close", what: "S", name: "s" }, parse(secrets, "s"), bind("s"), execute()],
  ),
  units("the refused one amid a pipeline", "42501", [
    parse("select 1"),
    bind(),
    execute(),
    parse(secrets),
    bind(),
    execute(),
  ]),
  units(
    "Describe of what was refused",
    "26000 by the resource",
    [parse(secrets, "s")],
    [{ is: "describe", what: "S", name: "s" }],
  ),
  units(
    "a prepared name that another search path gives another table",
    "42501",
    [parse("select * from orders", "s")],
    "set search_path = private",
    [bind("s"), execute()],
  ),
  units("the same, within one pipeline", "42501", [
    parse("select * from orders", "s"),
    parse("set search_path = private"),
    bind(),
    execute(),
    bind("s"),
    execute(),
  ]),
  units("the same by SQL", "42501", "prepare s as select * from orders", "set search_path = private", "execute s"),
  units(
    "the same in a transaction, and local",
    "42501",
    [parse("select * from orders", "s")],
    "begin; set local search_path = private",
    [bind("s"), execute()],
  ),
  units(
    "a search path by set_config, then the bare name",
    "42501",
    "select set_config('search_path', 'private', false)",
    secrets.replace("private.", ""),
  ),
  units("a second statement behind a covered one, extended", "42501", [
    parse("select 1; delete from orders"),
    bind(),
    execute(),
  ]),
  units(
    "a portal opened before the refusal",
    "34000",
    [parse("select 1"), bind("", "c"), parse(secrets)],
    [execute("c")],
  ),
  units("a cursor named as a portal", "42501", `begin; declare c cursor for ${secrets}`),
  units("an EXECUTE of what the protocol prepared", "26000", [parse(secrets, "s")], "execute s"),
  units(
    "EXPLAIN ANALYZE of a prepared change",
    "42501",
    [parse("delete from orders", "s")],
    "explain analyze delete from orders",
  ),
  {
    tries: "a parameter of a type whose check runs a function",
    meets: "42501",
    run: async (speaker, field) => {
      const [row] = await field.su("select 'public.checked'::regtype::oid::int as oid");
      const parts = [parse("select $1", "", [Number(row?.["oid"])]), bind("", "", ["x"]), execute()];
      return outcome(await speaker.say({ kind: "extended", parts }));
    },
  },
  {
    tries: "the function call message",
    meets: "0A000",
    run: async (speaker, field) => {
      const [row] = await field.su("select 'public.helper_definer'::regproc::oid::int as oid");
      return outcome(await speaker.send(message(0x46, Number(row?.["oid"]), Buffer.alloc(6))));
    },
  },
  {
    tries: "a statement hidden behind a zero byte",
    meets: "08P01",
    run: async (speaker) => outcome(await speaker.send(raw.query(`select 1\0; ${secrets}`))),
  },
  {
    tries: "the same by the extended protocol, where a judgement is waited for",
    meets: "08P01",
    run: async (speaker) =>
      outcome(
        await speaker.send(
          Buffer.concat([
            raw.parse("select id, note, 4711 from orders"),
            raw.parse(`select 1\0; ${secrets}`),
            raw.bind(),
            raw.execute(),
            raw.sync,
          ]),
        ),
      ),
  },
  {
    tries: "bytes that are no UTF-8",
    meets: "22021",
    run: async (speaker) =>
      outcome(
        await speaker.send(message(fromClient.query, Buffer.from("select 'x\xbf' || '", "latin1"), Buffer.from([0]))),
      ),
  },
  arrival("a start-up option that moves the search path", "0A000", () => ({ options: "-c search_path=private" })),
  arrival("the same as a parameter", "0A000", () => ({ search_path: "private" })),
  arrival("a start-up option with a backslash", "0A000", () => ({ options: "-c role\\=postgres" })),
  arrival("a start-up role", "0A000", () => ({ role: "postgres" })),
  arrival("replication", "0A000", () => ({ replication: "database" })),
  arrival("libraries at the start", "0A000", () => ({ session_preload_libraries: "auto_explain" })),
  arrival("another encoding at the start", "0A000", () => ({ client_encoding: "SJIS" })),
  arrival("strings read otherwise from the start", "0A000", () => ({ standard_conforming_strings: "off" })),
];

/** What a session must be after each attempt as it was before. */
const bearings =
  "select concat_ws(' ', current_user, session_user, current_setting('session_replication_role'), current_setting('standard_conforming_strings'), current_setting('client_encoding'))";

export async function tryWays(
  field: Field,
  ways: readonly NumberedWay[],
  signal: AbortSignal,
  told: (tried: Tried) => void,
): Promise<readonly Tried[]> {
  const [scope] = scopes;
  const tried: Tried[] = [];
  let speaker = await field.wide(scope);
  const bear = async (): Promise<string | undefined> => (await speaker.say({ kind: "simple", text: bearings })).rows[0];
  let bearing = await bear();
  let before = await field.state(scope);
  for (const one of ways) {
    if (signal.aborted) break;
    let came = await one.way.run(speaker, field);
    // What was covered of it is undone.
    await speaker.say({ kind: "simple", text: "rollback" });
    const discarded = await speaker.say({ kind: "simple", text: "discard all" });
    const alive = discarded.end === "ready" && discarded.refusals.length === 0;
    if (alive && (await bear()) !== bearing) came += ", and the session is another";
    const state = await field.state(scope);
    if (state !== before) came += ", and it changed something";
    before = state;
    const result = { ...one, came, refused: came === one.way.meets };
    tried.push(result);
    told(result);
    if (alive && (await bear()) !== undefined) continue;
    speaker.close();
    speaker = await field.wide(scope);
    bearing = await bear();
    before = await field.state(scope);
  }
  speaker.close();
  return tried;
}
