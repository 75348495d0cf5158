/**
 * Where attacks take place: a whole Cardea under a policy with rules of every kind, its sample people and newcomers, raw HTTP, the control plane's
 * database in its administrator's hands, and the resource. It also keeps the one promise above all others, after each attack: whatever login
 * exists at the resource, its evidence verifies.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { challengeDigest } from "@cardea/core/wire/api/sign-in";
import type { CreatePerson } from "@cardea/core/wire/api/people";
import { RequestId, type GrantId, type SubjectId } from "@cardea/core/contract/ids";
import { verifyEvidence } from "@cardea/core/evidence/verify";
import { CardeaClient } from "@cardea/sdk/client";
import { deviceKey, enrolKey, type SignDigest } from "@cardea/sdk/device-key";
import { systemRandom } from "@cardea/server/processes/system";
import {
  fileRequest,
  takeKey,
  writeWish,
  type FiledRequest,
  type KeyInHand,
  type Wish,
} from "@cardea/testing/key-in-hand";
import { startWholeStack, type SampleName, type WholeStack } from "@cardea/testing/whole-stack";
import { Administrator } from "./administrator.ts";
import { outcomeOf } from "./attempt.ts";
import { attackPolicy } from "./policy.ts";

/** Somebody who joined for the attacks, with the device key that they sign in by. */
export interface Newcomer {
  readonly client: CardeaClient;
  readonly subject: SubjectId;
  readonly credential: string;
  readonly sign: SignDigest;
}

/** What a raw call was answered with. */
export interface RawAnswer {
  readonly status: number;
  /** Of the problem document; absent in a success. */
  readonly code: string | undefined;
  readonly text: string;
}

export class Ground implements AsyncDisposable {
  readonly #whole: WholeStack;
  readonly database: Administrator;
  readonly #shop: Client;
  /** Database administrator; security officer; administrator and auditor of Cardea. */
  readonly bob: CardeaClient;
  readonly sam: CardeaClient;
  readonly ada: CardeaClient;
  /** Logins whose evidence was verified already: evidence does not get worse. */
  readonly #justified = new Set<string>();
  readonly #newcomers = new Map<string, Promise<Newcomer>>();

  private constructor(
    whole: WholeStack,
    database: Administrator,
    shop: Client,
    { bob, sam, ada }: Pick<Ground, "bob" | "sam" | "ada">,
  ) {
    this.#whole = whole;
    this.bob = bob;
    this.sam = sam;
    this.ada = ada;
    this.database = database;
    this.#shop = shop;
  }

  static async open(say: (line: string) => void): Promise<Ground> {
    const whole = await startWholeStack({ onStep: say });
    const database = await Administrator.connect(whole.stack.database.connection("cardea"));
    const shop = new Client(whole.stack.shop.connection("shop"));
    await shop.connect();
    const [bob, sam, ada] = await Promise.all([whole.as("bob"), whole.as("sam"), whole.as("ada")]);
    const ground = new Ground(whole, database, shop, { bob, sam, ada });
    await ground.applyPolicy(attackPolicy);
    return ground;
  }

  get url(): string {
    return this.#whole.stack.url;
  }

  get stack(): WholeStack["stack"] {
    return this.#whole.stack;
  }

  get trust(): WholeStack["trust"] {
    return this.#whole.trust;
  }

  as(name: SampleName): Promise<CardeaClient> {
    return this.#whole.as(name);
  }

  /** A sample person's subject. */
  async subject(name: SampleName): Promise<SubjectId> {
    return (await (await this.as(name)).whoAmI()).subject;
  }

  /** A new person, the same whenever the same name is asked for. `erin` is an engineer without any other part; `dora` is in two approvers' groups. */
  newcomer(name: "erin" | "dora" | "olga" | "root" | "peter" | "mallory" | "firefighter"): Promise<Newcomer> {
    const person: Record<typeof name, Omit<CreatePerson, "name">> = {
      erin: { groups: ["engineering"] },
      dora: { groups: ["dba", "security"] },
      olga: { groups: ["outsiders"] },
      root: { groups: ["engineering", "admins"], permissions: ["member", "admin"] },
      peter: { groups: ["engineering"] },
      mallory: { groups: [] },
      firefighter: { groups: ["engineering", "on-call"] },
    };
    let joined = this.#newcomers.get(name);
    if (joined === undefined) {
      joined = this.join({ name, ...person[name] });
      this.#newcomers.set(name, joined);
    }
    return joined;
  }

