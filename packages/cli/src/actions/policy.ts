/** The one document that decides, kept as a file and applied with a plan. */
import type { PolicyPlan, PolicyProblem, Simulation } from "@cardea/core/wire/api/operations";
import { CardeaError, errors } from "@cardea/core/contract/errors";
import { testPolicyText } from "@cardea/sdk/policy-test";
import type { Context } from "../context.ts";
import { table } from "../output/table.ts";
import { readUserFile } from "../user-files.ts";
import { instant } from "./wish.ts";

export interface SimulateOptions {
  readonly since?: string;
}

export interface TestOptions {
  readonly fixtures: string;
}

const invalidExit = errors.policy_invalid.exit;

export async function showPolicy(context: Context): Promise<void> {
  const view = await (await context.client()).policy();
  context.terminal.result(view, view.source.trimEnd());
}

export async function checkPolicy(context: Context, file: string): Promise<number> {
  const { valid, problems } = await plan(context, file);
  context.terminal.result(
    { valid, problems },
    [
      ...problems.map((problem) => problemWords(file, problem)),
      valid ? `${file} is valid` : `${file} is not valid`,
    ].join("\n"),
  );
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
  if (!planned.valid) {
    const pointers = planned.problems
      .filter(({ severity }) => severity === "error")
      .map(({ line, column, rule, message, hint }) => ({
        path: line === undefined ? (rule ?? file) : `${file}:${line}:${column ?? 1}`,
        message: hint === undefined ? message : `${message}; ${hint}`,
      }));
    throw new CardeaError("policy_invalid", `\`${file}\` is not valid; the policy in force stays`, { pointers });
  }
  context.terminal.note(planWords(file, planned));
  const view = await client.applyPolicy(text, planned.base);
  context.terminal.result(view, `policy version ${view.policy.version} is in force`);
}

export async function simulatePolicy(context: Context, file: string, { since }: SimulateOptions): Promise<void> {
  const text = await readUserFile(context, file);
  const outcome = await (
    await context.client()
  ).simulatePolicy(text, since === undefined ? undefined : instant("--since", since));
  context.terminal.result(outcome, simulationWords(outcome));
}

/** Decides the cases of a file on this machine; asks nobody. */
export async function testPolicy(context: Context, file: string, { fixtures }: TestOptions): Promise<number> {
  const outcomes = testPolicyText(await readUserFile(context, file), await readUserFile(context, fixtures));
  const wrong = outcomes.filter(({ ok }) => !ok);
  const words = ({ effect, rule }: { readonly effect: string; readonly rule?: string }) =>
    rule === undefined ? effect : `${effect} by ${rule}`;
  const rows = wrong.map(({ name, expected, found }) => [name, words(expected), words(found), found.reasons[0] ?? ""]);
  const verdict =
    wrong.length === 0
      ? `all ${outcomes.length} cases come out as expected`
      : `${wrong.length} of ${outcomes.length} cases come out otherwise`;
  context.terminal.result(
    { ok: wrong.length === 0, cases: outcomes },
    [
      ...(rows.length === 0 ? [] : [table(["case", "expected", "found", "because"], rows, context.terminal.columns)]),
      verdict,
    ].join("\n"),
  );
  return wrong.length === 0 ? 0 : 1;
}

async function plan(context: Context, file: string): Promise<PolicyPlan> {
  const text = await readUserFile(context, file);
  return (await context.client()).planPolicy(text);
}

function problemWords(file: string, { severity, line, column, rule, message, hint }: PolicyProblem): string {
  const place = line === undefined ? file : `${file}:${line}:${column ?? 1}`;
  return `${place}: ${severity}${rule === undefined ? "" : ` in rule ${rule}`}: ${message}${hint === undefined ? "" : `; ${hint}`}`;
}

function planWords(file: string, { valid, problems, base, added, removed, changed, expires }: PolicyPlan): string {
  const told = problems.map((problem) => problemWords(file, problem));
  if (!valid) return [...told, `${file} is not valid`].join("\n");
  const named = (sign: string, rules: readonly string[]) => rules.map((rule) => `  ${sign} ${rule}`);
  const changes = [...named("+", added), ...named("-", removed), ...named("~", changed)];
  return [
    ...told,
    ...(changes.length === 0 ? ["no rule changes"] : [`against version ${base}:`, ...changes]),
    ...(expires.length === 0
      ? []
      : [`pending requests that would be decided otherwise, and expire: ${expires.join(", ")}`]),
  ].join("\n");
}

function simulationWords({ considered, newlyAllowed, newlyRefused, otherwiseChanged }: Simulation): string {
  const list = (title: string, entries: Simulation["newlyAllowed"]) => [
    `${title}: ${entries.length}`,
    ...entries
      .slice(0, 20)
      .map(
        ({ request, before, after }) => `  ${request}: ${before.effect} → ${after.effect} (${after.reasons[0] ?? ""})`,
      ),
    ...(entries.length > 20 ? ["  …"] : []),
  ];
  return [
    `${considered} past requests`,
    ...list("newly allowed", newlyAllowed),
    ...list("newly refused", newlyRefused),
    ...list("otherwise decided", otherwiseChanged),
  ].join("\n");
}
