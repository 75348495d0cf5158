/**
 * Makes keys: logins at the resource, and by `gateway/key-issuer.ts` keys of gateways. A grant is issued once, from evidence that `judge.ts` finds
 * good: the intent is durable before the login is made, and the secret leaves only sealed, after the login's record is durable. A crash anywhere leaves an intent, which is ended before anything is made for the same
 * grant again; so there are never two live leases of one grant, and what recovery does is what every failed attempt does.
 */
import type { Logger } from "pino";
import type { CreatedLogin } from "@cardea/connectors/connector";
import { hpkeInfo, type DeliveredKey } from "@cardea/core/wire/delivery";
import { CardeaError, type ErrorCode } from "@cardea/core/contract/errors";
import { newId, type GrantId, type TaskId } from "@cardea/core/contract/ids";
import type { Task } from "@cardea/core/wire/link";
import { newNativeName } from "@cardea/core/contract/native-name";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { toTime } from "@cardea/core/documents/primitives";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import { refused, ok, type Refused, type Result } from "@cardea/core/lib/result";
import type { ResourceHost } from "../resources/host.ts";
import { sealTo } from "../sealing.ts";
import type { Tuning } from "../settings.ts";
import { addLease, changeLease, type IntendedLease, type LiveLease } from "../store/leases.ts";
import { noteGrant } from "../store/grants.ts";
import type { Store } from "../store/store.ts";
import { pausePoint } from "../pause-points.ts";
import type { SteadyClock } from "../trust/steady-clock.ts";
import type { TrustState } from "../trust/trust-state.ts";
import { issueKey, type KeyIssuerOptions } from "../gateway/key-issuer.ts";
import type { Ender } from "./ender.ts";
import { tellLease, type Teller } from "./events.ts";
import type { InHand } from "./in-hand.ts";
import { failureOf, judgeShown, refusalOf, type Judged } from "./judge.ts";

export type IssueTask = Extract<Task, { type: "issue" }>;

export interface IssuerOptions {
  readonly store: Store;
  readonly teller: Teller;
  readonly trust: TrustState;
  readonly steady: SteadyClock;
  readonly ender: Ender;
  readonly inHand: InHand;
  /** Where keys of gateways lead. */
  readonly listeners: KeyIssuerOptions["listeners"];
  readonly hostOf: (resource: IntendedLease["resource"]) => ResourceHost | undefined;
  readonly tuning: Tuning;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** What is to be made, once the evidence was judged. */
interface Order extends Judged {
  readonly task: TaskId;
  readonly role: string;
  readonly deliverTo: string;
}

const encoder = new TextEncoder();
const notMade = "the key could not be made";

export class Issuer {
  readonly #options: IssuerOptions;
  /** Grants that are being issued; a task that is sent again meanwhile is answered by the receipt of the first. */
  readonly #busy = new Set<GrantId>();
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: IssuerOptions) {
    this.#options = options;
  }

