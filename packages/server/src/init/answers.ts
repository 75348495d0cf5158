import { parseArgs } from "node:util";
import { CardeaError } from "@cardea/core/contract/errors";
import { Name } from "@cardea/core/documents/primitives";

/** How to reach somebody's own PostgreSQL. */
export interface ConnectAnswers {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly databases: readonly string[];
  readonly user: string;
  /** Absolute path of a 0600 file; the password itself never stands in a configuration. */
  readonly passwordFile: string | undefined;
  readonly tls: "disable" | "require" | "verify-ca" | "verify-full";
}

/** What the flags already say; the rest is asked, or refused with `--yes`. */
export interface Flags {
  readonly directory: string;
  readonly yes: boolean;
  readonly name?: string;
  readonly host?: string;
  readonly port?: string;
  readonly database?: string;
  readonly user?: string;
  readonly passwordFile?: string;
  readonly tls?: string;
  readonly read?: string;
  readonly write?: string;
}

/** @throws CardeaError `usage` */
export function readFlags(args: readonly string[]): Flags {
  try {
    const text = { type: "string" } as const;
    const { values } = parseArgs({
      args: [...args],
      options: {
        directory: text,
        name: text,
        host: text,
        port: text,
        database: text,
        user: text,
        "password-file": text,
        tls: text,
        read: text,
        write: text,
        yes: { type: "boolean" },
      },
    });
    const { directory = ".", yes = false, "password-file": passwordFile, ...rest } = values;
    return { ...rest, directory, yes, ...(passwordFile !== undefined && { passwordFile }) };
  } catch (cause) {
    throw new CardeaError(
      "usage",
      `${cause instanceof Error ? cause.message : "unknown option"}; there are --name --host --port --database --user --password-file --tls --read --write --directory --yes`,
      { cause },
    );
  }
}

/** Each check answers what is wrong with the text, or nothing. */
export const checks = {
  name: (text: string) =>
    Name.safeParse(text).success ? undefined : "a name has lower-case letters, digits, `.`, `_` and `-`",
  host: (text: string) =>
    /^[^\s/]+$|^\//.test(text) ? undefined : "a host name, an address, or the folder of a Unix socket",
  port: (text: string) =>
    /^[1-9][0-9]{0,4}$/.test(text) && Number(text) < 65_536 ? undefined : "a port is a number from 1 to 65535",
  database: (text: string) => (text.trim() === "" ? "name at least one database" : undefined),
  user: (text: string) => (text === "" ? "the login that Cardea works as" : undefined),
  tls: (text: string) => (isTlsMode(text) ? undefined : "one of disable, require, verify-ca, verify-full"),
} as const;

export function isTlsMode(text: string): text is ConnectAnswers["tls"] {
  return ["disable", "require", "verify-ca", "verify-full"].includes(text);
}
