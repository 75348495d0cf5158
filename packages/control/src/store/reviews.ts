/** Reviews of break-glass grants, and which grants still wait for one. */
import type { ColumnType } from "kysely";
import type { GrantId, SubjectId } from "@cardea/core/contract/ids";
import type { Time } from "@cardea/core/documents/primitives";
import { Review } from "@cardea/core/documents/vote";
import type { Control, ControlKeys, Tx } from "../control.ts";
import { openSigned, signedColumns, type Signed } from "./signed.ts";

type Db = Control["db"] | Tx;

interface ReviewsTable {
  id: string;
  grant_id: GrantId;
  reviewer: SubjectId;
  verdict: "justified" | "misuse";
  digest: string;
  document: string;
  signatures: ColumnType<unknown, string, string>;
  reviewed_at: Time;
}

export interface ReviewTables {
  reviews: ReviewsTable;
}

export async function insertReview(tx: Tx, signed: Signed<Review>): Promise<void> {
  const { id, grant, reviewer, verdict, at } = signed.document;
  await tx
    .insertInto("reviews")
    .values({ id, grant_id: grant.id, reviewer, verdict, ...signedColumns(signed), reviewed_at: at })
    .execute();
}

/**
 * Break-glass grants of these subjects, and of those who act for them, that nobody has looked back at, and of the remembered ones those of which the
 * same is true. Only a signed review of just that grant pays the debt, whatever `reviewed_at` says, and a deleted grant stays owed. As many
 * rows are read as there ever were such grants of theirs: few, since each waits for the review of the one before.
 */
export async function manyReviewsOwed(
  db: Db,
  { signing }: Pick<ControlKeys, "signing">,
  subjects: readonly SubjectId[],
  remembered: readonly GrantId[],
): Promise<GrantId[]> {
  const rows = await db
    .selectFrom("grants")
    .leftJoin("reviews", "reviews.grant_id", "grants.id")
    .select(["grants.id", "reviews.digest", "reviews.document", "reviews.signatures"])
    .where((eb) =>
      eb.or([
        eb("requester", "in", [...subjects]).and("review_due_at", "is not", null),
        eb("on_behalf_of", "in", [...subjects]).and("review_due_at", "is not", null),
        ...(remembered.length === 0 ? [] : [eb("grants.id", "in", [...remembered])]),
      ]),
    )
    .execute();
  const owed = new Set(remembered);
  for (const { id, digest, document, signatures } of rows) {
    const review =
      digest === null || document === null
        ? undefined
        : openSigned(signing.publicKey, "review", Review, { digest, document, signatures });
    if (review?.document.grant.id === id) owed.delete(id);
    else owed.add(id);
  }
  return [...owed].sort().slice(0, maxOwedNamed);
}

/** What a request's facts have room for. */
const maxOwedNamed = 1_000;
