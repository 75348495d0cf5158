import { CardeaError, isErrorCode } from "@cardea/core/contract/errors";
import type { SubjectId, TaskId } from "@cardea/core/contract/ids";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { toTime } from "@cardea/core/documents/primitives";
import type { Action, Asked } from "@cardea/core/documents/request";
import { mayAskForActions } from "@cardea/core/policy/decide";
import type { AskedAction } from "@cardea/core/wire/api/runs";
import { TaskResult } from "@cardea/core/wire/link";
import type { Actor, Control } from "../control.ts";
import { isConnected } from "../resources/connected.ts";
import { waitForTask } from "../resources/wait-for-task.ts";
import { maybeOneOutpost } from "../store/outposts.ts";
import { enqueueTask, removeTask, type StoredTask } from "../store/tasks.ts";
import { transact } from "../store/transaction.ts";
import { factsOf, type Found, type Ground } from "./decide-asked.ts";

/** How long an outpost may take to say what an action is. */
const waitMs = 15_000;
/** Previews of one subject under way at once, in this process: each is a question to somebody's production database. */
const maxAtOnce = 4;

/**
 * Has the outpost say what an action is, what it touches and what its names stand for. Whom no rule lets ask for actions there is told so
 * without a look; what the caller says of name and binding must be what is found.
 * @throws CardeaError `policy_denied`, `outpost_unreachable`, `rate_limited`, `action_refused`, `invalid_request`, `binding_changed`, `resource_…`
 */
export async function findAction(
  control: Control,
  actor: Actor,
  ground: Ground,
  asked: AskedAction,
  breakGlass: boolean,
): Promise<Found & { readonly ask: { readonly action: Action } }> {
  refuseStrangers(control, actor, ground, asked, breakGlass);
  await demandConnected(control, ground);
  const { type, what } = asked;
  return await underway(control, actor.subject, async () => {
    const task = await transact(control, (tx) =>
      enqueueTask(tx, control, ground.resource.outpost, {
        type: "preview",
        resource: ground.resource.name,
        action: { type, what },
      }),
    );
    const found = answerOf(await preview(control, task));
    refuseOther(asked, found.ask.action);
    return found;
  });
}

function refuseStrangers(
  control: Control,
  actor: Actor,
  ground: Ground,
  { type, what, name = "" }: AskedAction,
  breakGlass: boolean,
): void {
  const entry = ground.roster.entry(actor.subject) ?? actor.entry;
  const asked: Asked = {
    nonce: "preview-preview-preview",
    requester: { id: actor.subject, kind: entry.kind },
    resource: ground.resource.name,
    ask: { action: { type, name, what } },
    justification: "",
    window: { duration: "1s" },
    ...(breakGlass && { breakGlass }),
  };
  const may = mayAskForActions({
    policy: ground.policy.signed.document,
    policyDigest: ground.policy.signed.digest,
    asked,
    spec: ground.resource.spec,
    facts: factsOf(ground, actor),
    createdAt: toTime(control.clock.now()),
  });
  if (may) return;
  const reason = `no ${breakGlass ? "break-glass " : ""}rule lets you ask for single actions on \`${ground.resource.name}\`; ask for a role`;
  throw new CardeaError("policy_denied", reason, { extra: { reasons: [reason] } });
}

async function demandConnected(control: Control, { resource }: Ground): Promise<void> {
  const outpost = await maybeOneOutpost(control.db, control.keys, { id: resource.outpost });
  if (!isConnected(outpost, control.clock.now()))
    throw new CardeaError(
      "outpost_unreachable",
      `the link of the outpost \`${outpost?.enrolment.name ?? resource.outpost}\` is down, so nobody can say what the action would touch; nothing was filed`,
    );
}

const counts = new WeakMap<Control, Map<SubjectId, number>>();

async function underway<T>(control: Control, subject: SubjectId, work: () => Promise<T>): Promise<T> {
  const own = counts.get(control) ?? new Map<SubjectId, number>();
  counts.set(control, own);
  const before = own.get(subject) ?? 0;
  if (before >= maxAtOnce)
    throw new CardeaError("rate_limited", `${String(maxAtOnce)} of your actions are being looked at; wait for one`);
  own.set(subject, before + 1);
  try {
    return await work();
  } finally {
    const left = (own.get(subject) ?? 1) - 1;
    if (left === 0) own.delete(subject);
    else own.set(subject, left);
  }
}

/** The closed task. It is taken away whatever came of it: nobody else reads it, and nobody waits for it afterwards. */
async function preview(control: Control, task: TaskId): Promise<StoredTask> {
  try {
    const done = await waitForTask(control, task, waitMs);
    if (done !== undefined) return done;
  } finally {
    await removeTask(control.db, task);
  }
  throw new CardeaError(
    "outpost_unreachable",
    "the outpost did not say in time what the action would touch; nothing was filed",
  );
}

function answerOf({
  state,
  code = "",
  detail = "",
  result,
}: StoredTask): Found & { readonly ask: { readonly action: Action } } {
  if (state === "failed") throw new CardeaError(isErrorCode(code) ? code : "resource_fault", detail);
  const answer = TaskResult.safeParse(result);
  if (!answer.success || answer.data.type !== "previewed")
    throw new CardeaError("link_message_invalid", "the outpost did not say what the action is");
  const { action, estimate } = answer.data;
  return { ask: { action }, ...(estimate !== undefined && { estimate }) };
}

/** @throws CardeaError `binding_changed` where what was found is not what the caller says, or not what they asked for */
function refuseOther(asked: AskedAction, found: Action): void {
  const same = (key: "type" | "what" | "name" | "binding"): boolean =>
    asked[key] === undefined || canonicalJson(asked[key]) === canonicalJson(found[key] ?? null);
  const other = (["type", "what", "name", "binding"] as const).find((key) => !same(key));
  if (other !== undefined)
    throw new CardeaError("binding_changed", `the action's \`${other}\` is not what was asked for; look at it again`, {
      pointers: [{ path: `ask.action.${other}`, message: "not what the outpost finds" }],
    });
}
