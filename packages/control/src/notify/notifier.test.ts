import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { once } from "node:events";
import { SMTPServer } from "smtp-server";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newId, type SubjectId } from "@cardea/core/contract/ids";
import { CreateWebhook } from "@cardea/core/wire/api/operations";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import type { Actor, Control } from "../control.ts";
import { addSubject } from "../people/add-subject.ts";
import { currentRoster } from "../people/roster.ts";
import { transact } from "../store/transaction.ts";
import { startNotifier, type Notifier, type NotifierOptions } from "./notifier.ts";
import { notify, type Notification } from "./notify.ts";
import { createWebhook, listWebhooks, removeWebhook } from "./webhooks.ts";

let cluster: TestCluster;
let plane: TestControl;
let control: Control;
let admin: Actor;
let alice: SubjectId;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
});
afterAll(() => cluster.stop());

async function prepare(mail?: { readonly url: string; readonly from: string }): Promise<void> {
  plane = await startTestControl(cluster, { settings: mail === undefined ? {} : { mail } });
  control = plane.control;
  closers.push(() => plane.stop());
  await currentRoster(control);
  const [boss, other] = [
    newId("subject", control.clock, control.random),
    newId("subject", control.clock, control.random),
  ];
  const fields = { kind: "human" as const, groups: [], claims: {} };
  await transact(control, async (tx) => {
    await addSubject(
      tx,
      control,
      boss,
      { ...fields, name: "boss", email: "boss@example.org", permissions: ["admin"] },
      undefined,
    );
    await addSubject(
      tx,
      control,
      other,
      { ...fields, name: "alice", email: "alice@example.org", permissions: ["member"] },
      undefined,
    );
  });
  alice = other;
  const entry = (await currentRoster(control)).entry(boss) as RosterEntry;
  admin = {
    subject: boss,
    name: "boss",
    entry,
    permissions: ["admin"],
    presence: { method: "sign-in", credential: newId("credential", control.clock, control.random) },
    sourceIp: "::1",
  };
  // What making the subjects has told is not what these tests are about.
  await plane.sql("delete from notifications");
}

beforeEach(() => prepare());
afterEach(async () => {
  for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close();
});

interface Received {
  readonly headers: Record<string, string>;
  readonly body: string;
}

interface Receiver {
  readonly url: string;
  readonly received: Received[];
}

