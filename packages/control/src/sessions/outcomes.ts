/**
 * What outposts tell of sessions, applied in the link's transaction: at least once, and in whatever order it comes. An outpost is heard on
 * sessions of its own grants only, and a session stays the grant's under which it was first told of.
 */
import { CardeaError } from "@cardea/core/contract/errors";
import { GrantId, LeaseId, SessionId, type OutpostId } from "@cardea/core/contract/ids";
import { toPlainText } from "@cardea/core/documents/primitives";
import type { LinkEvent } from "@cardea/core/wire/link";
import { SessionClosed, SessionOpened } from "@cardea/core/wire/session-events";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { ownGrant } from "../grants/outcomes.ts";
import { closeSession, insertSession } from "../store/sessions.ts";

/** A session began or ended. @throws CardeaError `link_message_invalid` for what is not of this outpost, or has not the form */
export async function sessionEvent(
  tx: Tx,
  control: Control,
  outpost: OutpostId,
  type: "session.opened" | "session.closed",
  { id: eventId, ids, data, at }: LinkEvent,
): Promise<void> {
  const session = SessionId.safeParse(ids["session"]);
  const grantId = GrantId.safeParse(ids["grant"]);
  if (!session.success || !grantId.success)
    throw new CardeaError("link_message_invalid", `\`${type}\` names no session and its grant`);
  const grant = await ownGrant(tx, control, outpost, grantId.data);
  const known = { id: session.data, grant: grant.id, lease: LeaseId.safeParse(ids["lease"]).data, outpost };
  // Of a session whose beginning was not heard of, what is told of its end is kept nevertheless.
  let said: SessionOpened | SessionClosed;
  if (type === "session.opened") {
    said = cleanOpened(formed(SessionOpened.safeParse(data), type));
    await insertSession(tx, { ...known, opened: said, at });
  } else {
    said = cleanClosed(formed(SessionClosed.safeParse(data), type));
    await insertSession(tx, { ...known, opened: {}, at });
    await closeSession(tx, known, said, at);
  }
  await record(tx, control, { type, ids: { ...ids, outpost }, data: { ...said }, at, eventId });
  control.wake.signal("grants", tx);
}

function formed<T>(
  parsed: { readonly success: true; readonly data: T } | { readonly success: false },
  type: string,
): T {
  if (!parsed.success) throw new CardeaError("link_message_invalid", `\`${type}\` does not have its form`);
  return parsed.data;
}

/** As it can be stored and shown: the client chose most of it. */
function cleanOpened({ sourceIp, database, application, tls }: SessionOpened): SessionOpened {
  return {
    sourceIp: toPlainText(sourceIp, 64),
    ...(database !== undefined && { database: toPlainText(database, 256) }),
    ...(application !== undefined && { application: toPlainText(application, 256) }),
    ...(tls !== undefined && { tls: toPlainText(tls, 32) }),
  };
}

function cleanClosed({ words, ...closed }: SessionClosed): SessionClosed {
  return { ...closed, ...(words !== undefined && { words: toPlainText(words, 2_000) }) };
}
