/** Outposts and webhooks, for administrators. */
import type { Context } from "../context.ts";
import { table } from "../output/table.ts";
import { relative } from "../output/times.ts";
import { takeAll } from "./pages.ts";

export interface WebhookOptions {
  readonly events?: string[];
  readonly label: string;
}

export async function listOutposts(context: Context): Promise<void> {
  const client = await context.client();
  const { terminal } = context;
  const items = await takeAll((query) => client.outposts(query));
  const rows = items.map(({ name, id, connected, lastSeenAt, leases }) => [
    name,
    id,
    connected
      ? terminal.style("green", "connected")
      : terminal.style(
          "red",
          lastSeenAt === undefined ? "never seen" : `away, seen ${relative(lastSeenAt, context.nowMs())}`,
        ),
    leases === undefined
      ? ""
      : `${leases.live} live, ${leases.ending} ending${leases.stuck > 0 ? `, ${terminal.style("red", `${leases.stuck} stuck`)}` : ""}`,
  ]);
  terminal.result(
    { items },
    items.length === 0
      ? "no outpost is enrolled; `cardea outposts invite` makes a token for one"
      : table(["outpost", "id", "link", "leases"], rows, terminal.columns),
  );
}

export async function inviteOutpost(context: Context): Promise<void> {
  const token = await (await context.client()).createEnrolmentToken();
  context.terminal.note(
    `for one outpost, until ${token.expiresAt}; on its machine: CARDEA_ENROLMENT_TOKEN=… cardea outpost`,
  );
  context.terminal.result(token, token.token);
}

export async function listWebhooks(context: Context): Promise<void> {
  const client = await context.client();
  const { terminal } = context;
  const items = await takeAll((query) => client.webhooks(query));
  const rows = items.map(({ id, label, url, events, failing, detail }) => [
    id,
    label,
    failing ? terminal.style("red", `failing: ${detail ?? "unknown"}`) : "well",
    events.length === 0 ? "all" : events.join(", "),
    url,
  ]);
  terminal.result(
    { items },
    items.length === 0 ? "no webhooks" : table(["webhook", "label", "state", "events", "url"], rows, terminal.columns),
  );
}

export async function createWebhook(context: Context, url: string, { events, label }: WebhookOptions): Promise<void> {
  const webhook = await (await context.client()).createWebhook({ url, label, ...(events !== undefined && { events }) });
  context.terminal.note(`${webhook.id}; receivers check signatures with this secret, shown once`);
  context.terminal.result(webhook, webhook.secret);
}

export async function deleteWebhook(context: Context, id: string): Promise<void> {
  await (await context.client()).deleteWebhook(id);
  context.terminal.result({ deleted: id }, `${id} deleted`);
}
