/**
 * Makes keys of gateways, once the evidence is judged as for any other: nothing is made at the resource, so one durable step is all. The secret
 * leaves sealed and is kept nowhere; what is kept is its verifier, and what each arrival is judged by.
 */
import { hpkeInfo, type DeliveredKey } from "@cardea/core/wire/delivery";
import { CardeaError } from "@cardea/core/contract/errors";
import { newGatewayKey } from "@cardea/core/contract/gateway-key";
import type { TaskId } from "@cardea/core/contract/ids";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { keyIdOf } from "@cardea/core/documents/grant";
import { timeMs, toTime } from "@cardea/core/documents/primitives";
import type { Verified } from "@cardea/core/evidence/verify";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import { pausePoint } from "../pause-points.ts";
import type { Teller } from "../leases/events.ts";
import type { ResourceHost } from "../resources/host.ts";
import { sealTo } from "../sealing.ts";
import { noteGrant } from "../store/grants.ts";
import { addKey, type OpenKey } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import type { TrustState } from "../trust/trust-state.ts";
import type { Listeners } from "./listener.ts";
import { newVerifier } from "./verifier.ts";

export interface KeyIssuerOptions {
  readonly store: Store;
  readonly teller: Teller;
  readonly trust: TrustState;
  readonly listeners: Pick<Listeners, "addressOf">;
  readonly clock: Clock;
  readonly random: Random;
}

export interface KeyOrder {
  readonly task: TaskId;
  readonly host: ResourceHost;
  readonly verified: Verified;
  readonly deliverTo: string;
}

const encoder = new TextEncoder();

/** @throws CardeaError `evidence_mismatch` without a gateway, `delivery_key_invalid`, `evidence_replayed`, `store_failed` */
export async function issueKey(
  options: KeyIssuerOptions,
  { task, host, verified, deliverTo }: KeyOrder,
): Promise<void> {
  const { store, teller, trust, listeners, clock, random } = options;
  const { grant, request, spec, policy } = verified.evidence;
  const address = listeners.addressOf(spec.kind);
  if (address === undefined || host.behindGateway === undefined)
    throw new CardeaError("evidence_mismatch", `there is no gateway for \`${spec.name}\` at this outpost`);

  const secret = newGatewayKey(random);
  const verifier = await newVerifier(secret, random);
  const delivered: DeliveredKey = {
    via: grant.via,
    kind: spec.kind,
    user: keyIdOf(grant.id),
    secret,
    endpoint: host.behindGateway.endpoint(address),
    notAfter: grant.window.notAfter,
  };
  const text = encoder.encode(canonicalJson(delivered));
  const sealed = await sealTo(deliverTo, hpkeInfo, verified.digests.grant, text).catch((error: unknown) => {
    throw new CardeaError("delivery_key_invalid", "the delivery key is not a point of P-256", { cause: error });
  });
  await pausePoint("lease.sealed");
  const deadlineMs = timeMs(grant.window.notAfter);
  const key: OpenKey = {
    id: grant.id,
    resource: host.id,
    deadlineMs,
    state: "open",
    grant,
    request,
    policy: verified.digests.policy,
    spec: verified.digests.spec,
    verifier,
    ...(grant.limits.uses !== undefined && { usesLeft: grant.limits.uses }),
  };
  await store.write(() => {
    if (store.grants.get(grant.id) !== undefined)
      throw new CardeaError("evidence_replayed", "the grant was used meanwhile");
    addKey(store, key, policy, spec);
    trust.persist();
    const at = toTime(clock.now());
    const receipt = teller.spool.receipt(task, { type: "issued", grant: grant.id, sealed, at });
    noteGrant(store, grant.id, { state: "issued", task, receipt, untilMs: deadlineMs });
  });
  await pausePoint("lease.live");
}
