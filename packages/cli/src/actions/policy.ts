/** The one document that decides, kept as a file and applied with a plan. */
import type { PolicyPlan, PolicyProblem, Simulation } from "@cardea/core/wire/api/operations";
import { CardeaError, errors } from "@cardea/core/contract/errors";
import type { Context } from "../context.ts";
import { readUserFile } from "../user-files.ts";
import { instant } from "./wish.ts";

export interface SimulateOptions {
  readonly since?: string;
}

const invalidExit = errors.policy_invalid.exit;

export async function showPolicy(context: Context): Promise<void> {
  const view = await (await context.client()).policy();
  context.terminal.result(view, view.source.trimEnd());
}

export async function checkPolicy(context: Context, file: string): Promise<number> {
  const { valid, problems } = await plan(context, file);
  context.terminal.result({ valid, problems }, [...problems.map((problem) => problemWords(file, problem)), valid ? `${file} is valid` : `${file} is not valid`].join("\n"));
  return valid ? 0 : invalidExit;
}

export async function planPolicy(context: Context, file: string): Promise<number> {
  const planned = await plan(context, file);
  context.terminal.result(planned, planWords(file, planned));
  return planned.valid ? 0 : invalidExit;
}

export async function applyPolicy(context: Context, file: string): Promise<void> {
  const client = await context.client();
  const text = await readUserFile(context, file);
  const planned = await client.planPolicy(text);
  context.terminal.note(planWords(file, planned));
  if (!planned.valid) {
    const pointers = planned.problems.filter(({ severity }) => severity === "error").map(({ line, rule, message }) => ({ path: line === undefined ? (rule ?? file) : `${file}:${line}`, message }));
    throw new CardeaError("policy_invalid", `\`${file}\` is not valid; the policy in force stays`, { pointers });
  }
  const view = await client.applyPolicy(text, planned.base);
  context.terminal.result(view, `policy version ${view.policy.version} is in force`);
}

export async function simulatePolicy(context: Context, file: string, { since }: SimulateOptions): Promise<void> {
  const text = await readUserFile(context, file);
  const outcome = await (await context.client()).simulatePolicy(text, since === undefined ? undefined : instant("--since", since));
  context.terminal.result(outcome, simulationWords(outcome));
}

async function plan(context: Context, file: string): Promise<PolicyPlan> {
  const text = await readUserFile(context, file);
  return (await context.client()).planPolicy(text);
}

function problemWords(file: string, { severity, line, column, rule, message, hint }: PolicyProblem): string {
  const place = line === undefined ? file : `${file}:${line}:${column ?? 1}`;
  return `${place}: ${severity}${rule === undefined ? "" : ` in rule ${rule}`}: ${message}${hint === undefined ? "" : `; ${hint}`}`;
}

function planWords(file: string, { problems, base, added, removed, changed, expires }: PolicyPlan): string {
  const named = (sign: string, rules: readonly string[]) => rules.map((rule) => `  ${sign} ${rule}`);
  const changes = [...named("+", added), ...named("-", removed), ...named("~", changed)];
  return [
    ...problems.map((problem) => problemWords(file, problem)),
    ...(changes.length === 0 ? ["no rule changes"] : [`against version ${base}:`, ...changes]),
    ...(expires.length === 0 ? [] : [`pending requests that would be decided otherwise, and expire: ${expires.join(", ")}`]),
  ].join("\n");
}

function simulationWords({ considered, newlyAllowed, newlyRefused, otherwiseChanged }: Simulation): string {
  const list = (title: string, entries: Simulation["newlyAllowed"]) => [`${title}: ${entries.length}`, ...entries.slice(0, 20).map(({ request, before, after }) => `  ${request}: ${before.effect} → ${after.effect} (${after.reasons[0] ?? ""})`), ...(entries.length > 20 ? ["  …"] : [])];
  return [`${considered} past requests`, ...list("newly allowed", newlyAllowed), ...list("newly refused", newlyRefused), ...list("otherwise decided", otherwiseChanged)].join("\n");
}
