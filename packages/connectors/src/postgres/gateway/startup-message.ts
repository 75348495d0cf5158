/**
 * The first message of a session: who, which database, and options. Options change what later bytes mean, so only those of a list pass;
 * what the reading of statements rests on is pinned. Pure.
 */
import { textEnd, type Words } from "./messages.ts";

export const protocol = {
  v3_0: 3 << 16,
  v3_2: (3 << 16) | 2,
  cancelRequest: 80_877_102,
  sslRequest: 80_877_103,
  gssEncRequest: 80_877_104,
} as const;

/** As PostgreSQL itself allows. */
export const longestStartupMessage = 10_000;

export interface Startup {
  readonly user: string;
  readonly database: string;
  readonly application?: string;
  /** What both sides speak: the lower of the client's version and ours. */
  readonly version: number;
  /** Whether the client has to be told of the version or of options of the protocol that we do not know. */
  readonly negotiate: boolean;
  readonly unknownOptions: readonly string[];
  /** Settings for the session at the resource, by their lower-case name; the pinned ones included. */
  readonly settings: ReadonlyMap<string, string>;
}

/** Settings that change nothing but how values look, how long the session waits, or what it is called. */
const allowed = new Set([
  "application_name",
  "bytea_output",
  "client_connection_check_interval",
  "client_min_messages",
  "datestyle",
  "default_transaction_deferrable",
  "default_transaction_isolation",
  "default_transaction_read_only",
  "extra_float_digits",
  "geqo",
  "idle_in_transaction_session_timeout",
  "idle_session_timeout",
  "intervalstyle",
  "jit",
  "lock_timeout",
  "plan_cache_mode",
  "statement_timeout",
  "timezone",
  "transaction_timeout",
  "work_mem",
  "xmlbinary",
  "xmloption",
]);

/** Text means the same here, at the parser and at the resource. */
export const pinnedSettings: Readonly<Record<string, string>> = {
  client_encoding: "UTF8",
  standard_conforming_strings: "on",
};

/** Reads the body after the version number. @returns the refusal's words where it may not go on */
export function readStartup(code: number, body: Buffer): Startup | Words {
  if (code >> 16 !== 3)
    return {
      code: "0A000",
      message: `protocol version ${code >> 16}.${code & 0xffff} is not spoken here: use 3.0 or 3.2`,
    };
  const options = readPairs(body);
  if (options === undefined) return { code: "08P01", message: "the start-up message is malformed" };
  const settings = new Map(Object.entries(pinnedSettings));
  const unknownOptions: string[] = [];
  for (const [name, value] of options) {
    if (name === "user" || name === "database") continue;
    if (name.startsWith("_pq_.")) {
      unknownOptions.push(name);
    } else if (name === "replication") {
      if (!["false", "off", "no", "0"].includes(value.toLowerCase()))
        return refuse("replication", "replication is not carried");
    } else if (name === "options") {
      const list = readOptions(value);
      if (list === undefined) return refuse("options", "only `-c name=value` and `--name=value` are understood");
      for (const [setting, wanted] of list) {
        const refusal = set(settings, setting, wanted);
        if (refusal !== undefined) return refusal;
      }
    } else {
      const refusal = set(settings, name, value);
      if (refusal !== undefined) return refusal;
    }
  }
  const user = options.get("user") ?? "";
  if (user === "") return { code: "28000", message: "no user was named: the user is the key's id (`key_…`)" };
  const database = options.get("database") ?? "";
  const application = settings.get("application_name");
  return {
    user,
    database: database === "" ? user : database,
    ...(application === undefined ? {} : { application }),
    version: Math.min(code, protocol.v3_2) === protocol.v3_2 ? protocol.v3_2 : protocol.v3_0,
    negotiate: code > protocol.v3_2 || code === protocol.v3_0 + 1 || unknownOptions.length > 0,
    unknownOptions,
    settings,
  };
}

function set(settings: Map<string, string>, written: string, value: string): Words | undefined {
  const name = written.toLowerCase();
  if (name === "client_encoding") {
    // `SQL_ASCII` means "whatever bytes come"; as UTF-8 they are at least checked. What is told back is the truth.
    const plain = value.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
    return ["utf8", "unicode", "sqlascii", ""].includes(plain)
      ? undefined
      : refuse(name, "statements are read as UTF-8: set the client's encoding to `UTF8`");
  }
  if (name === "standard_conforming_strings") {
    return ["on", "true", "yes", "1"].includes(value.toLowerCase())
      ? undefined
      : refuse(name, "it stays on, because it changes what a statement says");
  }
  if (!allowed.has(name)) return refuse(written, "set it in the session, where it is judged, or leave it out");
  settings.set(name, value);
  return undefined;
}

function refuse(option: string, why: string): Words {
  return { code: "0A000", message: `start-up option \`${option.slice(0, 64)}\` is not allowed here`, hint: why };
}

function readPairs(body: Buffer): Map<string, string> | undefined {
  const pairs = new Map<string, string>();
  for (let at = 0; ;) {
    const nameEnd = textEnd(body, at, body.length);
    if (nameEnd < 0) return undefined;
    if (nameEnd === at) return at === body.length - 1 ? pairs : undefined;
    const valueEnd = textEnd(body, nameEnd + 1, body.length);
    if (valueEnd < 0) return undefined;
    pairs.set(body.toString("utf8", at, nameEnd), body.toString("utf8", nameEnd + 1, valueEnd));
    at = valueEnd + 1;
  }
}

/** Splits as the server does: at white space, a backslash takes the next character as it is. */
function readOptions(text: string): [string, string][] | undefined {
  const words = Array.from(text.matchAll(/(?:\\.|[^\s\\])+/gs), ([word]) => word.replaceAll(/\\(.)/gs, "$1"));
  const list: [string, string][] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    let assignment: string | undefined;
    if (word === "-c") assignment = words[++i];
    else if (word.startsWith("-c")) assignment = word.slice(2);
    else if (word.startsWith("--")) assignment = word.slice(2);
    const equals = assignment?.indexOf("=") ?? -1;
    if (assignment === undefined || equals < 1) return undefined;
    list.push([assignment.slice(0, equals).replaceAll("-", "_"), assignment.slice(equals + 1)]);
  }
  return list;
}
