/**
 * What outposts report of grants and leases, applied in the link's transaction. Reports come at least once and may come late: each is
 * applied as far as it is news, and none moves anything backwards. An outpost is heard on its own grants only.
 */
import type { AuditType } from "@cardea/core/contract/audit-types";
import { CardeaError, isErrorCode } from "@cardea/core/contract/errors";
import { GrantId, LeaseId, type OutpostId } from "@cardea/core/contract/ids";
import type { LinkEvent, TaskResult } from "@cardea/core/wire/link";
import { toTime, type Time } from "@cardea/core/documents/primitives";
import type { LeaseState } from "@cardea/core/lifecycle/states";
import { describeAction } from "@cardea/core/policy/describe";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { notify } from "../notify/notify.ts";
import { settleGrant } from "../requests/hold-tasks.ts";
import { changeGrant, maybeOneGrantLocked, type StoredGrant } from "../store/grants.ts";
import { changeLease, insertLiveLease, oneLeaseLocked } from "../store/leases.ts";
import { enqueueTask } from "../store/tasks.ts";
import { grantIds } from "./ids.ts";

type Issued = Extract<TaskResult, { type: "issued" }>;
type EndedResult = Extract<TaskResult, { type: "ended" }>;

/** The outpost made the key: a login with a lease, or one of a gateway, whose sessions have the leases. @throws CardeaError `link_message_invalid` for a grant of another outpost */
export async function grantIssued(tx: Tx, control: Control, outpost: OutpostId, result: Issued): Promise<void> {
  const grant = await ownGrant(tx, control, outpost, result.grant);
  const { lease, nativeName, at } = result;
  if (lease !== undefined) {
    const isNew = await insertLiveLease(tx, { id: lease, grant: grant.id, outpost: grant.outpost, nativeName, at });
    if (!isNew) await noteLease(tx, grant, lease, { state: "live", nativeName, at });
  }
  const shown = lease === undefined ? {} : { lease_id: lease };
  if (grant.state === "issuing") {
    await changeGrant(tx, grant.id, { ...shown, state: "active", sealed: result.sealed, issued_at: at });
  } else if (grant.state === "ending" && grant.issuedAt === undefined) {
    // Revoked while it was being made: the task to end it is under way already.
    await changeGrant(tx, grant.id, { ...shown, issued_at: at });
  } else {
    if (lease !== undefined && grant.lease === undefined) await changeGrant(tx, grant.id, shown);
    return;
  }
  await record(tx, control, {
    type: "grant.issued",
    ids: { ...grantIds(grant), ...(lease !== undefined && { lease }) },
    data: { grant: grant.signed.digest, nativeName },
    at,
  });
  control.wake.signal("grants", tx);
}

/** Nothing of the grant is left at the resource. @throws CardeaError `link_message_invalid` for a grant of another outpost */
export async function grantEnded(
  tx: Tx,
  control: Control,
  outpost: OutpostId,
  { grant: id, why, at }: EndedResult,
): Promise<void> {
  const grant = await ownGrant(tx, control, outpost, id);
  if (grant.state === "ended" || grant.state === "failed") return;
  if (grant.state === "scheduled") throw new CardeaError("link_message_invalid", `grant \`${id}\` has not begun`);
  // Why it first began to end stands.
  const reason = grant.state === "ending" && grant.why !== undefined ? grant.why : why;
  if (grant.state !== "ending") await changeGrant(tx, id, { state: "ending", why: reason, ending_at: at });
  await changeGrant(tx, id, { state: "ended", why: reason, sealed: null, ended_at: at });
  await record(tx, control, {
    type: "grant.ended",
    ids: grantIds(grant),
    data: { grant: grant.signed.digest, why: reason },
    at,
  });
  signalEnd(tx, control, grant);
}

/** The grant's one action was run. It is over, unless it was already; why it first began to end stands. The caller holds its lock. */
export async function grantSpent(tx: Tx, control: Control, grant: StoredGrant, at: Time): Promise<void> {
  const { id, state } = grant;
  if (state === "scheduled" || state === "ended" || state === "failed") return;
  const why = state === "ending" && grant.why !== undefined ? grant.why : "spent";
  // Each step of its way is one of the table, though nobody sees it in between.
  if (state === "issuing") await changeGrant(tx, id, { state: "active", issued_at: at });
  if (state !== "ending") await changeGrant(tx, id, { state: "ending", why, ending_at: at });
  await changeGrant(tx, id, { state: "ended", why, ended_at: at });
  await record(tx, control, {
    type: "grant.ended",
    ids: grantIds(grant),
    data: { grant: grant.signed.digest, why },
    at,
  });
  signalEnd(tx, control, grant);
}

/** Who waits for an action looks at its request. */
function signalEnd(tx: Tx, control: Control, { role }: StoredGrant): void {
  control.wake.signal("grants", tx);
  if (role === undefined) control.wake.signal("requests", tx);
}

