/* eslint-disable max-lines -- one numbered list */
/** Getting a request approved that should not be: by oneself, by too few, for another thing, or too late. */
import type { CardeaClient } from "@cardea/sdk/client";
import {
  fileRequest,
  readWish,
  sampleResource,
  takeKey,
  writeWish,
  type FiledRequest,
} from "@cardea/testing/key-in-hand";
import { setTimeout as sleep } from "node:timers/promises";
import { outcomeOf, outcomesOf, sure, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";

/** What one more approval comes to. The request must still be open afterwards where the attack says so. */
async function voteOutcome(
  ground: Ground,
  voter: CardeaClient,
  filed: FiledRequest,
  after?: "pending" | "approved",
): Promise<string> {
  const outcome = await outcomeOf(ground.approve(voter, filed));
  if (after !== undefined) {
    const { state } = await ground.ada.request(filed.view.id);
    if (state !== after) return `${outcome}, and the request is ${state}`;
  }
  return outcome;
}

/** How many grants a request has, by the database's word. */
async function grantsOf(ground: Ground, { view }: FiledRequest): Promise<number> {
  const { count } = await ground.database.one("select count(*)::int as count from grants where request_id = $1", [
    view.id,
  ]);
  return Number(count);
}

export const approvals: AttackList = {
  title: "approvals",
  attacks: [
    {
      tries: "the requester, who is in the approvers' group, approves their own request",
      meets: "self_approval",
      run: async (ground) =>
        voteOutcome(ground, await ground.as("carol"), await ground.pending("ONE", await ground.as("carol")), "pending"),
    },
    {
      tries: "an administrator, whose group approves, approves their own request",
      meets: "self_approval",
      run: async (ground) => {
        const { client } = await ground.newcomer("root");
        return voteOutcome(ground, client, await ground.pending("ADMINS", client), "pending");
      },
    },
    {
      tries: "a human approves what their own agent asks for",
      meets: "self_approval",
      run: async (ground) => {
        const agent = await agentOf(ground, "carol", "engineering");
        const filed = await fileRequest(agent.client, readWish());
        return voteOutcome(ground, await ground.as("carol"), filed, "pending");
      },
    },
    {
      tries: "an agent, signed in and in the approvers' group, approves its human's request",
      meets: "not_found",
      run: async (ground) => {
        const agent = await agentOf(ground, "carol", "dba");
        return voteOutcome(ground, agent.client, await ground.pending("ONE", await ground.as("carol")), "pending");
      },
    },
    {
      tries: "an agent approves somebody else's request",
      meets: "not_found",
      run: async (ground) =>
        voteOutcome(ground, (await agentOf(ground, "bob", "dba")).client, await ground.pending("ONE"), "pending"),
    },
    {
      tries: "a workload in the approvers' group approves",
      meets: "not_found",
      run: async (ground) => {
        const workload = await ground.join({ name: "robot", kind: "workload", groups: ["dba"] });
        return voteOutcome(ground, workload.client, await ground.pending("ONE"), "pending");
      },
    },
    {
      tries: "an API token of an approver votes",
      meets: "token_forbidden",
      run: async (ground) => {
        const { secret } = await ground.bob.createToken({ label: "script", permissions: ["member"] });
        return voteOutcome(ground, ground.with(secret), await ground.pending("ONE"), "pending");
      },
    },
    {
      tries: "one human in both groups of a stage counts for both",
      meets: "already_voted",
      run: async (ground) => {
        const dora = (await ground.newcomer("dora")).client;
        const filed = await ground.pending("BOTH");
        await ground.approve(dora, filed);
        return voteOutcome(ground, dora, filed, "pending");
      },
    },
    {
      tries: "one human approves two stages in a row",
      meets: "already_voted",
      run: async (ground) => {
        const filed = await ground.pending("STAGES");
        await ground.approve(ground.bob, filed);
        return voteOutcome(ground, ground.bob, filed, "pending");
      },
    },
    {
      tries: "one human votes twice for a quorum of two",
      meets: "already_voted",
      run: async (ground) => {
        const filed = await ground.pending("QUORUM");
        await ground.approve(ground.bob, filed);
        return voteOutcome(ground, ground.bob, filed, "pending");
      },
    },
    {
      tries: "one human votes twice for a quorum of two, in the same moment",
      meets: "accepted already_voted",
      run: async (ground) => {
        const bob = ground.bob;
        const filed = await ground.pending("QUORUM");
        const outcome = await outcomesOf([ground.approve(bob, filed), ground.approve(bob, filed)]);
        return (await bob.request(filed.view.id)).state === "pending" ? outcome : "the quorum was met";
      },
    },
    {
      tries: "the same approver changes to deny and back to count again",
      meets: "request_not_pending",
      run: async (ground) => {
        const bob = ground.bob;
        const filed = await ground.pending("QUORUM");
        await ground.approve(bob, filed);
        await bob.vote(filed.view.id, { verdict: "deny", digest: filed.view.digest });
        return voteOutcome(ground, bob, filed);
      },
    },
    {
      tries: "a linked account elsewhere makes one human two subjects",
      meets: "conflict",
      run: async (ground) => {
        const ada = ground.ada;
        const identity = { issuer: "https://idp.example", subject: "bob@example.com" };
        await ada.changePerson(await ground.subject("bob"), { identities: [identity] });
        return outcomeOf(ada.changePerson((await ground.newcomer("dora")).subject, { identities: [identity] }));
      },
    },
    {
      tries: "a vote is cast for the digest of another request",
      meets: "conflict",
      run: async (ground) => {
        const [one, other] = [
          await ground.pending("ONE"),
          await ground.pending("ONE", undefined, { window: { duration: "2h" } }),
        ];
        return outcomeOf(ground.bob.vote(one.view.id, { verdict: "approve", digest: other.view.digest }));
      },
    },
    {
      tries: "the second stage votes before the first",
      meets: "not_an_approver",
      run: async (ground) => voteOutcome(ground, ground.sam, await fileWrite(ground), "pending"),
    },
    {
      tries: "the second stage denies before it is asked",
      meets: "not_an_approver",
      run: async (ground) => {
        const filed = await fileWrite(ground);
        return outcomeOf(ground.sam.vote(filed.view.id, { verdict: "deny", digest: filed.view.digest }));
      },
    },
    {
      tries: "a colleague of the requester approves",
      meets: "not_found",
      run: async (ground) =>
        voteOutcome(ground, (await ground.newcomer("peter")).client, await ground.pending("ONE"), "pending"),
    },
    {
      tries: "an administrator without the group approves",
      meets: "not_an_approver",
      run: async (ground) => voteOutcome(ground, ground.ada, await ground.pending("ONE"), "pending"),
    },
    {
      tries: "more approvers than the quorum, all in the same moment: one grant, and the surplus is told so",
      meets: "accepted accepted request_not_pending, 1 grant",
      run: async (ground) => {
        const filed = await ground.pending("QUORUM");
        const voters = [ground.bob, await ground.as("carol"), (await ground.newcomer("dora")).client];
        const outcome = await outcomesOf(voters.map((voter) => ground.approve(voter, filed)));
        return `${outcome}, ${String(await grantsOf(ground, filed))} grant`;
      },
    },
    {
      tries: "two approvers meet the last stage in the same moment: one grant",
      meets: "accepted request_not_pending, 1 grant",
      run: async (ground) => {
        const filed = await ground.pending("ONE");
        const voters = [ground.bob, await ground.as("carol")];
        const outcome = await outcomesOf(voters.map((voter) => ground.approve(voter, filed)));
        return `${outcome}, ${String(await grantsOf(ground, filed))} grant`;
      },
    },
    {
      tries:
        "an approval races a denial, ten times: one of them wins, and there is a grant only where it was the approval",
      meets: "request_not_pending each time",
      run: async (ground) => {
        const [bob, carol] = [ground.bob, await ground.as("carol")];
        for (let turn = 0; turn < 10; turn += 1) {
          const filed = await ground.pending("ONE");
          const outcome = await outcomesOf([
            ground.approve(bob, filed),
            carol.vote(filed.view.id, { verdict: "deny", digest: filed.view.digest }),
          ]);
          const { state } = await ground.ada.request(filed.view.id);
          const grants = await grantsOf(ground, filed);
          if (outcome !== "accepted request_not_pending" || grants !== (state === "approved" ? 1 : 0))
            return `${outcome}: ${state} with ${String(grants)} grants`;
        }
        return "request_not_pending each time";
      },
    },
    {
      tries: "a withdrawal races the last approval, ten times: a withdrawn request never has a grant",
      meets: "request_not_pending each time",
      run: async (ground) => {
        const bob = ground.bob;
        const erin = (await ground.newcomer("erin")).client;
        for (let turn = 0; turn < 10; turn += 1) {
          const filed = await ground.pending("ONE");
          const outcome = await outcomesOf([ground.approve(bob, filed), erin.withdraw(filed.view.id)]);
          const { state } = await erin.request(filed.view.id);
          const grants = await grantsOf(ground, filed);
          if (outcome !== "accepted request_not_pending" || grants !== (state === "approved" ? 1 : 0))
            return `${outcome}: ${state} with ${String(grants)} grants`;
        }
        return "request_not_pending each time";
      },
    },
    {
      tries: "approving again moves the deadline of what was approved",
      meets: "request_not_pending",
      run: async (ground) => {
        const filed = await ground.pending("ONE");
        const before = await ground.approve(ground.bob, filed);
        const outcome = await voteOutcome(ground, ground.bob, filed, "approved");
        const after = await ground.bob.request(filed.view.id);
        return sure(after.grant, "grant").document.window.notAfter ===
          sure(before.grant, "grant").document.window.notAfter
          ? outcome
          : "the deadline moved";
      },
    },
    {
      tries: "a late approval revives a request that has expired",
      meets: "request_expired",
      run: async (ground) => {
        const filed = await ground.pending("HASTY");
        await sleep(2_200);
        return outcomeOf(ground.approve(ground.bob, filed));
      },
    },
    {
      tries: "an approval after a denial",
      meets: "request_not_pending",
      run: async (ground) => {
        const filed = await ground.pending("ONE");
        await (await ground.as("carol")).vote(filed.view.id, { verdict: "deny", digest: filed.view.digest });
        return voteOutcome(ground, ground.bob, filed);
      },
    },
    {
      tries: "somebody withdraws another's request",
      meets: "forbidden",
      run: async (ground) => outcomeOf(ground.bob.withdraw((await ground.pending("ONE")).view.id)),
    },
    {
      tries: "an approver lengthens what was asked for",
      meets: "narrowing_invalid",
      run: async (ground) => {
        const { view } = await ground.pending("ONE");
        return outcomeOf(
          ground.bob.vote(view.id, { verdict: "approve", digest: view.digest, narrowing: { duration: "2h" } }),
        );
      },
    },
    {
      tries: "an approver adds permissions",
      meets: "narrowing_invalid",
      run: async (ground) => {
        const { view } = await ground.pending("ONE");
        return outcomeOf(
          ground.bob.vote(view.id, {
            verdict: "approve",
            digest: view.digest,
            narrowing: { permissions: [{ name: "sql.*" }] },
          }),
        );
      },
    },
    {
      tries: "an approver's narrowing that nothing would enforce is taken as if it were",
      meets: "narrowing_unenforceable",
      run: async (ground) => {
        const { view } = await ground.pending("ONE");
        const { spec } = await ground.bob.resource(sampleResource);
        const patterns = sure(spec?.roles["write"], "role").patterns.filter(({ name }) => name === "sql.select");
        return outcomeOf(
          ground.bob.vote(view.id, { verdict: "approve", digest: view.digest, narrowing: { permissions: patterns } }),
        );
      },
    },
    {
      tries: "an approver's narrowing is lifted again by a second vote of theirs",
      meets: "narrowed",
      run: async (ground) => {
        const [bob, carol] = [ground.bob, await ground.as("carol")];
        const filed = await ground.pending("QUORUM", undefined, { window: { duration: "1h" } });
        await bob.vote(filed.view.id, { verdict: "approve", digest: filed.view.digest, narrowing: { duration: "5m" } });
        await outcomeOf(
          bob.vote(filed.view.id, { verdict: "approve", digest: filed.view.digest, narrowing: { duration: "50m" } }),
        );
        const view = await ground.approve(carol, filed);
        const { notBefore, notAfter } = sure(view.grant, "grant").document.window;
        return Date.parse(notAfter) - Date.parse(notBefore) <= 300_000 ? "narrowed" : "widened again";
      },
    },
    {
      tries: "an Idempotency-Key is used again with another body",
      meets: "idempotency_conflict",
      run: async (ground) => {
        const { client } = await ground.newcomer("erin");
        await fileRequest(client, { ...writeWish(), ticket: "ONE" }, "attack-key-1");
        return outcomeOf(fileRequest(client, { ...writeWish("2h"), ticket: "ONE" }, "attack-key-1"));
      },
    },
    {
      tries: "the same call with the same Idempotency-Key, eight at once, makes one request",
      meets: "1 request",
      run: async (ground) => {
        const { client } = await ground.newcomer("peter");
        const body = {
          resource: sampleResource,
          ...writeWish(),
          ticket: "ONE",
          via: "direct" as const,
          deliverTo: (await ground.pending("ONE")).delivery.publicKey,
        };
        const views = await Promise.all(Array.from({ length: 8 }, () => client.submit(body, "attack-key-2")));
        return `${String(new Set(views.map((view) => view.id)).size)} request`;
      },
    },
    {
      tries: "an Idempotency-Key of somebody else gives their answer",
      meets: "another request",
      run: async (ground) => {
        const [{ client: erin }, { client: peter }] = [await ground.newcomer("erin"), await ground.newcomer("peter")];
        const mine = await fileRequest(erin, { ...writeWish(), ticket: "ONE" }, "attack-key-3");
        const body = {
          resource: sampleResource,
          ...writeWish(),
          ticket: "ONE",
          via: "direct" as const,
          deliverTo: mine.delivery.publicKey,
        };
        const theirs = await peter.submit(body, "attack-key-3");
        return theirs.id === mine.view.id ? "the same request" : "another request";
      },
    },
    {
      tries: "fetching and issuing once more from one approval: the same key, one login",
      meets: "1 login",
      run: async (ground) => {
        const { client } = await ground.newcomer("erin");
        const filed = await ground.pending("ONE");
        await ground.approve(ground.bob, filed);
        const keys = await Promise.all(Array.from({ length: 5 }, () => takeKey(client, filed)));
        return `${String(new Set(keys.map(({ key }) => `${key.user} ${key.secret}`)).size)} login`;
      },
    },
  ],
};

let agents = 0;

async function agentOf(ground: Ground, human: "bob" | "carol", group: string) {
  agents += 1;
  return ground.join({
    name: `agent-${String(agents)}`,
    kind: "agent",
    actsFor: await ground.subject(human),
    groups: [group],
  });
}

async function fileWrite(ground: Ground): Promise<FiledRequest> {
  return fileRequest((await ground.newcomer("erin")).client, writeWish());
}
