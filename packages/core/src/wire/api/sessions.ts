import { z } from "zod";
import { GrantId, KeyId, SessionId } from "../../contract/ids.ts";
import { plainText, Time } from "../../documents/primitives.ts";
import { SessionCloseReason } from "../session-events.ts";
import { pageOf, PageQuery, SubjectRef } from "./conventions.ts";

const SessionState = z.enum(["open", "closed"]);

/** A connection made with a key, as its outpost tells of it. */
export const SessionView = z.object({
  id: SessionId,
  grant: GrantId,
  key: KeyId,
  state: SessionState,
  requester: SubjectRef,
  resource: z.string(),
  role: z.string().optional(),
  sourceIp: z.string().optional(),
  database: z.string().optional(),
  /** As the client calls itself. */
  application: z.string().optional(),
  /** The TLS version; absent in the clear. */
  tls: z.string().optional(),
  openedAt: Time,
  /** Somebody asked for its end, which the outpost has not reported yet. */
  ending: z.boolean(),
  closedAt: Time.optional(),
  why: SessionCloseReason.optional(),
  words: z.string().optional(),
  /** What was done in it, once it is closed and where that is known. */
  use: z
    .object({
      actions: z.int(),
      refused: z.int(),
      rows: z.int(),
      bytesIn: z.int(),
      bytesOut: z.int(),
    })
    .optional(),
});
export type SessionView = z.infer<typeof SessionView>;

/** `GET /v1/sessions`. */
export const SessionsQuery = PageQuery.extend({
  grant: GrantId.optional(),
  resource: z.string().max(63).optional(),
  state: SessionState.optional(),
  /** `all`: everybody's for auditors and administrators, and one's own for anybody else. */
  view: z.enum(["all", "mine"]).default("all"),
});
export type SessionsQuery = z.infer<typeof SessionsQuery>;
export const SessionsPage = pageOf(SessionView);

/** `POST /v1/sessions/{id}/end`. */
export const EndSession = z.strictObject({ comment: plainText(150).default("") });
export type EndSession = z.input<typeof EndSession>;
