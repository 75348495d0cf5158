import type { z } from "zod";
import type { PreviewAction, PreviewView } from "@cardea/core/wire/api/runs";
import { heldWindow } from "@cardea/core/wire/action-events";
import type { Asked } from "@cardea/core/documents/request";
import type { Actor, Control } from "../control.ts";
import { decideOn, factsOf, readGround, withPreview } from "./decide-asked.ts";
import { findAction } from "./find-action.ts";

/** Longer than any rule asks for. */
const anyJustification = "x".repeat(2_000);

/**
 * What an action is and touches, and what policy would say to it, given a justification. Nothing is filed.
 * @throws CardeaError as filing it would
 */
export async function previewAction(
  control: Control,
  actor: Actor,
  { resource, action }: z.output<typeof PreviewAction>,
): Promise<PreviewView> {
  const ground = await readGround(control, actor, resource);
  const { ask, estimate } = await findAction(control, actor, ground, action, false);
  const entry = ground.roster.entry(actor.subject) ?? actor.entry;
  const asked: Asked = {
    nonce: "preview-preview-preview",
    requester: {
      id: actor.subject,
      kind: entry.kind,
      ...(entry.actsFor !== undefined && { onBehalfOf: entry.actsFor }),
    },
    resource,
    ask,
    justification: anyJustification,
    window: { duration: heldWindow },
  };
  const facts = factsOf(ground, actor);
  const decision = decideOn(
    ground,
    asked,
    estimate === undefined ? facts : withPreview(facts, { estimate }),
    control.clock.now(),
  );
  return {
    action: ask.action,
    ...(estimate !== undefined && decision.effect !== "deny" && { estimate }),
    decision,
  };
}
