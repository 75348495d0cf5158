/** What a caller could ask for on a resource, as policy stands now: a preview in words, decided anew for each request. */
import type { z } from "zod";
import type { RoleOffer } from "@cardea/core/wire/api/operations";
import type { Policy } from "@cardea/core/documents/policy";
import type { Time } from "@cardea/core/documents/primitives";
import type { Asked, Facts } from "@cardea/core/documents/request";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { decide } from "@cardea/core/policy/decide";

export type Offer = z.infer<typeof RoleOffer>;

/** One offer for each role of the resource, by name. */
export function roleOffers(policy: Policy | undefined, spec: ResourceSpec, entry: RosterEntry, now: Time): Offer[] {
  return Object.keys(spec.roles)
    .sort()
    .map((role) => roleOffer(policy, spec, entry, role, now));
}

function roleOffer(
  policy: Policy | undefined,
  spec: ResourceSpec,
  entry: RosterEntry,
  role: string,
  createdAt: Time,
): Offer {
  const { vias = [], description } = spec.roles[role] ?? {};
  const named = { role, via: [...vias], ...(description !== undefined && { description }) };
  if (policy === undefined) return { ...named, effect: "deny", words: "no policy has been applied yet" };
  const decision = decide({ policy, asked: sampleAsked(spec, entry, role), spec, facts: factsOf(entry), createdAt });
  // A rule may answer the role and yet refuse the sample for what it leaves out, such as a ticket: the rule is what is shown.
  const rule = policy.document.rules.find(({ name }) => name === decision.rule);
  if (rule === undefined || rule.effect === "deny")
    return { ...named, effect: "deny", words: decision.reasons.join("; ") };
  return {
    ...named,
    effect: rule.effect,
    words: decision.reasons.join("; "),
    maxDuration: rule.limits.maxDuration,
    via: vias.filter((via) => (rule.limits.via ?? ["gateway"]).includes(via)),
  };
}

/** The smallest request for the role, with a justification that satisfies any length. */
function sampleAsked(spec: ResourceSpec, entry: RosterEntry, role: string): Asked {
  return {
    nonce: "preview-preview-preview",
    requester: {
      id: entry.subject,
      kind: entry.kind,
      ...(entry.actsFor !== undefined && { onBehalfOf: entry.actsFor }),
    },
    resource: spec.name,
    ask: { role },
    justification: "x".repeat(1_000),
    window: { duration: "1s" },
  };
}

function factsOf(entry: RosterEntry): Facts {
  return { verified: { groups: entry.groups, claims: entry.claims, reviewsOwed: [] }, asserted: {} };
}
