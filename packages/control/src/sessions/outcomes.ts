/**
 * What outposts tell of sessions, applied in the link's transaction: at least once, and in whatever order it comes. An outpost is heard on
 * sessions of its own grants only, and a session stays the grant's under which it was first told of.
 */
import { CardeaError } from "@cardea/core/contract/errors";
import { GrantId, LeaseId, SessionId, type OutpostId } from "@cardea/core/contract/ids";
import { toPlainText, type Time } from "@cardea/core/documents/primitives";
import type { LinkEvent } from "@cardea/core/wire/link";
import { SessionClosed, SessionOpened, type PermissionUse } from "@cardea/core/wire/session-events";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { ownGrant } from "../grants/outcomes.ts";
import { recordingClosed } from "../recordings/receive.ts";
import { withdrawWithin } from "../requests/hold.ts";
import { closeSession, insertSession, insertSessionUse, manyOpenSessionsOf } from "../store/sessions.ts";

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
  let said: SessionOpened | Omit<SessionClosed, "uses">;
  if (type === "session.opened") {
    said = cleanOpened(formed(SessionOpened.safeParse(data), type));
    await insertSession(tx, { ...known, opened: said, at });
  } else {
    const { uses = [], ...closed } = cleanClosed(formed(SessionClosed.safeParse(data), type));
    // Which permissions were used is too much for an entry of the log.
    said = closed;
    await insertSession(tx, { ...known, opened: {}, at });
    if (await closeSession(tx, known, closed, at)) await insertSessionUse(tx, session.data, uses);
    await withdrawWithin(tx, control, { grant: grant.id, session: session.data });
    if (closed.recording !== undefined)
      await recordingClosed(tx, control, { session: session.data, grant: grant.id, outpost }, closed.recording);
    else control.wake.signal("recordings", tx);
  }
  await record(tx, control, { type, ids: { ...ids, outpost }, data: { ...said }, at, eventId });
  control.wake.signal("grants", tx);
}

/** An outpost was replaced, and with it went its sessions: nobody else will tell of their end. */
export async function closeSessionsOf(tx: Tx, control: Control, outpost: OutpostId, at: Time): Promise<void> {
  const closed: SessionClosed = { why: "fault", words: "its outpost was replaced" };
  for (const { id, grant } of await manyOpenSessionsOf(tx, outpost)) {
    await closeSession(tx, { id, grant }, closed, at);
    await withdrawWithin(tx, control, { grant, session: id });
    await record(tx, control, {
      type: "session.closed",
      ids: { session: id, grant, outpost },
      data: { ...closed },
      at,
    });
  }
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

function cleanClosed({ words, uses, ...closed }: SessionClosed): SessionClosed {
  return {
    ...closed,
    ...(words !== undefined && { words: toPlainText(words, 2_000) }),
    ...(uses !== undefined && { uses: uses.map(cleanUse) }),
  };
}

function cleanUse({ name, facets, count }: PermissionUse): PermissionUse {
  const cleaned = Object.entries(facets ?? {}).map(([facet, values]): [string, string[]] => [
    toPlainText(facet, 31),
    values.map((value) => toPlainText(value, 256)),
  ]);
  return {
    name: toPlainText(name, 100),
    ...(facets !== undefined && { facets: Object.fromEntries(cleaned) }),
    count,
  };
}
