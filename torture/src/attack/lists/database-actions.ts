/* eslint-disable max-lines -- one numbered list */
/**
 * The administrator of the control plane's database edits actions that wait, their grants, their runs and their answers. Nothing runs that was not
 * approved, nothing runs twice, and nobody is told that something else happened.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { newId } from "@cardea/core/contract/ids";
import { verifyEvidence } from "@cardea/core/evidence/verify";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { digestOf } from "@cardea/core/documents/digest";
import { SealedResult } from "@cardea/core/wire/delivery";
import { systemClock, systemRandom } from "@cardea/server/processes/system";
import { newDeliveryKey } from "@cardea/sdk/delivery-key";
import type { FiledRequest } from "@cardea/testing/key-in-hand";
import {
  approve,
  askOnce,
  erin,
  heldChange,
  newChange,
  OpenSession,
  ranOnce,
  type Change,
  type HeldStatement,
} from "../actions.ts";
import { outcomeOf, sure, type Attack, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";
import { editDocument, hideEntries, markApproved, taskBySql } from "../rows.ts";

const countOrders = "select count(*) from orders";

/** An action that waits, and the change that it would make. */
async function waitingAction(ground: Ground): Promise<FiledRequest & { readonly change: Change }> {
  const change = await newChange(ground);
  return { ...(await askOnce(await erin(ground), change.statement)), change };
}

/** What comes of a statement that waits in a session once something was done about it, and how often it was done. */
async function whileHeld(
  ground: Ground,
  during: (held: HeldStatement, session: OpenSession) => Promise<string>,
): Promise<string> {
  await using session = await OpenSession.open(await erin(ground));
  const { held, change } = await heldChange(ground, session);
  const came = await during(held, session);
  await Promise.race([held.result, sleep(1_500, undefined, { ref: false })]);
  return `${came}, done ${String(await change.count())} times`;
}

/** A document is edited while its statement waits; then it is approved. */
function editedWhileHeld(tries: string, change: (text: string) => string): Attack {
  return {
    tries,
    meets: "evidence_signature, done 0 times",
    run: (ground) =>
      whileHeld(ground, async ({ view }) => {
        await editDocument(ground, "requests", view.id, change);
        return approve(ground.bob, view);
      }),
  };
}

function editedAction(tries: string, change: (text: string) => string): Attack {
  return {
    tries,
    meets: "evidence_signature, done 0 times",
    run: async (ground) => {
      const { view, change: made } = await waitingAction(ground);
      await editDocument(ground, "requests", view.id, change);
      return `${await approve(ground.bob, view)}, done ${String(await made.count())} times`;
    },
  };
}

/** A column of a held request is written over before the approval. */
function columnWhileHeld(
  tries: string,
  meets: string,
  to: (ground: Ground) => Promise<Record<string, unknown>>,
): Attack {
  return {
    tries,
    meets,
    run: (ground) =>
      whileHeld(ground, async ({ view }) => {
        await ground.database.alter("requests", { id: view.id }, await to(ground));
        return approve(ground.bob, view);
      }),
  };
}

/** Puts the grant of a run back to where it was before, and asks for another run, or for a login. */
async function againBySql(
  ground: Ground,
  { view }: Pick<FiledRequest, "view">,
  type: "issue" | "run",
): Promise<string> {
  const { id } = sure(view.grant, "grant");
  await ground.database.remove("run_results", "run_id in (select id from runs where grant_id = $1)", [id]);
  await ground.database.remove("runs", "grant_id = $1", [id]);
  await ground.database.remove("tasks", "grant_id = $1", [id]);
  await ground.database.alter(
    "grants",
    { id },
    { state: "issuing", previous_state: "scheduled", why: null, ended_at: null },
  );
  return taskBySql(ground, type, id);
}

/** Text of a run's signed document, changed. */
async function editRun(ground: Ground, id: string, change: (text: string) => string): Promise<void> {
  await editDocument(ground, "runs", id, change);
}

/** A sealed answer of ours in the place of the real one. Whoever knows the delivery key's public half can seal. */
async function sealedAnswerOf(ground: Ground, run: string): Promise<SealedResult> {
  const { sealed } = await ground.database.one("select sealed from run_results where run_id = $1", [run]);
  return SealedResult.parse(sealed);
}

