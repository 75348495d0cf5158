import type { z } from "zod";
import type { CastReview, GrantView } from "@cardea/core/wire/api/grants";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type GrantId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import type { Review } from "@cardea/core/documents/vote";
import { record } from "../audit/record.ts";
import type { Actor, Control } from "../control.ts";
import { notify } from "../notify/notify.ts";
import { demandSignIn } from "../people/demand.ts";
import { concerned, whatFor } from "../requests/tell.ts";
import { changeGrant } from "../store/grants.ts";
import { insertReview } from "../store/reviews.ts";
import { signDocument } from "../store/signed.ts";
import { transact } from "../store/transaction.ts";
import { forgetDebt } from "./debts.ts";
import { grantIds } from "./ids.ts";
import { isBehind, isReviewer, seeGrantLocked } from "./see.ts";
import { grantView } from "./view.ts";

/**
 * Somebody else looks back at a break-glass grant and says what they found; that pays the requester's debt. One review settles it.
 * @throws CardeaError `not_found`, `token_forbidden`, `self_review`, `not_an_approver` where the rule asks for others, `review_not_owed`
 */
export async function reviewGrant(
  control: Control,
  actor: Actor,
  id: GrantId,
  input: z.output<typeof CastReview>,
): Promise<GrantView> {
  demandSignIn(actor);
  const reviewed = await transact(control, async (tx) => {
    const seen = await seeGrantLocked(tx, control, actor, id);
    const { grant, request, roster } = seen;
    if (isBehind(request.document, roster, actor.subject))
      throw new CardeaError("self_review", "nobody reviews their own or their agent's grant; ask another reviewer");
    if (request.document.decision.review === undefined || grant.reviewedAt !== undefined)
      throw new CardeaError("review_not_owed", `grant \`${id}\` waits for no review`);
    if (!isReviewer(seen, actor.subject))
      throw new CardeaError("not_an_approver", "the rule asks others to review this grant");
    const now = toTime(control.clock.now());
    const review: Review = {
      v: 1,
      id: newId("review", control.clock, control.random),
      grant: { id, digest: grant.signed.digest },
      reviewer: actor.subject,
      verdict: input.verdict,
      comment: input.comment,
      at: now,
    };
    const signed = signDocument(control.keys, "review", review);
    await insertReview(tx, signed);
    await changeGrant(tx, id, { reviewed_at: now });
    await record(tx, control, {
      type: "grant.reviewed",
      ids: { ...grantIds(grant), review: review.id, reviewer: actor.subject },
      data: { grant: grant.signed.digest, review: signed.digest, verdict: input.verdict, comment: input.comment },
      actor: actor.subject,
    });
    await notify(tx, control, {
      type: "grant.reviewed",
      to: concerned(request.document),
      request: request.document.id,
      grant: id,
      words: `${actor.name} found the break-glass grant of ${whatFor(request.document)} ${input.verdict === "misuse" ? "misused" : "justified"}: ${input.comment}`,
    });
    control.wake.signal("grants", tx);
    return { view: grantView(roster, { ...grant, reviewedAt: now }), request: request.document };
  });
  await forgetDebt(control, reviewed.request, id);
  return reviewed.view;
}
