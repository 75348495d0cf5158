/** Getting a statement to run that waits in a session, or one that nobody looked at: without its approval, twice, or as something else. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  approve,
  askOnce,
  endOfRequest,
  erin,
  heldChange,
  newChange,
  OpenSession,
  type Change,
  type HeldStatement,
} from "../actions.ts";
import { outcomeOf, sure, type Attack, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";
import { lockedDownPolicy } from "../policy.ts";

/** What came of the waiting statement, and how often it was done. */
async function cameOf({ result }: HeldStatement, change: Change): Promise<string> {
  return `${await result}, done ${String(await change.count())} times`;
}

/** Takes it back, so that the session can go on, and says what had come of it by then. */
async function stillWaiting(session: OpenSession, { view, result }: HeldStatement): Promise<string> {
  const early = await Promise.race([result, sleep(1_000, "still waiting")]);
  await outcomeOf(session.by.withdraw(view.id));
  return early;
}

/** A statement that has to be refused at once, before anybody is asked. */
function statement(tries: string, meets: string, sql: string): Attack {
  return {
    tries,
    meets,
    run: async (ground) => {
      await using session = await OpenSession.open(await erin(ground));
      const outcome = outcomeOf(session.client.query(sql)).catch(() => "cut off");
      return await Promise.race([outcome, sleep(5_000, "it waits for approval", { ref: false })]);
    },
  };
}

/** A thing of the resource changes while an approved statement about it waits. */
function changed(tries: string, meets: string, sql: string, change: string): Attack {
  return {
    tries,
    meets,
    run: async (ground) => {
      await using scratch = await scratchTable(ground);
      await using session = await OpenSession.open(await erin(ground));
      const { view, result } = await session.hold(sql);
      await ground.atResource(change);
      const vote = await approve(ground.bob, view);
      return `${vote}, ${await result}, ${String(await scratch.rows())} rows`;
    },
  };
}

async function scratchTable(ground: Ground): Promise<{ rows(): Promise<number> } & AsyncDisposable> {
  await ground.atResource(
    `create table scratch (n int);
     grant select, insert, update, delete on scratch to cardea_admin with grant option`,
  );
  return {
    rows: async () => Number((await ground.atResource("select count(*) as n from scratch"))[0]?.["n"]),
    [Symbol.asyncDispose]: async () => {
      await ground.atResource("drop table if exists scratch; drop function if exists scratched");
    },
  };
}

