import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CastVote, RequestsQuery, type RequestView } from "@cardea/core/wire/api/requests";
import { newId, type GrantId, type RequestId } from "@cardea/core/contract/ids";
import type { Evidence } from "@cardea/core/documents/evidence";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { verifyEvidence } from "@cardea/core/evidence/verify";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { scenario, scenarioPolicy, type Scenario } from "@cardea/testing/scenario";
import { startSequencer, type Sequencer } from "../audit/sequencer.ts";
import type { Control } from "../control.ts";
import { fetchKey } from "../grants/key.ts";
import { showGrant } from "../grants/show.ts";
import { applyPolicy } from "../policy/apply.ts";
import { listRequests } from "../requests/list.ts";
import { showRequest } from "../requests/show.ts";
import { castVote } from "../requests/vote.ts";
import { withdrawRequest } from "../requests/withdraw.ts";
import { assembleEvidence } from "./assemble.ts";
import { grantEvidence } from "./grant-evidence.ts";

let cluster: TestCluster;
let world: TestControl;
let control: Control;
let given: Scenario;
let sequencer: Sequencer;

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  world = await startTestControl(cluster);
  control = world.control;
  given = await scenario(control);
  sequencer = startSequencer(control, world.database.connect);
});
afterAll(async () => {
  await sequencer.close();
  await world.stop();
  await cluster.stop();
});

const approve = async (name: string, request: RequestView, narrowing?: { duration: string }) =>
  castVote(
    control,
    await given.actor(name),
    request.id,
    CastVote.parse({ verdict: "approve", digest: request.digest, ...(narrowing && { narrowing }) }),
  );

async function approved(): Promise<RequestView> {
  const request = await given.submit("ada");
  await approve("dan", request);
  return approve("sam", request);
}

async function covered(
  grant: GrantId | undefined,
  at: Control = control,
  purpose: "issue" | "audit" = "issue",
): Promise<Evidence> {
  if (grant === undefined) throw new Error("there is no grant");
  for (let waited = 0; waited < 500; waited++) {
    const evidence = await assembleEvidence(at, grant, purpose);
    if (evidence !== undefined) return evidence;
    await sleep(10);
  }
  throw new Error("the log never covered the grant");
}

const verified = (evidence: unknown) => verifyEvidence(evidence, control.trust, Date.now(), { purpose: "issue" });

