/**
 * The control plane decides. This file names what every part of it works with: one database, one clock, the installation's keys,
 * its settings. `server` builds one `Control` per process and passes it as a plain argument. Nothing here holds state that
 * another process could contradict; whatever is remembered stands in the database or in the key directory.
 */
import type { Kysely, Transaction } from "kysely";
import type { Logger } from "pino";
import type { CredentialId, SubjectId, TokenId } from "@cardea/core/contract/ids";
import type { Permission } from "@cardea/core/wire/api/people";
import type { RosterEntry } from "@cardea/core/documents/roster";
import type { Trust } from "@cardea/core/documents/trust";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { Database } from "./store/database.ts";
import type { RecordingKey } from "./recordings/recording-key.ts";
import type { Wake } from "./store/wake.ts";

export interface Control {
  readonly db: Kysely<Database>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly keys: ControlKeys;
  readonly trust: Trust;
  readonly settings: ControlSettings;
  /** Hints within this process and, by NOTIFY, between processes. Never relied on: everything is also polled. */
  readonly wake: Wake;
}

export type Tx = Transaction<Database>;

/** Kept in 0600 files outside the database and shared by all control-plane processes. */
export interface ControlKeys {
  /** Signs requests, votes, grants, policy, rosters. */
  readonly signing: KeyPair;
  /** Signs checkpoints. */
  readonly log: KeyPair;
  /** 32 bytes from which resources' mark keys and the MACs over tokens are derived. */
  readonly installation: Uint8Array;
  /** Opens recordings of sessions. */
  readonly recording: RecordingKey;
}

export interface KeyPair {
  /** What signatures name as their credential: the first 16 hexadecimal digits of the key's SHA-256. */
  readonly id: string;
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
}

export interface ControlSettings {
  readonly version: string;
  readonly development: boolean;
  readonly publicUrl: string;
  /** Published log tiles and the newest signed head, outside the database: a rolled-back database is noticed by it. */
  readonly logDirectory: string;
  readonly recordings: {
    /** Shared by all processes, as the database is. */
    readonly directory: string;
    /** So long after a session began its recording is removed. */
    readonly keepMs: number;
  };
  readonly mail?: MailSettings;
}

export interface MailSettings {
  /** `smtp://user:password@host:port` or `smtps://…`. */
  readonly url: string;
  readonly from: string;
}

/** Who calls a use case, as verified at the entrance. */
export interface Actor {
  readonly subject: SubjectId;
  readonly name: string;
  /** The roster entry at the time of the call, proven against the signed head. */
  readonly entry: RosterEntry;
  /** What this sign-in or token may do; never more than the entry says. */
  readonly permissions: readonly Permission[];
  readonly presence:
    | { readonly method: "sign-in"; readonly credential: CredentialId }
    | { readonly method: "api-token"; readonly token: TokenId };
  readonly sourceIp: string;
}
