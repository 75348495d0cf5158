/**
 * Reading a recording: who may, what is logged of it, and the pieces opened, one answer at a time. What was done is for its requester, for auditors
 * and for administrators; what was passed in and out, for auditors alone. Nothing is shown that cannot be shown to be what the outpost recorded.
 */
import type { z } from "zod";
import type { RecordingQuery, RecordingView } from "@cardea/core/wire/api/recordings";
import { connectorSpecs } from "@cardea/connectors/spec-catalog";
import { CardeaError } from "@cardea/core/contract/errors";
import type { SessionId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import { reportingAlterations } from "../audit/altered.ts";
import { record } from "../audit/record.ts";
import type { Actor, Control } from "../control.ts";
import { grantIds } from "../grants/ids.ts";
import { isConcerned } from "../grants/see.ts";
import { waitForNews } from "../http/long-poll.ts";
import { seeSession, type SeenSession } from "../sessions/see.ts";
import { maybeOneRecording, noteReading, type StoredRecording } from "../store/recordings.ts";
import { resourceById } from "../store/resources.ts";
import { maybeOneSession } from "../store/sessions.ts";
import { transact } from "../store/transaction.ts";
import { isWhole, openRecording, type OpenedPart } from "./open.ts";

type Query = z.output<typeof RecordingQuery>;

/** Calls of one person within so long are one reading in the log. */
const oneReadingMs = 10 * 60_000;

/**
 * A part of a recording, from the place where the answer before it ended; waits for what comes next where it is asked to.
 * @throws CardeaError `not_found`, `forbidden`, `recording_unavailable`, `recording_broken`
 */
export async function readRecording(
  control: Control,
  actor: Actor,
  id: SessionId,
  query: Query,
  signal: AbortSignal,
): Promise<RecordingView> {
  const seen = await reportingAlterations(
    control,
    transact(control, (tx) => seeSession(tx, control, actor, id)),
  );
  refuseOthers(actor, seen, query.values);
  const list = query.values ? await parameterReader(control, seen) : undefined;
  let logged = false;
  return await waitForNews(control, {
    channel: "recordings",
    seconds: query.wait,
    signal,
    read: async () => {
      const recording = await maybeOneRecording(control.db, id);
      if (recording !== undefined && !logged) {
        await logReading(control, actor, seen, query.values);
        logged = true;
      }
      if (recording !== undefined && recording.grant !== seen.grant.id)
        throw new CardeaError(
          "recording_broken",
          `the recording of \`${id}\` cannot be relied on: it is of another grant than the session`,
        );
      const view = await viewOf(control, id, recording, query);
      return list === undefined ? view : { ...view, events: view.events.map((event) => withList(event, list)) };
    },
    isNews: ({ events, state, more }) => events.length > 0 || more || state === "whole",
  });
}

function refuseOthers(actor: Actor, { request }: SeenSession, values: boolean): void {
  const auditor = actor.permissions.includes("auditor");
  if (values && !auditor)
    throw new CardeaError(
      "forbidden",
      "what a session passed in and out is shown to auditors only; leave `values` out",
    );
  if (auditor || actor.permissions.includes("admin") || isConcerned(request.document, actor.subject)) return;
  throw new CardeaError("forbidden", "a recording is shown to its requester, to auditors and to administrators only");
}

/** Before anything is shown, and once for calls that follow each other. */
async function logReading(
  control: Control,
  actor: Actor,
  { grant, session }: SeenSession,
  values: boolean,
): Promise<void> {
  const nowMs = control.clock.now();
  await transact(control, async (tx) => {
    const reading = { session: session.id, subject: actor.subject, withValues: values };
    if (!(await noteReading(tx, reading, toTime(nowMs), toTime(nowMs - oneReadingMs)))) return;
    await record(tx, control, {
      type: "recording.read",
      ids: { ...grantIds(grant), session: session.id },
      data: { values },
      actor: actor.subject,
    });
  });
}

type ReadParameters = NonNullable<(typeof connectorSpecs)[string]["readParameters"]>;

/** How parameters of this kind of resource are told apart; `undefined` where nobody can say. */
async function parameterReader(control: Control, { request }: SeenSession): Promise<ReadParameters | undefined> {
  const resource = await resourceById(control.db, request.document.resource.id);
  return resource === undefined ? undefined : connectorSpecs[resource.spec.kind]?.readParameters;
}

function withList(event: RecordingView["events"][number], read: ReadParameters): RecordingView["events"][number] {
  if (event.type !== "parameters" || event.shortened === true) return event;
  const list = read(fromBase64Url(event.data));
  return list === undefined ? event : { ...event, list: [...list] };
}

async function viewOf(
  control: Control,
  id: SessionId,
  recording: StoredRecording | undefined,
  { from, values }: Query,
): Promise<RecordingView> {
  const session = await maybeOneSession(control.db, id);
  const over = session?.state === "closed";
  if (recording === undefined) {
    if (over) throw new CardeaError("recording_unavailable", `session \`${id}\` was not recorded`);
    return { session: id, state: "live", truncated: false, events: [], next: from, more: false };
  }
  if (recording.removedAt !== undefined)
    throw new CardeaError(
      "recording_unavailable",
      `the recording of \`${id}\` was removed at ${recording.removedAt}, when its time was over`,
    );
  if (recording.broken !== undefined)
    throw new CardeaError("recording_broken", `the recording of \`${id}\` cannot be relied on: ${recording.broken}`);
  const { closed } = recording;
  const whole = await isWhole(control, recording);
  const common = {
    session: id,
    state: whole ? ("whole" as const) : over ? ("arriving" as const) : ("live" as const),
    truncated: closed?.truncated ?? false,
    ...(whole && closed !== undefined && { digest: closed.digest }),
  };
  // Who waits looks often: nothing is opened before there is something to open.
  if (from >= recording.fileBytes) return { ...common, events: [], next: from, more: false };
  const part: OpenedPart = await openRecording(control, recording, { from, values });
  return {
    ...common,
    at: part.head.at,
    output: part.head.output,
    events: part.events,
    next: part.next,
    more: part.next < recording.fileBytes,
  };
}