const audited = (evidence: unknown) => verifyEvidence(evidence, control.trust, 0, { purpose: "audit" });

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe("the evidence of a grant", () => {
  test("verifies offline: allowed by a rule, by votes, by votes that narrowed", async () => {
    const allowed = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    expect(verified(await covered(allowed.grant?.id))).toMatchObject({ ok: true });
    const voted = await approved();
    const evidence = await covered(voted.grant?.id);
    expect(evidence.votes).toHaveLength(2);
    expect(verified(evidence)).toMatchObject({ ok: true });
    const narrowed = await given.submit("ada");
    await approve("dan", narrowed, { duration: "10m" });
    expect(verified(await covered((await approve("sam", narrowed)).grant?.id))).toMatchObject({ ok: true });
  });

  test("verifies for a break-glass grant and for an agent's", async () => {
    const agent = await given.submit("robo");
    expect(agent.document.asked.requester.onBehalfOf).toBe(await given.subject("ada"));
    await approve("dan", agent);
    const evidence = await covered((await approve("sam", agent)).grant?.id);
    expect(evidence.roster.entries.map(({ entry }) => entry.name).sort()).toEqual(["ada", "dan", "robo", "sam"]);
    expect(verified(evidence)).toMatchObject({ ok: true });
    const fire = await given.submit("bob", {
      ask: { role: "admin" },
      via: "direct",
      breakGlass: true,
      window: { duration: "10m" },
    });
    expect(verified(await covered(fire.grant?.id))).toMatchObject({ ok: true });
  });

  test("verifies after another policy came into force that decides the same", async () => {
    const before = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    await applyPolicy(control, await given.actor("root"), { source: `${scenarioPolicy}\n# the same\n`, base: 1 });
    const policies = await world.sql("select version from policies order by version");
    expect(policies.map((row) => Number(row["version"]))).toEqual([1, 2]);
    expect(verified(await covered(before.grant?.id))).toMatchObject({ ok: true });
    const pending = await given.submit("ada");
    await approve("dan", pending);
    await applyPolicy(control, await given.actor("root"), { source: scenarioPolicy, base: 2 });
    const evidence = await covered((await approve("sam", pending)).grant?.id);
    expect(evidence.current?.version).toBe(3);
    expect(verified(evidence)).toMatchObject({ ok: true });
  });

  test("holds a narrowing that its vote was replaced after", async () => {
    const twoOfDba = scenarioPolicy.replace(
      /approvals:\n.*\n.*\n/,
      "approvals: [{ count: 2, from: { groups: [dba] } }]\n",
    );
    await applyPolicy(control, await given.actor("root"), { source: twoOfDba, base: 3 });
    const request = await given.submit("ada");
    await approve("dan", request, { duration: "10m" });
    await approve("dan", request, { duration: "20m" });
    const evidence = await covered((await approve("dora", request)).grant?.id);
    expect([evidence.votes.length, evidence.grant.votes.length]).toEqual([3, 2]);
    expect(Date.parse(evidence.grant.window.notAfter) - Date.parse(evidence.grant.window.notBefore)).toBe(10 * 60_000);
    expect(verified(evidence)).toMatchObject({ ok: true });
    await applyPolicy(control, await given.actor("root"), { source: scenarioPolicy, base: 4 });
  });

  test("goes on verifying for whoever looks back, whoever leaves later; an outpost would make no key of it any more", async () => {
    const request = await approved();
    const grant = request.grant?.id as GrantId;
    const then = await covered(grant, control, "audit");
    const before = (await covered(grant)).roster.head.version;
    await given.change("dan", { active: false });
    await given.change("sam", { groups: [] });
    await given.change("ada", { groups: [] });
    const evidence = await grantEvidence(control, await given.actor("audrey"), request.id);
    expect(evidence.roster).toEqual(then.roster);
    expect(evidence.roster.head.version).toBe(before);
    expect(audited(evidence)).toMatchObject({ ok: true });
    await using other = world.another();
    expect(audited(await covered(grant, other.control, "audit"))).toMatchObject({ ok: true });

    const issue = await covered(grant);
    expect(issue.roster.head.version).toBe(before + 3);
    expect(verified(issue)).toMatchObject({ ok: false, code: "evidence_decision" });
    await given.change("ada", { active: false });
    expect(verified(await covered(grant))).toMatchObject({ ok: false, code: "evidence_roster" });
    await given.change("ada", { active: true, groups: ["engineering"] });
    expect(verified(await covered(grant))).toMatchObject({ ok: false, code: "evidence_quorum" });
    // What the outpost would be sent is no proof of the past either: the log names the other roster.
    expect(audited(await covered(grant))).toMatchObject({ ok: false, code: "evidence_log" });
    await given.change("dan", { active: true });
    await given.change("sam", { groups: ["security"] });
    expect(verified(await covered(grant))).toMatchObject({ ok: true });
    expect(audited(await covered(grant, control, "audit"))).toMatchObject({ ok: true });
  });

  test("says for whoever looks back what everybody may besides, unless that was altered", async () => {
    const request = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    expect(await covered(request.grant?.id)).not.toHaveProperty("publicPrivileges");
    const told = "everybody at prod-orders may make temporary tables in `orders`";
    expect(audited(await covered(request.grant?.id, control, "audit"))).toMatchObject({
      ok: true,
      besides: expect.arrayContaining([told]) as unknown,
    });
    await world.sql("update public_privileges set document = replace(document, 'temporary', 'permanent')");
    expect(audited(await covered(request.grant?.id, control, "audit"))).toMatchObject({
      ok: true,
      besides: [expect.stringContaining("is not in the evidence")],
    });
    await world.sql("update public_privileges set document = replace(document, 'permanent', 'temporary')");
  });

  test("is there once the log covers it, the same from any process", async () => {
    await using other = world.another();
    const request = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    await sequencer.close();
    const second = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    expect(await assembleEvidence(control, second.grant?.id as GrantId, "issue")).toBeUndefined();
    expect(await code(grantEvidence(control, await given.actor("ada"), second.id))).toBe("request_pending");
    sequencer = startSequencer(control, world.database.connect);
    expect(verified(await covered(second.grant?.id, other.control))).toMatchObject({ ok: true });
    expect(verified(await covered(request.grant?.id, other.control))).toMatchObject({ ok: true });
    expect(await assembleEvidence(control, newId("grant", control.clock, control.random), "issue")).toBeUndefined();
  });

  test("is given to whom the request concerns, and says where there is none", async () => {
    const request = await approved();
    await covered(request.grant?.id);
    for (const name of ["ada", "dan", "audrey"])
      expect((await grantEvidence(control, await given.actor(name), request.id)).grant.id).toBe(request.grant?.id);
    expect(await code(grantEvidence(control, await given.actor("eve"), request.id))).toBe("not_found");
    const pending = await given.submit("ada");
    expect(await code(grantEvidence(control, await given.actor("ada"), pending.id))).toBe("request_pending");
    await withdrawRequest(control, await given.actor("ada"), pending.id);
    expect(await code(grantEvidence(control, await given.actor("ada"), pending.id))).toBe("request_not_pending");
  });
});

