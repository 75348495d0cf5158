/** An outpost says that it has forgotten a resource. Believed only where an administrator has said so too: no outpost unregisters by itself. */
import type { ResourceId } from "@cardea/core/contract/ids";
import type { Enrolment } from "@cardea/core/wire/enrolment";
import { toTime } from "@cardea/core/documents/primitives";
import type { Control, Tx } from "../control.ts";
import { record } from "../audit/record.ts";
import { maybeOneConfigurationLocked } from "../store/configurations.ts";
import { markRemoved, maybeOneResource } from "../store/resources.ts";

/** Offers the resource no longer and logs who removed it. Nothing changes where it was applied anew, or is gone already. */
export async function takeRemoval(tx: Tx, control: Control, outpost: Enrolment, resource: ResourceId): Promise<void> {
  const newest = await maybeOneConfigurationLocked(tx, control.keys, resource);
  const known = await maybeOneResource(tx, { id: resource });
  if (newest === undefined || !("removed" in newest) || newest.outpost !== outpost.id || known === undefined) return;
  await markRemoved(tx, resource, toTime(control.clock.now()));
  await record(tx, control, {
    type: "resource.removed",
    ids: { resource, outpost: outpost.id },
    data: { name: newest.name, by: "configuration" },
    actor: newest.by,
  });
}
