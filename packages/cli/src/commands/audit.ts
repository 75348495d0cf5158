/** `audit …`: the log, read, followed, kept and verified. */
import type { AuditOptions, VerifyLogOptions } from "../actions/audit.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/audit.ts");

export function addAuditCommands({ program, run }: Registry): void {
  const audit = program.command("audit").description("the log: read it, follow it, keep a copy, verify it");
  audit
    .command("list", { isDefault: true })
    .description("entries as far as you may see them, newest first")
    .option("--type <type>", "only events of this type, such as request.submitted")
    .option("--id <id>", "only events about this request, grant, subject, …")
    .option("--from <time>", "not before (RFC 3339)")
    .option("--to <time>", "before (RFC 3339)")
    .option("--limit <n>", "how many", "50")
    .option("--follow", "go on with what happens from now, until Ctrl-C")
    .option("--after <index>", "with --follow: begin after this entry; -1 is from the beginning")
    .action(run(async (context, options: AuditOptions) => (await actions()).audit(context, options)));
  audit
    .command("export")
    .argument("<directory>", "made if it is not there; an earlier export is brought up to date")
    .description("keep a copy of the log's checkpoint and tiles, verified on the way")
    .option("--trust <file>", "the trust document to verify under; default: the one kept at sign-in, else the server's")
    .action(
      run(async (context, directory: string, options: VerifyLogOptions) =>
        (await actions()).exportLog(context, directory, options),
      ),
    );
  audit
    .command("verify")
    .description("verify the whole log from its tiles alone, and that it only grew since it was last verified here")
    .option("--trust <file>", "the trust document to verify under; default: the one kept at sign-in, else the server's")
    .option("--directory <path>", "verify an exported copy; nothing is asked of any server")
    .action(run(async (context, options: VerifyLogOptions) => (await actions()).verifyLog(context, options)));
}
