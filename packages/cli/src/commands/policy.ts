/** `policy show|check|plan|apply|simulate`: the one document that decides, kept as a file and applied with a plan. */
import { readFile } from "node:fs/promises";
import type { PolicyPlan, PolicyProblem, Simulation } from "@cardea/core/contract/api/operations";
import { CardeaError } from "@cardea/core/contract/errors";
import { userPath } from "../context.ts";
import type { Registry } from "../program.ts";

export function addPolicyCommands({ program, context, setExitCode }: Registry): void {
  const policy = program.command("policy").description("look at, check, plan and apply the policy");
  policy
    .command("show")
    .description("the policy in force, as it was written")
    .action(async () => {
      const running = context();
      const view = await (await running.client()).policy();
      running.terminal.result(view, view.source.trimEnd());
    });
  policy
    .command("check")
    .argument("<file>")
    .description("schema, shadowed rules, unreachable approvers, unenforceable limits; changes nothing")
    .action(async (file: string) => {
      const running = context();
      const plan = await (await running.client()).planPolicy(await source(file));
      running.terminal.result({ valid: plan.valid, problems: plan.problems }, [...plan.problems.map((problem) => problemWords(file, problem)), plan.valid ? `${file} is valid` : `${file} is not valid`].join("\n"));
      if (!plan.valid) setExitCode(2);
    });
  policy
    .command("plan")
    .argument("<file>")
    .description("what applying it would change")
    .action(async (file: string) => {
      const running = context();
      const plan = await (await running.client()).planPolicy(await source(file));
      running.terminal.result(plan, planWords(file, plan));
      if (!plan.valid) setExitCode(2);
    });
  policy
    .command("apply")
    .argument("<file>")
    .description("put it in force; refused where another came in between, or where it is invalid (the old one stays)")
    .action(async (file: string) => {
      const running = context();
      const client = await running.client();
      const text = await source(file);
      const plan = await client.planPolicy(text);
      running.terminal.note(planWords(file, plan));
      if (!plan.valid) throw new CardeaError("policy_invalid", `${file} is not valid; the policy in force stays`);
      const view = await client.applyPolicy(text, plan.base);
      running.terminal.result(view, `policy version ${String(view.policy.version)} is in force`);
    });
  policy
    .command("simulate")
    .argument("<file>")
    .description("past requests under this policy: who would newly be allowed, who newly refused")
    .option("--since <time>", "RFC 3339")
    .action(async (file: string, options: { since?: string }) => {
      const running = context();
      const outcome = await (await running.client()).simulatePolicy(await source(file), options.since);
      running.terminal.result(outcome, simulationWords(outcome));
    });
}

async function source(file: string): Promise<string> {
  return readFile(userPath(file), "utf8").catch((cause: unknown) => {
    throw new CardeaError("usage", `\`${file}\` cannot be read`, { cause });
  });
}

function problemWords(file: string, { severity, line, column, rule, message, hint }: PolicyProblem): string {
  const place = line === undefined ? file : `${file}:${String(line)}:${String(column ?? 1)}`;
  return `${place}: ${severity}${rule === undefined ? "" : ` in rule ${rule}`}: ${message}${hint === undefined ? "" : `; ${hint}`}`;
}

function planWords(file: string, plan: PolicyPlan): string {
  const named = (sign: string, rules: readonly string[]) => rules.map((rule) => `  ${sign} ${rule}`);
  const changes = [...named("+", plan.added), ...named("-", plan.removed), ...named("~", plan.changed)];
  return [
    ...plan.problems.map((problem) => problemWords(file, problem)),
    ...(changes.length === 0 ? ["no rule changes"] : [`against version ${String(plan.base)}:`, ...changes]),
    ...(plan.expires.length === 0 ? [] : [`pending requests that would be decided otherwise, and expire: ${plan.expires.join(", ")}`]),
  ].join("\n");
}

function simulationWords({ considered, newlyAllowed, newlyRefused, otherwiseChanged }: Simulation): string {
  const list = (title: string, entries: Simulation["newlyAllowed"]) => [`${title}: ${String(entries.length)}`, ...entries.slice(0, 20).map(({ request, before, after }) => `  ${request}: ${before.effect} → ${after.effect} (${after.reasons[0] ?? ""})`)];
  return [`${String(considered)} past requests`, ...list("newly allowed", newlyAllowed), ...list("newly refused", newlyRefused), ...list("otherwise decided", otherwiseChanged)].join("\n");
}
