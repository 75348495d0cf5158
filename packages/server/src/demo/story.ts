/** What the demo's steps do, as the people do it: through the API with their own sign-ins, and with an ordinary PostgreSQL client. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RequestView } from "@cardea/core/wire/api/requests";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { CardeaError, type ErrorCode } from "@cardea/core/contract/errors";
import type { Evidence } from "@cardea/core/documents/evidence";
import { verifyEvidence } from "@cardea/core/evidence/verify";
import { openCheckpoint } from "@cardea/core/log/checkpoint";
import { parseVerifierKey } from "@cardea/core/log/note";
import { verifyLog } from "@cardea/core/log/verify";
import type { CardeaClient } from "@cardea/sdk/client";
import { newDeliveryKey, openSealedKey, type DeliveryKey } from "@cardea/sdk/delivery-key";
import { Client, DatabaseError } from "pg";
import type { Stack } from "../dev/stack.ts";
import { signInAs } from "../sample/seed.ts";
import { holds } from "./narrator.ts";
import { eventually, within } from "./patience.ts";
import { systemClock } from "../processes/system.ts";

/** A connection made with a key, and how it ended. */
export interface Session {
  readonly client: Client;
  /** Resolves when the connection is gone, with the server's words. */
  readonly closed: Promise<string>;
}