/** A webhook receiver on loopback. */
async function receiver(answer: (response: ServerResponse, count: number) => void): Promise<Receiver> {
  const received: Received[] = [];
  const server: Server = createServer((request: IncomingMessage, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      received.push({ headers: request.headers as Record<string, string>, body });
      answer(response, received.length);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { url: `http://127.0.0.1:${address.port}/hook`, received };
}

function started(options: NotifierOptions = {}): Notifier {
  const notifier = startNotifier(control, { timeoutMs: 500, firstPauseMs: 50, ...options });
  closers.push(() => notifier.close());
  return notifier;
}

async function hook(url: string, events: string[] = []): Promise<{ id: string; secret: string }> {
  const made = await createWebhook(control, admin, CreateWebhook.parse({ url, events }));
  await plane.sql("delete from notifications");
  return made;
}

function tell(notification: Partial<Notification> = {}): Promise<void> {
  return transact(control, (tx) =>
    notify(tx, control, {
      type: "request.submitted",
      to: [alice],
      words: "bob asks for read on prod-orders for 1h",
      ...notification,
    }),
  );
}

const ok = (response: ServerResponse): unknown => response.writeHead(204).end();

describe("a webhook", () => {
  test("gets what happened at once, signed as Standard Webhooks, with the command and the code", async () => {
    const { url, received } = await receiver(ok);
    const { secret } = await hook(url);
    started();
    const before = Date.now();
    await tell({
      request: "req_00000000000000000000000000" as never,
      code: "K7QD-9MXT-2F4H",
      command: "cardea approve req_00000000000000000000000000",
    });
    await expect.poll(() => received.length).toBe(1);
    expect(Date.now() - before).toBeLessThan(1_000);
    const [message] = received;
    if (message === undefined) throw new Error("nothing came");
    expect(new Webhook(secret).verify(message.body, message.headers)).toEqual({
      type: "request.submitted",
      timestamp: expect.stringMatching(/Z$/),
      data: {
        words: "bob asks for read on prod-orders for 1h",
        to: [{ id: alice, name: "alice" }],
        request: "req_00000000000000000000000000",
        code: "K7QD-9MXT-2F4H",
        command: "cardea approve req_00000000000000000000000000",
      },
    });
    expect(() => new Webhook(secret).verify(message.body.replace("bob", "eve"), message.headers)).toThrow();
  });

  test("hears only what it listens to", async () => {
    const { url, received } = await receiver(ok);
    await hook(url, ["request.denied", "request.reminder"]);
    started();
    await tell({ type: "request.submitted" });
    await tell({ type: "request.reminder" });
    await expect
      .poll(() => received.map(({ body }) => (JSON.parse(body) as { type: string }).type))
      .toEqual(["request.reminder"]);
  });

  test("hears nothing of what was undone", async () => {
    const { url, received } = await receiver(ok);
    await hook(url);
    started();
    const undone = transact(control, async (tx) => {
      await notify(tx, control, { type: "request.submitted", to: [alice], words: "never happened" });
      throw new Error("undone");
    });
    await expect(undone).rejects.toThrow("undone");
    await tell({ words: "happened" });
    await expect.poll(() => received.length).toBe(1);
    expect(received[0]?.body).toContain("happened");
    expect(received[0]?.body).not.toContain("never");
  });

  test("that fails is shown as failing, and tried again under the same id until it answers", async () => {
    const { url, received } = await receiver((response, count) => response.writeHead(count < 3 ? 500 : 200).end());
    const { id } = await hook(url);
    started({ firstPauseMs: 300 });
    await tell();
    await expect
      .poll(async () => (await listWebhooks(control, admin, { limit: 10 })).items)
      .toMatchObject([{ id, failing: true, detail: "the receiver answered with status 500" }]);
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(3);
    expect(new Set(received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    await expect
      .poll(async () => (await listWebhooks(control, admin, { limit: 10 })).items)
      .toMatchObject([{ id, failing: false, lastDeliveredAt: expect.any(String) }]);
    expect(await plane.sql("select state, attempts from deliveries")).toEqual([{ state: "delivered", attempts: 3 }]);
  });

  test("that hangs holds up itself and nobody else", async () => {
    const hanging = await receiver(() => undefined);
    const good = await receiver(ok);
    await hook(hanging.url);
    await hook(good.url);
    started({ timeoutMs: 2_000, concurrency: 2 });
    for (let i = 0; i < 20; i++) await tell({ words: `news ${i}` });
    await expect.poll(() => good.received.length, { timeout: 1_500 }).toBe(20);
    expect(hanging.received.length).toBe(1);
    expect(good.received.map(({ body }) => (JSON.parse(body) as { data: { words: string } }).data.words)).toEqual(
      Array.from({ length: 20 }, (_, i) => `news ${i}`),
    );
    await expect
      .poll(async () => plane.sql("select detail from deliveries where state = 'due' and detail is not null limit 1"), {
        timeout: 5_000,
      })
      .toEqual([{ detail: "no answer within 2 s" }]);
  });

  test("that was away for days gets the news and not what is no news any more", async () => {
    const { url, received } = await receiver(ok);
    await hook(url);
    await tell({ words: "old" });
    await plane.sql("update notifications set created_at = now() - interval '73 hours'");
    await tell({ words: "new" });
    started();
    await expect
      .poll(async () => plane.sql("select state from deliveries order by id"))
      .toEqual([{ state: "abandoned" }, { state: "delivered" }]);
    expect(received.map(({ body }) => (JSON.parse(body) as { data: { words: string } }).data.words)).toEqual(["new"]);
  });

  test("that redirects is not followed", async () => {
    const inside = await receiver(ok);
    const { url } = await receiver((response) => response.writeHead(307, { location: inside.url }).end());
    await hook(url);
    started({ firstPauseMs: 60_000 });
    await tell();
    await expect
      .poll(async () => plane.sql("select detail from deliveries"))
      .toEqual([{ detail: "the receiver answered with status 307" }]);
    expect(inside.received).toEqual([]);
  });

  test("whose URL was changed by SQL to where nothing may go is not called", async () => {
    const { url } = await receiver(ok);
    await hook(url);
    await plane.sql("update webhooks set url = 'http://169.254.169.254/latest/meta-data'");
    started({ firstPauseMs: 60_000 });
    await tell();
    await expect
      .poll(async () => plane.sql("select detail from deliveries"))
      .toMatchObject([{ detail: expect.stringContaining("cannot be used") }]);
  });

  test("whose secret was changed by SQL is not called", async () => {
    const { url, received } = await receiver(ok);
    await hook(url);
    await hook(url.replace("/hook", "/other"));
    await plane.sql(
      "update webhooks set secret = (select secret from webhooks where url like '%/other') where url like '%/hook'",
    );
    started();
    await tell();
    await expect
      .poll(async () => plane.sql("select state from deliveries order by state"))
      .toEqual([{ state: "abandoned" }, { state: "delivered" }]);
    expect(received.length).toBe(1);
  });

  test("that is removed gets nothing more, not even what waited", async () => {
    const { url, received } = await receiver(ok);
    const { id } = await hook(url);
    await tell();
    await removeWebhook(control, admin, id as never);
    await expect(removeWebhook(control, admin, id as never)).rejects.toMatchObject({ code: "not_found" });
    started();
    await expect.poll(async () => (await plane.sql("select count(*)::int as n from deliveries"))[0]).toEqual({ n: 0 });
    expect(received).toEqual([]);
  });

  test("is made by administrators who are present, for known events, and its secret is nowhere in clear", async () => {
    const input = CreateWebhook.parse({ url: "https://hooks.example" });
    await expect(createWebhook(control, { ...admin, permissions: ["member"] }, input)).rejects.toMatchObject({
      code: "forbidden",
    });
    await expect(
      createWebhook(
        control,
        { ...admin, presence: { method: "api-token", token: newId("token", control.clock, control.random) } },
        input,
      ),
    ).rejects.toMatchObject({ code: "token_forbidden" });
    await expect(
      createWebhook(control, admin, CreateWebhook.parse({ url: "https://hooks.example", events: ["request.sent"] })),
    ).rejects.toMatchObject({ code: "invalid_request" });
    const { secret } = await createWebhook(control, admin, input);
    const [row] = await plane.sql("select row_to_json(webhooks)::text as stored from webhooks");
    expect(String(row?.["stored"])).not.toContain(secret.slice(6, 20));
    expect(JSON.stringify(await listWebhooks(control, admin, { limit: 10 }))).not.toContain("secret");
  });
});

describe("several processes", () => {
  test("send each notification once between them, and take over what a dead one had begun", async () => {
    const { url, received } = await receiver(ok);
    await hook(url);
    const other = plane.another();
    closers.push(() => other.stop());
    const second = startNotifier(other.control, { timeoutMs: 500 });
    closers.push(() => second.close());
    started();
    for (let i = 0; i < 30; i++) await tell({ words: `n${i}` });
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(30);
    expect(new Set(received.map(({ headers }) => headers["webhook-id"])).size).toBe(30);
    await plane.sql(
      "update deliveries set state = 'due', claimed_until = now() + interval '300 milliseconds' where id = (select min(id) from deliveries)",
    );
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(31);
  });
});

describe("mail", () => {
  interface Mail {
    readonly to: string[];
    readonly text: string;
  }

  async function mailServer(refuse: readonly string[] = []): Promise<{ port: number; mails: Mail[] }> {
    const mails: Mail[] = [];
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ["STARTTLS"],
      logger: false,
      onRcptTo: ({ address }, _session, done) => {
        const refused = Object.assign(new Error("no such mailbox"), { responseCode: 550 });
        done(refuse.includes(address) ? refused : null);
      },
      onData: (stream, session, done) => {
        let text = "";
        stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
        stream.on("end", () => {
          mails.push({ to: session.envelope.rcptTo.map((to) => to.address), text });
          done();
        });
      },
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    closers.unshift(() => new Promise((closed) => server.close(closed)));
    const address = server.server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return { port: address.port, mails };
  }

  async function withMail(port: number): Promise<void> {
    await prepare({ url: `smtp://127.0.0.1:${port}`, from: "Cardea <cardea@example.org>" });
  }

  test("says what, the command to type and the code to compare, to whom it concerns and nobody else", async () => {
    const { port, mails } = await mailServer();
    await withMail(port);
    started();
    await tell({
      request: "req_00000000000000000000000000" as never,
      code: "K7QD-9MXT-2F4H",
      command: "cardea approve req_00000000000000000000000000",
      words: "bob asks for read\r\nBcc: eve@example.org",
    });
    await expect.poll(() => mails.length).toBe(1);
    expect(mails[0]?.to).toEqual(["alice@example.org"]);
    const text = (mails[0]?.text ?? "").replaceAll("=\r\n", "").replaceAll("=E2=80=A6", "…");
    const [head = "", body = ""] = text.split(/\r\n\r\n(.*)/s);
    expect(head).toContain("Subject: [Cardea] bob asks for read Bcc: eve@example.org");
    expect(head).not.toMatch(/^Bcc:/m);
    expect(head).toContain("Auto-Submitted: auto-generated");
    expect(body).toContain("cardea approve req_00000000000000000000000000");
    expect(body).toContain("K7QD-9MXT-2F4H");
  });

  test("refused for one recipient goes to the others, and is not tried for ever", async () => {
    const { port, mails } = await mailServer(["alice@example.org"]);
    await withMail(port);
    started();
    await tell({ to: [alice, admin.subject] });
    await expect
      .poll(async () => plane.sql("select state from deliveries order by state"))
      .toEqual([{ state: "abandoned" }, { state: "delivered" }]);
    expect(mails.map((mail) => mail.to)).toEqual([["boss@example.org"]]);
  });

  test("to a server that hangs holds up no webhook, and arrives once it answers", async () => {
    const silent = createTcpServer(() => undefined);
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    await withMail(address.port);
    const good = await receiver(ok);
    await hook(good.url);
    started({ timeoutMs: 500, firstPauseMs: 200 });
    await tell();
    await expect.poll(() => good.received.length, { timeout: 400 }).toBe(1);
    await expect
      .poll(async () => plane.sql("select detail from deliveries where target = 'mail'"), { timeout: 5_000 })
      .toEqual([{ detail: "the mail server cannot be reached" }]);
    await new Promise((closed) => silent.close(closed));
    const { mails } = await reopened(address.port);
    await expect.poll(() => mails.length, { timeout: 10_000 }).toBe(1);
  });

  async function reopened(port: number): Promise<{ mails: Mail[] }> {
    const mails: Mail[] = [];
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ["STARTTLS"],
      logger: false,
      onData: (stream, session, done) => {
        stream.resume();
        stream.on("end", () => {
          mails.push({ to: session.envelope.rcptTo.map((to) => to.address), text: "" });
          done();
        });
      },
    });
    await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
    closers.unshift(() => new Promise((closed) => server.close(closed)));
    return { mails };
  }

  test("is not written to somebody without an address, or who is no longer active", async () => {
    const { port, mails } = await mailServer();
    await withMail(port);
    await plane.sql("update subject_profiles set email = null where subject_id = $1", [alice]);
    started();
    await tell({ to: [alice, admin.subject] });
    await expect.poll(() => mails.map((mail) => mail.to)).toEqual([["boss@example.org"]]);
  });
});
