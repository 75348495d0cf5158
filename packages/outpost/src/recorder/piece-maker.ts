/**
 * Makes the pieces of one session's recording: compressed on the thread pool, then encrypted under the session's keys, which exist nowhere but here and,
 * sealed, in the head. After a crash nobody at the outpost can read or continue what was written.
 */
import { promisify } from "node:util";
import { constants, deflateRaw } from "node:zlib";
import type { GrantId, ResourceId, SessionId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import { sealAes256Gcm } from "@cardea/core/lib/crypto";
import type { Random } from "@cardea/core/lib/random";
import {
  headBytes,
  recordingKeyName,
  sealContext,
  sealInfo,
  sectionContext,
  sectionForms,
  sectionNonce,
  strandKeyBytes,
  strands,
  strandsBytes,
  type Strand,
} from "@cardea/core/recording/piece";
import { sealTo } from "../sealing.ts";
import type { Batch } from "./event-writer.ts";

const deflate = promisify(deflateRaw);

/** Shorter strands are stored as they are: they would not become shorter, and a compressor takes 250 KiB while it works. */
const worthwhileBytes = 200;
const nothing = new Uint8Array(0);

/** Whose recording it is. */
export interface RecordedSession {
  readonly session: SessionId;
  readonly grant: GrantId;
  readonly resource: ResourceId;
  readonly atMs: number;
  readonly recordsOutput: boolean;
}

export class PieceMaker {
  /** Piece 0. */
  readonly head: Uint8Array;
  readonly #session: SessionId;
  readonly #keys: Readonly<Record<Strand, Uint8Array>>;

  private constructor(session: SessionId, keys: Readonly<Record<Strand, Uint8Array>>, head: Uint8Array) {
    this.#session = session;
    this.#keys = keys;
    this.head = head;
  }

  /** Makes the keys of a session and seals them to the recording key, an uncompressed P-256 point. Rejects for a key that is no point. */
  static async make(
    { session, grant, resource, atMs, recordsOutput }: RecordedSession,
    recordingKey: string,
    random: Random,
  ): Promise<PieceMaker> {
    const keys = { events: random.bytes(strandKeyBytes), values: random.bytes(strandKeyBytes) };
    const [events, values] = await Promise.all(
      strands.map((strand) => sealTo(recordingKey, sealInfo[strand], sealContext({ session, grant }), keys[strand])),
    );
    if (events === undefined || values === undefined) throw new TypeError("there are two strands");
    const head = headBytes({
      v: 1,
      session,
      grant,
      resource,
      at: toTime(atMs),
      output: recordsOutput,
      recordingKey: recordingKeyName(fromBase64Url(recordingKey)),
      keys: { events, values },
    });
    return new PieceMaker(session, keys, head);
  }

  /** The piece of this index. No index is used twice: a nonce follows from it. */
  async piece(index: number, batch: Batch): Promise<Uint8Array> {
    const [events, values] = await Promise.all(strands.map((strand) => this.#section(strand, index, batch[strand])));
    return strandsBytes(events ?? nothing, values ?? nothing);
  }

  async #section(strand: Strand, index: number, bytes: Buffer): Promise<Uint8Array> {
    if (bytes.length === 0) return nothing;
    const plaintext =
      bytes.length < worthwhileBytes
        ? Buffer.concat([Buffer.of(sectionForms.stored), bytes])
        : Buffer.concat([Buffer.of(sectionForms.deflated), await deflate(bytes, { level: constants.Z_BEST_SPEED })]);
    return sealAes256Gcm(
      this.#keys[strand],
      sectionNonce(strand, index),
      sectionContext(this.#session, strand, index),
      plaintext,
    );
  }
}
