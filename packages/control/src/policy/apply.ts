import type { z } from "zod";
import type { ApplyPolicy, PolicyView } from "@cardea/core/wire/api/operations";
import { CardeaError } from "@cardea/core/contract/errors";
import { diffPolicies } from "@cardea/core/policy/simulate";
import { record } from "../audit/record.ts";
import type { Actor, Control } from "../control.ts";
import { tellAdmins } from "../people/change-roster.ts";
import { demand, demandSignIn } from "../people/demand.ts";
import { insertPolicy, lockPolicies, oneNewestVersion, type StoredPolicy } from "../store/policies.ts";
import { signDocument } from "../store/signed.ts";
import { transact } from "../store/transaction.ts";
import { policyInForce, policyView } from "./current.ts";
import { checkPolicy, draftOf, type CheckedPolicy } from "./plan.ts";

/**
 * Puts a policy into force: signed, logged, told to all administrators. Nothing changes where it is invalid or another came in between.
 * Requests and grants that it touches are looked at again by the jobs, at once.
 * @throws CardeaError `forbidden`, `token_forbidden`, `policy_invalid` (extra: `problems`), `policy_stale`
 */
export async function applyPolicy(
  control: Control,
  actor: Actor,
  { source, base }: z.output<typeof ApplyPolicy>,
): Promise<PolicyView> {
  demand(actor, "admin");
  demandSignIn(actor);
  return policyView(await putPolicy(control, { source, base, by: actor }), control);
}

/** The same for the installation itself, which has no administrator yet: its first policy only, or nothing where there is one. */
export async function installPolicy(control: Control, source: string): Promise<void> {
  if ((await policyInForce(control)) !== undefined) return;
  try {
    await putPolicy(control, { source, base: 0, by: undefined });
  } catch (error) {
    // Another process was first.
    if (!(error instanceof CardeaError && error.code === "policy_stale")) throw error;
  }
}

interface Putting {
  readonly source: string;
  readonly base: number;
  readonly by: Actor | undefined;
}

async function putPolicy(control: Control, { source, base, by }: Putting): Promise<StoredPolicy> {
  const checked = await checkPolicy(control, source);
  const { document } = checked;
  if (document === undefined || !checked.valid) {
    await transact(control, (tx) =>
      record(tx, control, {
        type: "policy.refused",
        ids: {},
        data: { problems: errorsOf(checked) },
        actor: by?.subject,
      }),
    );
    throw invalid(checked);
  }
  const before = await policyInForce(control);
  await transact(control, async (tx) => {
    await lockPolicies(tx);
    const newest = await oneNewestVersion(tx);
    if (newest.version !== base)
      throw new CardeaError(
        "policy_stale",
        `the policy in force is version ${newest.version}, and the plan was made for version ${base}; plan again`,
      );
    const signed = signDocument(control.keys, "policy", draftOf(control, document, base + 1));
    await insertPolicy(tx, { signed, source, appliedBy: by?.subject });
    const changes = diffPolicies(before?.signed.document.document ?? { version: 1, rules: [] }, document);
    await record(tx, control, {
      type: "policy.applied",
      ids: { policy: signed.document.id },
      data: {
        policy: signed.digest,
        version: base + 1,
        changes: changes.map(({ rule, change }) => ({ rule, change })),
      },
      actor: by?.subject,
    });
    await tellAdmins(
      tx,
      control,
      "policy.applied",
      `${by?.name ?? "the installation"} applied policy version ${base + 1}: ${words(changes)}`,
    );
    control.wake.signal("policy", tx);
  });
  const applied = await policyInForce(control);
  if (applied === undefined) throw new CardeaError("internal", "the policy just applied is not there");
  return applied;
}

function invalid(checked: CheckedPolicy): CardeaError {
  const errors = checked.problems.filter(({ severity }) => severity === "error");
  const [first] = errors;
  const where = first?.line === undefined ? "" : ` at line ${first.line}`;
  return new CardeaError(
    "policy_invalid",
    `the policy is invalid${where}: ${first?.message ?? "it has errors"}${first?.hint === undefined ? "" : `; ${first.hint}`}; the one in force stays`,
    {
      extra: { problems: checked.problems },
      pointers: errors.slice(0, 100).map(({ line, rule, message }) => ({
        path: [line === undefined ? [] : `line ${line}`, rule === undefined ? [] : `rule ${rule}`].flat().join(", "),
        message,
      })),
    },
  );
}

function errorsOf({
  problems,
}: CheckedPolicy): { readonly code: string; readonly rule: string | undefined; readonly message: string }[] {
  return problems
    .filter(({ severity }) => severity === "error")
    .slice(0, 20)
    .map(({ code, rule, message }) => ({ code, rule, message }));
}

function words(changes: ReturnType<typeof diffPolicies>): string {
  if (changes.length === 0) return "the same rules";
  const shown = changes.slice(0, 10).map(({ rule, change }) => `${rule} ${change}`);
  return [...shown, ...(changes.length > shown.length ? [`and ${changes.length - shown.length} more`] : [])].join(", ");
}