/** As somebody with the database's password and no key: constraints and triggers are theirs to drop. */
describe("a database administrator", () => {
  /** Neither triggers nor foreign keys are in the way. */
  async function edit(text: string, values: readonly unknown[] = []): Promise<void> {
    const client = new Client({ connectionString: world.databaseUrl, options: "-c session_replication_role=replica" });
    await client.connect();
    await client.query(text, [...values]);
    await client.end();
  }

  const show = async (request: { readonly id: RequestId }, at = control) =>
    showRequest(at, await given.actor("audrey"), request.id);
  /** Another process: it has verified nothing yet. */
  async function elsewhere<T>(work: (at: Control) => Promise<T>): Promise<T> {
    await using other = world.another();
    return await work(other.control);
  }
  const voteAt = async (at: Control, name: string, request: RequestView) =>
    castVote(at, await given.actor(name), request.id, CastVote.parse({ verdict: "approve", digest: request.digest }));

  test("who edits a request gets no vote counted on it, hides nobody else's, and stands in the log", async () => {
    const edits = [
      'document = replace(document, \'"role":"write"\', \'"role":"admin"\')',
      'document = replace(document, \'"duration":"1h"\', \'"duration":"2h"\')',
      "digest = 'sha256:' || repeat('0', 64)",
      "signatures = '[]'",
      "document = 'no json'",
    ];
    for (const change of edits) {
      const request = await given.submit("ada");
      const other = await given.submit("ada");
      await edit(`update requests set ${change} where id = $1`, [request.id]);
      expect(await code(voteAt(control, "dan", request)), change).toBe("evidence_signature");
      expect(await code(show(request)), change).toBe("evidence_signature");
      expect(await elsewhere((at) => code(voteAt(at, "dan", request))), change).toBe("evidence_signature");
      const { items } = await listRequests(
        control,
        await given.actor("dan"),
        RequestsQuery.parse({ view: "to-approve" }),
      );
      expect(items.map(({ id }) => id)).toContain(other.id);
      expect(items.map(({ id }) => id)).not.toContain(request.id);
      const logged = await world.sql(
        "select 1 from audit_pending where strpos(event, $1) > 0 and strpos(event, 'security.refused') > 0 union all select 1 from audit_entries where type = 'security.refused' and refs @> array[$1]",
        [request.id],
      );
      expect(logged.length).toBeGreaterThan(0);
      await withdrawRequest(control, await given.actor("ada"), other.id);
      await edit(
        "update requests set state = 'expired', previous_state = 'pending', decided_at = now() where id = $1",
        [request.id],
      );
    }
  });

  test("who swaps two requests' documents gets neither", async () => {
    const [one, other] = [await given.submit("ada"), await given.submit("ada")];
    await edit(
      "update requests a set digest = 'swap', document = b.document, signatures = b.signatures from requests b where a.id = $1 and b.id = $2",
      [one.id, other.id],
    );
    await edit("update requests set digest = 'swapped' where id = $1", [other.id]);
    await edit("update requests set digest = $2 where id = $1", [one.id, other.digest]);
    expect(await code(voteAt(control, "dan", one))).toBe("evidence_signature");
    expect(await elsewhere((at) => code(voteAt(at, "dan", one)))).toBe("evidence_signature");
    await edit(
      "update requests set state = 'expired', previous_state = 'pending', decided_at = now() where id = any ($1)",
      [[one.id, other.id]],
    );
  });

  test("who forges, copies or moves votes approves nothing", async () => {
    const request = await given.submit("ada");
    const other = await given.submit("ada");
    await approve("dan", other);
    // Moved: a true vote, on another request's digest.
    await edit("update votes set request_id = $1 where request_id = $2", [request.id, other.id]);
    expect((await show(request)).stages[0]?.state).toBe("open");
    // Forged: the same vote made out to this request.
    await edit("update votes set document = replace(document, $1, $2) where request_id = $3", [
      other.digest,
      request.digest,
      request.id,
    ]);
    expect(await code(voteAt(control, "sam", request))).toBe("evidence_signature");
    expect(await elsewhere((at) => code(voteAt(at, "sam", request)))).toBe("evidence_signature");
    await edit("delete from votes where request_id = $1", [request.id]);
    // Inserted out of nothing, with a signature by some other key.
    await edit(
      `insert into votes (id, request_id, approver, verdict, digest, document, signatures, cast_at)
       select 'vot_' || repeat('0', 26), $1, $2, 'approve', 'sha256:' || repeat('1', 64), '{}', '[{"kind":"control","credential":"x","signature":"AA"}]', now()`,
      [request.id, await given.subject("dan")],
    );
    expect(await code(voteAt(control, "sam", request))).toBe("evidence_signature");
    await edit("delete from votes where request_id = $1", [request.id]);
    for (const one of [request, other]) await withdrawRequest(control, await given.actor("ada"), one.id);
  });

  test("who flips a request to approved gets no grant, and one who makes a grant gets no key", async () => {
    const request = await given.submit("ada");
    await edit("update requests set state = 'approved', previous_state = 'pending', decided_at = now() where id = $1", [
      request.id,
    ]);
    expect(await show(request)).not.toHaveProperty("grant");
    expect(await code(grantEvidence(control, await given.actor("ada"), request.id))).toBe("request_not_pending");
    const real = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    await covered(real.grant?.id);
    // A true grant's document under another id, for another request.
    const forged = `gra_${"0".repeat(26)}` as GrantId;
    await edit(
      `insert into grants (id, request_id, state, requester, resource_id, resource, role, outpost, digest, document, signatures, created_policy, judged_policy, judged_roster, created_event, created_at, not_before, not_after)
       select $1, $2, 'issuing', requester, resource_id, resource, role, outpost, 'other', document, signatures, created_policy, judged_policy, judged_roster, created_event, created_at, not_before, not_after from grants where id = $3`,
      [forged, request.id, real.grant?.id],
    );
    expect(await code(assembleEvidence(control, forged, "issue"))).toBe("evidence_signature");
    await edit("delete from grants where id = $1", [forged]);
    await edit("update requests set state = 'expired' where id = $1", [request.id]);
  });

  test("who widens a grant, or hangs it on another request, gets no evidence for it", async () => {
    const request = await approved();
    const grant = request.grant?.id as GrantId;
    await covered(grant);
    await edit('update grants set document = replace(document, \'"notAfter":"20\', \'"notAfter":"21\') where id = $1', [
      grant,
    ]);
    expect(await code(assembleEvidence(control, grant, "issue"))).toBe("evidence_signature");
    expect(await code(showGrant(control, await given.actor("audrey"), grant))).toBe("evidence_signature");
    await edit('update grants set document = replace(document, \'"notAfter":"21\', \'"notAfter":"20\') where id = $1', [
      grant,
    ]);
    expect(verified(await covered(grant))).toMatchObject({ ok: true });
    const other = await given.submit("ada");
    await edit("update grants set request_id = $2 where id = $1", [grant, other.id]);
    expect(await code(assembleEvidence(control, grant, "issue"))).toBe("evidence_mismatch");
    expect(await code(showGrant(control, await given.actor("audrey"), grant))).toBe("evidence_mismatch");
    await edit("update grants set request_id = $2 where id = $1", [grant, request.id]);
    await withdrawRequest(control, await given.actor("ada"), other.id);
  });

  test("who edits the people kept with a grant, or puts others there, gets no evidence of it", async () => {
    const older = await approved();
    await covered(older.grant?.id);
    await given.change("eve", { claims: { badge: "7" } });
    const request = await approved();
    const grant = request.grant?.id as GrantId;
    await covered(grant, control, "audit");
    const [kept] = await world.sql("select document from grant_rosters where grant_id = $1", [grant]);
    const document = String(kept?.["document"]);
    const evidence = async () => code(grantEvidence(control, await given.actor("audrey"), request.id));
    const edits: readonly (readonly [string, string])[] = [
      ['replace(document, \'"groups":["dba"]\', \'"groups":["dba","security"]\')', "evidence_roster"],
      ['replace(document, \'"name":"dan"\', \'"name":"dora"\')', "evidence_roster"],
      ["replace(document, '\"index\":', '\"index\":1')", "evidence_roster"],
      ['replace(document, \'"path":["\', \'"path":["_\')', "evidence_roster"],
      ["'no json'", "evidence_roster"],
      ["replace(document, '\"version\":', '\"version\":1')", "evidence_signature"],
      // A true one, from before the approval, which the log does not name.
      [`(select document from grant_rosters where grant_id = '${older.grant?.id ?? ""}')`, "evidence_mismatch"],
    ];
    for (const [change, refusal] of edits) {
      await edit(`update grant_rosters set document = ${change} where grant_id = $1`, [grant]);
      expect(await evidence(), change).toBe(refusal);
      await edit("update grant_rosters set document = $2 where grant_id = $1", [grant, document]);
    }
    await edit("delete from grant_rosters where grant_id = $1", [grant]);
    expect(await evidence()).toBe("evidence_mismatch");
    await edit("insert into grant_rosters (grant_id, document) values ($1, $2)", [grant, document]);
    expect(await evidence()).toBe("done");
    const logged = await world.sql(
      "select 1 from audit_pending where strpos(event, $1) > 0 and strpos(event, 'security.refused') > 0 union all select 1 from audit_entries where type = 'security.refused' and refs @> array[$1]",
      [grant],
    );
    expect(logged).toHaveLength(1);
  });

  test("who makes a grant out to somebody else by its columns does not hand them the key", async () => {
    const request = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    const grant = request.grant?.id as GrantId;
    await edit(
      'update grants set state = \'active\', previous_state = \'issuing\', sealed = \'{"enc":"AA","ciphertext":"AA"}\', requester = $2 where id = $1',
      [grant, await given.subject("eve")],
    );
    expect(await code(fetchKey(control, await given.actor("eve"), grant))).toBe("not_found");
    expect(await code(fetchKey(control, await given.actor("ada"), grant))).toBe("done");
  });

  test("who puts a decided request back to pending finds it decided in the log", async () => {
    const deny = async (request: RequestView) =>
      castVote(
        control,
        await given.actor("dan"),
        request.id,
        CastVote.parse({ verdict: "deny", digest: request.digest }),
      );
    const endings: readonly ((request: RequestView) => Promise<unknown>)[] = [
      deny,
      async (request) => withdrawRequest(control, await given.actor("ada"), request.id),
    ];
    for (const end of endings) {
      for (const logged of [true, false]) {
        const request = await given.submit("ada");
        if (!logged) await sequencer.close();
        await end(request);
        if (logged)
          for (let waited = 0; waited < 300 && (await world.sql("select from audit_pending")).length > 0; waited++)
            await sleep(10);
        await edit("delete from votes where request_id = $1", [request.id]);
        await edit("update requests set state = 'pending', previous_state = null, decided_at = null where id = $1", [
          request.id,
        ]);
        expect(await code(voteAt(control, "dora", request))).toBe("evidence_mismatch");
        await edit(
          "update requests set state = 'expired', previous_state = 'pending', decided_at = now() where id = $1",
          [request.id],
        );
        if (!logged) sequencer = startSequencer(control, world.database.connect);
      }
    }
  });

  test("who moves a deadline by its column moves nothing", async () => {
    const request = await given.submit("ada");
    await using late = world.another({ clock: { now: () => Date.now() + 8 * 3_600_000 } });
    await edit("update requests set expires_at = '2099-01-01' where id = $1", [request.id]);
    expect(await code(voteAt(late.control, "dan", request))).toBe("request_expired");
  });

  test("who adds somebody to a group, or removes a policy, stops everything instead", async () => {
    const request = await given.submit("ada");
    await edit(
      'update roster_entries set document = replace(document, \'"groups":[]\', \'"groups":["dba"]\') where document like \'%"name":"eve"%\'',
    );
    expect(
      await elsewhere((at) =>
        code(
          given
            .actor("eve")
            .then((eve) =>
              castVote(at, eve, request.id, CastVote.parse({ verdict: "approve", digest: request.digest })),
            ),
        ),
      ),
    ).toBe("roster_invalid");
    await edit(
      'update roster_entries set document = replace(document, \'"groups":["dba"]\', \'"groups":[]\') where document like \'%"name":"eve"%\'',
    );

    const [newest] = await world.sql("select * from policies order by version desc limit 1");
    await edit("delete from policies where version = $1", [newest?.["version"]]);
    expect(await code(given.submit("ada"))).toBe("evidence_stale");
    expect(await elsewhere((at) => code(voteAt(at, "dan", request)))).toBe("evidence_stale");
    // An older one under the newest's number.
    await edit("update policies set version = $1 where version = 1", [newest?.["version"]]);
    expect(await elsewhere((at) => code(voteAt(at, "dan", request)))).toBe("evidence_stale");
    await edit("update policies set version = 1 where version = $1", [newest?.["version"]]);
    await edit(
      "insert into policies (version, id, digest, document, signatures, source, applied_by, applied_at) values ($1, $2, $3, $4, $5, $6, $7, $8)",
      [
        newest?.["version"],
        newest?.["id"],
        newest?.["digest"],
        String(newest?.["document"]).replace('"count":1', '"count":2'),
        JSON.stringify(newest?.["signatures"]),
        newest?.["source"],
        newest?.["applied_by"],
        newest?.["applied_at"],
      ],
    );
    expect(await elsewhere((at) => code(voteAt(at, "dan", request)))).toBe("evidence_signature");
    await edit("update policies set document = $2 where version = $1", [newest?.["version"], newest?.["document"]]);
    expect(await elsewhere((at) => code(voteAt(at, "dan", request)))).toBe("done");
  });
});

test("nothing of the evidence is secret, and its parts are canonical", async () => {
  const evidence = await covered((await given.submit("ada", { ask: { role: "read" }, via: "direct" })).grant?.id);
  expect(canonicalJson(evidence)).not.toContain(Buffer.from(control.keys.signing.seed).toString("base64url"));
  expect(JSON.parse(canonicalJson(evidence))).toEqual(JSON.parse(JSON.stringify(evidence)));
});
