import type { z } from "zod";
import type { Enrol, Enrolled } from "@cardea/core/wire/api/people";
import { enrolmentDigest } from "@cardea/core/wire/api/sign-in";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import type { RosterCredential } from "@cardea/core/documents/roster";
import { record } from "../audit/record.ts";
import type { Control } from "../control.ts";
import { insertCredentialLabel } from "../store/people.ts";
import { transact } from "../store/transaction.ts";
import { changeRoster, tellAdmins } from "./change-roster.ts";
import { invitedBy } from "./invitations.ts";
import { publicKeyOf, verifySignIn } from "./sign-in-signature.ts";

const maxCredentials = 50;

/**
 * Spends an invitation and adds a credential to its subject, who proves to hold the private key. Of two that spend the same invitation at
 * once one is refused. An unknown, used and expired invitation get the same answer.
 * @throws CardeaError `signature_invalid`, `invitation_invalid`; `conflict` for a key that is enrolled already; `invalid_request`
 */
export async function enrol(control: Control, input: z.output<typeof Enrol>): Promise<z.infer<typeof Enrolled>> {
  const { invitation, credential: offered } = input;
  const key = { kind: offered.kind, publicKey: publicKeyOf(offered) };
  if (!verifySignIn(key, enrolmentDigest(invitation, offered), input.signature)) {
    throw new CardeaError("signature_invalid", "the signature is not the new key's over this invitation");
  }
  return transact(control, async (tx) => {
    const credential: RosterCredential = {
      id: newId("credential", control.clock, control.random),
      ...key,
      addedAt: toTime(control.clock.now()),
    };
    const enrolled: z.infer<typeof Enrolled>[] = [];
    await changeRoster(tx, control, async () => {
      // Under the roster's lock, so that an invitation is looked at after the enrolment that may just have spent it.
      const entry = await invitedBy(tx, control, invitation);
      if (entry === undefined || entry.credentials.length >= maxCredentials) {
        throw new CardeaError("invitation_invalid", "the invitation is unknown, used or over; ask for a new one");
      }
      enrolled.push({ subject: entry.subject, name: entry.name, credential: credential.id });
      return [{ ...entry, credentials: [...entry.credentials, credential] }];
    });
    const [result] = enrolled;
    if (result === undefined) throw new TypeError("the roster was changed without an entry");
    await insertCredentialLabel(tx, credential.id, result.subject, offered.label);
    await record(tx, control, {
      type: "credential.enrolled",
      ids: { subject: result.subject, credential: credential.id },
      data: { kind: offered.kind, label: offered.label },
      actor: result.subject,
    });
    await tellAdmins(tx, control, "credential.enrolled", `${result.name} enrolled a credential (${offered.kind})`);
    return result;
  });
}