  /** Adds a subject and signs it in by a device key of its own. */
  async join(person: CreatePerson): Promise<Newcomer> {
    const created = await this.ada.createPerson(person);
    const { subject } = created.person.entry;
    const invitation = created.invitation?.invitation ?? (await this.ada.invite(subject)).invitation;
    const { publicKey, sign } = deviceKey(systemRandom.bytes(32));
    const { credential } = await enrolKey(this.anonymous(), invitation, { kind: "device", publicKey }, sign);
    const challenge = await this.anonymous().challenge(credential);
    const { token } = await this.anonymous().signIn(challenge.nonce, await sign(challengeDigest(challenge)));
    return { client: this.with(token), subject, credential, sign };
  }

  /** A client without a sign-in. */
  anonymous(): CardeaClient {
    return new CardeaClient({ baseUrl: this.url });
  }

  with(token: string): CardeaClient {
    return new CardeaClient({ baseUrl: this.url, token: () => token });
  }

  /** A request for `write` under the rule of this ticket, by erin unless said otherwise. */
  async pending(ticket: string, by?: CardeaClient, wish: Partial<Wish> = {}): Promise<FiledRequest> {
    const client = by ?? (await this.newcomer("erin")).client;
    const filed = await fileRequest(client, { ...writeWish(), ticket, ...wish });
    if (filed.view.state !== "pending")
      throw new Error(`${filed.view.id} is ${filed.view.state}, and was to be pending`);
    return filed;
  }

  /** Approves as one person, for the digest as it was filed. */
  async approve(client: CardeaClient, { view }: FiledRequest) {
    return await client.vote(view.id, { verdict: "approve", digest: view.digest });
  }

  /** Approves by one database administrator and takes the key. */
  async approvedKey(by: CardeaClient): Promise<KeyInHand> {
    const filed = await this.pending("ONE", by);
    await this.approve(this.bob, filed);
    return await takeKey(by, filed);
  }

  async applyPolicy(source: string): Promise<void> {
    const { base } = await this.ada.planPolicy(source);
    await this.ada.applyPolicy(source, base);
  }

  /** Under another policy for a while. */
  async underPolicy<T>(source: string, during: () => Promise<T>): Promise<T> {
    await this.applyPolicy(source);
    try {
      return await during();
    } finally {
      await this.applyPolicy(attackPolicy);
    }
  }

  /** Under a changed person for a while. */
  async whileChanged<T>(
    id: SubjectId,
    change: { groups?: string[]; active?: boolean },
    during: () => Promise<T>,
  ): Promise<T> {
    const { items } = await this.ada.people({ limit: 200 });
    const before = items.find(({ entry }) => entry.subject === id)?.entry;
    if (before === undefined) throw new Error(`there is no ${id}`);
    await this.ada.changePerson(id, change);
    try {
      return await during();
    } finally {
      await this.ada.changePerson(id, { groups: before.groups, active: before.active });
    }
  }

  /** Any call, exactly as written. */
  async raw(path: string, init: RequestInit = {}): Promise<RawAnswer> {
    const answer = await fetch(this.url + path, { redirect: "manual", ...init });
    const text = await answer.text();
    return { status: answer.status, text, code: answer.ok ? undefined : problemCode(text) };
  }

  /** Why a grant that ends ended, or the state in which it stays for too long. */
  async endOf(client: CardeaClient, grant: GrantId): Promise<string> {
    for (let turn = 0; turn < 20; turn += 1) {
      const view = await client.grant(grant);
      if (view.state === "ended" || view.state === "failed") return view.why ?? view.state;
      await client.grant(grant, { wait: 1, since: view.state });
    }
    return (await client.grant(grant)).state;
  }

  /** What of a kind was logged about an id, waiting a little for it. Empty where nothing was. */
  async logged(type: string, id?: string, withinMs = 5_000): Promise<string> {
    for (let waitedMs = 0; waitedMs <= withinMs; waitedMs += 100) {
      const { items } = await this.ada.audit({ type, limit: 1, ...(id !== undefined && { id }) });
      if (items.length > 0) return type;
      await sleep(100);
    }
    return "nothing logged";
  }

