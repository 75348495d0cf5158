import type { z } from "zod";
import type { CreatedPerson, CreatePerson } from "@cardea/core/wire/api/people";
import { newId } from "@cardea/core/contract/ids";
import type { Actor, Control } from "../control.ts";
import { transact } from "../store/transaction.ts";
import { addSubject } from "./add-subject.ts";
import { tellAdmins } from "./change-roster.ts";
import { demand, demandSignIn } from "./demand.ts";
import { makeInvitation } from "./invitations.ts";
import { showPerson } from "./list-people.ts";

/**
 * Adds a subject; a human is invited with it. The invitation's text is in the answer and nowhere else.
 * @throws CardeaError `forbidden`, `token_forbidden`; `conflict` where the name is taken; `invalid_request` for an agent without somebody to act for
 */
export async function createPerson(
  control: Control,
  actor: Actor,
  input: z.output<typeof CreatePerson>,
): Promise<CreatedPerson> {
  demand(actor, "admin");
  demandSignIn(actor);
  const subject = newId("subject", control.clock, control.random);
  const invitation = await transact(control, async (tx) => {
    await addSubject(tx, control, subject, input, actor.subject);
    await tellAdmins(
      tx,
      control,
      "subject.created",
      `${actor.name} added ${input.name} (${input.kind}) with ${standing(input)}`,
    );
    return input.kind === "human" ? makeInvitation(tx, control, subject, { madeBy: actor.subject }) : undefined;
  });
  const person = await showPerson(control, actor, subject);
  return { person, ...(invitation && { invitation: { ...invitation, name: input.name } }) };
}

function standing({ groups, permissions }: Pick<z.output<typeof CreatePerson>, "groups" | "permissions">): string {
  return `groups ${listed(groups)}, permissions ${listed(permissions)}`;
}

function listed(words: readonly string[]): string {
  return words.length === 0 ? "none" : words.join(", ");
}