/** The key was not made, or the action not run. With `retryable` the outpost goes on trying. @throws CardeaError `link_message_invalid` for a grant of another outpost */
export async function issueFailed(
  tx: Tx,
  control: Control,
  outpost: OutpostId,
  failure: { readonly grant: GrantId; readonly code: string; readonly detail: string; readonly retryable: boolean },
): Promise<void> {
  const grant = await ownGrant(tx, control, outpost, failure.grant);
  if (grant.state !== "issuing") return;
  if (failure.retryable) {
    await changeGrant(tx, grant.id, { detail: failure.detail });
    control.wake.signal("grants", tx);
    return;
  }
  const code = isErrorCode(failure.code) ? failure.code : "grant_failed";
  await changeGrant(tx, grant.id, {
    state: "failed",
    why: code,
    detail: failure.detail,
    ended_at: toTime(control.clock.now()),
  });
  await record(tx, control, {
    type: "grant.failed",
    ids: grantIds(grant),
    data: { grant: grant.signed.digest, code, detail: failure.detail },
  });
  // Whatever a half-made attempt left behind is to go too; of nothing, ending is nothing.
  await enqueueTask(tx, control, grant.outpost, { type: "end", grant: grant.id, why: "voided" });
  await notify(tx, control, {
    type: "grant.failed",
    to: grant.onBehalfOf === undefined ? [grant.requester] : [grant.requester, grant.onBehalfOf],
    request: grant.request,
    grant: grant.id,
    words: `${whatOf(grant)} on ${grant.resource} ${grant.role === undefined ? "was not done" : "could not be made"}: ${failure.detail}`,
    command: `cardea show ${grant.request}`,
  });
  await settleGrant(tx, control, grant, "refused", `it did not run: ${failure.detail}`);
  signalEnd(tx, control, grant);
}

function whatOf({ role, signed }: StoredGrant): string {
  const { permissions } = signed.document;
  return "action" in permissions ? describeAction(permissions.action) : `the key for ${role ?? permissions.role}`;
}

/** Something happened at the outpost. It is logged, once by its id, and where it tells of a lease or a grant that is noted too. */
export async function leaseEvent(tx: Tx, control: Control, outpost: OutpostId, event: LinkEvent): Promise<void> {
  const ids = { ...event.ids, outpost };
  await record(tx, control, { type: event.type, ids, data: event.data, at: event.at, eventId: event.id });
  const grantId = GrantId.safeParse(event.ids["grant"]);
  if (!grantId.success) return;
  const grant = await ownGrant(tx, control, outpost, grantId.data);
  const lease = LeaseId.safeParse(event.ids["lease"]);
  if (lease.success) await noteLeaseEvent(tx, grant, lease.data, event);
  control.wake.signal("grants", tx);
}

/** Where an event of a lease leaves it; `lease.misused` says something of it and moves it nowhere. */
const stateAfter: Partial<Record<AuditType, LeaseState>> = {
  "lease.intended": "intended",
  "lease.live": "live",
  "lease.ending": "ending",
  "lease.stuck": "ending",
  "lease.gone": "gone",
  "lease.misused": "intended",
};

async function noteLeaseEvent(
  tx: Tx,
  grant: StoredGrant,
  lease: LeaseId,
  { type, at, ids, data }: LinkEvent,
): Promise<void> {
  const state = stateAfter[type];
  if (state === undefined) return;
  const { nativeName, detail } = data;
  await noteLease(tx, grant, lease, {
    state,
    at,
    nativeName: typeof nativeName === "string" ? nativeName : undefined,
    detail: typeof detail === "string" ? detail : undefined,
    ofSession: ids["session"] !== undefined,
    ...(type === "lease.stuck" && { stuck: true }),
  });
}

interface LeaseNews {
  readonly state: LeaseState;
  readonly nativeName: string | undefined;
  readonly at: LinkEvent["at"];
  /** One of many of its grant: it is the one shown with it only where it is stuck. */
  readonly ofSession?: boolean;
  readonly stuck?: boolean;
  readonly detail?: string | undefined;
}

/** The one way forward through a lease's states; `ending` may be reached without having been live. */
const forward: readonly LeaseState[] = ["intended", "live", "ending", "gone"];

async function noteLease(tx: Tx, grant: StoredGrant, id: LeaseId, news: LeaseNews): Promise<void> {
  const lease = await oneLeaseLocked(tx, { id, grant: grant.id, outpost: grant.outpost, at: news.at });
  if (lease.grant !== grant.id) throw new CardeaError("link_message_invalid", `lease \`${id}\` is another grant's`);
  if (news.ofSession === true ? news.stuck === true : grant.lease === undefined)
    await changeGrant(tx, grant.id, { lease_id: id });
  const steps = forward
    .slice(forward.indexOf(lease.state) + 1, forward.indexOf(news.state) + 1)
    .filter((step) => step !== "live" || news.state === "live");
  for (const state of steps) await changeLease(tx, id, { state, changed_at: news.at });
  await changeLease(tx, id, {
    stuck: news.stuck ?? (steps.includes("gone") ? false : lease.stuck),
    ...(news.nativeName !== undefined && { native_name: news.nativeName }),
    ...(news.detail !== undefined && { detail: news.detail }),
    changed_at: news.at,
  });
}

/** @throws CardeaError `link_message_invalid` for a grant of another outpost */
export async function ownGrant(tx: Tx, control: Control, outpost: OutpostId, id: GrantId): Promise<StoredGrant> {
  const grant = await maybeOneGrantLocked(tx, control.keys, id);
  if (grant === undefined || grant.outpost !== outpost)
    throw new CardeaError("link_message_invalid", `grant \`${id}\` is not one of this outpost`);
  return grant;
}
