import { CardeaError } from "@cardea/core/contract/errors";
import type { Actor, Control } from "../control.ts";
import { demand, demandSignIn } from "../people/demand.ts";
import { hasOpenGrants } from "../store/grants.ts";
import { maybeOneResource } from "../store/resources.ts";
import { enqueueTask } from "../store/tasks.ts";
import { transact } from "../store/transaction.ts";
import { authorise, refusalOf } from "./authorise.ts";
import { waitForTask } from "./wait-for-task.ts";

/**
 * `DELETE /v1/resources/{name}`: has the outpost forget a configuration that was applied. The resource is offered until the outpost says
 * that it is gone, which is logged then. One that stands in `outpost.yaml` is removed there.
 * @throws CardeaError `forbidden`, `token_forbidden`, `resource_unknown`, `resource_in_use`, `resource_config_invalid`,
 *   `outpost_unreachable` where the outpost has not answered yet: then it does so when it is back
 */
export async function removeResource(control: Control, actor: Actor, name: string): Promise<void> {
  demand(actor, "admin");
  demandSignIn(actor);
  const task = await transact(control, async (tx) => {
    const known = await maybeOneResource(tx, { name });
    if (known === undefined)
      throw new CardeaError("resource_unknown", `there is no resource \`${name}\`; \`cardea resources\` lists them`);
    if (await hasOpenGrants(tx, known.id)) {
      throw new CardeaError(
        "resource_in_use",
        `\`${name}\` has grants that are not over; \`cardea grants\` lists them, revoke them first`,
      );
    }
    const { id, outpost } = known;
    const authority = await authorise(tx, control, { resource: id, name, outpost, by: actor.subject });
    return await enqueueTask(tx, control, outpost, { type: "configure", authority });
  });
  const done = await waitForTask(control, task);
  if (done === undefined)
    throw new CardeaError(
      "outpost_unreachable",
      `the outpost of \`${name}\` has not answered; it removes the resource when it is back`,
    );
  if (done.state === "failed") throw refusalOf(done, name);
}
