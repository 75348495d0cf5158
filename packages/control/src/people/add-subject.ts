import type { z } from "zod";
import type { CreatePerson } from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import type { SubjectId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { upsertProfile } from "../store/people.ts";
import { changeRoster } from "./change-roster.ts";
import type { RosterView } from "./roster.ts";

/**
 * Adds a subject in the caller's transaction: roster, profile and log.
 * @throws CardeaError `conflict` where the name is taken; `invalid_request` for an agent without somebody to act for
 */
export async function addSubject(
  tx: Tx,
  control: Control,
  subject: SubjectId,
  input: z.output<typeof CreatePerson>,
  by: SubjectId | undefined,
): Promise<void> {
  await changeRoster(tx, control, (view) => [newEntry(view, subject, input)]);
  await upsertProfile(tx, {
    subject_id: subject,
    display_name: input.displayName ?? input.name,
    email: input.email ?? null,
    created_at: toTime(control.clock.now()),
  });
  await record(tx, control, {
    type: "subject.created",
    ids: { subject },
    data: {
      name: input.name,
      kind: input.kind,
      groups: sortedSet(input.groups),
      permissions: sortedSet(input.permissions),
      claims: input.claims,
    },
    ...(by !== undefined && { actor: by }),
  });
}

function newEntry(view: RosterView, subject: SubjectId, input: z.output<typeof CreatePerson>): RosterEntry {
  const { name, kind, actsFor, claims } = input;
  refuseImpossible(view, input);
  return {
    subject,
    name,
    kind,
    ...(actsFor !== undefined && { actsFor }),
    groups: sortedSet(input.groups),
    claims,
    credentials: [],
    permissions: sortedSet(input.permissions),
    active: true,
  };
}

function refuseImpossible(view: RosterView, { kind, actsFor, permissions }: z.output<typeof CreatePerson>): void {
  if ((kind === "agent") !== (actsFor !== undefined)) {
    throw new CardeaError("invalid_request", "an agent, and only an agent, acts for somebody; give `actsFor`", {
      pointers: [{ path: "actsFor", message: "required for agents, and for agents only" }],
    });
  }
  if (actsFor !== undefined && (view.entry(actsFor)?.kind ?? "agent") === "agent") {
    throw new CardeaError("invalid_request", `\`${actsFor}\` is no human and no workload`, {
      pointers: [{ path: "actsFor", message: "names nobody for whom an agent can act" }],
    });
  }
  refuseAgentPowers(kind, permissions);
}

/** @throws CardeaError `invalid_request` where an agent would oversee or administer. */
export function refuseAgentPowers(kind: RosterEntry["kind"], permissions: RosterEntry["permissions"]): void {
  if (kind === "agent" && permissions.some((permission) => permission !== "member")) {
    throw new CardeaError(
      "invalid_request",
      "an agent asks for others and nothing else; its one permission is `member`",
      { pointers: [{ path: "permissions", message: "only `member` for an agent" }] },
    );
  }
}

/** Each once, in one order, so that the same set has the same canonical text. */
export function sortedSet<T extends string>(values: readonly T[]): T[] {
  return [...new Set(values)].sort();
}
