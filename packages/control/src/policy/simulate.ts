import type { z } from "zod";
import type { SimulatePolicy, Simulation } from "@cardea/core/wire/api/operations";
import { CardeaError } from "@cardea/core/contract/errors";
import { simulate, type PastRequest, type SimulatedChange } from "@cardea/core/policy/simulate";
import type { Digest } from "@cardea/core/documents/digest";
import { RequestId } from "@cardea/core/contract/ids";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { Actor, Control } from "../control.ts";
import { demand } from "../people/demand.ts";
import { manyRequests } from "../store/requests.ts";
import { specByDigest } from "../store/resources.ts";
import { checkPolicy, draftOf } from "./plan.ts";

/**
 * Past requests, newest first, decided again by another policy from the facts of then: who would newly be allowed, who newly refused.
 * @throws CardeaError `forbidden`, `policy_invalid`
 */
export async function simulatePolicy(
  control: Control,
  actor: Actor,
  { source, since, limit }: z.output<typeof SimulatePolicy>,
): Promise<Simulation> {
  demand(actor, "admin", "auditor");
  const { document, problems } = await checkPolicy(control, source);
  if (document === undefined)
    throw new CardeaError("policy_invalid", `the policy cannot be read: ${problems[0]?.message ?? "it has errors"}`, {
      extra: { problems },
    });
  const past = await pastRequests(control, since, limit);
  const { changes } = simulate(draftOf(control, document, 1), past);
  const of = (...kinds: readonly SimulatedChange["change"][]) =>
    changes
      .filter(({ change }) => kinds.includes(change))
      .map(({ id, before, after }) => ({ request: RequestId.parse(id), before, after }));
  return {
    considered: past.length,
    newlyAllowed: of("allowed"),
    newlyRefused: of("refused"),
    otherwiseChanged: of("reviewed", "reviewedOtherwise", "otherTerms"),
  };
}

async function pastRequests(
  control: Control,
  since: z.output<typeof SimulatePolicy>["since"],
  limit: number,
): Promise<PastRequest[]> {
  const specs = new Map<Digest, ResourceSpec | undefined>();
  const past: PastRequest[] = [];
  for (const request of await manyRequests(control.db, control.keys, { since, limit })) {
    if ("altered" in request) continue;
    const { id, asked, facts, createdAt, decision, resource } = request.signed.document;
    const { specDigest } = resource;
    if (!specs.has(specDigest)) specs.set(specDigest, (await specByDigest(control.db, specDigest))?.document);
    const spec = specs.get(specDigest);
    if (spec !== undefined) past.push({ id, asked, spec, facts, createdAt, decision });
  }
  return past;
}
