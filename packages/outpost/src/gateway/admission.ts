/**
 * Decides about each arrival at a gateway: who shows the secret of a key that is open may come in, now, from there, so often, as long as policy
 * and people still say what they said. It makes nothing: `session-opener.ts` does. Why somebody is refused is told to who has proven the secret, and to nobody else.
 */
import type { Admission as Admitted, Arrival, Credential, GatewayHost } from "@cardea/connectors/gateway";
import { KeyId, newId, type ResourceId } from "@cardea/core/contract/ids";
import { grantOf } from "@cardea/core/documents/grant";
import { timeMs, toTime } from "@cardea/core/documents/primitives";
import { clockSkewMs } from "@cardea/core/evidence/verify";
import { whyOutdated } from "../leases/outdated.ts";
import type { ResourceHost } from "../resources/host.ts";
import type { OpenKey } from "../store/keys.ts";
import type { TrustState } from "../trust/trust-state.ts";
import { isWithin } from "./addresses.ts";
import { Foundations } from "./foundations.ts";
import { SessionOpener, type SessionOpenerOptions } from "./session-opener.ts";
import { proves } from "./verifier.ts";
import { refused } from "./words.ts";

export interface AdmissionOptions extends SessionOpenerOptions {
  readonly trust: TrustState;
  readonly hostOf: (resource: ResourceId) => ResourceHost | undefined;
}

type Refused = Extract<Admitted<never>, { is: "refused" }>;

const standInFact = "gateway-stand-in";

export class Admission implements GatewayHost<unknown> {
  readonly #options: AdmissionOptions;
  readonly #foundations: Foundations;
  readonly #opener: SessionOpener;
  readonly #standIn: Uint8Array;
  readonly #running = new Set<Promise<unknown>>();

  private constructor(options: AdmissionOptions, standIn: Uint8Array) {
    this.#options = options;
    this.#foundations = new Foundations(options.store);
    this.#opener = new SessionOpener(options);
    this.#standIn = standIn;
  }

  static async open(options: AdmissionOptions): Promise<Admission> {
    const { store, random } = options;
    const standIn = await store.write(() => {
      const known = store.facts.get(standInFact);
      // Written here alone.
      if (known !== undefined) return known as Uint8Array;
      const made = random.bytes(32);
      store.facts.putSync(standInFact, made);
      return made;
    });
    return new Admission(options, new Uint8Array(standIn));
  }

  async admit(arrival: Arrival, credential: Credential, signal: AbortSignal): Promise<Admitted<unknown>> {
    const key = this.#find(arrival.keyId);
    if (!(await proves(credential, key?.verifier, arrival.keyId, this.#standIn)) || key === undefined)
      return refused("unproven", "there is no such key, or it has another secret");
    const admitting = this.#admit(key, arrival, signal);
    this.#running.add(admitting);
    try {
      return await admitting;
    } finally {
      this.#running.delete(admitting);
    }
  }

  /** Waits for what is under way, the records of sessions that have ended included. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#running);
    await this.#opener.settle();
  }

  #find(keyId: string): OpenKey | undefined {
    const parsed = KeyId.safeParse(keyId);
    const key = parsed.success ? this.#options.store.keys.get(grantOf(parsed.data)) : undefined;
    return key?.state === "open" ? key : undefined;
  }

  async #admit(key: OpenKey, arrival: Arrival, signal: AbortSignal): Promise<Admitted<unknown>> {
    const { sessions, hostOf, clock, random, tuning } = this.#options;
    const not = this.#whyNot(key, arrival);
    if (not !== undefined) return not;
    const host = hostOf(key.resource);
    if (host?.behindGateway === undefined)
      return refused("unavailable", "the resource is not configured here any more");
    await host.lookedAt(AbortSignal.any([signal, AbortSignal.timeout(tuning.createMs)]));
    const notHere = this.#whyNotHere(key, host);
    if (notHere !== undefined) return notHere;
    const reached = await host.behindGateway.reach(arrival);
    if (!reached.ok) return refused("forbidden", reached.detail);

    const { id, grant } = key;
    const most = grant.limits.sessions;
    if (most !== undefined && sessions.count(id) >= most)
      return refused(
        "full",
        `${String(most)} ${most === 1 ? "session" : "sessions"} at once is what was granted: close one first`,
      );
    const { sessionsMax } = host.behindGateway.terms;
    if (sessionsMax !== undefined && sessions.count(host.id) >= sessionsMax)
      return refused(
        "full",
        `\`${host.name}\` has as many sessions as it takes (${String(sessionsMax)}): try again when one is closed`,
      );
    const place = sessions.take(id, host.id, newId("session", clock, random));
    try {
      const admitted = await this.#opener.open({ key, host, arrival, place, upstreamOf: reached.value }, signal);
      if (admitted.is === "refused") sessions.leave(place.id);
      return admitted;
    } catch (error) {
      sessions.leave(place.id);
      throw error;
    }
  }

  /** What speaks against this arrival by itself. */
  #whyNot({ id, grant, request, policy, spec, usesLeft }: OpenKey, arrival: Arrival): Refused | undefined {
    const { steady, trust } = this.#options;
    const nowMs = steady.deadlineMs();
    if (nowMs >= timeMs(grant.window.notAfter))
      return refused("forbidden", `the grant ended at ${grant.window.notAfter}: ask again with \`cardea request\``);
    if (nowMs + clockSkewMs < timeMs(grant.window.notBefore))
      return refused(
        "forbidden",
        `the grant begins at ${grant.window.notBefore}, and it is ${toTime(nowMs)}: come back then`,
      );
    const notNow = trust.whyNotNow();
    if (notNow !== undefined) return refused("unavailable", `no session is opened now: ${notNow.detail}`);
    const { sourceIps } = grant.limits;
    if (sourceIps !== undefined && !isWithin(sourceIps, arrival.source.address))
      return refused(
        "forbidden",
        `the key opens from ${sourceIps.join(", ")} only, and you come from ${arrival.source.address}`,
      );
    if (usesLeft === 0) return refused("forbidden", "the grant is used up: ask again with `cardea request`");
    const stands = trust.stands({ request, ...this.#foundations.of(policy, spec) });
    if (stands.ok) return undefined;
    if (stands.code === "state_stale") return refused("unavailable", `no session is opened now: ${stands.detail}`);
    this.#options.log.info({ grant: id, code: stands.code }, `no session: ${stands.detail}`);
    return refused("forbidden", `the grant no longer stands: ${stands.detail}`);
  }

  #whyNotHere({ grant, policy, spec }: OpenKey, host: ResourceHost): Refused | undefined {
    const not = host.whyNotIssuing();
    if (not !== undefined) return refused("unavailable", not.detail);
    const then = this.#foundations.of(policy, spec).spec;
    const outdated = "role" in grant.permissions ? whyOutdated(host, then, grant.permissions.role) : undefined;
    return outdated === undefined ? undefined : refused("forbidden", outdated.detail);
  }
}
