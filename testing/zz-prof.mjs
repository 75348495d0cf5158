import { startTestCluster } from "@cardea/testing/cluster";
import { startLinkedControl, startLinkedOutpost, untilReady } from "@cardea/testing/linked";
import { testResource } from "@cardea/connectors/postgres/fixture/resource";
import { newDeliveryKey } from "@cardea/sdk/delivery-key";
import { showGrant } from "@cardea/control/grants/show";
const cluster = await startTestCluster({ version: 15 });
const resource = await testResource(cluster);
const linked = await startLinkedControl(cluster);
const outpost = await startLinkedOutpost(linked, [resource.config], { tuning: { inspectEveryMs: 60000, reconcileEveryMs: 60000, maxSleepMs: 1000, eventDelayMs: 200 } });
await untilReady(linked.control, resource.config.name);
const actor = await linked.given.actor("ada");
const once = async () => {
  const s = performance.now();
  const d = await newDeliveryKey();
  const v = await linked.given.submit("ada", { resource: resource.config.name, ask: { role: "read" }, via: "direct", window: { duration: "10m" }, deliverTo: d.publicKey });
  const a = performance.now();
  for (;;) {
    const w = linked.control.wake.wait("grants", 1000, AbortSignal.timeout(5000));
    const g = await showGrant(linked.control, actor, v.grant.id);
    if (g.state === "active") break;
    if (g.state === "failed") throw new Error(JSON.stringify(g));
    await w;
  }
  const b = performance.now();
  return [a - s, b - a, b - s];
};
for (let i = 0; i < 60; i++) await once();
const c0 = process.cpuUsage(), t0 = performance.now();
const N = Number(process.argv[2] ?? 150), r = [];
for (let i = 0; i < N; i++) r.push(await once());
const c = process.cpuUsage(c0);
const med = (k) => r.map((x) => x[k]).sort((x, y) => x - y)[N >> 1].toFixed(1);
console.log({ submit: med(0), key: med(1), total: med(2), user: (c.user / 1000 / N).toFixed(1), system: (c.system / 1000 / N).toFixed(1), wallPer: ((performance.now() - t0) / N).toFixed(1) });
await outpost[Symbol.asyncDispose](); await linked[Symbol.asyncDispose](); await resource.close(); await cluster.stop();
process.exit(0);
