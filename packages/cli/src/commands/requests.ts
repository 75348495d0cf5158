/** `request`, `requests`, `show`, `withdraw`: asking, and looking at what was asked. */
import { GrantId, RequestId } from "@cardea/core/contract/ids";
import { CardeaError } from "@cardea/core/contract/errors";
import { fileRequest, takeKey, untilDecided } from "../keys/obtain.ts";
import { connectionUri } from "../keys/render.ts";
import { requestTable, requestWords } from "../output/request-words.ts";
import type { Registry } from "../program.ts";
import { waitLimit, wishOf, withWishOptions, type WishOptions } from "./wish.ts";

export function addRequestCommands({ program, context }: Registry): void {
  withWishOptions(program.command("request").argument("<resource>"))
    .description("ask for a role for a window; prints the key's id when it is approved")
    .option("--extends <grant>", "more time on a grant of yours, decided anew")
    .option("--no-wait", "file it and return")
    .action(async (resource: string, options: WishOptions) => {
      const running = context();
      const filed = await fileRequest(running, wishOf(resource, options));
      if (options.wait === false || (filed.state === "approved" && filed.grant?.state === "scheduled")) {
        running.terminal.result(filed, requestWords(filed, running.terminal, running.nowMs()));
        return;
      }
      const decided = await untilDecided(running, filed, waitLimit(options, running.nowMs()));
      if (decided.grant?.state === "scheduled") {
        running.terminal.result(decided, requestWords(decided, running.terminal, running.nowMs()));
        return;
      }
      const { grant, key } = await takeKey(running, decided);
      running.terminal.result(
        { request: decided, grant, key: { user: key.user, endpoint: key.endpoint, notAfter: key.notAfter } },
        `${grant.id} is active until ${key.notAfter}\nuse it: cardea key ${grant.id} --show, or next time cardea connect ${resource}`,
      );
    });

  program
    .command("requests")
    .description("list requests, newest first")
    .option("--mine", "only my own")
    .option("--to-approve", "only those that wait for my vote")
    .option("--state <state>", "pending, approved, denied, withdrawn or expired")
    .option("--resource <name>")
    .option("--limit <n>", "how many", "30")
    .action(async (options: { mine?: boolean; toApprove?: boolean; state?: string; resource?: string; limit: string }) => {
      const running = context();
      const view = options.toApprove === true ? "to-approve" : options.mine === true ? "mine" : "all";
      const page = await (await running.client()).requests({ view, state: options.state, resource: options.resource, limit: options.limit });
      running.terminal.result(page, requestTable(page.items, running.terminal, running.nowMs()));
    });

  program
    .command("show")
    .argument("<request>")
    .description("everything about one request")
    .action(async (id: string) => {
      const running = context();
      const view = await (await running.client()).request(requestId(id));
      running.terminal.result(view, requestWords(view, running.terminal, running.nowMs()));
    });

  program
    .command("withdraw")
    .argument("<request>")
    .description("take back a request of yours that is still pending")
    .action(async (id: string) => {
      const running = context();
      const view = await (await running.client()).withdraw(requestId(id));
      running.terminal.result(view, `${view.id} ${view.state}`);
    });

  program
    .command("key")
    .argument("<grant>", "a grant (gra_…) or request (req_…) of yours")
    .description("fetch the key of a grant again, on the machine that asked for it")
    .option("--show", "print the secret too")
    .option("--uri", "print it as a connection string, secret included")
    .action(async (id: string, options: { show?: boolean; uri?: boolean }) => {
      const running = context();
      const client = await running.client();
      const request = id.startsWith("req_") ? requestId(id) : (await client.grant(grantId(id))).request;
      const { grant, key } = await takeKey(running, await client.request(request));
      const { secret, ...rest } = key;
      const shown = options.show === true || options.uri === true;
      const words = options.uri === true ? connectionUri(key) : [`${grant.id} until ${key.notAfter}`, `user      ${key.user}`, ...(shown ? [`password  ${secret}`] : []), ...Object.entries(key.endpoint).map(([name, value]) => `${name.padEnd(10)}${String(value)}`), ...(shown ? [] : ["(--show prints the password, --uri a connection string)"])].join("\n");
      running.terminal.result(shown ? key : rest, words);
    });
}

export function requestId(text: string): RequestId {
  const parsed = RequestId.safeParse(text);
  if (!parsed.success) throw new CardeaError("usage", `\`${text}\` is not a request id (req_…)`);
  return parsed.data;
}

export function grantId(text: string): GrantId {
  // A key has its grant's id under another prefix.
  const parsed = GrantId.safeParse(text.replace(/^key_/, "gra_"));
  if (!parsed.success) throw new CardeaError("usage", `\`${text}\` is not a grant or key id (gra_…, key_…)`);
  return parsed.data;
}
