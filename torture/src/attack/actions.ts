/** Sessions through the gateway, statements that wait in them, and single actions asked for by themselves, as attacks need them. */
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import type { GrantId, RequestId, SessionId } from "@cardea/core/contract/ids";
import type { RequestView } from "@cardea/core/wire/api/requests";
import type { CardeaClient } from "@cardea/sdk/client";
import { newDeliveryKey } from "@cardea/sdk/delivery-key";
import { connectionOf, readWish, sampleResource, takeKey, type FiledRequest } from "@cardea/testing/key-in-hand";
import { outcomeOf, sure } from "./attempt.ts";
import type { Ground } from "./ground.ts";

const noticedWithinMs = 20_000;

/** A session with a key that only reads. */
export class OpenSession implements AsyncDisposable {
  readonly client: Client;
  readonly grant: GrantId;
  /** Whose key it is. */
  readonly by: CardeaClient;

  private constructor(client: Client, grant: GrantId, by: CardeaClient) {
    this.client = client;
    this.grant = grant;
    this.by = by;
  }

  static async open(by: CardeaClient): Promise<OpenSession> {
    const delivery = await newDeliveryKey();
    const view = await by.submit({
      resource: sampleResource,
      ...readWish(),
      via: "gateway",
      deliverTo: delivery.publicKey,
    });
    const { grant, key } = await takeKey(by, { view, delivery });
    const client = new Client({ ...connectionOf(key), ssl: { ca: String(key.endpoint["ca"]) } });
    // Being thrown out is what several attacks are about; unheard it would end the process.
    client.on("error", () => undefined);
    await client.connect();
    return new OpenSession(client, grant, by);
  }

  /** As the control plane knows it, once it does. */
  async id(): Promise<SessionId> {
    for (let waitedMs = 0; waitedMs < noticedWithinMs; waitedMs += 50) {
      const [session] = (await this.by.sessions({ grant: this.grant })).items;
      if (session !== undefined) return session.id;
      await sleep(50);
    }
    throw new Error("the control plane does not hear of the session");
  }

  /** Sends a statement that has to wait, and answers once its request is filed. @throws Error with what came at once, where it does not wait */
  async hold(text: string, values: readonly unknown[] = []): Promise<HeldStatement> {
    let came: string | undefined;
    let noticed: ((request: RequestId) => void) | undefined;
    const filed = new Promise<RequestId>((resolve) => (noticed = resolve));
    const listen = ({ message = "" }: { readonly message?: string | undefined }): void => {
      const [id] = /req_[0-9a-z]{26}/.exec(message) ?? [];
      // The pattern is that of an id.
      if (id !== undefined) noticed?.(id as RequestId);
    };
    this.client.on("notice", listen);
    const query = this.client.query(text, values.length === 0 ? undefined : [...values]);
    // A connection that is cut has no code.
    const result = outcomeOf(query).catch(() => "cut off");
    const atOnce = result.then((outcome) => {
      came = outcome;
      return undefined;
    });
    const late = sleep(noticedWithinMs, undefined, { ref: false });
    const request = await Promise.race([filed, atOnce, late]);
    this.client.off("notice", listen);
    if (request === undefined) throw new Error(`the statement does not wait: ${came ?? "nothing came"}`);
    return { view: await this.by.request(request), result };
  }

  /** Its connection is cut, without a word. */
  async cut(): Promise<void> {
    await this.client.end().catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cut();
    await outcomeOf(this.by.release(this.grant));
  }
}

export interface HeldStatement {
  readonly view: RequestView;
  /** `accepted`, or the SQLSTATE of its refusal. */
  readonly result: Promise<string>;
}

/** Asks for one statement by itself. */
export async function askOnce(
  by: CardeaClient,
  statement: string,
  more: Partial<Parameters<CardeaClient["submit"]>[0]> = {},
): Promise<FiledRequest> {
  const delivery = await newDeliveryKey();
  const view = await by.submit({
    resource: sampleResource,
    ask: { action: { type: "sql", what: { database: "shop", statement } } },
    justification: "order 4711 is wrong",
    window: { duration: "10m" },
    deliverTo: delivery.publicKey,
    ...more,
  });
  return { view, delivery };
}

let marks = 0;

/** A change that tells by itself whether, and how often, it was made. */
export interface Change {
  readonly statement: string;
  /** How often it was made. */
  count(): Promise<number>;
}

/** Adds one to an order's total; each change is of an order of its own. */
export async function newChange(ground: Ground): Promise<Change> {
  marks += 1;
  const order = 30_000 + marks;
  const total = async (): Promise<number> => {
    const [row] = await ground.atResource("select total_cents from orders where id = $1", [order]);
    return Number(row?.["total_cents"]);
  };
  const before = await total();
  return {
    statement: `update orders set total_cents = total_cents + 1 where id = ${String(order)}`,
    count: async () => (await total()) - before,
  };
}

/** Whose requests have to wait for a database administrator. */
export async function erin(ground: Ground): Promise<CardeaClient> {
  return (await ground.newcomer("erin")).client;
}

/** Sends a change of an order in a session, which waits. */
export async function heldChange(
  ground: Ground,
  session: OpenSession,
): Promise<{ readonly held: HeldStatement; readonly change: Change }> {
  const change = await newChange(ground);
  return { held: await session.hold(change.statement), change };
}

/** Approves as one person, for the digest as it was shown. */
export async function approve(by: CardeaClient, view: RequestView): Promise<string> {
  return outcomeOf(by.vote(view.id, { verdict: "approve", digest: view.digest }));
}

/** A statement that was approved and has run by itself. */
export async function ranOnce(ground: Ground, statement: string): Promise<FiledRequest> {
  const by = await erin(ground);
  const filed = await askOnce(by, statement);
  if (filed.view.state === "pending") await ground.approve(ground.bob, filed);
  const view = await by.ran(filed.view.id, { wait: 20 });
  sure(view.run, "run");
  return { ...filed, view };
}

/** Waits until the request is not pending any more; its state. */
export async function endOfRequest(ground: Ground, { id }: RequestView): Promise<string> {
  return (await ground.ada.request(id, { wait: 20, since: "pending:0" })).state;
}
