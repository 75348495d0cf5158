/**
 * Who may cancel what. Clients get a process number and a key of ours; a CancelRequest comes on a connection of its own, has nothing but
 * these two, and is never answered, whether it fits or not.
 */
import type { Random } from "@cardea/core/lib/random";
import { equal } from "./scram.ts";
import { protocol } from "./startup-message.ts";

/** Bytes of a key: protocol 3.0 knows only four, 3.2 as many as 256. */
const keySize = { short: 4, long: 32 } as const;

export class CancelRegistry {
  readonly #random: Random;
  readonly #sessions = new Map<number, { readonly key: Buffer; readonly cancel: () => void }>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** Makes the key data of a session, in the size of its protocol version. The body of its BackendKeyData message. */
  add(version: number, cancel: () => void): { readonly process: number; readonly body: Buffer } {
    const key = Buffer.from(this.#random.bytes(version >= protocol.v3_2 ? keySize.long : keySize.short));
    let process: number;
    do process = Buffer.from(this.#random.bytes(4)).readUInt32BE(0) >>> 1;
    while (process === 0 || this.#sessions.has(process));
    this.#sessions.set(process, { key, cancel });
    const body = Buffer.alloc(4 + key.length);
    body.writeInt32BE(process, 0);
    body.set(key, 4);
    return { process, body };
  }

  remove(process: number): void {
    this.#sessions.delete(process);
  }

  /** Cancels where both fit. */
  request(process: number, key: Buffer): void {
    const session = this.#sessions.get(process);
    if (session !== undefined && equal(session.key, key)) session.cancel();
  }
}
