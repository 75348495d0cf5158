/* eslint-disable max-lines -- one numbered list */
/**
 * The administrator of the control plane's database edits what was asked, voted, granted and decided by. Whatever they write, no key may come of it,
 * and whoever acts on the row is told that it was altered.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { newId } from "@cardea/core/contract/ids";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { digestOf } from "@cardea/core/documents/digest";
import { ResourceSpec } from "@cardea/core/documents/resource-spec";
import { systemClock, systemRandom } from "@cardea/server/processes/system";
import { fileRequest, obtainKey, readWish, takeKey, writeWish, type FiledRequest } from "@cardea/testing/key-in-hand";
import { newDeliveryKey } from "@cardea/sdk/delivery-key";
import { attackPolicy, lockedDownPolicy } from "../policy.ts";
import { outcomeOf, sure, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";
import { editDocument, hideEntries, taskBySql } from "../rows.ts";

const now = (): string => new Date().toISOString();

async function erin(ground: Ground) {
  return (await ground.newcomer("erin")).client;
}

/** What the vote that would make the grant comes to. */
async function voteOn(ground: Ground, filed: FiledRequest): Promise<string> {
  return outcomeOf(ground.approve(ground.bob, filed));
}

/** A grant whose key was not made yet: it begins in an hour. */
async function scheduledGrant(ground: Ground) {
  const client = await erin(ground);
  const filed = await fileRequest(client, {
    ...readWish(),
    window: { start: new Date(Date.now() + 3_600_000).toISOString(), duration: "10m" },
  });
  return { client, filed, grant: sure(filed.view.grant, "grant") };
}

/** Makes a request undecided again, and the log's entries of it impossible to find, though the tree still adds up. */
async function reopen(ground: Ground, request: string): Promise<void> {
  await ground.database.alter(
    "requests",
    { id: request },
    { state: "pending", previous_state: null, decided_at: null },
  );
  await hideEntries(ground, request);
}

