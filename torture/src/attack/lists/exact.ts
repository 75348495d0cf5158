/** Single actions asked for by themselves: lied about, approved by the wrong people, run twice, and their answers in other hands. */
import { setTimeout as sleep } from "node:timers/promises";
import { toTime } from "@cardea/core/documents/primitives";
import { openSealedResult } from "@cardea/sdk/delivery-key";
import { obtainKey, readWish, sampleResource } from "@cardea/testing/key-in-hand";
import { approve, askOnce, erin, newChange, ranOnce } from "../actions.ts";
import { outcomeOf, outcomesOf, sure, type Attack, type AttackList } from "../attempt.ts";

const countOrders = "select count(*) from orders";

/** What is refused before anybody is asked. */
function refused(tries: string, meets: string, statement: string): Attack {
  return { tries, meets, run: async (ground) => outcomeOf(askOnce(await erin(ground), statement)) };
}

export const exact: AttackList = {
  title: "single actions",
  shortEvery: 12,
  attacks: [
    {
      tries: "the requester, in the approvers' group, approves their own action",
      meets: "self_approval",
      run: async (ground) => {
        const carol = await ground.as("carol");
        return approve(carol, (await askOnce(carol, (await newChange(ground)).statement)).view);
      },
    },
    {
      tries: "a human approves what their own agent asks to do",
      meets: "self_approval",
      run: async (ground) => {
        const carol = await ground.subject("carol");
        const agent = await ground.join({
          name: "acting-agent",
          kind: "agent",
          actsFor: carol,
          groups: ["engineering"],
        });
        return approve(await ground.as("carol"), (await askOnce(agent.client, countOrders)).view);
      },
    },
    {
      tries: "an agent asks to change what agents only read",
      meets: "policy_denied",
      run: async (ground) => {
        const bob = await ground.subject("bob");
        const agent = await ground.join({ name: "eager-agent", kind: "agent", actsFor: bob, groups: ["engineering"] });
        return outcomeOf(askOnce(agent.client, (await newChange(ground)).statement));
      },
    },
    {
      tries: "an administrator who asked approves as an administrator",
      meets: "self_approval",
      run: async (ground) => {
        const { client } = await ground.newcomer("root");
        return approve(client, (await askOnce(client, (await newChange(ground)).statement)).view);
      },
    },
    {
      tries: "an approver narrows an exact action",
      meets: "narrowing_exact",
      run: async (ground) => {
        const { view } = await askOnce(await erin(ground), (await newChange(ground)).statement);
        const narrowing = { duration: "1m" };
        return outcomeOf(ground.bob.vote(view.id, { verdict: "approve", digest: view.digest, narrowing }));
      },
    },
    {
      tries: "an action is approved by the digest of another",
      meets: "conflict",
      run: async (ground) => {
        const by = await erin(ground);
        const one = await askOnce(by, (await newChange(ground)).statement);
        const other = await askOnce(by, (await newChange(ground)).statement);
        return outcomeOf(ground.bob.vote(one.view.id, { verdict: "approve", digest: other.view.digest }));
      },
    },
    {
      tries: "withdrawn, then approved",
      meets: "request_not_pending, done 0 times",
      run: async (ground) => {
        const by = await erin(ground);
        const change = await newChange(ground);
        const { view } = await askOnce(by, change.statement);
        await by.withdraw(view.id);
        return `${await approve(ground.bob, view)}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "two approvers approve in the same moment: it runs once",
      meets: "accepted request_not_pending, done 1 times",
      run: async (ground) => {
        const by = await erin(ground);
        const change = await newChange(ground);
        const filed = await askOnce(by, change.statement);
        const voters = [ground.bob, await ground.as("carol")];
        const outcome = await outcomesOf(voters.map((voter) => ground.approve(voter, filed)));
        await by.ran(filed.view.id, { wait: 20 });
        return `${outcome}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "the same action filed eight times with one Idempotency-Key and approved: it runs once",
      meets: "1 request, done 1 times",
      run: async (ground) => {
        const by = await erin(ground);
        const change = await newChange(ground);
        const { delivery } = await ground.pending("ONE");
        const body = {
          resource: sampleResource,
          ask: { action: { type: "sql", what: { database: "shop", statement: change.statement } } },
          justification: "order 4711 is wrong",
          window: { duration: "10m" },
          deliverTo: delivery.publicKey,
        };
        const views = [];
        for (let turn = 0; turn < 8; turn += 1) views.push(await by.submit(body, "attack-action-1"));
        const [view] = views;
        await approve(ground.bob, sure(view, "request"));
        await by.ran(sure(view, "request").id, { wait: 20 });
        const count = String(await change.count());
        return `${String(new Set(views.map(({ id }) => id)).size)} request, done ${count} times`;
      },
    },
    {
      tries: "the action says that it touches something else",
      meets: "binding_changed",
      run: async (ground) => {
        const by = await erin(ground);
        const what = { database: "shop", statement: (await newChange(ground)).statement };
        const { action } = await by.preview({ resource: sampleResource, action: { type: "sql", what } });
        const binding = { ...action.binding, lines: ["updates nothing to speak of"] };
        return outcomeOf(askOnce(by, what.statement, { ask: { action: { type: "sql", what, binding } } }));
      },
    },
    {
      tries: "the action says that it asks for fewer permissions than it needs",
      meets: "binding_changed",
      run: async (ground) => {
        const by = await erin(ground);
        const what = { database: "shop", statement: (await newChange(ground)).statement };
        const binding = { patterns: [{ name: "sql.select" }] };
        return outcomeOf(askOnce(by, what.statement, { ask: { action: { type: "sql", what, binding } } }));
      },
    },
    {
      tries: "the action calls itself reading, which is allowed at once",
      meets: "binding_changed",
      run: async (ground) => {
        const by = await erin(ground);
        const what = { database: "shop", statement: (await newChange(ground)).statement };
        return outcomeOf(askOnce(by, what.statement, { ask: { action: { type: "sql", name: "sql.select", what } } }));
      },
    },
    {
      tries: "the action is said to be of another kind of resource",
      meets: "action_refused",
      run: async (ground) => {
        const what = { database: "shop", statement: "select 1" };
        return outcomeOf(askOnce(await erin(ground), "", { ask: { action: { type: "http", what } } }));
      },
    },
    {
      tries: "another database of the server",
      meets: "action_refused",
      run: async (ground) => {
        const what = { database: "postgres", statement: "select 1" };
        return outcomeOf(askOnce(await erin(ground), "", { ask: { action: { type: "sql", what } } }));
      },
    },
    refused("two statements as one action", "action_refused", "select 1; select 2"),
    refused("a change behind a comment and a semicolon", "action_refused", "select 1 /* */ ; delete from orders"),
    refused("code in a block", "action_refused", "do $$ begin delete from orders; end $$"),
    refused("a prepared statement", "action_refused", "prepare x as update orders set note = 'x'"),
    refused("running what was prepared", "action_refused", "execute x"),
    refused("opening a transaction", "action_refused", "begin"),
    refused("another role", "action_refused", "set role app_owner"),
    refused("a program at the server", "action_refused", "copy orders to program 'id'"),
    refused("a file of the server", "action_refused", "copy orders from '/etc/passwd'"),
    refused("a file of the server by a function", "policy_denied", "select pg_read_file('/etc/passwd')"),
    refused("a superuser", "action_refused", "create role again superuser login"),
    refused("a setting of the server", "action_refused", "alter system set log_statement = 'none'"),
    {
      tries: "hashes of passwords, where policy lets everything be read",
      meets: "failed, 42501",
      run: async (ground) => {
        const { view } = await ranOnce(ground, "select rolname, rolpassword from pg_authid");
        return `${String(view.run?.state)}, ${String(view.run?.error?.code)}`;
      },
    },
    refused("more than 64 KiB", "action_refused", `update orders set note = '${"x".repeat(70_000)}' where id = 1`),
    refused("what policy denies whoever asks", "policy_denied", "truncate orders"),
    refused("what policy denies, within something harmless", "policy_denied", "drop table payments"),
    {
      tries: "an action for longer than its rule allows",
      meets: "policy_denied",
      run: async (ground) => {
        const { statement } = await newChange(ground);
        return outcomeOf(askOnce(await erin(ground), statement, { window: { duration: "2h" } }));
      },
    },
    {
      tries: "somebody whom no rule lets ask looks at what an action would touch",
      meets: "policy_denied",
      run: async (ground) => {
        const action = { type: "sql", what: { database: "shop", statement: "select * from payments" } };
        const { client } = await ground.newcomer("mallory");
        return outcomeOf(client.preview({ resource: sampleResource, action }));
      },
    },
    {
      tries: "the requester loses the group before the vote",
      meets: "policy_denied, done 0 times",
      run: async (ground) => {
        const leaver = await ground.join({ name: "exact-leaver", groups: ["engineering"] });
        const change = await newChange(ground);
        const { view } = await askOnce(leaver.client, change.statement);
        return ground.whileChanged(leaver.subject, { groups: [] }, async () => {
          const vote = await approve(ground.bob, view);
          return `${vote}, done ${String(await change.count())} times`;
        });
      },
    },
    {
      tries: "the requester loses the group before an approved action's time has come",
      meets: "voided, done 0 times",
      run: async (ground) => {
        const leaver = await ground.join({ name: "late-leaver", groups: ["engineering"] });
        const change = await newChange(ground);
        const window = { start: toTime(Date.now() + 2_000), duration: "10m" };
        const filed = await askOnce(leaver.client, change.statement, { window });
        await ground.approve(ground.bob, filed);
        return ground.whileChanged(leaver.subject, { groups: [] }, async () => {
          await sleep(2_300);
          const { grant } = await ground.ada.request(filed.view.id);
          const end = await ground.endOf(ground.ada, sure(grant, "grant").id);
          return `${end}, done ${String(await change.count())} times`;
        });
      },
    },
    {
      tries: "the table is another by the time of the approval",
      meets: "binding_changed",
      run: async (ground) => {
        const grants = "grant select, insert, update, delete on scratch to cardea_admin with grant option";
        await ground.atResource(`create table scratch (n int); ${grants}`);
        try {
          const by = await erin(ground);
          const filed = await askOnce(by, "insert into public.scratch values (1)");
          await ground.atResource(`drop table scratch; create table scratch (n int); ${grants}`);
          const { grant } = await ground.approve(ground.bob, filed);
          return await ground.endOf(by, sure(grant, "grant").id);
        } finally {
          await ground.atResource("drop table scratch");
        }
      },
    },
    {
      tries: "a key is fetched for an action's grant",
      meets: "not_found",
      run: async (ground) => {
        const { view } = await ranOnce(ground, (await newChange(ground)).statement);
        return outcomeOf((await erin(ground)).key(sure(view.grant, "grant").id));
      },
    },
    {
      tries: "a stranger fetches an answer",
      meets: "not_found",
      run: async (ground) => {
        const { view } = await ranOnce(ground, countOrders);
        return outcomeOf((await ground.newcomer("mallory")).client.result(view.id));
      },
    },
    {
      tries: "the approver fetches the answer of what they approved",
      meets: "not_found",
      run: async (ground) => {
        const { view } = await ranOnce(ground, `${(await newChange(ground)).statement} returning *`);
        return outcomeOf(ground.bob.result(view.id));
      },
    },
    {
      tries: "an administrator and auditor fetches an answer",
      meets: "not_found",
      run: async (ground) => outcomeOf(ground.ada.result((await ranOnce(ground, countOrders)).view.id)),
    },
    {
      tries: "an answer is opened as another action's",
      meets: "key_lost",
      run: async (ground) => {
        const [one, other] = [await ranOnce(ground, countOrders), await ranOnce(ground, `${countOrders} where id > 1`)];
        const sealed = await (await erin(ground)).result(one.view.id);
        const { digest } = sure(other.view.grant, "grant");
        return outcomeOf(openSealedResult(sealed, one.delivery.privateKey, digest));
      },
    },
    {
      tries: "an answer is opened with the delivery key of a login",
      meets: "key_lost",
      run: async (ground) => {
        const { view } = await ranOnce(ground, countOrders);
        const { delivery } = await ground.pending("ONE");
        const sealed = await (await erin(ground)).result(view.id);
        return outcomeOf(openSealedResult(sealed, delivery.privateKey, sure(view.grant, "grant").digest));
      },
    },
    {
      tries: "somebody without the right says what came of a run",
      meets: "forbidden",
      run: async (ground) => {
        const { view } = await ranOnce(ground, countOrders);
        return outcomeOf(ground.bob.resolveRun(sure(view.run, "run").id, { outcome: "done", comment: "looked" }));
      },
    },
    {
      tries: "an administrator says otherwise of a run whose outcome is known",
      meets: "conflict",
      run: async (ground) => {
        const { view } = await ranOnce(ground, countOrders);
        return outcomeOf(ground.ada.resolveRun(sure(view.run, "run").id, { outcome: "failed", comment: "no" }));
      },
    },
    {
      tries: "an API token of an administrator says what came of a run",
      meets: "token_forbidden",
      run: async (ground) => {
        const { view } = await ranOnce(ground, countOrders);
        const { secret } = await ground.ada.createToken({ label: "script", permissions: ["member", "admin"] });
        return outcomeOf(
          ground.with(secret).resolveRun(sure(view.run, "run").id, { outcome: "done", comment: "looked" }),
        );
      },
    },
    {
      tries: "a stranger lists everybody's runs",
      meets: "none",
      run: async (ground) => {
        await ranOnce(ground, countOrders);
        const { items } = await (await ground.newcomer("mallory")).client.runs({ view: "all" });
        return items.length === 0 ? "none" : "runs";
      },
    },
    {
      tries: "more time for an action: it extends a grant of a role",
      meets: "extends_invalid",
      run: async (ground) => {
        const by = await erin(ground);
        const { grant } = await obtainKey(by, readWish());
        return outcomeOf(askOnce(by, (await newChange(ground)).statement, { extends: grant }));
      },
    },
  ],
};
