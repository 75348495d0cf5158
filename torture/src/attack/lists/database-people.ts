/** The administrator of the control plane's database makes people, groups, credentials, sign-ins and invitations out of rows. */
import { setTimeout as sleep } from "node:timers/promises";
import { newId } from "@cardea/core/contract/ids";
import { configureInfo } from "@cardea/core/contract/outpost-marks";
import { sealTo } from "@cardea/sdk/delivery-key";
import { deviceKey, enrolKey } from "@cardea/sdk/device-key";
import { systemClock, systemRandom } from "@cardea/server/processes/system";
import { fileRequest, obtainKey, readWish } from "@cardea/testing/key-in-hand";
import { outcomeOf, sure, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";

/** Edits somebody's roster entry; answers with what a call comes to that needs to know who people are. */
async function editEntry(ground: Ground, subject: string, change: (text: string) => string): Promise<string> {
  const { document } = await ground.database.one("select document from roster_entries where subject_id = $1", [
    subject,
  ]);
  const changed = change(String(document));
  if (changed === document) throw new Error("the entry was not changed");
  await ground.database.alter("roster_entries", { subject_id: subject }, { document: changed });
  return ground.outcomeOfNextReading();
}

interface FreshToken {
  readonly id: string;
  readonly secret: string;
}

async function token(ground: Ground): Promise<FreshToken> {
  return (await ground.newcomer("erin")).client.createToken({ label: "edited", permissions: ["member"] });
}

/** A resource's configuration under which reading is writing. */
async function configureBySql(ground: Ground): Promise<string> {
  const [outpost] = (await ground.ada.outposts()).items;
  const { id, sealKey } = sure(outpost, "outpost");
  const name = "second-shop";
  const sealed = async (member: string): Promise<Awaited<ReturnType<typeof sealTo>>> =>
    sealTo(
      sealKey,
      new TextEncoder().encode(JSON.stringify(await ground.shopConfiguration(name, member))),
      name,
      configureInfo,
    );
  const honest = await ground.ada.applyResource(name, { outpost: id, sealed: await sealed("app_ro") });
  const task = newId("task", systemClock, systemRandom);
  const payload = { type: "configure", resource: honest.id, name, sealed: await sealed("app_rw") };
  await ground.database.many(
    "insert into tasks (id, outpost, type, resource, payload, state, next_at, created_at) values ($1, $2, 'configure', $3, $4, 'open', now(), now())",
    [task, id, name, JSON.stringify(payload)],
  );
  ground.database.removeLater("tasks", { id: task });
  for (let turn = 0; turn < 80; turn += 1) {
    const { state } = await ground.database.one("select state from tasks where id = $1", [task]);
    if (state !== "open") return state === "failed" ? "refused" : "the configuration was taken";
    await sleep(100);
  }
  return (await ground.ada.resource(name)).specDigest === honest.specDigest ? "refused" : "the configuration was taken";
}

export const peopleBySql: AttackList = {
  title: "the database's administrator: people",
  attacks: [
    {
      tries: "somebody is put into the approvers' group",
      meets: "roster_invalid",
      run: async (ground) =>
        editEntry(ground, (await ground.newcomer("erin")).subject, (text) =>
          text.replace('"groups":["engineering"]', '"groups":["dba","engineering"]'),
        ),
    },
    {
      tries: "somebody is made an administrator",
      meets: "roster_invalid",
      run: async (ground) =>
        editEntry(ground, (await ground.newcomer("erin")).subject, (text) =>
          text.replace('"permissions":["member"]', '"permissions":["admin","member"]'),
        ),
    },
    {
      tries: "a credential of one's own is added to an approver",
      meets: "roster_invalid",
      run: async (ground) => {
        const mine = deviceKey(systemRandom.bytes(32));
        return editEntry(ground, await ground.subject("bob"), (text) =>
          text.replace(/"publicKey":"[^"]+"/, `"publicKey":"${mine.publicKey}"`),
        );
      },
    },
    {
      tries: "somebody inactive is made active again",
      meets: "roster_invalid",
      run: async (ground) => {
        const left = await ground.join({ name: "left", groups: ["dba"] });
        await ground.ada.changePerson(left.subject, { active: false });
        return editEntry(ground, left.subject, (text) => text.replace('"active":false', '"active":true'));
      },
    },
    {
      tries: "an agent is made a human",
      meets: "roster_invalid",
      run: async (ground) => {
        const agent = await ground.join({
          name: "pretender",
          kind: "agent",
          actsFor: await ground.subject("bob"),
          groups: ["dba"],
        });
        return editEntry(ground, agent.subject, (text) => text.replace('"kind":"agent"', '"kind":"human"'));
      },
    },
    {
      tries: "a new person appears",
      meets: "roster_invalid",
      run: async (ground) => {
        const { subject } = await ground.newcomer("erin");
        const forged = newId("subject", systemClock, systemRandom);
        const { document } = await ground.database.one("select document from roster_entries where subject_id = $1", [
          subject,
        ]);
        await ground.database.copy(
          "roster_entries",
          { subject_id: subject },
          { subject_id: forged, document: String(document).replace(subject, forged).replace("erin", "ghost") },
          { subject_id: forged },
        );
        return ground.outcomeOfNextReading();
      },
    },
    {
      tries: "everybody as they were before somebody left",
      meets: "roster_invalid",
      run: async (ground) => {
        const { subject } = await ground.join({ name: "fired", groups: ["dba"] });
        const before = await ground.database.one("select document from roster_entries where subject_id = $1", [
          subject,
        ]);
        await ground.ada.changePerson(subject, { active: false });
        await ground.database.alter("roster_entries", { subject_id: subject }, { document: before["document"] });
        const { version } = await ground.database.one("select max(version)::int as version from roster_heads");
        await ground.database.remove("roster_heads", "version >= $1", [version]);
        return outcomeOf((await ground.newcomer("erin")).client.whoAmI());
      },
    },
    {
      tries: "an older head of the roster is given the newest number",
      meets: "roster_invalid",
      run: async (ground) => {
        const { version } = await ground.database.one("select max(version)::int as version from roster_heads");
        await ground.database.copy(
          "roster_heads",
          { version: Number(version) - 1 },
          { version: Number(version) + 1 },
          { version: Number(version) + 1 },
        );
        return outcomeOf((await ground.newcomer("erin")).client.whoAmI());
      },
    },
    {
      tries: "the roster is emptied, so that the next start asks for a first administrator",
      meets: "roster_invalid",
      run: async (ground) => {
        await ground.database.remove("roster_entries", "true");
        await ground.database.remove("roster_heads", "true");
        return outcomeOf((await ground.newcomer("erin")).client.whoAmI());
      },
    },
    {
      tries: "one's own token is made somebody else's",
      meets: "unauthenticated",
      run: async (ground) => {
        const { id, secret } = await token(ground);
        await ground.database.alter("tokens", { id }, { subject_id: await ground.subject("ada") });
        return outcomeOf(ground.with(secret).whoAmI());
      },
    },
    {
      tries: "a token is given more permissions",
      meets: "unauthenticated",
      run: async (ground) => {
        const { id, secret } = await ground.ada.createToken({ label: "edited", permissions: ["member"] });
        await ground.database.alter("tokens", { id }, { permissions: ["admin", "auditor", "member"] });
        return outcomeOf(ground.with(secret).whoAmI());
      },
    },
    {
      tries: "an API token is made a sign-in, to vote by",
      meets: "unauthenticated",
      run: async (ground) => {
        const { id, secret } = await ground.bob.createToken({ label: "edited", permissions: ["member"] });
        const { items } = await ground.ada.people({ limit: 200 });
        const credential = sure(items.find(({ entry }) => entry.name === "bob")?.entry.credentials[0], "credential").id;
        await ground.database.alter("tokens", { id }, { method: "sign-in", credential_id: credential });
        return outcomeOf(ground.with(secret).whoAmI());
      },
    },
    {
      tries: "an API token that was taken away is put back",
      meets: "unauthenticated",
      run: async (ground) => {
        const { id, secret } = await ground.bob.createToken({ label: "gone", permissions: ["member"] });
        await ground.database.many("create temporary table kept as select * from tokens where id = $1", [id]);
        await ground.bob.revokeToken(id);
        await ground.database.many("insert into tokens select * from kept");
        await ground.database.many("drop table kept");
        ground.database.removeLater("tokens", { id });
        return outcomeOf(ground.with(secret).whoAmI());
      },
    },
    {
      tries: "a token lives longer",
      meets: "unauthenticated",
      run: async (ground) => {
        const { id, secret } = await token(ground);
        await ground.database.alter("tokens", { id }, { expires_at: "2099-01-01T00:00:00Z" });
        return outcomeOf(ground.with(secret).whoAmI());
      },
    },
    {
      tries: "a token with a secret of one's own, from another token's row",
      meets: "unauthenticated",
      run: async (ground) => {
        const { id, secret } = await token(ground);
        const forged = newId("token", systemClock, systemRandom);
        await ground.database.copy(
          "tokens",
          { id },
          { id: forged, subject_id: await ground.subject("ada") },
          { id: forged },
        );
        return outcomeOf(ground.with(secret.replace(id, forged)).whoAmI());
      },
    },
    {
      tries: "an invitation of one's own is made an administrator's",
      meets: "invitation_invalid",
      run: async (ground) => {
        const created = await ground.ada.createPerson({ name: "pointed" });
        const { invitation } = sure(created.invitation, "invitation");
        await ground.database.alter(
          "invitations",
          { subject_id: created.person.entry.subject },
          { subject_id: await ground.subject("ada") },
        );
        const { publicKey, sign } = deviceKey(systemRandom.bytes(32));
        return outcomeOf(enrolKey(ground.anonymous(), invitation, { kind: "device", publicKey }, sign));
      },
    },
    {
      tries: "an invitation that was spent is put back",
      meets: "invitation_invalid",
      run: async (ground) => {
        const created = await ground.ada.createPerson({ name: "spender" });
        const { subject } = created.person.entry;
        const { invitation } = sure(created.invitation, "invitation");
        const row = await ground.database.one("select * from invitations where subject_id = $1", [subject]);
        const [first, second] = [deviceKey(systemRandom.bytes(32)), deviceKey(systemRandom.bytes(32))];
        await enrolKey(ground.anonymous(), invitation, { kind: "device", publicKey: first.publicKey }, first.sign);
        await ground.database.many("delete from invitations where subject_id = $1", [subject]);
        const names = Object.keys(row);
        await ground.database.many(
          `insert into invitations (${names.join(", ")}) values (${names.map((_, index) => `$${String(index + 1)}`).join(", ")})`,
          Object.values(row),
        );
        ground.database.removeLater("invitations", { subject_id: subject });
        return outcomeOf(
          enrolKey(ground.anonymous(), invitation, { kind: "device", publicKey: second.publicKey }, second.sign),
        );
      },
    },
    {
      tries: "an expired invitation lives again",
      meets: "invitation_invalid",
      run: async (ground) => {
        const created = await ground.ada.createPerson({ name: "overdue" });
        const { invitation } = sure(created.invitation, "invitation");
        await ground.database.alter(
          "invitations",
          { subject_id: created.person.entry.subject },
          { expires_at: "2099-01-01T00:00:00Z" },
        );
        const { publicKey, sign } = deviceKey(systemRandom.bytes(32));
        return outcomeOf(enrolKey(ground.anonymous(), invitation, { kind: "device", publicKey }, sign));
      },
    },
    {
      tries: "an outpost's keys are exchanged for one's own",
      meets: "evidence_signature",
      run: async (ground) => {
        const mine = deviceKey(systemRandom.bytes(32));
        const { id, document } = await ground.database.one(
          "select id, document from outposts where retired_at is null",
        );
        await ground.database.alter(
          "outposts",
          { id },
          { document: String(document).replace(/"identityKey":"[^"]+"/, `"identityKey":"${mine.publicKey}"`) },
        );
        const outcome = await outcomeOf(ground.ada.outposts());
        await ground.database.putBack();
        await ground.settled();
        return outcome;
      },
    },
    {
      tries:
        "a resource's configuration, sealed to the outpost by somebody who only read its public key, is slipped in as a task",
      meets: "refused",
      run: configureBySql,
    },
    {
      tries: "an event of one's own is put into the log's queue",
      meets: "security.refused",
      run: async (ground) => {
        const id = newId("event", systemClock, systemRandom);
        const event = JSON.stringify({
          at: new Date().toISOString(),
          type: "request.approved",
          ids: { event: id, request: "req_x" },
          data: {},
        });
        await ground.database.many("insert into audit_pending (event_id, event, mac) values ($1, $2, $3)", [
          id,
          event,
          Buffer.alloc(32),
        ]);
        const logged = await ground.logged("security.refused");
        const { items } = await ground.ada.audit({ id: "req_x", limit: 1 });
        return items.length === 0 ? logged : "the event was believed";
      },
    },
    {
      tries: "somebody's address is changed, and nothing is decided by it",
      meets: "accepted",
      run: async (ground) => {
        const erin = await ground.newcomer("erin");
        await ground.database.alter("subject_profiles", { subject_id: erin.subject }, { display_name: "Root" });
        const { grant } = await obtainKey(erin.client, readWish());
        await erin.client.release(grant);
        return outcomeOf(fileRequest(erin.client, readWish()));
      },
    },
  ],
};
