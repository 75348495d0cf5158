/** `policy show|check|test|plan|apply|simulate`: the one document that decides, kept as a file and applied with a plan. */
import type { SimulateOptions, TestOptions } from "../actions/policy.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/policy.ts");

export function addPolicyCommands({ program, run }: Registry): void {
  const policy = program.command("policy").description("look at, check, plan and apply the policy");
  policy
    .command("show")
    .description("the policy in force, as it was written")
    .action(run(async (context) => (await actions()).showPolicy(context)));
  policy
    .command("check")
    .argument("<file>")
    .description(
      "schema, shadowed rules, unreachable approvers, unenforceable limits; changes nothing (exit 2 where invalid)",
    )
    .action(run(async (context, file: string) => (await actions()).checkPolicy(context, file)));
  policy
    .command("test")
    .argument("<file>")
    .description("decide cases written beside it, on this machine alone (exit 1 where one comes out otherwise)")
    .requiredOption("--fixtures <cases>", "a YAML file with `cases`")
    .action(
      run(async (context, file: string, options: TestOptions) => (await actions()).testPolicy(context, file, options)),
    );
  policy
    .command("plan")
    .argument("<file>")
    .description("what applying it would change (exit 2 where invalid)")
    .action(run(async (context, file: string) => (await actions()).planPolicy(context, file)));
  policy
    .command("apply")
    .argument("<file>")
    .description("put it in force; refused where another came in between, or where it is invalid (the old one stays)")
    .action(run(async (context, file: string) => (await actions()).applyPolicy(context, file)));
  policy
    .command("simulate")
    .argument("<file>")
    .description("past requests under this policy: who would newly be allowed, who newly refused")
    .option("--since <time>", "only requests filed after this (RFC 3339)")
    .action(
      run(async (context, file: string, options: SimulateOptions) =>
        (await actions()).simulatePolicy(context, file, options),
      ),
    );
}