export const held: AttackList = {
  title: "statements that wait for their approval",
  shortEvery: 12,
  attacks: [
    {
      tries: "whoever sent the statement, in the approvers' group, approves it",
      meets: "self_approval, and it waits on",
      run: async (ground) => {
        const carol = await ground.as("carol");
        await using session = await OpenSession.open(carol);
        const { held: waiting, change } = await heldChange(ground, session);
        const vote = await approve(carol, waiting.view);
        const early = await stillWaiting(session, waiting);
        return early === "still waiting" && (await change.count()) === 0
          ? `${vote}, and it waits on`
          : `${vote}, ${early}`;
      },
    },
    {
      tries: "a stranger approves the statement",
      meets: "not_found",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting } = await heldChange(ground, session);
        return await approve((await ground.newcomer("mallory")).client, waiting.view);
      },
    },
    {
      tries: "an administrator of Cardea approves the statement",
      meets: "not_an_approver",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting } = await heldChange(ground, session);
        return await approve(ground.ada, waiting.view);
      },
    },
    {
      tries: "an API token of an approver approves the statement",
      meets: "token_forbidden",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting } = await heldChange(ground, session);
        const { secret } = await ground.bob.createToken({ label: "script", permissions: ["member"] });
        return await approve(ground.with(secret), waiting.view);
      },
    },
    {
      tries: "the statement is approved by the digest of another that waits",
      meets: "conflict",
      run: async (ground) => {
        await using one = await OpenSession.open(await erin(ground));
        await using two = await OpenSession.open(await erin(ground));
        const { held: first } = await heldChange(ground, one);
        const { held: second } = await heldChange(ground, two);
        return await outcomeOf(ground.bob.vote(first.view.id, { verdict: "approve", digest: second.view.digest }));
      },
    },
    {
      tries: "an approver narrows the statement to less time",
      meets: "narrowing_exact",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { view } = (await heldChange(ground, session)).held;
        const narrowing = { duration: "1m" };
        return await outcomeOf(ground.bob.vote(view.id, { verdict: "approve", digest: view.digest, narrowing }));
      },
    },
    {
      tries: "an approver narrows the statement to other permissions",
      meets: "narrowing_exact",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { view } = (await heldChange(ground, session)).held;
        const narrowing = { permissions: [{ name: "sql.select" }] };
        return await outcomeOf(ground.bob.vote(view.id, { verdict: "approve", digest: view.digest, narrowing }));
      },
    },
    {
      tries: "an approver withdraws what another waits with",
      meets: "forbidden",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        return await outcomeOf(ground.bob.withdraw((await heldChange(ground, session)).held.view.id));
      },
    },
    {
      tries: "withdrawn, then approved",
      meets: "request_not_pending, 57014, done 0 times",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting, change } = await heldChange(ground, session);
        await session.by.withdraw(waiting.view.id);
        const vote = await approve(ground.bob, waiting.view);
        return `${vote}, ${await cameOf(waiting, change)}`;
      },
    },
    {
      tries: "denied, then approved by somebody else",
      meets: "request_not_pending, 42501, done 0 times",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting, change } = await heldChange(ground, session);
        await ground.bob.vote(waiting.view.id, { verdict: "deny", digest: waiting.view.digest });
        const vote = await approve(await ground.as("carol"), waiting.view);
        return `${vote}, ${await cameOf(waiting, change)}`;
      },
    },
    {
      tries: "approved after whoever waited has gone",
      meets: "request_not_pending, done 0 times",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting, change } = await heldChange(ground, session);
        await session.cut();
        await endOfRequest(ground, waiting.view);
        return `${await approve(ground.bob, waiting.view)}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "approved after its session was ended",
      meets: "request_not_pending, done 0 times",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting, change } = await heldChange(ground, session);
        await ground.ada.endSession(await session.id(), "not this one");
        await endOfRequest(ground, waiting.view);
        return `${await approve(ground.bob, waiting.view)}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "approved after the session's own grant was revoked",
      meets: "request_not_pending, done 0 times",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting, change } = await heldChange(ground, session);
        await ground.ada.revoke(session.grant, "enough");
        await endOfRequest(ground, waiting.view);
        return `${await approve(ground.bob, waiting.view)}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "going away races the approval, ten times: what is said of it is what happened",
      meets: "one story each time",
      run: async (ground) => {
        for (let turn = 0; turn < 10; turn += 1) {
          await using session = await OpenSession.open(await erin(ground));
          const { held: waiting, change } = await heldChange(ground, session);
          const vote = approve(ground.bob, waiting.view);
          await sleep(turn * 4);
          await Promise.all([vote, session.cut()]);
          const view = await ground.ada.request(waiting.view.id);
          const run = view.state === "approved" ? (await ground.ada.ran(view.id, { wait: 20 })).run : undefined;
          const done = await change.count();
          const told = run?.state === "done" ? 1 : 0;
          if (done !== told)
            return `${view.state}, its run is ${run?.state ?? "none"}, and it was done ${String(done)} times`;
        }
        return "one story each time";
      },
    },
    {
      tries: "two approvers approve in the same moment: done once",
      meets: "accepted, done 1 times",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting, change } = await heldChange(ground, session);
        await Promise.all([approve(ground.bob, waiting.view), approve(await ground.as("carol"), waiting.view)]);
        return await cameOf(waiting, change);
      },
    },
    {
      tries: "an approved statement is sent once more",
      meets: "accepted, then still waiting, done 1 times",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting, change } = await heldChange(ground, session);
        await approve(ground.bob, waiting.view);
        const first = await waiting.result;
        const again = await session.hold(change.statement);
        return `${first}, then ${await stillWaiting(session, again)}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "another session of the same key uses the approval of the very same statement",
      meets: "accepted, the other still waiting, done 1 times",
      run: async (ground) => {
        const by = await erin(ground);
        await using one = await OpenSession.open(by);
        await using two = await OpenSession.open(by);
        const change = await newChange(ground);
        const [first, second] = [await one.hold(change.statement), await two.hold(change.statement)];
        await approve(ground.bob, first.view);
        const came = await first.result;
        return `${came}, the other ${await stillWaiting(two, second)}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "a statement that is approved by itself runs in a session that waits with the same",
      meets: "done, the session still waiting, done 1 times",
      run: async (ground) => {
        const by = await erin(ground);
        await using session = await OpenSession.open(by);
        const change = await newChange(ground);
        const waiting = await session.hold(change.statement);
        const { view } = await askOnce(by, change.statement);
        await approve(ground.bob, view);
        const { run } = await by.ran(view.id, { wait: 20 });
        const count = async () => String(await change.count());
        return `${sure(run, "run").state}, the session ${await stillWaiting(session, waiting)}, done ${await count()} times`;
      },
    },
    {
      tries: "while an approved statement runs, another session of its login's owner does the same without approval",
      meets: "still waiting, accepted, done 1 times",
      run: async (ground) => {
        const by = await erin(ground);
        await using one = await OpenSession.open(by);
        await using two = await OpenSession.open(by);
        const change = await newChange(ground);
        const slow = `${change.statement} and pg_sleep(3) is not null`;
        const first = await one.hold(slow);
        await approve(ground.bob, first.view);
        const second = await two.hold(change.statement);
        const early = await stillWaiting(two, second);
        return `${early}, ${await first.result}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "after an approved statement its session does more of the same",
      meets: "42501 for what is denied, no privilege left",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting } = await heldChange(ground, session);
        await approve(ground.bob, waiting.view);
        await waiting.result;
        const denied = await outcomeOf(session.client.query("truncate orders"));
        const { rows } = await session.client.query<{ may: boolean }>(
          "select has_table_privilege(current_user, 'orders', 'update') as may",
        );
        return `${denied} for what is denied, ${rows[0]?.may === false ? "no privilege" : "a privilege"} left`;
      },
    },
    {
      tries: "the requester loses the group before the vote",
      meets: "policy_denied, done 0 times",
      run: async (ground) => {
        const leaver = await ground.join({ name: "held-leaver", groups: ["engineering"] });
        await using session = await OpenSession.open(leaver.client);
        const { held: waiting, change } = await heldChange(ground, session);
        return await ground.whileChanged(leaver.subject, { groups: [] }, async () => {
          const vote = await approve(ground.bob, waiting.view);
          return `${vote === "request_not_pending" ? "policy_denied" : vote}, done ${String(await change.count())} times`;
        });
      },
    },
    {
      tries: "approved although policy forbids it meanwhile",
      meets: "done 0 times, and it did not run",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held: waiting, change } = await heldChange(ground, session);
        return await ground.underPolicy(lockedDownPolicy, async () => {
          const vote = await approve(ground.bob, waiting.view);
          const came = await waiting.result;
          const ran = vote === "accepted" || came === "accepted";
          return `done ${String(await change.count())} times, and it ${ran ? "ran" : "did not run"}`;
        });
      },
    },
    changed(
      "the table is another by the time of the approval",
      "accepted, 40001, 0 rows",
      "insert into public.scratch values (1)",
      `drop table scratch; create table scratch (n int);
       grant select, insert, update, delete on scratch to cardea_admin with grant option`,
    ),
    changed(
      "a trigger is put on the table before the approval",
      "accepted, 40001, 0 rows",
      "insert into public.scratch values (1)",
      `create function scratched() returns trigger language plpgsql as 'begin return new; end';
       create trigger scratched before insert on scratch for each row execute function scratched()`,
    ),
    changed(
      "a rule is put on the table before the approval",
      "accepted, 40001, 0 rows",
      "insert into public.scratch values (1)",
      "create rule scratched as on insert to scratch do also update orders set note = 'by a rule' where id = 1",
    ),
    {
      tries: "a second statement rides along in the same message",
      meets: "42501, done 0 times",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const change = await newChange(ground);
        const outcome = await outcomeOf(session.client.query(`select 1; ${change.statement}`));
        return `${outcome}, done ${String(await change.count())} times`;
      },
    },
    statement("a statement that policy denies, to be asked for", "42501", "truncate orders"),
    statement("dropping, which policy denies, to be asked for", "42501", "drop table payments"),
    statement("code in a block, to be asked for", "0A000", "do $$ begin delete from orders; end $$"),
    statement("a prepared change, to be asked for", "42501", "prepare x as update orders set note = 'x'"),
    statement("another role, to be asked for", "0A000", "set role app_owner"),
    statement("another session's user, to be asked for", "0A000", "set session authorization cardea"),
    statement("a file of the server, to be asked for", "0A000", "copy orders from '/etc/passwd'"),
    statement("a program at the server, to be asked for", "0A000", "copy orders to program 'id'"),
    statement("a setting of the server, to be asked for", "42501", "alter system set log_statement = 'none'"),
    statement("a superuser, to be asked for", "42501", "create role again superuser login"),
    statement("a grant by hand, to be asked for", "42501", "grant app_owner to current_user"),
    statement(
      "more than 64 KiB, to be asked for",
      "42501",
      `update orders set note = '${"x".repeat(70_000)}' where id = 1`,
    ),
  ],
};
