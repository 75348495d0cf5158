/** Statements that wait for their approval in real sessions, for tests. */
import { castVote } from "@cardea/control/requests/vote";
import { showRequest } from "@cardea/control/requests/show";
import { CastVote, type RequestView } from "@cardea/core/wire/api/requests";
import type { RequestId } from "@cardea/core/contract/ids";
import { until, type LinkedControl } from "./linked.ts";
import type { GatewayClient } from "./gateway-keys.ts";

/** Reading is allowed; a change of `orders` may be asked for and waits for a database administrator. Deleting is refused whoever asks. */
export const heldPolicy = `
version: 1
rules:
  - name: nobody-deletes
    permits: { actions: [sql.delete] }
    effect: deny
    message: rows are kept
  - name: engineers-read
    subjects: { groups: [engineering] }
    permits: { roles: [read] }
    limits: { maxDuration: 4h, via: [gateway] }
    effect: allow
  - name: engineers-change
    subjects: { groups: [engineering] }
    permits: { actions: [sql.update, sql.insert, sql.select, sql.truncate, "sql.ddl.*"] }
    limits: { maxDuration: 1h, via: [gateway] }
    effect: review
    approvals: [{ count: 1, from: { groups: [dba] } }]
`;

export interface HeldStatement {
  readonly request: RequestId;
  /** What the client was told when it was filed. */
  readonly words: string;
  /** What comes of it: the rows' count, or the error. */
  readonly result: Promise<number | null | (Error & { readonly code?: string })>;
}

/** Sends a statement that is not covered, and waits until its request is filed. */
export async function holdStatement(
  { client }: GatewayClient,
  text: string,
  values: unknown[] = [],
): Promise<HeldStatement> {
  const told: string[] = [];
  const listen = (notice: { readonly message?: string | undefined }): void => void told.push(notice.message ?? "");
  client.on("notice", listen);
  let settled: unknown;
  const result: HeldStatement["result"] = (values.length === 0 ? client.query(text) : client.query(text, values))
    .then(({ rowCount }) => rowCount)
    // What `pg` rejects with.
    .catch((error: unknown) => error as Error & { readonly code?: string });
  result.then((value) => (settled = value)).catch(() => undefined);
  try {
    return await until("the statement waits", () => {
      if (settled instanceof Error) throw settled;
      const words = told.find((one) => one.includes("req_"));
      const id = /req_[0-9a-z]+/.exec(words ?? "")?.[0];
      return words !== undefined && id !== undefined && { request: id as RequestId, words, result };
    });
  } finally {
    client.off("notice", listen);
  }
}

/** Dan of the database administrators says yes or no to exactly what waits. */
export async function decideHeld(
  { control, given }: LinkedControl,
  id: RequestId,
  verdict: "approve" | "deny",
  comment = "",
): Promise<RequestView> {
  const actor = await given.actor("dan");
  const { digest } = await showRequest(control, actor, id);
  return await castVote(control, actor, id, CastVote.parse({ digest, verdict, comment }));
}

/** The request's view once it is so. */
export async function requestWhen(
  { control, given }: LinkedControl,
  id: RequestId,
  what: string,
  is: (view: RequestView) => boolean,
): Promise<RequestView> {
  return await until(`the request ${what}`, async () => {
    const view = await showRequest(control, await given.actor("ada"), id);
    return is(view) && view;
  });
}
