import type { z } from "zod";
import type { ApplyResource, ResourceView } from "@cardea/core/wire/api/operations";
import { resourceIdOf, markSeedOf } from "@cardea/core/contract/outpost-marks";
import { CardeaError } from "@cardea/core/contract/errors";
import { Name, toTime } from "@cardea/core/documents/primitives";
import type { Actor, Control } from "../control.ts";
import { record } from "../audit/record.ts";
import { demand, demandSignIn } from "../people/demand.ts";
import { rosterIn } from "../people/roster.ts";
import { maybeOneOutpost } from "../store/outposts.ts";
import { insertResource, maybeOneResource } from "../store/resources.ts";
import { enqueueTask } from "../store/tasks.ts";
import { transact } from "../store/transaction.ts";
import { authorise, refusalOf } from "./authorise.ts";
import { showResource } from "./list.ts";
import { waitForTask } from "./wait-for-task.ts";

/**
 * `PUT /v1/resources/{name}`: hands a configuration to an outpost. It is sealed to the outpost's key, so nobody here can read it; that it is
 * to hold is signed here, and whether it is valid the outpost says. Answers when it has, or after some seconds with the resource as it is known so far.
 * @throws CardeaError `forbidden`, `token_forbidden`, `invalid_request`, `outpost_unknown`, `conflict`, `resource_config_invalid`
 */
export async function applyResource(
  control: Control,
  actor: Actor,
  name: string,
  input: z.output<typeof ApplyResource>,
): Promise<ResourceView> {
  demand(actor, "admin");
  demandSignIn(actor);
  if (!Name.safeParse(name).success)
    throw new CardeaError("invalid_request", `\`${name}\` is not a name for a resource`, {
      pointers: [{ path: "name", message: "not a name" }],
    });
  const task = await transact(control, async (tx) => {
    const outpost = await maybeOneOutpost(tx, control.keys, { id: input.outpost });
    const roster = await rosterIn(tx, control);
    if (outpost === undefined || roster.outpost(outpost.enrolment.name) !== input.outpost)
      throw new CardeaError(
        "outpost_unknown",
        `there is no outpost \`${input.outpost}\`; \`cardea outposts\` lists them`,
      );
    const known = await maybeOneResource(tx, { name });
    if (known !== undefined && known.outpost !== input.outpost) {
      throw new CardeaError(
        "conflict",
        `\`${name}\` belongs to the outpost \`${known.outpost}\`; a resource does not move between outposts`,
      );
    }
    const resource = resourceIdOf(markSeedOf(control.keys.installation, outpost.enrolment.name), name);
    await insertResource(tx, { id: resource, name, outpost: input.outpost, at: toTime(control.clock.now()) });
    await record(tx, control, {
      type: known === undefined ? "resource.registered" : "resource.changed",
      ids: { resource, outpost: input.outpost },
      data: { name, by: "configuration" },
      actor: actor.subject,
    });
    const authority = await authorise(
      tx,
      control,
      { resource, name, outpost: input.outpost, by: actor.subject },
      input.sealed,
    );
    return await enqueueTask(tx, control, input.outpost, { type: "configure", authority, sealed: input.sealed });
  });
  const done = await waitForTask(control, task);
  if (done?.state === "failed") throw refusalOf(done, name);
  return await showResource(control, actor, name);
}
