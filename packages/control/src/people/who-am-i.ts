import type { WhoAmI } from "@cardea/core/wire/api/people";
import type { Control } from "../control.ts";
import type { Authenticated } from "./authenticate.ts";
import { currentRoster } from "./roster.ts";

/** Who the caller is, and what this sign-in or token may do. */
export async function whoAmI(control: Control, { actor, expiresAt }: Authenticated): Promise<WhoAmI> {
  const roster = await currentRoster(control);
  return {
    subject: actor.subject,
    name: actor.name,
    displayName: roster.displayName(actor.subject),
    kind: actor.entry.kind,
    groups: actor.entry.groups,
    permissions: [...actor.permissions],
    method: actor.presence.method,
    expiresAt,
  };
}