export class Story implements AsyncDisposable {
  readonly #stack: Stack;
  readonly #people = new Map<string, Promise<CardeaClient>>();
  readonly #deliveries = new Map<string, DeliveryKey>();
  readonly #sessions: Session[] = [];
  readonly #filed: RequestView[] = [];

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  /** A signed-in client of one of the sample people. */
  as(name: string): Promise<CardeaClient> {
    const known = this.#people.get(name);
    if (known !== undefined) return known;
    const client = signInAs(this.#stack.url, name, this.#stack.peopleDirectory);
    this.#people.set(name, client);
    return client;
  }

  async ask(
    name: string,
    role: string,
    duration: string,
    justification: string,
    via: "direct" | "gateway" = "direct",
  ): Promise<RequestView> {
    const delivery = await newDeliveryKey();
    const client = await this.as(name);
    const view = await client.submit({
      resource: "sample-shop",
      ask: { role },
      window: { duration },
      justification,
      via,
      deliverTo: delivery.publicKey,
    });
    this.#deliveries.set(view.id, delivery);
    this.#filed.push(view);
    return view;
  }

  async approve(name: string, { id, digest }: RequestView): Promise<RequestView> {
    return (await this.as(name)).vote(id, { verdict: "approve", digest });
  }

  /** The words of a refusal that must happen, with exactly this code. */
  async refused(code: ErrorCode, attempt: () => Promise<unknown>): Promise<string> {
    try {
      await attempt();
    } catch (error) {
      if (error instanceof CardeaError && error.code === code) return `${error.code}: ${error.message}`;
      throw error;
    }
    throw new Error(`this should have been refused with \`${code}\``);
  }

  async openKey({ id, grant, requester }: RequestView): Promise<DeliveredKey> {
    const delivery = this.#deliveries.get(id);
    holds(grant !== undefined && delivery !== undefined, "the request has a grant, and we have its delivery key");
    const { sealed, digest } = await (await this.as(requester.name)).key(grant.id, { wait: 30 });
    return openSealedKey(sealed, delivery.privateKey, digest);
  }

  async connect(key: DeliveredKey): Promise<Session> {
    const client = new Client(this.#connection(key));
    const closed = new Promise<string>((resolve) => {
      client.on("error", (error) => {
        resolve(error.message);
      });
      client.on("end", () => {
        resolve("the connection ended");
      });
    });
    await client.connect();
    const session = { client, closed };
    this.#sessions.push(session);
    return session;
  }

  async useIt({ client }: Session): Promise<void> {
    const { rows } = await client.query<{ user: string }>("select current_user as user");
    holds(rows[0]?.user.startsWith("cardea_") === true, "the session runs under the key's own login");
    await client.query("select count(*) from public.orders");
  }

  /** PostgreSQL's own refusal, with exactly this SQLSTATE. */
  async refusedBySql({ client }: Session, sqlState: string, statement: string): Promise<string> {
    try {
      await client.query(statement);
    } catch (error) {
      if (error instanceof DatabaseError && error.code === sqlState) return `${statement} → ${error.message}`;
      throw error;
    }
    throw new Error(`\`${statement}\` should have been refused`);
  }

  async releaseAndSeeItClose({ grant, requester }: RequestView, session: Session): Promise<string> {
    holds(grant !== undefined, "there is a grant");
    const client = await this.as(requester.name);
    await client.release(grant.id);
    const words = await within(session.closed, "the open session closes");
    await this.#untilEnded(client, grant.id);
    return words;
  }

  async loginRefused(key: DeliveredKey): Promise<string> {
    const client = new Client(this.#connection(key));
    client.on("error", () => undefined);
    try {
      await client.connect();
    } catch (error) {
      holds(error instanceof DatabaseError && error.code === "28P01", "the login is refused as unknown");
      return error.message;
    }
    await client.end();
    throw new Error("the login still works");
  }

  async stopControlPlane({ client }: Session): Promise<void> {
    await this.#stack.control.stop();
    await client.query("select 1");
  }

  async waitForEnd(key: DeliveredKey, session: Session): Promise<string> {
    const words = await within(session.closed, "the session closes at the deadline");
    const lateMs = systemClock.now() - Date.parse(key.notAfter);
    await eventually(async () => !(await this.#loginsLeft()).includes(key.user) || undefined, "the login is gone");
    return `${words}, ${String(lateMs)} ms after the deadline`;
  }

  async startControlPlane({ grant, requester }: RequestView): Promise<string> {
    await this.#stack.control.startAgain();
    this.#people.clear();
    holds(grant !== undefined, "there is a grant");
    const ended = await this.#untilEnded(await this.as(requester.name), grant.id);
    return `grant ${ended.id} ${ended.state} (${ended.why ?? "?"})`;
  }

  /** From the published files, with nothing but the pinned log key. */
  async verifyLog(): Promise<string> {
    const { trust } = await this.#installation();
    const key = parseVerifierKey(trust.logKey);
    holds(key.ok, "the log key is well formed");
    const directory = join(this.#stack.dataDirectory, "log-tiles");
    const checkpoint = openCheckpoint(await readFile(join(directory, "checkpoint"), "utf8"), {
      origin: trust.origin,
      key: key.value,
    });
    holds(checkpoint.ok, "the published checkpoint is signed by the log");
    const verified = await verifyLog(
      async (path) => readFile(join(directory, path)).catch(() => undefined),
      checkpoint.value,
    );
    holds(verified.ok, verified.ok ? "" : verified.detail);
    return `${String(checkpoint.value.size)} entries of ${trust.origin}`;
  }

  async verifyEvidence(): Promise<string> {
    const { trust, evidence } = await this.#installation();
    const verified = verifyEvidence(evidence, trust, systemClock.now(), { purpose: "audit" });
    holds(verified.ok, verified.ok ? "" : `${verified.code}: ${verified.detail}`);
    return verified.proven.map((line) => `proven: ${line}`).join("\n");
  }

  async tamperedEvidence(): Promise<string> {
    const { trust, evidence } = await this.#installation();
    const asked = { ...evidence.request.asked, justification: `${evidence.request.asked.justification}!` };
    const verified = verifyEvidence(
      { ...evidence, request: { ...evidence.request, asked } },
      trust,
      systemClock.now(),
      { purpose: "audit" },
    );
    holds(!verified.ok, "changed evidence is refused");
    return `${verified.code}: ${verified.detail}`;
  }

  async nothingLeft(): Promise<string> {
    await eventually(async () => (await this.#loginsLeft()).length === 0 || undefined, "no login bears our mark");
    return "no role whose name begins with cardea_, but for the administrator's own login";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { client } of this.#sessions) await client.end().catch(() => undefined);
  }

  async #installation(): Promise<{ trust: Awaited<ReturnType<CardeaClient["trust"]>>; evidence: Evidence }> {
    const [first] = this.#filed;
    holds(first !== undefined, "something was asked for");
    const client = await this.as("ada");
    const [trust, evidence] = await Promise.all([client.trust(), client.evidence(first.id)]);
    return { trust, evidence };
  }

  async #untilEnded(client: CardeaClient, id: NonNullable<RequestView["grant"]>["id"]) {
    return eventually(async () => {
      const grant = await client.grant(id);
      return grant.state === "ended" ? grant : undefined;
    }, `grant ${id} ends`);
  }

  async #loginsLeft(): Promise<string[]> {
    const client = new Client(this.#stack.shop.connection());
    await client.connect();
    try {
      const { rows } = await client.query<{ name: string }>(
        "select rolname as name from pg_roles where rolname like 'cardea\\_%' and rolname <> 'cardea_admin'",
      );
      return rows.map(({ name }) => name);
    } finally {
      await client.end();
    }
  }

  #connection(key: DeliveredKey) {
    const { host, port, database, databases } = key.endpoint;
    const named = database ?? (Array.isArray(databases) ? databases[0] : databases);
    return {
      host: String(host),
      port: Number(port),
      database: String(named),
      user: key.user,
      password: key.secret,
      connectionTimeoutMillis: 5_000,
    };
  }
}
