import type { EndReason } from "@cardea/core/wire/link";
import { toTime } from "@cardea/core/documents/primitives";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import type { SubjectId } from "@cardea/core/contract/ids";
import { settleGrant } from "../requests/hold-tasks.ts";
import { changeGrant, type StoredGrant } from "../store/grants.ts";
import { enqueueTask } from "../store/tasks.ts";
import { grantIds } from "./ids.ts";

/** Who ends a grant and what they said. */
export interface Ending {
  readonly why: EndReason;
  readonly by?: SubjectId | undefined;
  readonly detail?: string | undefined;
}

/**
 * Begins the end of a grant in the caller's transaction, which holds its lock. One that has not begun is over at once, and the outpost is told
 * never to issue it; of one that may have a key the outpost takes everything back. A grant that is ending or over stays as it is: why it first ended stands. Answers its state.
 */
export async function endGrantIn(
  tx: Tx,
  control: Control,
  grant: StoredGrant,
  { why, by, detail }: Ending,
): Promise<StoredGrant> {
  const now = toTime(control.clock.now());
  switch (grant.state) {
    case "scheduled": {
      await changeGrant(tx, grant.id, { state: "ended", why, detail: detail ?? null, ended_at: now });
      await record(tx, control, {
        type: "grant.ended",
        ids: grantIds(grant),
        data: { grant: grant.signed.digest, why, detail, begun: false },
        actor: by,
      });
      // The outpost has nothing to take back, and must know nevertheless: the evidence stays good, and a row that asks for the key again is one
      // that the database's administrator can make.
      await enqueueTask(tx, control, grant.outpost, { type: "end", grant: grant.id, why });
      control.wake.signal("grants", tx);
      return { ...grant, state: "ended", why, detail, endedAt: now };
    }
    case "issuing":
    case "active": {
      await changeGrant(tx, grant.id, { state: "ending", why, detail: detail ?? null, ending_at: now });
      await record(tx, control, {
        type: "grant.ending",
        ids: grantIds(grant),
        data: { grant: grant.signed.digest, why, detail },
        actor: by,
      });
      await enqueueTask(tx, control, grant.outpost, { type: "end", grant: grant.id, why });
      await settleGrant(
        tx,
        control,
        grant,
        why === "expired" ? "expired" : "withdrawn",
        `its approval is over: ${detail ?? why}`,
      );
      control.wake.signal("grants", tx);
      return { ...grant, state: "ending", why, detail };
    }
    case "ending":
    case "ended":
    case "failed":
      return grant;
  }
}
