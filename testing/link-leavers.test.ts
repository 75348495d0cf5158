/** People leave: what was right then stays provable for ever, and nothing new is made on the word of who has left. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { grantEvidence } from "@cardea/control/evidence/grant-evidence";
import { showGrant } from "@cardea/control/grants/show";
import { castVote } from "@cardea/control/requests/vote";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import { CastVote, type RequestView } from "@cardea/core/wire/api/requests";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { auditEvidence } from "@cardea/sdk/verify-evidence";
import { startTestCluster, type TestCluster } from "./cluster.ts";
import {
  startLinkedControl,
  startLinkedOutpost,
  until,
  untilReady,
  type LinkedControl,
  type LinkedOutpost,
} from "./linked.ts";

const policy = `
version: 1
rules:
  - name: engineers
    subjects: { groups: [engineering] }
    permits: { roles: [read] }
    limits: { maxDuration: 4h, via: [direct] }
    effect: review
    approvals: [{ count: 1, from: { groups: [dba] } }]
`;

let cluster: TestCluster;
let resource: TestResource;
let linked: LinkedControl;
let outpost: LinkedOutpost;
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  resource = await testResource(cluster);
  linked = await startLinkedControl(cluster, { policy });
  outpost = await startLinkedOutpost(linked, [resource.config]);
  await untilReady(linked.control, resource.config.name);
}, 60_000);
afterAll(async () => {
  await outpost[Symbol.asyncDispose]();
  await linked[Symbol.asyncDispose]();
  await resource.close();
  await cluster.stop();
});

async function approved(): Promise<RequestView> {
  const { control, given } = linked;
  const request = await given.submit("ada", {
    resource: resource.config.name,
    ask: { role: "read" },
    via: "direct",
    window: { duration: "10m" },
  });
  const vote = CastVote.parse({ verdict: "approve", digest: request.digest });
  return await castVote(control, await given.actor("dan"), request.id, vote);
}

async function outcome({ grant }: RequestView): Promise<{ readonly state: string; readonly why?: string | undefined }> {
  const { control, given } = linked;
  const auditor = await given.actor("audrey");
  if (grant === undefined) throw new Error("there is no grant");
  return await until("the outpost has answered", async () => {
    const view = await showGrant(control, auditor, grant.id);
    return view.state !== "issuing" && view;
  });
}

const evidenceOf = async ({ id }: RequestView) =>
  await grantEvidence(linked.control, await linked.given.actor("audrey"), id);

test("evidence of a key verifies after its approver was deactivated and its requester has left the group", async () => {
  const request = await approved();
  expect(await outcome(request)).toMatchObject({ state: "active" });
  await linked.given.change("dan", { active: false });
  await linked.given.change("ada", { groups: [] });
  const evidence = await evidenceOf(request);
  expect(auditEvidence(evidence, linked.control.trust)).toMatchObject({ ok: true });
  expect(evidence.publicPrivileges?.summary).toContainEqual(expect.stringMatching(/^make temporary tables in /));

  const approver = evidence.roster.entries.find(({ entry }) => entry.name === "dan");
  expect(approver?.entry).toMatchObject({ active: true, groups: ["dba"] });
  if (approver !== undefined) approver.entry.groups = ["dba", "security"];
  expect(auditEvidence(evidence, linked.control.trust)).toMatchObject({ ok: false, code: "evidence_roster" });
  await linked.given.change("dan", { active: true });
  await linked.given.change("ada", { groups: ["engineering"] });
}, 60_000);

test.each<[string, string, Partial<RosterEntry>, Partial<RosterEntry>, string]>([
  ["the approver is not active any more", "dan", { active: false }, { active: true }, "evidence_quorum"],
  ["the requester is not active any more", "ada", { active: false }, { active: true }, "evidence_roster"],
  ["the requester has left the group", "ada", { groups: [] }, { groups: ["engineering"] }, "evidence_decision"],
])(
  "the outpost makes no key where, since the approval, %s",
  async (_, who, change, back, code) => {
    await linked.hangUp();
    const request = await approved();
    await linked.given.change(who, change);
    await linked.pickUp();
    expect(await outcome(request)).toMatchObject({ state: "failed", why: code });
    // It was approved, and rightly so: that can be shown all the same.
    expect(auditEvidence(await evidenceOf(request), linked.control.trust)).toMatchObject({ ok: true });
    await linked.given.change(who, back);
  },
  60_000,
);