  /** Logins bearing our mark's form at the resource. What has no deadline in its name is no login of ours. */
  async loginsAtResource(): Promise<string[]> {
    const { rows } = await this.#shop.query<{ rolname: string }>(
      "select rolname from pg_roles where rolname ~ '^cardea_[0-9a-hjkmnp-tv-z]{25}$'",
    );
    return rows.map(({ rolname }) => rolname).filter((name) => name.slice(17, 24) !== "0000000");
  }

  /** As the resource's superuser, to look and to prepare. */
  async atResource(text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.#shop.query<Record<string, unknown>>(text, [...values])).rows;
  }

  /** How the shop could be configured as a resource of another name, with this native role to read by. */
  async shopConfiguration(name: string, member: string): Promise<object> {
    const { host, port } = this.stack.shop.connection();
    const password = (await readFile(join(this.stack.dataDirectory, "sample", "admin-password"), "utf8")).trim();
    return {
      name,
      kind: "postgres",
      labels: { env: "second" },
      owners: { groups: ["dba"] },
      connect: {
        host,
        port,
        databases: ["shop"],
        user: "cardea_admin",
        password: { value: password },
        tls: { mode: "disable" },
      },
      roles: { read: { member: [member], actions: ["sql.select", "sql.insert", "sql.update", "sql.delete"] } },
    };
  }

  /**
   * What the next call comes to that has to read all people from the rows: a control plane keeps a version that it has verified, so an honest
   * change makes a newer one first.
   */
  async outcomeOfNextReading(): Promise<string> {
    await this.subject("sam")
      .then((sam) => this.ada.changePerson(sam, { displayName: "Sam Okafor" }))
      .catch(() => undefined);
    return outcomeOf(this.ada.whoAmI());
  }

  /** Kills the control plane, waits for the next one, and for the outpost to have found it. */
  async restartControl(): Promise<void> {
    const { pid } = this.stack.control;
    if (pid === undefined) throw new Error("the control plane has no process");
    process.kill(pid, "SIGKILL");
    while (this.stack.control.pid === pid || !(await this.#answers())) await sleep(50);
    await this.settled();
  }

  /** Waits until the outpost's link is up. */
  async settled(): Promise<void> {
    for (let waitedMs = 0; waitedMs < 30_000; waitedMs += 100) {
      const connected = await this.ada.outposts().then(
        ({ items }) => items.some((outpost) => outpost.connected),
        () => false,
      );
      if (connected) return;
      await sleep(100);
    }
    throw new Error("the outpost's link does not come up again");
  }

  async #answers(): Promise<boolean> {
    return this.raw("/v1/meta").then(
      ({ status }) => status === 200,
      () => false,
    );
  }

  /** Puts back what was changed by SQL. */
  async putBack(): Promise<void> {
    await this.database.putBack();
  }

  /** Logins that no evidence justifies, each with why. None is what every attack must leave. */
  async unjustified(): Promise<string[]> {
    const found: string[] = [];
    for (const name of await this.loginsAtResource()) {
      if (this.#justified.has(name)) continue;
      const reason = await this.#whyUnjustified(name);
      if (reason !== undefined && (await this.loginsAtResource()).includes(name)) found.push(`${name}: ${reason}`);
      if (reason === undefined) this.#justified.add(name);
    }
    return found;
  }

  async #whyUnjustified(login: string): Promise<string | undefined> {
    let row: Record<string, unknown> | undefined;
    // The login is there a moment before the outpost's word of it has come.
    for (let turn = 0; turn < 50 && row === undefined; turn += 1) {
      [row] = await this.database.many(
        "select request_id from leases join grants on grants.id = grant_id where native_name = $1",
        [login],
      );
      if (row === undefined) await sleep(100);
    }
    if (row === undefined) return "no lease names it";
    const evidence = await this.ada.evidence(RequestId.parse(row["request_id"]));
    const outcome = verifyEvidence(evidence, this.trust, Date.now(), { purpose: "audit" });
    return outcome.ok ? undefined : `${outcome.code}: ${outcome.detail}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#shop.end();
    await this.database[Symbol.asyncDispose]();
    await this.#whole[Symbol.asyncDispose]();
  }
}

function problemCode(text: string): string {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "code" in body) return String(body.code);
  } catch {
    // Not JSON: whatever it is, it is no problem document.
  }
  return "no problem document";
}
