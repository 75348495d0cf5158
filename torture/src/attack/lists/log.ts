/** Making the past another one: entries edited, taken away, rolled back or invented by SQL, and a log that would not be a continuation. */
import { setTimeout as sleep } from "node:timers/promises";
import { CardeaError } from "@cardea/core/contract/errors";
import { verifyEvidence } from "@cardea/core/evidence/verify";
import { openCheckpoint, type Checkpoint } from "@cardea/core/log/checkpoint";
import { leafHash } from "@cardea/core/log/merkle";
import { parseVerifierKey } from "@cardea/core/log/note";
import { verifyGrowth, verifyLog } from "@cardea/core/log/verify";
import { fileRequest, obtainKey, readWish } from "@cardea/testing/key-in-hand";
import { outcomeOf, sure, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";

/** The newest published checkpoint, opened with the key that the trust document pins. */
async function checkpointOf(ground: Ground): Promise<Checkpoint> {
  const key = parseVerifierKey(ground.trust.logKey);
  if (!key.ok) throw new Error(key.detail);
  const opened = openCheckpoint(await ground.anonymous().checkpoint(), { origin: ground.trust.origin, key: key.value });
  if (!opened.ok) throw new CardeaError("evidence_log", opened.detail);
  return opened.value;
}

/** What a stranger with nothing but the trust document finds. */
async function verifiedFromTiles(ground: Ground): Promise<string> {
  const client = ground.anonymous();
  const outcome = await verifyLog((path) => client.tile(path), await checkpointOf(ground));
  return outcome.ok ? "verified" : outcome.code;
}

async function keyByErin(ground: Ground) {
  return obtainKey((await ground.newcomer("erin")).client, readWish());
}

/** The place in the log of an entry about an id. */
async function indexOf(ground: Ground, id: string, type: string): Promise<string> {
  const row = await ground.database.one("select index from audit_entries where $1 = any(refs) and type = $2", [
    id,
    type,
  ]);
  return String(row["index"]);
}

export const log: AttackList = {
  title: "the database's administrator: the log",
  attacks: [
    { tries: "nothing, so that the others mean something", meets: "verified", run: verifiedFromTiles },
    {
      tries: "an entry says something else",
      meets: "tile_mismatch",
      run: async (ground) => {
        const { request } = await keyByErin(ground);
        const index = await indexOf(ground, request.id, "request.submitted");
        const { leaf } = await ground.database.one("select leaf from audit_entries where index = $1", [index]);
        await ground.database.alter(
          "audit_entries",
          { index },
          { leaf: String(leaf).replace("request.submitted", "request.withdrawn") },
        );
        return verifiedFromTiles(ground);
      },
    },
    {
      tries: "an entry says something else, and its hash with it",
      meets: "root_mismatch",
      run: async (ground) => {
        const { request } = await keyByErin(ground);
        const index = await indexOf(ground, request.id, "request.submitted");
        const { leaf } = await ground.database.one("select leaf from audit_entries where index = $1", [index]);
        const changed = String(leaf).replace("request.submitted", "request.withdrawn");
        await ground.database.alter(
          "audit_entries",
          { index },
          { leaf: changed, leaf_hash: Buffer.from(leafHash(new TextEncoder().encode(changed))) },
        );
        return verifiedFromTiles(ground);
      },
    },
    {
      tries: "what stands beside an entry is exchanged",
      meets: "evidence_log",
      run: async (ground) => {
        const { request, grant } = await keyByErin(ground);
        const index = await indexOf(ground, grant, "grant.created");
        const { data } = await ground.database.one("select data from audit_entries where index = $1", [index]);
        await ground.database.alter(
          "audit_entries",
          { index },
          { data: String(data).replace(/sha256:[0-9a-f]{8}/, "sha256:00000000") },
        );
        const outcome = await outcomeOf(
          ground.ada.evidence(request.id).then((evidence) => {
            const verified = verifyEvidence(evidence, ground.trust, Date.now(), { purpose: "audit" });
            if (!verified.ok) throw new CardeaError(verified.code, verified.detail);
          }),
        );
        return outcome;
      },
    },
    {
      tries: "an entry in the middle is taken away",
      meets: "the log does not verify",
      run: async (ground) => {
        const { request } = await keyByErin(ground);
        await ground.database.remove("audit_entries", "index = $1", [
          await indexOf(ground, request.id, "request.submitted"),
        ]);
        const outcome = await outcomeOf(
          verifiedFromTiles(ground).then((found) => {
            if (found !== "verified") throw new CardeaError("evidence_log", found);
          }),
        );
        return outcome === "accepted" ? "verified" : "the log does not verify";
      },
    },
    {
      tries: "an event is taken out of the queue before it is logged: nothing is issued on what it told of",
      meets: "no key without its entry",
      run: async (ground) => {
        // A trigger, since whoever only deletes comes too late: the audit writer takes what is queued at once.
        const { client } = await ground.newcomer("erin");
        await ground.database.many(`
          create function attack_forget() returns trigger language plpgsql as $$ begin return null; end $$;
          create trigger attack_forget before insert on audit_pending for each row
            when (new.event like '%"type":"grant.created"%') execute function attack_forget()`);
        try {
          const { grant } = (await fileRequest(client, readWish())).view;
          const { id } = sure(grant, "grant");
          await sleep(2_000);
          const { state } = await client.grant(id);
          await client.release(id);
          return state === "issuing" ? "no key without its entry" : state;
        } finally {
          await ground.database.many("drop trigger attack_forget on audit_pending; drop function attack_forget()");
        }
      },
    },
    {
      tries: "the head is exchanged for one without our signature",
      meets: "log_rolled_back",
      run: async (ground) => {
        const { checkpoint } = await ground.database.one("select checkpoint from log_head");
        await ground.database.alterForNow(
          "log_head",
          { singleton: true },
          { checkpoint: String(checkpoint).replace(/\n\n— (\S+) .*/s, "\n\n— $1 AAAAAAAA\n") },
        );
        const outcome = await outcomeOf(ground.anonymous().checkpoint());
        await ground.database.putBack();
        // Nothing is issued until somebody has read a head that is right.
        await ground.anonymous().checkpoint();
        return outcome;
      },
    },
    {
      tries: "the newest entries and the head are rolled back",
      meets: "log_rolled_back",
      run: async (ground) => {
        const before = await ground.database.one("select size, checkpoint from log_head");
        await keyByErin(ground);
        await sleep(300);
        // The writer's lock is its connection's: while nobody writes, the head can be rolled back and asked for.
        const { size } = before;
        await ground.database.alterForNow("log_head", { singleton: true }, before);
        await ground.database.remove("audit_entries", "index >= $1", [size]);
        const outcome = await outcomeOf(ground.anonymous().checkpoint());
        const refused = await outcomeOf(fileRequest((await ground.newcomer("erin")).client, readWish()));
        await ground.database.putBack();
        await ground.restartControl();
        return refused === "log_rolled_back" ? outcome : `${outcome}, and requests are ${refused}`;
      },
    },
    {
      tries: "the whole log is taken away",
      meets: "log_rolled_back",
      run: async (ground) => {
        await ground.database.remove("log_head", "true");
        const outcome = await outcomeOf(ground.anonymous().checkpoint());
        await ground.database.putBack();
        await ground.restartControl();
        return outcome;
      },
    },
    {
      tries: "after all of this, the log is not a continuation of what was seen before",
      meets: "verified",
      run: async (ground) => {
        const older = await checkpointOf(ground);
        await keyByErin(ground);
        await sleep(500);
        const client = ground.anonymous();
        const grown = await verifyGrowth((path) => client.tile(path), older, await checkpointOf(ground));
        return grown.ok ? verifiedFromTiles(ground) : grown.code;
      },
    },
  ],
};
