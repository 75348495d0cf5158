/** Tells reviewers what waits for them, after what they asked for was shown. */
import type { CardeaClient } from "@cardea/sdk/client";
import type { Context } from "../context.ts";

/** Named one by one; of more, that there are more. */
const maxNamed = 5;

/** A note for each break-glass grant that waits for this person's review. Never a failure: it is not what was asked for. */
export async function tellOwedReviews({ terminal }: Pick<Context, "terminal">, client: CardeaClient): Promise<void> {
  const page = await client.grants({ view: "to-review", limit: maxNamed }).catch(() => undefined);
  if (page === undefined || page.items.length === 0) return;
  const count = page.next === undefined ? String(page.items.length) : `more than ${page.items.length}`;
  terminal.note(
    `${count} ${page.items.length === 1 && page.next === undefined ? "grant waits" : "grants wait"} for your review: ${page.items.map(({ id }) => `cardea review ${id}`).join(", ")}`,
  );
}
