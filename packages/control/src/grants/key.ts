import type { z } from "zod";
import type { KeyView } from "@cardea/core/wire/api/grants";
import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantId } from "@cardea/core/contract/ids";
import { keyIdOf } from "@cardea/core/documents/grant";
import { toTime } from "@cardea/core/documents/primitives";
import { reportingAlterations } from "../audit/altered.ts";
import { record } from "../audit/record.ts";
import type { Actor, Control } from "../control.ts";
import { maybeOneGrantGlance, maybeOneGrantGround, type StoredGrant } from "../store/grants.ts";
import { transact } from "../store/transaction.ts";
import { grantIds } from "./ids.ts";

/**
 * The secret, sealed by the outpost to the requester's delivery key; for the requester alone, as often as they like until the grant ends.
 * Each fetch is in the log, in the transaction that reads it.
 * @throws CardeaError `not_found`, `key_not_ready` while the outpost makes it, `grant_failed`, `grant_ended`
 */
export async function fetchKey(control: Control, actor: Actor, id: GrantId): Promise<z.infer<typeof KeyView>> {
  const fetching = transact(control, async (tx) => {
    const found = await maybeOneGrantGround(tx, control.keys, id);
    // Whoever is not the requester learns nothing, not even that there is a key.
    if (
      found?.request.document.asked.requester.id !== actor.subject ||
      found.grant.signed.document.request !== found.request.digest
    ) {
      throw new CardeaError("not_found", `there is no key for grant \`${id}\`, or it is not yours`);
    }
    const { grant } = found;
    if (!("role" in grant.signed.document.permissions))
      throw new CardeaError("not_found", "an action has no key; its answer is fetched by its request");
    const sealed = sealedKey(grant, toTime(control.clock.now()));
    await record(tx, control, {
      type: "key.delivered",
      ids: { ...grantIds(grant), key: keyIdOf(id) },
      data: { grant: grant.signed.digest, sourceIp: actor.sourceIp },
      actor: actor.subject,
    });
    return { grant: id, digest: grant.signed.digest, sealed, notAfter: grant.signed.document.window.notAfter };
  });
  return await reportingAlterations(control, fetching);
}

/** Whether the key is still being made, for its requester: a glance, where fetching verifies and logs. Of anything else fetching says what it is. */
export async function isStillMade({ db }: Pick<Control, "db">, actor: Actor, id: GrantId): Promise<boolean> {
  const glance = await maybeOneGrantGlance(db, id);
  return (
    glance?.requester === actor.subject &&
    glance.role !== null &&
    (glance.state === "scheduled" || glance.state === "issuing")
  );
}

function sealedKey(grant: StoredGrant, now: string): NonNullable<StoredGrant["sealed"]> {
  switch (grant.state) {
    case "scheduled":
    case "issuing":
      throw new CardeaError(
        "key_not_ready",
        grant.state === "scheduled"
          ? `the grant begins at ${grant.signed.document.window.notBefore}`
          : "the outpost is making the key",
      );
    case "failed":
      throw new CardeaError(
        "grant_failed",
        `the key could not be made: ${grant.detail ?? grant.why ?? "the outpost does not say why"}`,
      );
    case "ending":
    case "ended":
      throw new CardeaError("grant_ended", `the grant is over: ${grant.why ?? "ended"}`);
    case "active":
      if (grant.signed.document.window.notAfter <= now)
        throw new CardeaError("grant_ended", "the grant is over: expired");
      if (grant.sealed === undefined)
        throw new CardeaError("key_not_ready", "the outpost has not delivered the key yet");
      return grant.sealed;
  }
}
