import type { z } from "zod";
import type { Page, PageQuery } from "@cardea/core/wire/api/conventions";
import type { ResourceView } from "@cardea/core/wire/api/operations";
import { CardeaError } from "@cardea/core/contract/errors";
import { toTime } from "@cardea/core/documents/primitives";
import type { Policy } from "@cardea/core/documents/policy";
import type { Actor, Control } from "../control.ts";
import { policyInForce } from "../policy/current.ts";
import { manyOutposts, maybeOneOutpost, type StoredOutpost } from "../store/outposts.ts";
import { manyResources, maybeOneResource, publicPrivilegesByDigest, type StoredResource } from "../store/resources.ts";
import { isConnected } from "./connected.ts";
import { roleOffers } from "./offers.ts";

const maxOutposts = 1_000;

/** `GET /v1/resources`: everything that is registered, by name, with what the caller could ask for there. */
export async function listResources(
  control: Control,
  actor: Actor,
  query: z.output<typeof PageQuery>,
): Promise<Page<ResourceView>> {
  const [found, outposts, policy] = await Promise.all([
    manyResources(control.db, query.cursor, query.limit + 1),
    manyOutposts(control.db, control.keys, undefined, maxOutposts),
    policyInForce(control),
  ]);
  const shown = found.slice(0, query.limit);
  const byId = new Map(outposts.map((outpost) => [outpost.enrolment.id, outpost]));
  const next = found.length > shown.length ? shown.at(-1)?.name : undefined;
  const items = shown.map((resource) =>
    view(control, actor, resource, byId.get(resource.outpost), policy?.signed.document),
  );
  return { items, ...(next !== undefined && { next }) };
}

/** `GET /v1/resources/{name}`. @throws CardeaError `resource_unknown` */
export async function showResource(control: Control, actor: Actor, name: string): Promise<ResourceView> {
  const resource = await maybeOneResource(control.db, { name });
  if (resource === undefined)
    throw new CardeaError("resource_unknown", `there is no resource \`${name}\`; \`cardea resources\` lists them`);
  const [outpost, policy] = await Promise.all([
    maybeOneOutpost(control.db, control.keys, { id: resource.outpost }),
    policyInForce(control),
  ]);
  const shown = view(control, actor, resource, outpost, policy?.signed.document);
  // Names of tables and functions are for those who could see them there themselves, and for those who operate this.
  const mayKnow = operates(actor) || shown.offers.some(({ effect }) => effect !== "deny");
  if (resource.spec === undefined || !mayKnow) return shown;
  const publicPrivileges = await publicPrivilegesByDigest(control.db, resource.spec.document.publicPrivileges);
  return { ...shown, ...(publicPrivileges !== undefined && { publicPrivileges }) };
}

function operates({ permissions }: Actor): boolean {
  return permissions.includes("admin") || permissions.includes("auditor");
}

function view(
  control: Control,
  actor: Actor,
  resource: StoredResource,
  outpost: StoredOutpost | undefined,
  policy: Policy | undefined,
): ResourceView {
  const now = control.clock.now();
  const { spec, detail, version } = resource;
  // How a resource is guarded and what its administrator lacks is for those who operate it.
  const whole = operates(actor);
  return {
    id: resource.id,
    name: resource.name,
    kind: spec?.document.kind ?? "unknown",
    labels: spec?.document.labels ?? {},
    owners: spec?.document.owners.groups ?? [],
    outpost: { id: resource.outpost, name: outpost?.enrolment.name ?? "unknown", connected: isConnected(outpost, now) },
    state: resource.state,
    missing: whole ? [...resource.missing] : [],
    warnings: whole ? [...resource.warnings] : [],
    ...(whole && detail !== undefined && { detail }),
    ...(version !== undefined && { version }),
    ...(spec !== undefined && { spec: spec.document, specDigest: spec.digest }),
    offers: spec === undefined ? [] : roleOffers(policy, spec.document, actor.entry, toTime(now)),
  };
}