export const actionsBySql: AttackList = {
  title: "the database's administrator: actions, runs, answers",
  shortEvery: 12,
  attacks: [
    {
      tries: "a statement that waits is marked as approved",
      meets: "request_not_pending, and no grant, done 0 times",
      run: (ground) =>
        whileHeld(ground, async ({ view }) => {
          await markApproved(ground, view.id);
          const outcome = await outcomeOf((await erin(ground)).evidence(view.id));
          return (await ground.ada.request(view.id)).grant === undefined ? `${outcome}, and no grant` : "a grant";
        }),
    },
    {
      tries: "an action that waits is marked as approved",
      meets: "request_not_pending, and no grant, done 0 times",
      run: async (ground) => {
        const { view, change } = await waitingAction(ground);
        await markApproved(ground, view.id);
        const outcome = await outcomeOf((await erin(ground)).evidence(view.id));
        const { grant } = await ground.ada.request(view.id);
        return `${outcome}, and ${grant === undefined ? "no" : "a"} grant, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "the grant of an action that was approved is copied to one that waits, and run",
      meets: "evidence_signature, done 0 times",
      run: async (ground) => {
        const spent = await ranOnce(ground, countOrders);
        const { view, change } = await waitingAction(ground);
        await markApproved(ground, view.id);
        const { id } = sure(spent.view.grant, "grant");
        const forged = newId("grant", systemClock, systemRandom);
        const { document } = await ground.database.one("select document from grants where id = $1", [id]);
        await ground.database.copy(
          "grants",
          { id },
          {
            id: forged,
            request_id: view.id,
            digest: "sha256:forged",
            document: String(document).replaceAll(id, forged).replaceAll(spent.view.digest, view.digest),
            state: "issuing",
            previous_state: "scheduled",
            why: null,
            ended_at: null,
          },
          { id: forged },
        );
        const outcome = await outcomeOf(ground.ada.request(view.id));
        const came = (await taskBySql(ground, "run", forged, 3_000)) === "done" ? "done" : outcome;
        return `${came}, done ${String(await change.count())} times`;
      },
    },
    editedWhileHeld("the text of a statement that waits", (text) =>
      text.replaceAll("total_cents + 1", "total_cents + 9"),
    ),
    editedWhileHeld("what a statement that waits is said to touch", (text) =>
      text.replace('"lines":["', '"lines":["reads nothing; '),
    ),
    editedWhileHeld("the permissions that a statement that waits asks for", (text) =>
      text.replaceAll('"name":"sql.update"', '"name":"sql.select"'),
    ),
    editedWhileHeld("the session that a statement that waits is of", (text) =>
      text.replaceAll(/ses_[0-9a-z]{26}/g, newId("session", systemClock, systemRandom)),
    ),
    editedWhileHeld("the grant that a statement that waits is within", (text) =>
      text.replaceAll(/gra_[0-9a-z]{26}/g, newId("grant", systemClock, systemRandom)),
    ),
    editedWhileHeld("the nonce of a statement that waits", (text) =>
      text.replace(/"nonce":"[^"]*"/, '"nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"'),
    ),
    editedWhileHeld("what policy was told of the session of a statement that waits", (text) =>
      text.replace(/"session":\{/, '"session":{"forged":true,'),
    ),
    editedWhileHeld("what was done in the session before", (text) =>
      text.replace(/"recent":\[/, '"recent":["select harmless",'),
    ),
    editedWhileHeld("what policy decided about a statement that waits", (text) =>
      text.replace('"effect":"review"', '"effect":"allow"'),
    ),
    editedAction("the statement of an action that waits", (text) =>
      text.replaceAll("total_cents + 1", "total_cents + 9"),
    ),
    editedAction("what an action that waits is said to touch", (text) =>
      text.replace('"lines":["', '"lines":["reads nothing; '),
    ),
    editedAction("a parameter is given to an action that waits", (text) =>
      text.replace('"what":{', '"what":{"params":["1"],'),
    ),
    editedAction("for whom the answer of an action that waits is", (text) =>
      text.replace(/"deliverTo":"B[^"]{10}/, '"deliverTo":"BAAAAAAAAAA'),
    ),
    editedAction("how many rows an action that waits is estimated to change", (text) =>
      text.replace(/"estimate":\{"rows":/, '"estimate":{"rows":1'),
    ),
    {
      tries: "the answer of an approved action is to be sealed to somebody else",
      meets: "evidence_signature, done 0 times",
      run: async (ground) => {
        const by = await erin(ground);
        const change = await newChange(ground);
        const window = { start: new Date(Date.now() + 3_600_000).toISOString(), duration: "10m" };
        const filed = await askOnce(by, change.statement, { window });
        const { grant } = await ground.approve(ground.bob, filed);
        const thief = await newDeliveryKey();
        await editDocument(ground, "requests", filed.view.id, (text) =>
          text.replace(filed.delivery.publicKey, thief.publicKey),
        );
        const { id } = sure(grant, "grant");
        await ground.database.alter("grants", { id }, { state: "issuing", previous_state: "scheduled" });
        const outcome = await outcomeOf(by.request(filed.view.id));
        const ran = (await taskBySql(ground, "run", id, 3_000)) === "done";
        return `${ran ? "done" : outcome}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "an approved action runs before its time",
      meets: "evidence_early, done 0 times",
      run: async (ground) => {
        const by = await erin(ground);
        const change = await newChange(ground);
        const window = { start: new Date(Date.now() + 3_600_000).toISOString(), duration: "10m" };
        const { grant } = await ground.approve(ground.bob, await askOnce(by, change.statement, { window }));
        const { id } = sure(grant, "grant");
        await ground.database.alter("grants", { id }, { state: "issuing", previous_state: "scheduled" });
        return `${await taskBySql(ground, "run", id)}, done ${String(await change.count())} times`;
      },
    },
    columnWhileHeld("only the column says that a statement waits in another session", "accepted, done 1 times", () =>
      Promise.resolve({ within_session: newId("session", systemClock, systemRandom) }),
    ),
    columnWhileHeld(
      "the outpost's signature of what its session asks is another's",
      "accepted, done 0 times",
      async (ground) => {
        const { asked_signature } = await ground.database.one(
          "select asked_signature from requests where asked_signature is not null order by id limit 1",
        );
        return { asked_signature: JSON.stringify(asked_signature) };
      },
    ),
    columnWhileHeld("only the column says that somebody else asks", "accepted, done 1 times", async (ground) => ({
      requester: await ground.subject("carol"),
    })),
    {
      tries: "the requester approves, and only the column says that somebody else asked",
      meets: "self_approval",
      run: async (ground) => {
        const carol = await ground.as("carol");
        await using session = await OpenSession.open(carol);
        const { held } = await heldChange(ground, session);
        await ground.database.alter(
          "requests",
          { id: held.view.id },
          { requester: (await ground.newcomer("erin")).subject },
        );
        return await approve(carol, held.view);
      },
    },
    {
      tries: "the document of an approved statement in the place of one that waits",
      meets: "evidence_signature, done 0 times",
      run: async (ground) => {
        const other = await waitingAction(ground);
        return whileHeld(ground, async ({ view }) => {
          const { document, digest, signatures } = await ground.database.one(
            "select document, digest, signatures from requests where id = $1",
            [other.view.id],
          );
          await ground.database.alter("requests", { id: other.view.id }, { digest: "sha256:moved" });
          await ground.database.alter(
            "requests",
            { id: view.id },
            { document, digest, signatures: JSON.stringify(signatures) },
          );
          return outcomeOf(ground.bob.vote(view.id, { verdict: "approve", digest: other.view.digest }));
        });
      },
    },
    {
      tries: "a vote for another statement of the same session is copied to one that waits",
      meets: "evidence_signature, done 0 times",
      run: async (ground) => {
        const by = await erin(ground);
        await using session = await OpenSession.open(by);
        const first = await heldChange(ground, session);
        await approve(ground.bob, first.held.view);
        await first.held.result;
        const { held, change } = await heldChange(ground, session);
        const { id } = await ground.database.one("select id from votes where request_id = $1", [first.held.view.id]);
        const forged = newId("vote", systemClock, systemRandom);
        const { document } = await ground.database.one("select document from votes where id = $1", [id]);
        const text = String(document).replace(String(id), forged).replaceAll(first.held.view.digest, held.view.digest);
        await ground.database.copy(
          "votes",
          { id },
          { id: forged, request_id: held.view.id, digest: "sha256:forged", document: text },
          { id: forged },
        );
        const vote = await approve(await ground.as("carol"), held.view);
        return `${vote}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "a withdrawn statement is opened again, its entries in the log hidden, and approved",
      meets: "57014, done 0 times",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held, change } = await heldChange(ground, session);
        await session.by.withdraw(held.view.id);
        const came = await held.result;
        await ground.logged("request.withdrawn", held.view.id);
        await ground.database.alter(
          "requests",
          { id: held.view.id },
          { state: "pending", previous_state: null, decided_at: null },
        );
        await hideEntries(ground, held.view.id);
        await approve(ground.bob, held.view);
        await sleep(1_000);
        return `${came}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "a spent action's grant is put back, so that it runs again",
      meets: "evidence_replayed, done 1 times",
      run: async (ground) => {
        const change = await newChange(ground);
        const filed = await ranOnce(ground, change.statement);
        return `${await againBySql(ground, filed, "run")}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "the run task of a spent action is opened again",
      meets: "done 1 times",
      run: async (ground) => {
        const change = await newChange(ground);
        const { view } = await ranOnce(ground, change.statement);
        const key = { grant_id: sure(view.grant, "grant").id, type: "run" };
        await ground.database.alter("tasks", key, { state: "open", done_at: null, next_at: new Date().toISOString() });
        await ground.database.many("notify cardea");
        await sleep(2_000);
        return `done ${String(await change.count())} times`;
      },
    },
    {
      tries: "a spent statement's grant is put back while its session waits with the same once more",
      meets: "evidence_replayed, done 1 times",
      run: async (ground) => {
        await using session = await OpenSession.open(await erin(ground));
        const { held, change } = await heldChange(ground, session);
        await approve(ground.bob, held.view);
        await held.result;
        const view = await session.by.ran(held.view.id, { wait: 20 });
        const again = await session.hold(change.statement);
        const came = await againBySql(ground, { view }, "run");
        await session.by.withdraw(again.view.id);
        return `${came}, done ${String(await change.count())} times`;
      },
    },
    {
      tries: "a spent action's grant is put back, and issued as if it were a role's",
      meets: "evidence_replayed, no login",
      run: async (ground) => {
        const filed = await ranOnce(ground, (await newChange(ground)).statement);
        const before = (await ground.loginsAtResource()).length;
        const came = await againBySql(ground, filed, "issue");
        return `${came}, ${(await ground.loginsAtResource()).length > before ? "a" : "no"} login`;
      },
    },
    {
      tries: "the document of a run says that it failed",
      meets: "refused",
      run: async (ground) => {
        const { view } = await ranOnce(ground, (await newChange(ground)).statement);
        await editRun(ground, sure(view.run, "run").id, (text) =>
          text.replace('"outcome":"done"', '"outcome":"failed"'),
        );
        return evidenceOf(ground, view.id);
      },
    },
    {
      tries: "a run that failed is marked as done: its evidence says otherwise",
      meets: "failed",
      run: async (ground) => {
        const { view } = await ranOnce(ground, "update orders set status = 'nonsense' where id = 29999");
        const { id } = sure(view.run, "run");
        await ground.database.alter("runs", { id }, { state: "done", previous_state: "running", error_code: null });
        return sure((await ground.ada.evidence(view.id)).run, "run").outcome;
      },
    },
    {
      tries:
        "a run that failed is marked as one that nobody knew of and that was found done: its evidence says otherwise",
      meets: "failed",
      run: async (ground) => {
        const { view } = await ranOnce(ground, "update orders set status = 'nonsense' where id = 29999");
        const { id } = sure(view.run, "run");
        const resolved = { resolved_outcome: "done", resolved_at: new Date().toISOString() };
        await ground.database.alter("runs", { id }, { state: "done", previous_state: "unknown", ...resolved });
        return sure((await ground.ada.evidence(view.id)).run, "run").outcome;
      },
    },
    {
      tries: "the requester, an administrator, says what came of their own run of which nobody knows",
      meets: "forbidden",
      run: async (ground) => {
        const { client } = await ground.newcomer("root");
        const filed = await askOnce(client, (await newChange(ground)).statement);
        await ground.approve(ground.bob, filed);
        const { run } = await client.ran(filed.view.id, { wait: 20 });
        const { id } = sure(run, "run");
        await ground.database.alter("runs", { id }, { state: "unknown", previous_state: "running" });
        return outcomeOf(client.resolveRun(id, { outcome: "done", comment: "looked" }));
      },
    },
    {
      tries: "one run's sealed answer in the place of another's",
      meets: "evidence_mismatch",
      run: async (ground) => {
        const [one, other] = [await ranOnce(ground, countOrders), await ranOnce(ground, `${countOrders} where id > 1`)];
        const sealed = await sealedAnswerOf(ground, sure(other.view.run, "run").id);
        await ground.database.alter(
          "run_results",
          { run_id: sure(one.view.run, "run").id },
          { sealed: JSON.stringify(sealed) },
        );
        return outcomeOf((await erin(ground)).result(one.view.id));
      },
    },
    {
      tries: "one run's sealed answer in the place of another's, and its digest in the column",
      meets: "evidence_mismatch",
      run: async (ground) => {
        const [one, other] = [await ranOnce(ground, countOrders), await ranOnce(ground, `${countOrders} where id > 1`)];
        const sealed = await sealedAnswerOf(ground, sure(other.view.run, "run").id);
        const { id } = sure(one.view.run, "run");
        await ground.database.alter("run_results", { run_id: id }, { sealed: JSON.stringify(sealed) });
        await ground.database.alter("runs", { id }, { result_digest: digestOf("sealed", sealed) });
        return outcomeOf((await erin(ground)).result(one.view.id));
      },
    },
    {
      tries: "an answer of one's own in the place of the outpost's, its digest in the run's document",
      meets: "evidence_signature",
      run: async (ground) => {
        const [one, other] = [await ranOnce(ground, countOrders), await ranOnce(ground, `${countOrders} where id > 1`)];
        const sealed = await sealedAnswerOf(ground, sure(other.view.run, "run").id);
        const { id, resultDigest = "" } = sure(one.view.run, "run");
        await ground.database.alter("run_results", { run_id: id }, { sealed: JSON.stringify(sealed) });
        await editRun(ground, id, (text) => text.replace(resultDigest, digestOf("sealed", sealed)));
        return outcomeOf((await erin(ground)).result(one.view.id));
      },
    },
    {
      tries: "a run's whole document is another run's, with its answer",
      meets: "evidence_mismatch",
      run: async (ground) => {
        const [one, other] = [await ranOnce(ground, countOrders), await ranOnce(ground, `${countOrders} where id > 1`)];
        const [id, from] = [sure(one.view.run, "run").id, sure(other.view.run, "run").id];
        const sealed = await sealedAnswerOf(ground, from);
        const { document, digest, signature } = await ground.database.one(
          "select document, digest, signature from runs where id = $1",
          [from],
        );
        await ground.database.alter("run_results", { run_id: id }, { sealed: JSON.stringify(sealed) });
        await ground.database.alter("runs", { id }, { document, digest, signature: canonicalJson(signature) });
        return outcomeOf((await erin(ground)).result(one.view.id));
      },
    },
    {
      tries: "only the column says that a request is one's own, to fetch its answer",
      meets: "not_found",
      run: async (ground) => {
        const { view } = await ranOnce(ground, countOrders);
        const { client, subject } = await ground.newcomer("peter");
        await ground.database.alter("requests", { id: view.id }, { requester: subject });
        await ground.database.alter("runs", { id: sure(view.run, "run").id }, { requester: subject });
        return outcomeOf(client.result(view.id));
      },
    },
  ],
};

/** What offline verification says of the evidence that there is now. */
async function evidenceOf(ground: Ground, request: FiledRequest["view"]["id"]): Promise<string> {
  const fetched = ground.ada.evidence(request);
  const outcome = await outcomeOf(fetched);
  if (outcome !== "accepted") return "refused";
  return verifyEvidence(await fetched, ground.trust, Date.now(), { purpose: "audit" }).ok ? "accepted" : "refused";
}
