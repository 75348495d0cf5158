/** `keys`, `release`, `extend`, `revoke`: what is granted, and ending it. */
import type { GrantView } from "@cardea/core/contract/api/grants";
import { CardeaError } from "@cardea/core/contract/errors";
import { fileRequest, takeKey, untilDecided } from "../keys/obtain.ts";
import { forgetDeliveryKey } from "../keys/delivery-store.ts";
import type { Terminal } from "../output/terminal.ts";
import { table } from "../output/table.ts";
import { relative } from "../output/times.ts";
import type { Registry } from "../program.ts";
import { grantId } from "./requests.ts";
import { duration, waitLimit } from "./wish.ts";

export function addGrantCommands({ program, context }: Registry): void {
  program
    .command("keys")
    .description("list grants and their keys, newest first")
    .option("--all", "everybody's, as far as you may see them")
    .option("--ended", "those that are over too")
    .option("--to-review", "break-glass grants that wait for a review")
    .option("--limit <n>", "how many", "30")
    .action(async (options: { all?: boolean; ended?: boolean; toReview?: boolean; limit: string }) => {
      const running = context();
      const view = options.toReview === true ? "to-review" : options.all === true ? (options.ended === true ? "all" : "live") : "mine";
      const page = await (await running.client()).grants({ view, limit: options.limit });
      const items = view === "mine" && options.ended !== true ? page.items.filter(({ state }) => state !== "ended" && state !== "failed") : page.items;
      running.terminal.result({ ...page, items }, grantTable(items, running.terminal, running.nowMs()));
    });

  program
    .command("release")
    .argument("<grant>")
    .description("give a grant back early: its key ends and live sessions close")
    .option("--no-wait", "do not wait until nothing is left")
    .action(async (id: string, options: { wait: boolean }) => {
      const running = context();
      const client = await running.client();
      let grant = await client.release(grantId(id));
      while (options.wait && grant.state === "ending") grant = await client.grant(grant.id, { wait: 30, since: "ending", signal: running.signal });
      const { deliverTo } = (await client.request(grant.request)).document.asked;
      await forgetDeliveryKey((await running.home()).directory, deliverTo);
      running.terminal.result(grant, `${grant.id} ${grant.state}${grant.why === undefined ? "" : ` (${grant.why})`}`);
    });

  program
    .command("revoke")
    .argument("<grant>")
    .description("end somebody's grant now (its approvers and administrators may)")
    .option("--comment <text>", "why", "")
    .action(async (id: string, options: { comment: string }) => {
      const running = context();
      const grant = await (await running.client()).revoke(grantId(id), options.comment);
      running.terminal.result(grant, `${grant.id} ${grant.state}${grant.why === undefined ? "" : ` (${grant.why})`}`);
    });

  program
    .command("extend")
    .argument("<grant>")
    .description("ask for more time: a new request, decided anew, with a new key")
    .requiredOption("--for <duration>", "how long from approval")
    .option("--why <text>", "the justification; default: the grant's own")
    .option("--timeout <duration>", "stop waiting after this long (exit 4)")
    .action(async (id: string, options: { for: string; why?: string; timeout?: string }) => {
      const running = context();
      const client = await running.client();
      const grant = await client.grant(grantId(id));
      const { asked } = (await client.request(grant.request)).document;
      if (!("role" in asked.ask)) throw new CardeaError("extends_invalid", "an exact action cannot be extended; ask for it again");
      const filed = await fileRequest(running, {
        resource: asked.resource,
        ask: asked.ask,
        justification: options.why ?? asked.justification,
        window: { duration: duration("--for", options.for) },
        extends: grant.id,
        ...(asked.ticket !== undefined && { ticket: asked.ticket }),
        ...(asked.via !== undefined && { via: asked.via }),
        ...(asked.limits !== undefined && { limits: asked.limits }),
      });
      const taken = await takeKey(running, await untilDecided(running, filed, waitLimit(options, running.nowMs())));
      running.terminal.result(taken.grant, `${taken.grant.id} is active until ${taken.key.notAfter}; it has a key of its own, the old one ends as it would have`);
    });
}

function grantTable(grants: readonly GrantView[], terminal: Terminal, nowMs: number): string {
  if (grants.length === 0) return "no grants";
  const rows = grants.map((grant) => [
    grant.id,
    `${grant.state}${grant.why === undefined ? "" : ` (${grant.why})`}${grant.lease?.stuck === true ? " STUCK" : ""}${grant.reviewOwed ? " review owed" : ""}`,
    grant.requester.name,
    grant.resource,
    grant.role ?? "(action)",
    relative(grant.document.window.notAfter, nowMs),
  ]);
  return table(["grant", "state", "by", "resource", "role", "ends"], rows, terminal.columns);
}
