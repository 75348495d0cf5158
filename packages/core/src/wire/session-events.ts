/**
 * What an outpost tells of sessions, beside the ids `outpost, resource, grant, key, session, lease`: the data of the events `session.opened`
 * and `session.closed`. Texts are as the client sent them, so they are cleaned where they are kept or shown.
 */
import { z } from "zod";

/** Why a session is over: the host's reasons first, then what happened to its connections. */
export const SessionCloseReason = z.enum([
  "deadline",
  "revoked",
  "released",
  "killed",
  "recorder",
  "shutdown",
  "policy",
  "client",
  "vanished",
  "resource",
  "protocol",
  "fault",
]);
export type SessionCloseReason = z.infer<typeof SessionCloseReason>;

export const SessionOpened = z.object({
  /** The client's address, as the gateway knows it. */
  sourceIp: z.string().max(64),
  database: z.string().max(256).exactOptional(),
  /** As the client calls itself. */
  application: z.string().max(1_000).exactOptional(),
  /** The TLS version; absent in the clear. */
  tls: z.string().max(32).exactOptional(),
});
export type SessionOpened = z.infer<typeof SessionOpened>;

const count = z.int().min(0).exactOptional();

/** One permission as it was used in a session: what was judged, and how often. */
export const PermissionUse = z.object({
  name: z.string().max(100),
  facets: z.record(z.string().max(31), z.array(z.string().max(256)).max(100)).exactOptional(),
  count: z.int().min(1),
});
export type PermissionUse = z.infer<typeof PermissionUse>;

export const SessionClosed = z.object({
  why: SessionCloseReason,
  words: z.string().max(2_000).exactOptional(),
  /** Actions passed on, and actions refused. Absent, as the other numbers are, where a crash took them with it. */
  actions: count,
  refused: count,
  rows: count,
  bytesIn: count,
  bytesOut: count,
  /** Shortened to 200; the rarest are left out. */
  uses: z.array(PermissionUse).max(200).exactOptional(),
  /** What the recording came to: pieces, bytes, and the digest that the last one closes. */
  recording: z
    .object({
      pieces: z.int().min(0),
      bytes: z.int().min(0),
      digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
      /** The end is missing: the outpost was killed, or its disk took no more. */
      truncated: z.literal(true).exactOptional(),
    })
    .exactOptional(),
});
export type SessionClosed = z.infer<typeof SessionClosed>;
