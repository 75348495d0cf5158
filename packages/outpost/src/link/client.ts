/**
 * The outpost's end of the link: dials, proves itself, and dials again whenever the link is gone. Everything that must not be lost is in the
 * spool, so a broken link costs nothing but time; leases are kept by the outpost's own clock meanwhile.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { CardeaError } from "@cardea/core/contract/errors";
import type { ResourceReport } from "@cardea/core/wire/link";
import type { Random } from "@cardea/core/lib/random";
import type { Keys, Membership } from "../identity.ts";
import { backoffMs } from "../jitter.ts";
import type { Tuning } from "../settings.ts";
import type { RecordingSpool } from "../recorder/spool.ts";
import type { Spool } from "../store/spool.ts";
import type { Store } from "../store/store.ts";
import { dial } from "./dial.ts";
import { prove } from "./handshake.ts";
import { LinkSession, type SessionWork } from "./session.ts";

export interface LinkOptions {
  readonly address: URL;
  readonly keys: Keys;
  readonly membership: Membership;
  readonly store: Store;
  readonly spool: Spool;
  readonly recordings: RecordingSpool;
  readonly work: SessionWork;
  readonly tuning: Tuning;
  readonly random: Random;
  readonly log: Logger;
}

export class LinkClient {
  readonly #options: LinkOptions;
  readonly #closing = new AbortController();
  readonly #unsubscribe: () => void;
  #session: LinkSession | undefined;
  #running: Promise<void> | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#unsubscribe = options.store.onCommit(() => {
      const added = options.spool.takeAdded();
      if (added === "nothing") return;
      if (added === "receipts") this.#session?.flushReceipts();
      if (added === "urgent") this.#session?.flushNow();
      else this.#session?.flush(options.tuning.eventDelayMs);
    });
  }

  /** Whether the link is up and both sides are proven. */
  get connected(): boolean {
    return this.#session !== undefined;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Tells of a resource, if anybody listens; a new link is told everything anyway. */
  report(report: ResourceReport): void {
    this.#session?.report(report);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#unsubscribe();
    this.#session?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const { tuning, random, log } = this.#options;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        const end = await this.#once(() => (failures = 0));
        if (end === "replaced") {
          log.error(
            "another process with this outpost's keys took the link over; was its data directory copied? only one of the two may run",
          );
          await sleep(tuning.replacedMs, undefined, { signal }).catch(() => undefined);
        } else log.info("the link is down");
      } catch (error) {
        const fault = error instanceof CardeaError ? error : undefined;
        const words = fault?.message ?? "the link failed";
        // The first time and then now and then: a control plane that is away for a night must not fill the disk.
        if (failures === 0 || failures % 60 === 0)
          log.warn({ code: fault?.code ?? "internal", ...(fault === undefined && { err: error }) }, words);
      }
      await sleep(backoffMs(tuning.redialMs, failures, random), undefined, { signal }).catch(() => undefined);
    }
  }

  /** One link, from dialling to its end. */
  async #once(onUp: () => void): Promise<"closed" | "replaced"> {
    const { address, keys, membership, random, log } = this.#options;
    const { signal } = this.#closing;
    const link = await dial(address, signal);
    try {
      await prove({ link, keys, random, signal }, membership);
      const session = new LinkSession(link, this.#options);
      this.#session = session;
      onUp();
      log.info({ control: address.host }, "the link is up");
      session.start();
      return await session.ended;
    } finally {
      this.#session = undefined;
      link.socket.terminate();
    }
  }
}
