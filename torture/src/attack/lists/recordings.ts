/** Recordings of sessions in the wrong hands: strangers at the API, the database's administrator, and whoever can write the files. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { SessionId } from "@cardea/core/contract/ids";
import { toHex } from "@cardea/core/lib/hex";
import { chainDigest, chained, chainStart } from "@cardea/core/recording/piece";
import { erin, OpenSession } from "../actions.ts";
import { outcomeOf, sure, type Attack, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";
import { hideEntries } from "../rows.ts";

/** A session that is over and whose recording has come as a whole. */
async function recorded(ground: Ground, by?: Awaited<ReturnType<typeof erin>>): Promise<SessionId> {
  const session = await OpenSession.open(by ?? (await erin(ground)));
  const id = await session.id();
  await session.client.query("select 'a secret of the session' as text");
  // More than one piece: what is recorded is sent when it has been quiet for a moment.
  await sleep(1_200);
  await session.client.query("select 'another' as text");
  await session.cut();
  for (let waitedMs = 0; waitedMs < 15_000; waitedMs += 100) {
    const view = await ground.ada.recording(id).catch(() => undefined);
    if (view?.state === "whole" && (await ground.logged("session.closed", id, 0)) !== "nothing logged") return id;
    await sleep(100);
  }
  throw new Error("the recording does not come");
}

async function fileOf(ground: Ground, session: SessionId): Promise<string> {
  const { month } = await ground.database.one("select month from recordings where session_id = $1", [session]);
  return join(ground.stack.dataDirectory, "recordings", String(month), `${session}.recording`);
}

/** Writes a recording's file otherwise, reads it as an auditor, and puts it back. */
async function withFile(
  ground: Ground,
  session: SessionId,
  change: (bytes: Buffer) => Buffer | Promise<Buffer>,
): Promise<string> {
  const path = await fileOf(ground, session);
  const before = await readFile(path);
  await writeFile(path, await change(Buffer.from(before)));
  try {
    return await outcomeOf(ground.ada.recording(session));
  } finally {
    await writeFile(path, before);
  }
}

/** A row of a whole recording is written over; then an auditor reads. */
function rowEdited(tries: string, meets: string, to: Record<string, unknown>): Attack {
  return {
    tries,
    meets,
    run: async (ground) => {
      const session = await recorded(ground);
      await ground.database.alter("recordings", { session_id: session }, to);
      return outcomeOf(ground.ada.recording(session));
    },
  };
}

/** The row as it would be had the last piece never come. */
async function cutShort(ground: Ground, session: SessionId): Promise<Record<string, unknown>> {
  const bytes = await readFile(await fileOf(ground, session));
  const pieces: { readonly begin: number; readonly bytes: Buffer }[] = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    pieces.push({ begin: at, bytes: bytes.subarray(at + 8, at + 8 + length) });
    at += 8 + length;
  }
  const last = sure(pieces.pop(), "last piece");
  if (pieces.length < 2) throw new Error("the recording is too short to be cut");
  const chain = pieces.reduce((before, piece) => chained(before, piece.bytes), chainStart(session));
  return {
    pieces: pieces.length,
    file_bytes: last.begin,
    chain: toHex(chain),
    closed_pieces: pieces.length,
    closed_digest: chainDigest(chain),
    // Longer ago than its entry may take to come into the log.
    closed_at: new Date(Date.now() - 3_600_000).toISOString(),
  };
}

