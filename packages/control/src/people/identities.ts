import type { SubjectId } from "@cardea/core/contract/ids";
import type { Control } from "../control.ts";
import type { IdentityRow } from "../store/people.ts";
import { keyedHash, matchesKeyedHash } from "../store/sealed.ts";

/** Somebody's account elsewhere: an issuer and its name for them. One identity is one subject's, so that one human counts once. */
export interface LinkedIdentity {
  readonly issuer: string;
  readonly subject: string;
}

/** The row that links an identity; its mac keeps the database's administrator from linking one to somebody else. */
export function identityRow(control: Control, owner: SubjectId, { issuer, subject }: LinkedIdentity): IdentityRow {
  return {
    issuer,
    issuer_subject: subject,
    subject_id: owner,
    mac: keyedHash(control, "identity", { issuer, subject, owner }),
  };
}

/** Whether a stored link was made by Cardea. */
export function identityHolds(control: Control, row: IdentityRow): boolean {
  return matchesKeyedHash(
    control,
    "identity",
    { issuer: row.issuer, subject: row.issuer_subject, owner: row.subject_id },
    row.mac,
  );
}
