/** Keeping what one may not have any more: people, policy and time change between the steps, and every step asks again. */
import { setTimeout as sleep } from "node:timers/promises";
import { toTime } from "@cardea/core/documents/primitives";
import type { CardeaClient } from "@cardea/sdk/client";
import { fileRequest, obtainKey, readWish, takeKey, writeWish, type FiledRequest } from "@cardea/testing/key-in-hand";
import { outcomeOf, sure, type AttackList } from "../attempt.ts";
import { attackPolicy, lockedDownPolicy } from "../policy.ts";
import type { Ground } from "../ground.ts";

/** A read grant that begins in so many milliseconds. */
async function scheduled(client: CardeaClient, inMs: number): Promise<FiledRequest> {
  return fileRequest(client, { ...readWish(), window: { start: toTime(Date.now() + inMs), duration: "10m" } });
}

async function endOf(ground: Ground, client: CardeaClient, { view }: FiledRequest): Promise<string> {
  return ground.endOf(client, sure((await client.request(view.id)).grant, "grant").id);
}

/** What a vote comes to once policy, which has changed, was asked again; and why the request is over. */
async function voteOnceDecidedAnew(ground: Ground, filed: FiledRequest): Promise<string> {
  const { why } = await ground.ada.request(filed.view.id, {
    wait: 10,
    since: `pending:${String(filed.view.votes.length)}`,
  });
  return `${why ?? "still pending"}, ${await outcomeOf(ground.approve(ground.bob, filed))}`;
}

