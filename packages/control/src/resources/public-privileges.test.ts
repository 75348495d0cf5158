/** What a resource gives to everybody: kept by the digest that its specification names, shown, and put beside evidence. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Enrolment } from "@cardea/core/wire/enrolment";
import { ResourceReport } from "@cardea/core/wire/link";
import { newId } from "@cardea/core/contract/ids";
import { markSeedOf, resourceIdOf } from "@cardea/core/contract/outpost-marks";
import { digestOf } from "@cardea/core/documents/digest";
import { maxPublicPrivilegesLength, type PublicPrivileges } from "@cardea/core/documents/public-privileges";
import { toTime } from "@cardea/core/documents/primitives";
import { signDigest } from "@cardea/core/documents/signature";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { ed25519PublicKey } from "@cardea/core/lib/crypto";
import { samplePublicPrivileges, sampleSpec } from "@cardea/core/policy/samples";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { deliveryKey, scenario, type Scenario } from "@cardea/testing/scenario";
import { takeReport } from "../link/report.ts";
import { insertOutpost } from "../store/outposts.ts";
import { signDocument } from "../store/signed.ts";
import { transact } from "../store/transaction.ts";
import { showResource } from "./list.ts";

let cluster: TestCluster;
let world: TestControl;
let given: Scenario;
let outpost: Enrolment;
const seed = new Uint8Array(32).fill(7);

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  world = await startTestControl(cluster);
  const { control } = world;
  given = await scenario(control);
  outpost = Enrolment.parse({
    v: 1,
    id: newId("outpost", control.clock, control.random),
    name: "site-b",
    identityKey: toBase64Url(ed25519PublicKey(seed)),
    sealKey: deliveryKey,
    enrolledAt: toTime(control.clock.now()),
  });
  await transact(control, (tx) => insertOutpost(tx, signDocument(control.keys, "link", outpost)));
});
afterAll(async () => {
  await world.stop();
  await cluster.stop();
});

/** As an outpost would: it signs the specification, which names the digest of what it says that everybody may. */
async function report(
  name: string,
  said: PublicPrivileges | undefined,
  named: PublicPrivileges | undefined = said,
): Promise<void> {
  const { control } = world;
  const id = resourceIdOf(markSeedOf(control.keys.installation, outpost.name), name);
  const spec = sampleSpec({ id, name, outpost: outpost.id, publicPrivileges: digestOf("public-privileges", named) });
  const message = ResourceReport.parse({
    resource: id,
    name,
    state: "ready",
    spec,
    specSignature: signDigest("outpost", "b", seed, digestOf("spec", spec)),
    missing: [],
    warnings: [],
    ...(said !== undefined && { publicPrivileges: said }),
  });
  await transact(control, (tx) => takeReport(tx, control, outpost, message));
}

const shown = async (who: string, name: string) =>
  (await showResource(world.control, await given.actor(who), name)).publicPrivileges;

test("it is shown whole to who could get a login there or operates Cardea, and to nobody else", async () => {
  await report("orders-b", samplePublicPrivileges);
  for (const who of ["ada", "audrey", "root"])
    expect(await shown(who, "orders-b"), who).toEqual(samplePublicPrivileges);
  expect(await shown("eve", "orders-b")).toBeUndefined();
});

test("what a resource gave before is kept for the specifications that name it", async () => {
  const more = { ...samplePublicPrivileges, summary: ["read everything"] };
  await report("orders-b", more);
  expect(await shown("ada", "orders-b")).toEqual(more);
  expect(await world.sql("select digest from public_privileges")).toHaveLength(2);
  await report("orders-b", samplePublicPrivileges);
  expect(await shown("ada", "orders-b")).toEqual(samplePublicPrivileges);
});

test("an inventory that the specification does not name refuses the whole report", async () => {
  await report("liar", samplePublicPrivileges, { summary: [] });
  await expect(shown("root", "liar")).rejects.toMatchObject({ code: "resource_unknown" });
  const refused = await world.sql(
    "select 1 from audit_pending where strpos(event, 'security.refused') > 0 and strpos(event, 'not what the specification names') > 0",
  );
  expect(refused).toHaveLength(1);
});

test("a resource whose inventory is too long, or comes from an older outpost, is known without it", async () => {
  await report("terse", undefined, samplePublicPrivileges);
  await report("long", undefined, { summary: [], names: ["x".repeat(maxPublicPrivilegesLength)] });
  expect(await shown("root", "long")).toBeUndefined();
  expect(
    ResourceReport.safeParse({
      resource: resourceIdOf(markSeedOf(world.control.keys.installation, outpost.name), "long"),
      name: "long",
      state: "ready",
      missing: [],
      warnings: [],
      publicPrivileges: { summary: [], names: ["x".repeat(maxPublicPrivilegesLength)] },
    }).success,
  ).toBe(false);
});

test("a row that was edited is not shown", async () => {
  await report("orders-b", samplePublicPrivileges);
  await world.sql("update public_privileges set document = replace(document, 'temporary', 'permanent')");
  expect(await shown("root", "orders-b")).toBeUndefined();
});
