/**
 * `npm run demo`: the whole cycle on a real PostgreSQL, in an installation of its own that is thrown away afterwards. Each step proves
 * what it says by looking at the other side (the database's catalogue, a second connection, the log's tiles) and fails loudly.
 */
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@cardea/core/lib/hex";
import { startStack } from "../dev/stack.ts";
import { heldStatements } from "./held.ts";
import { systemRandom } from "../processes/system.ts";
import { holds, Narrator } from "./narrator.ts";
import { Story } from "./story.ts";

export async function main(): Promise<number> {
  const tell = new Narrator(process.stdout);
  const dataDirectory = join(tmpdir(), `cardea-demo-${toHex(systemRandom.bytes(6))}`);
  tell.say("Cardea's demo: one person's key, from the request to nothing left behind.\n");
  try {
    await using stack = await tell.step(
      "start: control plane, outpost and a shop's database, each a process of its own",
      () => startStack({ dataDirectory, port: 0, samplePort: 0, gatewayPort: 0 }),
    );
    await using story = new Story(stack);
    await cycle(tell, story);
    await heldStatements(tell, stack, story);
    await expiryWithoutControlPlane(tell, story);
    await proof(tell, story);
  } finally {
    await rm(dataDirectory, { recursive: true, force: true });
  }
  tell.say(`\nAll ${String(tell.steps)} steps hold; ${tell.seconds.toFixed(1)} s.`);
  return 0;
}

async function cycle(tell: Narrator, story: Story): Promise<void> {
  const filed = await tell.step(
    "alice asks for the role write for 30 minutes, with a justification",
    () => story.ask("alice", "write", "30m", "order 4711 is stuck in packing"),
    (view) => `${view.id} (${view.code}): ${view.words}`,
  );
  holds(filed.state === "pending" && filed.stages.length === 2, "policy asks for two stages");
  await tell.step(
    "alice cannot approve it herself",
    () => story.refused("self_approval", () => story.approve("alice", filed)),
    (error) => error,
  );
  await tell.step(
    "sam of security cannot go before the database administrators",
    () => story.refused("not_an_approver", () => story.approve("sam", filed)),
    (error) => error,
  );
  const half = await tell.step(
    "bob, a database administrator, approves exactly this digest",
    () => story.approve("bob", filed),
    (view) => view.words,
  );
  holds(half.state === "pending", "one stage of two is not enough");
  const approved = await tell.step(
    "sam approves; a key is generated at that moment",
    () => story.approve("sam", filed),
    (view) => `${view.state}, grant ${view.grant?.id ?? "?"}`,
  );
  holds(approved.state === "approved", "both stages are met");
  const key = await tell.step(
    "the key comes sealed to alice's own delivery key; Cardea's control plane cannot read it",
    () => story.openKey(approved),
    ({ user, notAfter }) => `login ${user} until ${notAfter}`,
  );
  const session = await tell.step(
    "a real client connects with it",
    () => story.connect(key),
    () => "select current_user, and an update of order 4711",
  );
  await story.useIt(session);
  await tell.step(
    "what the role does not permit is refused by PostgreSQL itself",
    () => story.refusedBySql(session, "42501", "drop table public.orders"),
    (message) => message,
  );
  await tell.step(
    "alice releases it: her open session is closed",
    () => story.releaseAndSeeItClose(approved, session),
    (words) => words,
  );
  await tell.step(
    "and the login is refused",
    () => story.loginRefused(key),
    (message) => message,
  );
}

async function expiryWithoutControlPlane(tell: Narrator, story: Story): Promise<void> {
  const read = await tell.step(
    "another key: reading is allowed at once, for 8 seconds",
    () => story.ask("alice", "read", "8s", "looking at today's orders"),
    (view) => view.words,
  );
  holds(read.state === "approved", "policy allows reading at once");
  const key = await story.openKey(read);
  const session = await story.connect(key);
  await tell.step("the control plane is stopped; the open session goes on", () => story.stopControlPlane(session));
  await tell.step(
    "the outpost's own clock ends the key: session closed, login gone",
    () => story.waitForEnd(key, session),
    (words) => words,
  );
  await tell.step(
    "the control plane comes back and learns of it",
    () => story.startControlPlane(read),
    (words) => words,
  );
}

async function proof(tell: Narrator, story: Story): Promise<void> {
  await tell.step(
    "the whole log verifies from its tiles alone",
    () => story.verifyLog(),
    (words) => words,
  );
  await tell.step(
    "the first grant's evidence verifies offline, without any server",
    () => story.verifyEvidence(),
    (words) => words,
  );
  await tell.step(
    "one changed byte of it does not",
    () => story.tamperedEvidence(),
    (words) => words,
  );
  await tell.step(
    "nothing bearing Cardea's mark is left in the database",
    () => story.nothingLeft(),
    (words) => words,
  );
}