export const recordings: AttackList = {
  title: "recordings",
  shortEvery: 12,
  attacks: [
    {
      tries: "a stranger reads a recording",
      meets: "not_found",
      run: async (ground) => outcomeOf((await ground.newcomer("mallory")).client.recording(await recorded(ground))),
    },
    {
      tries: "a colleague of the requester reads a recording",
      meets: "not_found",
      run: async (ground) => outcomeOf((await ground.newcomer("peter")).client.recording(await recorded(ground))),
    },
    {
      tries: "an owner of the resource, who is no auditor, reads a recording",
      meets: "forbidden",
      run: async (ground) => outcomeOf(ground.bob.recording(await recorded(ground))),
    },
    {
      tries: "whose session it was reads what was passed in and out",
      meets: "forbidden",
      run: async (ground) => outcomeOf((await erin(ground)).recording(await recorded(ground), { values: true })),
    },
    {
      tries: "an administrator who is no auditor reads what was passed in and out",
      meets: "forbidden",
      run: async (ground) =>
        outcomeOf((await ground.newcomer("root")).client.recording(await recorded(ground), { values: true })),
    },
    {
      tries: "a recording is read, and nobody is to know",
      meets: "recording.read",
      run: async (ground) => {
        const session = await recorded(ground);
        await (await ground.newcomer("root")).client.recording(session);
        return ground.logged("recording.read", session);
      },
    },
    {
      tries: "a byte of a recording's file is changed",
      meets: "recording_broken",
      run: async (ground) =>
        withFile(ground, await recorded(ground), (bytes) => {
          bytes.writeUInt8(bytes.readUInt8(bytes.length - 20) ^ 1, bytes.length - 20);
          return bytes;
        }),
    },
    {
      tries: "the end of a recording's file is cut off",
      meets: "recording_broken",
      run: async (ground) => withFile(ground, await recorded(ground), (bytes) => bytes.subarray(0, -60)),
    },
    {
      tries: "another session's recording in the place of a file",
      meets: "recording_broken",
      run: async (ground) => {
        const other = await recorded(ground);
        return withFile(ground, await recorded(ground), async () => readFile(await fileOf(ground, other)));
      },
    },
    {
      tries: "a recording's file is taken away",
      meets: "recording_unavailable",
      run: async (ground) => {
        const session = await recorded(ground);
        const path = await fileOf(ground, session);
        await rename(path, `${path}.away`);
        try {
          return await outcomeOf(ground.ada.recording(session));
        } finally {
          await rename(`${path}.away`, path);
        }
      },
    },
    rowEdited("the digest that a recording comes to, in its row", "recording_broken", {
      closed_digest: `sha256:${"0".repeat(64)}`,
    }),
    rowEdited("fewer pieces of a recording count", "recording_broken", { pieces: 1, closed_pieces: 1 }),
    {
      tries: "the end of a recording is cut off, and its row says so too",
      meets: "recording_broken",
      run: async (ground) => {
        const session = await recorded(ground);
        await ground.database.alter("recordings", { session_id: session }, await cutShort(ground, session));
        return outcomeOf(ground.ada.recording(session));
      },
    },
    {
      tries: "the end of a recording is cut off, its row says so, and the log's entry of it is hidden",
      meets: "recording_broken",
      run: async (ground) => {
        const session = await recorded(ground);
        await ground.database.alter("recordings", { session_id: session }, await cutShort(ground, session));
        await hideEntries(ground, session);
        return outcomeOf(ground.ada.recording(session));
      },
    },
    {
      tries: "the end of a recording is cut off, and its row says so, and that another outpost recorded it",
      meets: "recording_broken",
      run: async (ground) => {
        const session = await recorded(ground);
        await ground.database.alter(
          "recordings",
          { session_id: session },
          { ...(await cutShort(ground, session)), outpost: "out_00000000000000000000000000" },
        );
        return outcomeOf(ground.ada.recording(session));
      },
    },
    {
      tries: "the database's administrator makes a session that of a grant of their own, and reads its recording",
      meets: "recording_broken",
      run: async (ground) => {
        const session = await recorded(ground, await ground.as("alice"));
        const { client } = await ground.newcomer("peter");
        await using own = await OpenSession.open(client);
        await ground.database.alter("sessions", { id: session }, { grant_id: own.grant });
        return await outcomeOf(client.recording(session));
      },
    },
    {
      tries: "the same, with the recording's row changed too",
      meets: "recording_broken",
      run: async (ground) => {
        const session = await recorded(ground, await ground.as("alice"));
        const { client } = await ground.newcomer("peter");
        await using own = await OpenSession.open(client);
        await ground.database.alter("sessions", { id: session }, { grant_id: own.grant });
        await ground.database.alter("recordings", { session_id: session }, { grant_id: own.grant });
        return await outcomeOf(client.recording(session));
      },
    },
  ],
};