  /** Takes the task; its receipt is spooled sooner or later. Returns at once. */
  issue(task: IssueTask): void {
    if (this.#busy.has(task.grant) || this.#closing.signal.aborted) return;
    this.#busy.add(task.grant);
    const run = this.#issue(task)
      .catch((error: unknown) => this.#options.log.error({ err: error, grant: task.grant }, "a key could not be made"))
      .finally(() => {
        this.#busy.delete(task.grant);
        this.#running.delete(run);
      });
    this.#running.add(run);
  }

  /** Stops; what was begun is finished by whoever starts next. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#running);
  }

  async #issue(task: IssueTask): Promise<void> {
    const ordered = await this.#judge(task);
    if (ordered === undefined) return;
    if (!ordered.ok) {
      await this.#fail(task.id, ordered);
      return;
    }
    await pausePoint("issue.verified");
    const { host, verified } = ordered.value;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(this.#options.tuning.createMs)]);
    try {
      if (verified.evidence.grant.via === "gateway") await issueKey(this.#options, ordered.value);
      else await host.issuing.run(signal, () => this.#make(ordered.value));
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      await this.#fail(task.id, refusalOf(error, notMade));
    }
  }

  /** `undefined` where the task needs no answer beyond one that is spooled already. */
  async #judge(task: IssueTask): Promise<Result<Order, ErrorCode> | undefined> {
    const used = await this.#checkUnused(task);
    if (used !== "unused") return used;
    const judged = await judgeShown(this.#options, task, this.#closing.signal);
    if (!judged.ok) return judged;
    const { grant, request } = judged.value.verified.evidence;
    const { deliverTo } = request.asked;
    if (!("role" in grant.permissions)) return refused("evidence_grant", "only roles can be issued as keys");
    if (deliverTo === undefined)
      return refused("delivery_key_required", "the request names no key to seal the secret to");
    return ok({ ...judged.value, task: task.id, deliverTo, role: grant.permissions.role });
  }

  async #checkUnused(task: IssueTask): Promise<"unused" | Refused<ErrorCode> | undefined> {
    const { store, teller, ender, tuning } = this.#options;
    const used = store.grants.get(task.grant);
    switch (used?.state) {
      case undefined:
        return "unused";
      case "over":
        return refused("evidence_replayed", "the grant is over");
      case "issued":
        if (used.task !== task.id) return refused("evidence_replayed", "the grant was issued before");
        await store.write(() => teller.spool.again(used.receipt));
        return undefined;
      case "issuing":
        // An attempt that failed or was cut off by a crash: what it may have made goes first.
        if (
          await ender.finished(
            used.lease,
            AbortSignal.any([this.#closing.signal, AbortSignal.timeout(tuning.createMs)]),
          )
        )
          return "unused";
        return refused("resource_busy", "what an earlier attempt for this grant left behind is still being removed");
    }
  }

  async #make(order: Order): Promise<void> {
    const { inHand, ender, tuning } = this.#options;
    const lease = await this.#intend(order);
    if (lease === undefined) {
      await this.#fail(order.task, refused("evidence_replayed", "the grant was used meanwhile"));
      return;
    }
    const wanted = inHand.take(lease.id);
    try {
      await pausePoint("lease.intended");
      const { host, role, verified, deadlineMs } = order;
      const { permissions, limits } = verified.evidence.grant;
      const patterns = "patterns" in permissions ? permissions.patterns : [];
      const signal = AbortSignal.any([this.#closing.signal, wanted]);
      const login = await host.call("making a login", tuning.createMs, signal, (provider, within) =>
        provider.create(
          {
            lease: lease.id,
            nativeName: lease.nativeName,
            notAfterMs: deadlineMs,
            role,
            patterns,
            ...(limits.sessions !== undefined && { sessions: limits.sessions }),
          },
          within,
        ),
      );
      await pausePoint("lease.created");
      await this.#deliver(order, lease, login);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      await this.#undo(order, lease, refusalOf(error, notMade));
    } finally {
      inHand.release(lease.id);
      ender.poke();
    }
  }

  /** The durable intent, and the grant's use, in one transaction: of two that try, one gets a lease. */
  async #intend({ host, verified, deadlineMs }: Order): Promise<IntendedLease | undefined> {
    const { store, teller, trust, clock, random } = this.#options;
    const lease: IntendedLease = {
      id: newId("lease", clock, random),
      grant: verified.evidence.grant.id,
      resource: host.id,
      nativeName: newNativeName(host.markKey, deadlineMs, random).name,
      deadlineMs,
      state: "intended",
    };
    return await store.write(() => {
      const used = store.grants.get(lease.grant);
      const unfinished = used?.state === "issuing" ? store.leases.get(used.lease) : undefined;
      if (used !== undefined && (used.state !== "issuing" || unfinished !== undefined)) return undefined;
      noteGrant(store, lease.grant, { state: "issuing", lease: lease.id, untilMs: deadlineMs });
      addLease(store, lease);
      trust.persist();
      tellLease(teller, "lease.intended", lease);
      return lease;
    });
  }

  async #deliver(order: Order, lease: IntendedLease, login: CreatedLogin): Promise<void> {
    const { store, teller, steady, clock } = this.#options;
    const { verified, deliverTo } = order;
    const { grant, spec } = verified.evidence;
    const key: DeliveredKey = {
      via: grant.via,
      kind: spec.kind,
      user: login.user,
      secret: login.secret,
      endpoint: login.endpoint,
      notAfter: grant.window.notAfter,
    };
    const sealed = await sealTo(deliverTo, hpkeInfo, verified.digests.grant, encoder.encode(canonicalJson(key))).catch(
      (error: unknown) => {
        throw new CardeaError("delivery_key_invalid", "the delivery key is not a point of P-256", { cause: error });
      },
    );
    await pausePoint("lease.sealed");
    const delivered = await store.write(() => {
      const current = store.leases.get(lease.id);
      // Ended meanwhile, by a task or because its time is up: the login goes, and the secret with it.
      if (current?.state !== "intended" || steady.deadlineMs() >= lease.deadlineMs) return false;
      const live: LiveLease = { ...current, state: "live", liveAtMs: clock.now() };
      changeLease(store, current, live);
      const receipt = teller.spool.receipt(order.task, {
        type: "issued",
        grant: grant.id,
        lease: lease.id,
        nativeName: lease.nativeName,
        sealed,
        at: toTime(clock.now()),
      });
      tellLease(teller, "lease.live", live);
      noteGrant(store, grant.id, {
        state: "issued",
        lease: lease.id,
        task: order.task,
        receipt,
        untilMs: lease.deadlineMs,
      });
      return true;
    });
    if (!delivered) throw new CardeaError("grant_ended", "the grant ended while its key was being made");
    await pausePoint("lease.live");
  }

  /** Ends what may have been made. Only the grant's use stands until that is done. */
  async #undo({ task }: Order, lease: IntendedLease, refusal: Refused<ErrorCode>): Promise<void> {
    const { store, teller, ender } = this.#options;
    await store.write(() => {
      ender.beginUnfinished(lease.id);
      teller.spool.failure(task, failureOf(refusal));
    });
  }

  async #fail(task: TaskId, refusal: Refused<ErrorCode>): Promise<void> {
    const { store, teller, log } = this.#options;
    log.info({ task, code: refusal.code }, `not issued: ${refusal.detail}`);
    await store.write(() => teller.spool.failure(task, failureOf(refusal)));
  }
}
