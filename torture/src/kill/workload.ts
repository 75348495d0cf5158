/**
 * What people and programs do while everything around them is killed: they ask, approve, fetch, connect, read, write, release, revoke, or simply let
 * their keys expire. Every call may fail at any time, and is not repeated; but what was acknowledged is noted, since it must be in the log for ever.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import type { AuditType } from "@cardea/core/contract/audit-types";
import type { CardeaClient } from "@cardea/sdk/client";
import { connectionOf, fileRequest, readWish, takeKey, writeWish, type KeyInHand } from "@cardea/testing/key-in-hand";
import type { SampleName, WholeStack } from "@cardea/testing/whole-stack";
import type { Dice } from "./dice.ts";

/** Something that the API answered with a success: an entry of this type about this id exists from then on. */
export interface Acknowledged {
  readonly type: AuditType;
  readonly id: string;
}

export interface Counts {
  requests: number;
  keys: number;
  queries: number;
  ended: number;
  failures: number;
}

export class Workload {
  readonly acknowledged: Acknowledged[] = [];
  readonly counts: Counts = { requests: 0, keys: 0, queries: 0, ended: 0, failures: 0 };
  /** Codes and messages of what failed, with how often: people are told these. */
  readonly failures = new Map<string, number>();
  readonly #people: () => WholeStack["as"];
  readonly #dice: Dice;
  readonly #stop = new AbortController();
  #as: WholeStack["as"];
  #running: Promise<unknown> = Promise.resolve();

  constructor(people: () => WholeStack["as"], dice: Dice) {
    this.#people = people;
    this.#dice = dice;
    this.#as = people();
  }

  start(workers: number): void {
    this.#running = Promise.all(Array.from({ length: workers }, (_, index) => this.#work(index)));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** One key from request to use, as proof that everything works again. @throws whatever does not work */
  async proveAlive(): Promise<void> {
    const alice = await this.#client("alice");
    const filed = await fileRequest(alice, readWish("20s"));
    this.#acknowledge("request.submitted", filed.view.id);
    const key = await takeKey(alice, filed, 5);
    this.#acknowledge("key.delivered", key.grant);
    await this.#use(key, 1);
  }

  async #work(worker: number): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await (worker % 3 === 2 ? this.#reviewed() : this.#allowed());
      } catch (error) {
        this.counts.failures += 1;
        const words = error instanceof Error && "code" in error ? String(error.code) : String(error);
        this.failures.set(words, (this.failures.get(words) ?? 0) + 1);
        await sleep(50 + this.#dice.below(150));
      }
    }
  }

  async #allowed(): Promise<void> {
    const name = this.#dice.below(2) === 0 ? "alice" : "carol";
    const client = await this.#client(name);
    const filed = await fileRequest(client, readWish(`${String(3 + this.#dice.below(12))}s`), randomUUID());
    this.counts.requests += 1;
    this.#acknowledge("request.submitted", filed.view.id);
    await this.#live(client, await takeKey(client, filed, 10));
  }

  async #reviewed(): Promise<void> {
    const alice = await this.#client("alice");
    const filed = await fileRequest(alice, writeWish(`${String(5 + this.#dice.below(15))}s`));
    this.counts.requests += 1;
    this.#acknowledge("request.submitted", filed.view.id);
    for (const name of ["bob", "sam"] as const) {
      const approver = await this.#client(name);
      const view = await approver.vote(filed.view.id, { verdict: "approve", digest: filed.view.digest });
      this.#acknowledge("request.voted", view.id);
    }
    await this.#live(alice, await takeKey(alice, filed, 10));
  }

  /** Uses a key and ends it in one of the ways there are. */
  async #live(client: CardeaClient, key: KeyInHand): Promise<void> {
    this.counts.keys += 1;
    this.#acknowledge("key.delivered", key.grant);
    await this.#use(key, 1 + this.#dice.below(4));
    const way = this.#dice.below(10);
    if (way < 5) await client.release(key.grant);
    else if (way < 7) await (await this.#client("ada")).revoke(key.grant, "torture");
    else return;
    this.counts.ended += 1;
    this.#acknowledge("grant.ending", key.grant);
  }

  async #use(key: KeyInHand, queries: number): Promise<void> {
    const client = new Client(connectionOf(key.key));
    client.on("error", () => undefined);
    try {
      await client.connect();
      for (let turn = 0; turn < queries; turn += 1) {
        await client.query("select count(*) from orders where id between $1 and $1 + 100", [
          1 + this.#dice.below(1_000),
        ]);
        this.counts.queries += 1;
        await sleep(this.#dice.below(40));
      }
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** Sign-ins outlive restarts; one that failed to be made is made again. */
  async #client(name: SampleName): Promise<CardeaClient> {
    try {
      return await this.#as(name);
    } catch (error) {
      this.#as = this.#people();
      throw error;
    }
  }

  #acknowledge(type: AuditType, id: string): void {
    this.acknowledged.push({ type, id });
  }
}
