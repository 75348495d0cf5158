import type { ResourceView } from "@cardea/core/wire/api/operations";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Actor, Control } from "../control.ts";
import { demand } from "../people/demand.ts";
import { maybeOneOutpost } from "../store/outposts.ts";
import { maybeOneResource } from "../store/resources.ts";
import { enqueueTask } from "../store/tasks.ts";
import { transact } from "../store/transaction.ts";
import { showResource } from "./list.ts";
import { isConnected } from "./connected.ts";
import { waitForTask } from "./wait-for-task.ts";

/**
 * `POST /v1/resources/{name}/checks`: has the outpost look at the resource anew and answers with what it found.
 * @throws CardeaError `forbidden`, `resource_unknown`, `outpost_unreachable`
 */
export async function checkResource(control: Control, actor: Actor, name: string): Promise<ResourceView> {
  demand(actor, "admin", "auditor");
  const resource = await maybeOneResource(control.db, { name });
  if (resource === undefined)
    throw new CardeaError("resource_unknown", `there is no resource \`${name}\`; \`cardea resources\` lists them`);
  const outpost = await maybeOneOutpost(control.db, control.keys, { id: resource.outpost });
  if (!isConnected(outpost, control.clock.now())) {
    throw new CardeaError(
      "outpost_unreachable",
      `the link of the outpost \`${outpost?.enrolment.name ?? resource.outpost}\` is down; is it running?`,
    );
  }
  const task = await transact(control, (tx) =>
    enqueueTask(tx, control, resource.outpost, { type: "check", resource: name }),
  );
  const done = await waitForTask(control, task);
  if (done === undefined)
    throw new CardeaError(
      "outpost_unreachable",
      `the outpost \`${outpost?.enrolment.name ?? ""}\` did not answer in time`,
    );
  return await showResource(control, actor, name);
}
