/** What a client is told when its session ends or is not begun: what happened, and what to do next. */
import type { Admission, SessionEnd } from "@cardea/connectors/gateway";
import type { EndReason } from "@cardea/core/wire/link";

const ends: Record<EndReason, SessionEnd> = {
  expired: { why: "deadline", words: "the grant has reached its end; ask again with `cardea request`" },
  released: { why: "released", words: "the grant was given back" },
  revoked: { why: "revoked", words: "the grant was revoked; `cardea show` says why" },
  spent: { why: "revoked", words: "the grant is used up; ask again with `cardea request`" },
  voided: { why: "policy", words: "the grant no longer stands; ask again with `cardea request`" },
};

/** How a session ends with its grant. */
export function endOf(why: EndReason): SessionEnd {
  return ends[why];
}

type Refused = Extract<Admission<never>, { is: "refused" }>;

export function refused(because: Refused["because"], words: string): Refused {
  return { is: "refused", because, words };
}