export const standing: AttackList = {
  title: "standing that is lost on the way",
  attacks: [
    {
      tries: "the requester is made inactive before the last vote",
      meets: "policy_denied",
      run: async (ground) => {
        const absent = await ground.join({ name: "absent", groups: ["engineering"] });
        const filed = await ground.pending("ONE", absent.client);
        return ground.whileChanged(absent.subject, { active: false }, () =>
          outcomeOf(ground.approve(ground.bob, filed)),
        );
      },
    },
    {
      tries: "the token of somebody inactive",
      meets: "unauthenticated",
      run: async (ground) => {
        const leaver = await ground.join({ name: "leaver", groups: ["engineering"] });
        await ground.ada.changePerson(leaver.subject, { active: false });
        return outcomeOf(leaver.client.whoAmI());
      },
    },
    {
      tries: "the requester loses the group before the last vote",
      meets: "policy_denied",
      run: async (ground) => {
        const { subject, client } = await ground.newcomer("erin");
        const filed = await ground.pending("ONE", client);
        return ground.whileChanged(subject, { groups: [] }, () => outcomeOf(ground.approve(ground.bob, filed)));
      },
    },
    {
      tries: "an approver loses the group after voting, and the second stage votes",
      meets: "not_an_approver",
      run: async (ground) => {
        const filed = await fileRequest((await ground.newcomer("erin")).client, writeWish());
        await ground.approve(ground.bob, filed);
        return ground.whileChanged(await ground.subject("bob"), { groups: [] }, () =>
          outcomeOf(ground.approve(ground.sam, filed)),
        );
      },
    },
    {
      tries: "a request that waits is approved although policy forbids it meanwhile",
      meets: "policy_changed, request_expired",
      run: async (ground) => {
        const filed = await ground.pending("ONE");
        return ground.underPolicy(lockedDownPolicy, () => voteOnceDecidedAnew(ground, filed));
      },
    },
    {
      tries: "a request is approved under the rules of before, while policy asks for more now",
      meets: "policy_changed, request_expired",
      run: async (ground) => {
        const filed = await ground.pending("ONE");
        const stricter = attackPolicy.replace(
          '"ONE"\n    limits: { maxDuration: 2h, via: [direct] }\n    effect: review\n    approvals: [{ count: 1,',
          '"ONE"\n    limits: { maxDuration: 2h, via: [direct] }\n    effect: review\n    approvals: [{ count: 2,',
        );
        if (stricter === attackPolicy) throw new Error("the policy was not made stricter");
        return ground.underPolicy(stricter, () => voteOnceDecidedAnew(ground, filed));
      },
    },
    {
      tries: "a scheduled grant begins although its requester lost the group",
      meets: "voided",
      run: async (ground) => {
        const { subject, client } = await ground.newcomer("erin");
        const filed = await scheduled(client, 1_500);
        return ground.whileChanged(subject, { groups: [] }, async () => {
          await sleep(1_800);
          return endOf(ground, client, filed);
        });
      },
    },
    {
      tries: "a scheduled grant begins although its approver lost the group",
      meets: "voided",
      run: async (ground) => {
        const { client } = await ground.newcomer("erin");
        const filed = await ground.pending("ONE", client, {
          window: { start: toTime(Date.now() + 2_000), duration: "10m" },
        });
        await ground.approve(ground.bob, filed);
        return ground.whileChanged(await ground.subject("bob"), { groups: [] }, async () => {
          await sleep(2_300);
          return endOf(ground, client, filed);
        });
      },
    },
    {
      tries: "a scheduled grant begins although policy forbids it meanwhile",
      meets: "voided",
      run: async (ground) => {
        const { client } = await ground.newcomer("erin");
        const filed = await scheduled(client, 1_500);
        return ground.underPolicy(lockedDownPolicy, async () => {
          await sleep(1_800);
          return endOf(ground, client, filed);
        });
      },
    },
    {
      tries: "the key of a scheduled grant before its start",
      meets: "key_not_ready",
      run: async (ground) => {
        const { client } = await ground.newcomer("erin");
        const filed = await scheduled(client, 60_000);
        const outcome = await outcomeOf(takeKey(client, filed, 0));
        await client.release(sure(filed.view.grant, "grant").id);
        return outcome;
      },
    },
    {
      tries: "a key is kept although its holder is made inactive",
      meets: "voided",
      run: async (ground) => {
        const holder = await ground.join({ name: "holder", groups: ["engineering"] });
        const { grant } = await obtainKey(holder.client, readWish());
        return ground.whileChanged(holder.subject, { active: false }, () => ground.endOf(ground.ada, grant));
      },
    },
    {
      tries: "a key is kept although policy forbids it now",
      meets: "voided",
      run: async (ground) => {
        const { client } = await ground.newcomer("erin");
        const { grant } = await obtainKey(client, readWish());
        return ground.underPolicy(lockedDownPolicy, () => ground.endOf(client, grant));
      },
    },
    {
      tries: "a second emergency while the first waits for its review",
      meets: "policy_denied",
      run: async (ground) => {
        const alice = await ground.as("alice");
        const first = await obtainKey(alice, { ...writeWish(), breakGlass: true });
        await alice.release(first.grant);
        return outcomeOf(fileRequest(alice, { ...writeWish(), breakGlass: true }));
      },
    },
    {
      tries: "reviewing one's own emergency",
      meets: "self_review",
      run: async (ground) => {
        const alice = await ground.as("alice");
        const owed = await owedReview(ground);
        return outcomeOf(alice.review(owed, { verdict: "justified", comment: "all was well" }));
      },
    },
    {
      tries: "an API token of the reviewer reviews an emergency",
      meets: "token_forbidden",
      run: async (ground) => {
        const { secret } = await ground.sam.createToken({ label: "script", permissions: ["member"] });
        return outcomeOf(
          ground.with(secret).review(await owedReview(ground), { verdict: "justified", comment: "all was well" }),
        );
      },
    },
    {
      tries: "somebody whom the rule does not name reviews an emergency",
      meets: "not_found",
      run: async (ground) =>
        outcomeOf(ground.bob.review(await owedReview(ground), { verdict: "justified", comment: "all was well" })),
    },
    {
      tries: "an emergency without the right to one",
      meets: "policy_denied",
      run: async (ground) =>
        outcomeOf(fileRequest((await ground.newcomer("erin")).client, { ...writeWish(), breakGlass: true })),
    },
    {
      tries: "a second review of what was reviewed",
      meets: "review_not_owed",
      run: async (ground) => {
        const owed = await owedReview(ground);
        await ground.sam.review(owed, { verdict: "justified", comment: "an outage" });
        return outcomeOf(ground.sam.review(owed, { verdict: "misuse", comment: "on second thoughts" }));
      },
    },
  ],
};

async function owedReview(ground: Ground) {
  const owed = async () => (await ground.ada.grants({ limit: 200 })).items.find((grant) => grant.reviewOwed)?.id;
  const before = await owed();
  if (before !== undefined) return before;
  await fileRequest((await ground.newcomer("firefighter")).client, { ...writeWish(), breakGlass: true });
  return sure(await owed(), "grant that waits for a review");
}