export const documentsBySql: AttackList = {
  title: "the database's administrator: requests, votes, grants, policy, specifications",
  attacks: [
    {
      tries: "a waiting request is marked as approved",
      meets: "request_not_pending, and no grant",
      run: async (ground) => {
        const filed = await ground.pending("ONE");
        await ground.database.alter(
          "requests",
          { id: filed.view.id },
          { state: "approved", previous_state: "pending", decided_at: now() },
        );
        const outcome = await outcomeOf((await erin(ground)).evidence(filed.view.id));
        return (await ground.ada.request(filed.view.id)).grant === undefined ? `${outcome}, and no grant` : "a grant";
      },
    },
    {
      tries: "a denied request is opened again by an illegal step",
      meets: "23503",
      run: async (ground) => {
        const filed = await ground.pending("ONE");
        await ground.bob.vote(filed.view.id, { verdict: "deny", digest: filed.view.digest });
        await ground.database.many("set session_replication_role = origin");
        const outcome = await outcomeOf(
          ground.database.many("update requests set state = 'approved' where id = $1", [filed.view.id]),
        );
        await ground.database.many("set session_replication_role = replica");
        return outcome;
      },
    },
    {
      tries: "a waiting request asks for longer",
      meets: "evidence_signature",
      run: async (ground) => {
        const filed = await ground.pending("ONE");
        await editDocument(ground, "requests", filed.view.id, (text) =>
          text.replaceAll('"duration":"10m"', '"duration":"2h"'),
        );
        return voteOn(ground, filed);
      },
    },
    {
      tries: "a waiting request delivers the key to somebody else",
      meets: "evidence_signature",
      run: async (ground) => {
        const filed = await ground.pending("ONE");
        const thief = await newDeliveryKey();
        await editDocument(ground, "requests", filed.view.id, (text) =>
          text.replace(filed.delivery.publicKey, thief.publicKey),
        );
        return voteOn(ground, filed);
      },
    },
    {
      tries: "an approved request delivers the key to somebody else before it is made",
      meets: "evidence_signature",
      run: async (ground) => {
        const { client, filed, grant } = await scheduledGrant(ground);
        const thief = await newDeliveryKey();
        await editDocument(ground, "requests", filed.view.id, (text) =>
          text.replace(filed.delivery.publicKey, thief.publicKey),
        );
        await ground.database.alter("grants", { id: grant.id }, { state: "issuing", previous_state: "scheduled" });
        const outcome = await outcomeOf(client.request(filed.view.id));
        return (await taskBySql(ground, "issue", grant.id)) === "done" ? "issued" : outcome;
      },
    },
    {
      tries: "a waiting request is made somebody else's",
      meets: "evidence_signature",
      run: async (ground) => {
        const filed = await ground.pending("ONE", await ground.as("carol"));
        const { subject } = await ground.newcomer("erin");
        const carol = await ground.subject("carol");
        await editDocument(ground, "requests", filed.view.id, (text) => text.replaceAll(carol, subject));
        return outcomeOf(ground.approve(await ground.as("carol"), filed));
      },
    },
    {
      tries: "only the column says that a request is somebody else's, so that its maker may approve it",
      meets: "self_approval",
      run: async (ground) => {
        const carol = await ground.as("carol");
        const filed = await ground.pending("ONE", carol);
        await ground.database.alter(
          "requests",
          { id: filed.view.id },
          { requester: (await ground.newcomer("erin")).subject },
        );
        return outcomeOf(ground.approve(carol, filed));
      },
    },
    {
      tries: "an approved request's document in the place of a waiting one's",
      meets: "evidence_signature",
      run: async (ground) => {
        const [waiting, other] = [await ground.pending("ONE"), await ground.pending("STAGES")];
        const { document, digest, signatures } = await ground.database.one(
          "select document, digest, signatures from requests where id = $1",
          [other.view.id],
        );
        await ground.database.alter("requests", { id: other.view.id }, { digest: "sha256:moved" });
        await ground.database.alter(
          "requests",
          { id: waiting.view.id },
          { document, digest, signatures: JSON.stringify(signatures) },
        );
        return voteOn(ground, waiting);
      },
    },
    {
      tries: "the rule's stages are taken out of a waiting request",
      meets: "evidence_signature",
      run: async (ground) => {
        const filed = await ground.pending("STAGES");
        await editDocument(ground, "requests", filed.view.id, (text) =>
          text.replace(/"effect":"review"/, '"effect":"allow"'),
        );
        return voteOn(ground, filed);
      },
    },
    {
      tries: "a request's expiry is moved by its column",
      meets: "request_expired",
      run: async (ground) => {
        const filed = await ground.pending("HASTY");
        await ground.database.alter("requests", { id: filed.view.id }, { expires_at: "2099-01-01T00:00:00Z" });
        await sleep(2_200);
        return voteOn(ground, filed);
      },
    },
    {
      tries: "a vote of an approver is invented",
      meets: "evidence_signature",
      run: async (ground) => {
        const [voted, filed] = [await ground.pending("QUORUM"), await ground.pending("QUORUM")];
        await ground.approve(ground.bob, voted);
        const { id } = await ground.database.one("select id from votes where request_id = $1", [voted.view.id]);
        const forged = newId("vote", systemClock, systemRandom);
        const { document } = await ground.database.one("select document from votes where id = $1", [id]);
        const text = String(document).replace(String(id), forged).replaceAll(voted.view.digest, filed.view.digest);
        await ground.database.copy(
          "votes",
          { id },
          { id: forged, request_id: filed.view.id, digest: "sha256:forged", document: text },
          { id: forged },
        );
        return outcomeOf(ground.approve(await ground.as("carol"), filed));
      },
    },
    {
      tries: "a real vote is copied to another request",
      meets: "not_an_approver",
      run: async (ground) => {
        const [voted, filed] = [await ground.pending("STAGES"), await fileRequest(await erin(ground), writeWish())];
        await ground.approve(ground.bob, voted);
        const { id } = await ground.database.one("select id from votes where request_id = $1", [voted.view.id]);
        await ground.database.alter("votes", { id }, { request_id: filed.view.id });
        // Were bob's vote believed here, the second stage would be open to sam.
        return outcomeOf(ground.approve(ground.sam, filed));
      },
    },
    {
      tries: "a denial is turned into an approval",
      meets: "evidence_signature",
      run: async (ground) => {
        const filed = await ground.pending("QUORUM");
        await ground.bob.vote(filed.view.id, { verdict: "deny", digest: filed.view.digest });
        const { id } = await ground.database.one("select id from votes where request_id = $1", [filed.view.id]);
        await editDocument(ground, "votes", String(id), (text) =>
          text.replace('"verdict":"deny"', '"verdict":"approve"'),
        );
        await ground.database.alter("votes", { id }, { verdict: "approve" });
        await ground.database.alter(
          "requests",
          { id: filed.view.id },
          { state: "pending", previous_state: null, decided_at: null },
        );
        return outcomeOf(ground.approve(await ground.as("carol"), filed));
      },
    },
    {
      tries: "a denied request is opened again, its denial left where it is",
      meets: "evidence_mismatch",
      run: async (ground) => {
        const filed = await ground.pending("QUORUM");
        await ground.bob.vote(filed.view.id, { verdict: "deny", digest: filed.view.digest });
        await ground.database.alter(
          "requests",
          { id: filed.view.id },
          { state: "pending", previous_state: null, decided_at: null },
        );
        return outcomeOf(ground.approve(await ground.as("carol"), filed));
      },
    },
    {
      tries: "a denial is deleted, its request opened again, and its entries in the log hidden",
      meets: "evidence_mismatch",
      run: async (ground) => {
        const filed = await ground.pending("QUORUM");
        await ground.bob.vote(filed.view.id, { verdict: "deny", digest: filed.view.digest });
        await ground.logged("request.denied", filed.view.id);
        await ground.database.remove("votes", "request_id = $1", [filed.view.id]);
        await reopen(ground, filed.view.id);
        return outcomeOf(ground.approve(await ground.as("carol"), filed));
      },
    },
    {
      tries: "a withdrawn request is opened again, and its entries in the log hidden",
      meets: "evidence_mismatch",
      run: async (ground) => {
        const filed = await ground.pending("ONE");
        await (await erin(ground)).withdraw(filed.view.id);
        await ground.logged("request.withdrawn", filed.view.id);
        await reopen(ground, filed.view.id);
        return outcomeOf(ground.approve(ground.bob, filed));
      },
    },
    {
      tries: "a vote that its approver replaced is deleted, with its narrowing and its entries in the log",
      meets: "evidence_mismatch",
      run: async (ground) => {
        const filed = await ground.pending("QUORUM", undefined, { window: { duration: "1h" } });
        for (const duration of ["5m", "30m"])
          await ground.bob.vote(filed.view.id, {
            verdict: "approve",
            digest: filed.view.digest,
            narrowing: { duration },
          });
        const { id } = await ground.database.one("select id from votes where request_id = $1 order by cast_at", [
          filed.view.id,
        ]);
        await ground.logged("request.voted", filed.view.id);
        await ground.database.remove("votes", "id = $1", [id]);
        await reopen(ground, filed.view.id);
        return outcomeOf(ground.approve(await ground.as("carol"), filed));
      },
    },
    {
      tries: "a narrowing is taken out of a vote",
      meets: "evidence_signature",
      run: async (ground) => {
        const filed = await ground.pending("QUORUM", undefined, { window: { duration: "1h" } });
        await ground.bob.vote(filed.view.id, {
          verdict: "approve",
          digest: filed.view.digest,
          narrowing: { duration: "5m" },
        });
        const { id } = await ground.database.one("select id from votes where request_id = $1", [filed.view.id]);
        await editDocument(ground, "votes", String(id), (text) => text.replace('"narrowing":{"duration":"5m"},', ""));
        return outcomeOf(ground.approve(await ground.as("carol"), filed));
      },
    },
    {
      tries: "a grant is invented for a waiting request",
      meets: "evidence_signature",
      run: async (ground) => {
        const { grant } = await obtainKey(await erin(ground), readWish());
        const filed = await ground.pending("ONE");
        const forged = newId("grant", systemClock, systemRandom);
        const { document } = await ground.database.one("select document from grants where id = $1", [grant]);
        const text = String(document).replaceAll(grant, forged);
        await ground.database.copy(
          "grants",
          { id: grant },
          {
            id: forged,
            request_id: filed.view.id,
            state: "issuing",
            previous_state: null,
            digest: "sha256:forged",
            document: text,
            sealed: null,
            lease_id: null,
            issued_at: null,
          },
          { id: forged },
        );
        const outcome = await outcomeOf(ground.ada.grant(forged));
        return (await taskBySql(ground, "issue", forged)) === "done" ? "issued" : outcome;
      },
    },
    {
      tries: "a grant is given a later end",
      meets: "evidence_signature",
      run: async (ground) => {
        const { client, grant } = await scheduledGrant(ground);
        const { notAfter } = grant.document.window;
        await editDocument(ground, "grants", grant.id, (text) => text.replace(notAfter, "2099-01-01T00:00:00.000Z"));
        const outcome = await outcomeOf(client.grant(grant.id));
        return (await taskBySql(ground, "issue", grant.id)) === "done" ? "issued" : outcome;
      },
    },
    {
      tries: "a grant is given more permissions",
      meets: "evidence_signature",
      run: async (ground) => {
        const { client, grant } = await scheduledGrant(ground);
        await editDocument(ground, "grants", grant.id, (text) => text.replaceAll('"role":"read"', '"role":"write"'));
        const outcome = await outcomeOf(client.grant(grant.id));
        return (await taskBySql(ground, "issue", grant.id)) === "done" ? "issued" : outcome;
      },
    },
    {
      tries: "a grant's end is moved by its column, and its end is never asked for",
      meets: "expired",
      run: async (ground) => {
        const client = await erin(ground);
        const key = await obtainKey(client, readWish("4s"));
        await ground.database.alter("grants", { id: key.grant }, { not_after: "2099-01-01T00:00:00Z" });
        await sleep(4_500);
        for (let turn = 0; turn < 50 && (await ground.loginsAtResource()).includes(key.key.user); turn += 1)
          await sleep(100);
        return (await ground.loginsAtResource()).includes(key.key.user)
          ? "still there"
          : ground.endOf(client, key.grant);
      },
    },
    {
      tries: "a grant points to somebody else's request",
      meets: "evidence_mismatch",
      run: async (ground) => {
        const { client, grant } = await scheduledGrant(ground);
        const other = await ground.pending("ONE");
        await ground.database.alter("grants", { id: grant.id }, { request_id: other.view.id });
        const outcome = await outcomeOf(client.grant(grant.id));
        return (await taskBySql(ground, "issue", grant.id)) === "done" ? "issued" : outcome;
      },
    },
    {
      tries: "only the column says whose grant it is, so that a stranger fetches its key",
      meets: "not_found",
      run: async (ground) => {
        const { grant } = await obtainKey(await erin(ground), readWish());
        const mallory = await ground.newcomer("mallory");
        await ground.database.alter("grants", { id: grant }, { requester: mallory.subject });
        return outcomeOf(mallory.client.key(grant));
      },
    },
    {
      tries: "a scheduled grant begins at once",
      meets: "evidence_early",
      run: async (ground) => {
        const { grant } = await scheduledGrant(ground);
        await ground.database.alter(
          "grants",
          { id: grant.id },
          { state: "issuing", previous_state: "scheduled", not_before: now() },
        );
        return taskBySql(ground, "issue", grant.id);
      },
    },
    {
      tries: "a grant that was released is issued again",
      meets: "evidence_replayed",
      run: async (ground) => {
        const client = await erin(ground);
        const { grant } = await obtainKey(client, readWish());
        await client.release(grant);
        await ground.endOf(client, grant);
        await ground.database.alter(
          "grants",
          { id: grant },
          { state: "issuing", previous_state: null, why: null, ended_at: null },
        );
        return taskBySql(ground, "issue", grant);
      },
    },
    {
      tries: "a live grant is issued a second time",
      meets: "evidence_replayed",
      run: async (ground) => taskBySql(ground, "issue", (await obtainKey(await erin(ground), readWish())).grant),
    },
    {
      tries: "a finished task is opened again",
      meets: "1 login",
      run: async (ground) => {
        const key = await obtainKey(await erin(ground), readWish());
        const before = (await ground.loginsAtResource()).length;
        const { id } = await ground.database.one("select id from tasks where grant_id = $1 and type = 'issue'", [
          key.grant,
        ]);
        await ground.database.alter("tasks", { id }, { state: "open", done_at: null, next_at: now() });
        await sleep(1_500);
        return (await ground.loginsAtResource()).length === before ? "1 login" : "more logins";
      },
    },
    {
      tries: "a grant that was taken back before its start is begun nevertheless",
      meets: "evidence_replayed",
      run: async (ground) => {
        const client = await erin(ground);
        const filed = await fileRequest(client, {
          ...readWish(),
          window: { start: new Date(Date.now() + 1_500).toISOString(), duration: "10m" },
        });
        const { id } = sure(filed.view.grant, "grant");
        await ground.ada.revoke(id, "not needed");
        await sleep(1_800);
        await ground.database.alter(
          "grants",
          { id },
          { state: "issuing", previous_state: "scheduled", why: null, detail: null, ended_at: null },
        );
        const outcome = await taskBySql(ground, "issue", id);
        // Whatever was made of it is given back before the row is.
        if (outcome === "done") await client.release(id).then(() => ground.endOf(client, id));
        return outcome;
      },
    },
    {
      tries: "the policy in force is edited",
      meets: "evidence_signature",
      run: async (ground) => {
        const { policy } = await ground.ada.policy();
        await editDocument(ground, "policies", policy.id, (text) =>
          text.replace('"maxDuration":"8h"', '"maxDuration":"90d"'),
        );
        // A control plane that has read it before knows the signed one; one that starts now must not believe the row.
        await ground.restartControl();
        return outcomeOf(fileRequest(await erin(ground), readWish("30d")));
      },
    },
    {
      tries: "a newer version of the policy is invented",
      meets: "evidence_signature",
      run: async (ground) => {
        const { policy } = await ground.ada.policy();
        const forged = newId("policy", systemClock, systemRandom);
        const { document } = await ground.database.one("select document from policies where version = $1", [
          policy.version,
        ]);
        const text = String(document)
          .replace(policy.id, forged)
          .replace(`"version":${String(policy.version)}}`, `"version":${String(policy.version + 1)}}`)
          .replaceAll('"maxDuration":"8h"', '"maxDuration":"90d"');
        await ground.database.copy(
          "policies",
          { version: policy.version },
          { version: policy.version + 1, id: forged, digest: "sha256:forged", document: text },
          { id: forged },
        );
        return outcomeOf(fileRequest(await erin(ground), readWish("30d")));
      },
    },
    {
      tries: "the policy is rolled back to a version that allowed more",
      meets: "evidence_stale",
      run: async (ground) => {
        return ground.underPolicy(lockedDownPolicy, async () => {
          const { policy } = await ground.ada.policy();
          await ground.database.remove("policies", "version >= $1", [policy.version]);
          const outcome = await outcomeOf(fileRequest(await erin(ground), readWish()));
          await ground.database.putBack();
          return outcome;
        });
      },
    },
    {
      tries: "an older policy in the place of the newest",
      meets: "evidence_stale",
      run: async (ground) => {
        return ground.underPolicy(lockedDownPolicy, async () => {
          const { policy } = await ground.ada.policy();
          const older = await ground.database.one(
            "select document, digest, signatures from policies where version = $1",
            [policy.version - 1],
          );
          await ground.database.alter("policies", { version: policy.version - 1 }, { digest: "sha256:moved" });
          await ground.database.alter(
            "policies",
            { version: policy.version },
            { document: older["document"], digest: older["digest"], signatures: JSON.stringify(older["signatures"]) },
          );
          const outcome = await outcomeOf(fileRequest(await erin(ground), readWish()));
          await ground.database.putBack();
          return outcome;
        });
      },
    },
    {
      tries: "a resource's specification says that reading includes writing",
      meets: "resource_unknown",
      run: async (ground) => {
        const { spec_digest: digest } = await ground.database.one(
          "select spec_digest from resources where name = 'sample-shop'",
        );
        const { document } = await ground.database.one("select document from resource_specs where digest = $1", [
          digest,
        ]);
        await ground.database.alter(
          "resource_specs",
          { digest },
          { document: String(document).replace('"env":"sample"', '"env":"other"') },
        );
        return outcomeOf(fileRequest(await erin(ground), readWish()));
      },
    },
    {
      tries: "a specification of one's own, with its right digest and without the outpost's signature",
      meets: "grant_failed",
      run: async (ground) => {
        const { id, spec_digest: digest } = await ground.database.one(
          "select id, spec_digest from resources where name = 'sample-shop'",
        );
        const { document } = await ground.database.one("select document from resource_specs where digest = $1", [
          digest,
        ]);
        const spec = ResourceSpec.parse(JSON.parse(String(document)));
        const forged = {
          ...spec,
          roles: { ...spec.roles, read: { ...sure(spec.roles["read"], "role"), patterns: [{ name: "sql.*" }] } },
        };
        const forgedDigest = digestOf("spec", forged);
        await ground.database.copy(
          "resource_specs",
          { digest },
          { digest: forgedDigest, document: canonicalJson(forged) },
          { digest: forgedDigest },
        );
        await ground.database.alter("resources", { id }, { spec_digest: forgedDigest });
        const client = await erin(ground);
        return outcomeOf(fileRequest(client, readWish()).then((filed) => takeKey(client, filed, 45)));
      },
    },
    {
      tries: "an emergency's review is invented, to have another one",
      meets: "policy_denied",
      run: async (ground) => {
        const firefighter = await ground.newcomer("firefighter");
        const { grant } = await obtainKey(firefighter.client, { ...writeWish(), breakGlass: true });
        await firefighter.client.release(grant);
        await ground.database.alter("grants", { id: grant }, { reviewed_at: now() });
        const outcome = await outcomeOf(obtainKey(firefighter.client, { ...writeWish(), breakGlass: true }));
        await ground.database.putBack();
        return outcome;
      },
    },
    {
      tries: "an emergency's grant is deleted, so that nobody has to look back at it before another one",
      meets: "policy_denied",
      run: async (ground) => {
        const { client } = await ground.join({ name: "ember", groups: ["engineering", "on-call"] });
        const { grant } = await obtainKey(client, { ...writeWish(), breakGlass: true });
        await client.release(grant);
        await ground.endOf(client, grant);
        await ground.database.remove("grants", "id = $1", [grant]);
        return outcomeOf(obtainKey(client, { ...writeWish(), breakGlass: true }));
      },
    },
    {
      tries: "a policy's rules are read from the text that people see, which was edited",
      meets: "policy_denied",
      run: async (ground) => {
        const { policy } = await ground.ada.policy();
        await ground.database.alter(
          "policies",
          { version: policy.version },
          { source: attackPolicy.replaceAll("8h", "80h") },
        );
        return outcomeOf(fileRequest(await erin(ground), readWish("20h")));
      },
    },
  ],
};
