/**
 * Verifies a whole log from its tiles alone: the checkpoint's signature under a trust document, every entry and every tile against its root, and
 * that it only grew since a checkpoint seen earlier. Asks nobody; where tiles come from does not matter.
 */
import { CardeaError } from "@cardea/core/contract/errors";
import { AuditLeaf } from "@cardea/core/documents/audit-leaf";
import type { Trust } from "@cardea/core/documents/trust";
import { toBase64 } from "@cardea/core/lib/base64";
import type { Refused } from "@cardea/core/lib/result";
import { openCheckpoint, type Checkpoint, type LogIdentity } from "@cardea/core/log/checkpoint";
import { parseVerifierKey } from "@cardea/core/log/note";
import type { FetchTile } from "@cardea/core/log/tile-source";
import { verifyGrowth, verifyLog as verifyTiles } from "@cardea/core/log/verify";
import type { LogSource } from "./log-source.ts";

export interface VerifyLogOptions {
  /** A checkpoint that was verified before, as a note: the log must be a continuation of it. */
  readonly seen?: string;
  readonly signal?: AbortSignal;
  /** Hears how many entries are hashed, and of how many. */
  readonly onProgress?: (done: number, of: number) => void;
  /** Hears every tile that was read, in no order; a copy of the log is made from them. */
  readonly onTile?: (path: string, bytes: Uint8Array) => Promise<void>;
}

export interface VerifiedLog {
  readonly origin: string;
  readonly size: number;
  /** RFC 6962 root hash, base 64. */
  readonly root: string;
  /** The note itself, to be remembered. */
  readonly checkpoint: string;
  /** The size of `seen`, where it was given. */
  readonly grewFrom?: number;
  /** How many entries there are of each type; `unreadable` counts those that are no leaf of Cardea's. */
  readonly types: Readonly<Record<string, number>>;
}

/**
 * @throws CardeaError `evidence_trust` where the trust document's key cannot be read, `evidence_log` where the checkpoint is not the pinned
 * log's or the tiles do not add up to it, `log_rolled_back` where the log is shorter than seen, `log_inconsistent` where it is another;
 * what the source throws
 */
export async function verifyWholeLog(
  source: LogSource,
  trust: Trust,
  options: VerifyLogOptions = {},
): Promise<VerifiedLog> {
  const { signal, seen, onProgress } = options;
  const log = logIdentityOf(trust);
  const note = await source.checkpoint(signal);
  const head = opened(note, log, "its checkpoint");
  const fetch = heard(source.tile, options.onTile);
  if (seen !== undefined) await checkGrowth(fetch, opened(seen, log, "the checkpoint seen before"), head, signal);

  const types = new Map<string, number>();
  const verified = await verifyTiles(fetch, head, {
    ...(signal && { signal }),
    onEntries: (start, entries) => {
      for (const entry of entries) {
        const type = typeOf(entry);
        types.set(type, (types.get(type) ?? 0) + 1);
      }
      onProgress?.(start + entries.length, head.size);
    },
  });
  if (!verified.ok) throw refusal("evidence_log", "the log does not verify", verified);
  return {
    origin: head.origin,
    size: head.size,
    root: toBase64(head.root),
    checkpoint: note,
    ...(seen !== undefined && { grewFrom: opened(seen, log, "the checkpoint seen before").size }),
    types: Object.fromEntries([...types].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function logIdentityOf(trust: Trust): LogIdentity {
  const key = parseVerifierKey(trust.logKey);
  if (!key.ok) throw refusal("evidence_trust", "the trust document's log key", key);
  return { origin: trust.origin, key: key.value };
}

function opened(note: string, log: LogIdentity, what: string): Checkpoint {
  const checkpoint = openCheckpoint(note, log);
  if (!checkpoint.ok) throw refusal("evidence_log", `${what} is not the pinned log's`, checkpoint);
  return checkpoint.value;
}

async function checkGrowth(
  fetch: FetchTile,
  older: Checkpoint,
  newer: Checkpoint,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (newer.size < older.size) {
    throw new CardeaError(
      "log_rolled_back",
      `the log has ${newer.size} entries, and had ${older.size} when it was last verified: what was logged since is gone`,
    );
  }
  const grown = await verifyGrowth(fetch, older, newer, signal);
  if (!grown.ok) throw refusal("log_inconsistent", `the log is not the one that had ${older.size} entries`, grown);
}

/** Passes tiles on to who keeps them, before they are used. */
function heard(tile: FetchTile, onTile: VerifyLogOptions["onTile"]): FetchTile {
  if (onTile === undefined) return tile;
  return async (path, signal) => {
    const bytes = await tile(path, signal);
    if (bytes !== undefined) await onTile(path, bytes);
    return bytes;
  };
}

const decoder = new TextDecoder();

function typeOf(entry: Uint8Array): string {
  try {
    const leaf = AuditLeaf.safeParse(JSON.parse(decoder.decode(entry)));
    return leaf.success ? leaf.data.type : "unreadable";
  } catch {
    return "unreadable";
  }
}

function refusal(
  code: "evidence_log" | "evidence_trust" | "log_inconsistent",
  what: string,
  { code: why, detail }: Refused,
): CardeaError {
  return new CardeaError(code, `${what}: ${detail} (${why})`);
}
