import { z } from "zod";
import { SessionId } from "../../contract/ids.ts";
import { Time } from "../../documents/primitives.ts";
import { RecordedEvent, RecordedValue } from "../../recording/recorded-event.ts";
import { WaitQuery } from "./conventions.ts";

/** `GET /v1/sessions/{id}/recording`. */
export const RecordingQuery = WaitQuery.extend({
  /** Where to go on: `next` of the answer before; 0 is the beginning. `wait` waits where there is nothing from there on yet. */
  from: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  /** Also parameters, and what went in and came out. */
  values: z.stringbool().default(false),
});
export type RecordingQuery = z.infer<typeof RecordingQuery>;

/** A part of a session's recording, as much as one answer holds. */
export const RecordingView = z.object({
  session: SessionId,
  /** `live`: the session is open, or its end is not known yet. `arriving`: it is over, and its last pieces are still at the outpost. */
  state: z.enum(["live", "arriving", "whole"]),
  /** When it began; absent while nothing of it has come. */
  at: Time.optional(),
  /** Whether all input and output of the session is recorded. */
  output: z.boolean().optional(),
  /** The outpost stopped in the middle: the last second, at most, is missing at its end. */
  truncated: z.boolean(),
  /** Which the log holds in `session.closed`, and with which everything here was compared. */
  digest: z.string().optional(),
  events: z.array(z.discriminatedUnion("type", [...RecordedEvent.options, ...RecordedValue.options])),
  next: z.int(),
  /** Whether there is more from `next` on already. */
  more: z.boolean(),
});
export type RecordingView = z.infer<typeof RecordingView>;
