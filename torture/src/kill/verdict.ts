/** What must hold when all is quiet again, whatever was killed: nothing left over, nothing unaccounted for, nothing forgotten, nothing hanging. */
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { RequestId } from "@cardea/core/contract/ids";
import { AuditLeaf } from "@cardea/core/documents/audit-leaf";
import { verifyEvidence } from "@cardea/core/evidence/verify";
import { openCheckpoint, type Checkpoint } from "@cardea/core/log/checkpoint";
import { parseVerifierKey } from "@cardea/core/log/note";
import { verifyGrowth, verifyLog } from "@cardea/core/log/verify";
import type { Trust } from "@cardea/core/documents/trust";
import type { CardeaClient } from "@cardea/sdk/client";
import type { Place } from "./supervision.ts";
import { ourLogins, type Witness } from "./witness.ts";
import type { Workload } from "./workload.ts";

export interface Verdict {
  /** Logins of ours and sessions of such logins at the resource. */
  readonly orphans: readonly string[];
  /** Logins that were seen and that no evidence explains. */
  readonly withoutEvidence: readonly string[];
  /** Acknowledged facts that the log does not hold, and checkpoints that it does not continue. */
  readonly lost: readonly string[];
  /** Grants without a final state. */
  readonly unfinished: readonly string[];
  /** Leases, tasks and queued events that hang. */
  readonly stuck: readonly string[];
  readonly logSize: number;
}

const quietWithinMs = 90_000;

/** Waits until nothing is under way any more, at most a minute and a half, and looks at everything. */
export async function judge(
  place: Place,
  auditor: CardeaClient,
  witness: Witness,
  workload: Workload,
): Promise<Verdict> {
  const database = new Client(place.database);
  const shop = new Client(place.shop);
  await Promise.all([database.connect(), shop.connect()]);
  try {
    const look = async () => ({
      orphans: await orphansAt(shop),
      unfinished: await unfinishedIn(database),
      stuck: await stuckIn(database),
    });
    let found = await look();
    for (
      let waitedMs = 0;
      waitedMs < quietWithinMs && Object.values(found).some((list) => list.length > 0);
      waitedMs += 500
    ) {
      await sleep(500);
      found = await look();
    }
    const trust = await auditor.trust();
    const { lost, size } = await lostFrom(auditor, trust, witness.checkpoints, workload);
    return {
      ...found,
      withoutEvidence: await unexplained(database, auditor, trust, witness.logins),
      lost,
      logSize: size,
    };
  } finally {
    await Promise.all([database.end(), shop.end()]);
  }
}

async function orphansAt(shop: Client): Promise<string[]> {
  const roles = await shop.query<{ name: string }>(`select rolname as name from pg_roles where ${ourLogins}`);
  const sessions = await shop.query<{ name: string }>(
    "select 'session of ' || usename as name from pg_stat_activity where usename ~ '^cardea_[0-9a-hjkmnp-tv-z]{25}$'",
  );
  return [...roles.rows, ...sessions.rows].map(({ name }) => name);
}

async function unfinishedIn(database: Client): Promise<string[]> {
  const { rows } = await database.query<{ id: string; state: string }>(
    "select id, state from grants where state not in ('ended', 'failed')",
  );
  return rows.map(({ id, state }) => `${id} ${state}`);
}

async function stuckIn(database: Client): Promise<string[]> {
  const { rows } = await database.query<{ what: string }>(`
    select 'lease ' || id || ' ' || state || coalesce(': ' || detail, '') as what from leases where state <> 'gone' or stuck
    union all select 'task ' || id || ' ' || type from tasks where state = 'open'
    union all select 'event ' || event_id from audit_pending`);
  return rows.map(({ what }) => what);
}

async function unexplained(
  database: Client,
  auditor: CardeaClient,
  trust: Trust,
  logins: ReadonlySet<string>,
): Promise<string[]> {
  const found: string[] = [];
  for (const login of logins) {
    const { rows } = await database.query<{ request_id: string }>(
      "select request_id from leases join grants on grants.id = grant_id where native_name = $1",
      [login],
    );
    const [row] = rows;
    if (row === undefined) {
      found.push(`${login}: no lease names it`);
      continue;
    }
    const outcome = verifyEvidence(await auditor.evidence(RequestId.parse(row.request_id)), trust, Date.now(), {
      purpose: "audit",
    });
    if (!outcome.ok) found.push(`${login}: ${outcome.code}, ${outcome.detail}`);
  }
  return found;
}

async function lostFrom(
  auditor: CardeaClient,
  trust: Trust,
  notes: readonly string[],
  workload: Workload,
): Promise<{ lost: string[]; size: number }> {
  const fetch = (path: string) => auditor.tile(path);
  const newest = opened(await auditor.checkpoint(), trust);
  const lost: string[] = [];
  const logged = new Set<string>();
  const decoder = new TextDecoder();
  const whole = await verifyLog(fetch, newest, {
    onEntries: (_start, entries) => {
      for (const entry of entries) {
        const { type, ids } = AuditLeaf.parse(JSON.parse(decoder.decode(entry)));
        for (const id of Object.values(ids)) logged.add(`${type} ${id}`);
      }
    },
  });
  if (!whole.ok) lost.push(`the log does not verify: ${whole.code}, ${whole.detail}`);
  for (const note of notes) {
    const older = opened(note, trust);
    const grown = await verifyGrowth(fetch, older, newest);
    if (!grown.ok)
      lost.push(
        `the log of ${String(newest.size)} entries does not continue the one of ${String(older.size)} that was published: ${grown.code}`,
      );
  }
  for (const { type, id } of workload.acknowledged)
    if (!logged.has(`${type} ${id}`)) lost.push(`${type} of ${id} was acknowledged`);
  return { lost, size: newest.size };
}

function opened(note: string, trust: Trust): Checkpoint {
  const key = parseVerifierKey(trust.logKey);
  if (!key.ok) throw new Error(key.detail);
  const checkpoint = openCheckpoint(note, { origin: trust.origin, key: key.value });
  if (!checkpoint.ok) throw new Error(`a published checkpoint does not open: ${checkpoint.detail}`);
  return checkpoint.value;
}
