/**
 * Keys of gateways as the outpost keeps them, and the sessions opened with them. A key is a grant's: what admission needs to judge an arrival is
 * here, its secret is not. A key that is over is forgotten; a session is forgotten once its login is gone. Changes run inside `Store.write`.
 */
import type { GrantId, LeaseId, ResourceId, SessionId, TaskId } from "@cardea/core/contract/ids";
import type { Digest } from "@cardea/core/documents/digest";
import type { Grant } from "@cardea/core/documents/grant";
import type { Policy } from "@cardea/core/documents/policy";
import type { Request } from "@cardea/core/documents/request";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { EndReason } from "@cardea/core/wire/link";
import type { Store } from "./store.ts";

/** What is kept of a secret to check a proof of it (RFC 5802, section 3); base64url. */
export interface StoredVerifier {
  readonly salt: string;
  readonly iterations: number;
  readonly storedKey: string;
  readonly serverKey: string;
}

interface KeyCommon {
  readonly id: GrantId;
  readonly resource: ResourceId;
  readonly deadlineMs: number;
}

export type OpenKey = KeyCommon & {
  readonly state: "open";
  readonly grant: Grant;
  readonly request: Request;
  /** Kept once for all keys that rest on them; see `documentOf`. */
  readonly policy: Digest;
  readonly spec: Digest;
  readonly verifier: StoredVerifier;
  /** Sessions that may still be opened; absent for any number. */
  readonly usesLeft?: number;
};
/** Opens nothing any more; forgotten once the last session's login is gone. */
export type EndingKey = KeyCommon & {
  readonly state: "ending";
  readonly why: EndReason;
  /** Receipted then; where there is none, an event tells of it. */
  readonly tasks: readonly TaskId[];
};
export type KeyRecord = OpenKey | EndingKey;

/** `closed`: its client is gone, its login may not be. */
export interface SessionRecord {
  readonly lease: LeaseId;
  readonly resource: ResourceId;
  readonly state: "arriving" | "open" | "closed";
}

/** Adds a key with the documents that it rests on. */
export function addKey(store: Store, key: OpenKey, policy: Policy, spec: ResourceSpec): void {
  store.documents.putSync(key.policy, policy);
  store.documents.putSync(key.spec, spec);
  store.keys.putSync(key.id, key);
  store.keysDue.putSync([key.deadlineMs, key.id], true);
}

/** The key opens nothing from here on, and its verifier is gone. */
export function shutKey(store: Store, key: OpenKey, why: EndReason, tasks: readonly TaskId[]): EndingKey {
  const { id, resource, deadlineMs } = key;
  const ending: EndingKey = { id, resource, deadlineMs, state: "ending", why, tasks };
  store.keys.putSync(id, ending);
  store.keysDue.removeSync([deadlineMs, id]);
  return ending;
}

/** Open keys whose deadline has come, the longest overdue first. */
export function dueKeys(store: Store, nowMs: number): GrantId[] {
  return [...store.keysDue.getKeys({ start: [0, ""], end: [nowMs + 1, ""] })].map(([, id]) => id);
}

export function nextKeyDueMs(store: Store): number | undefined {
  for (const [due] of store.keysDue.getKeys({ start: [0, ""], limit: 1 })) return due;
  return undefined;
}

/** Sessions of a key whose logins are not gone. */
export function sessionsOf(store: Store, key: GrantId): { readonly id: SessionId; readonly record: SessionRecord }[] {
  return [...store.sessions.getRange({ start: [key, ""], end: [key, "~"] })].map(({ key: [, id], value }) => ({
    id,
    record: value,
  }));
}

/** Whether any key leads to the resource. */
export function hasKeys(store: Store, resource: ResourceId): boolean {
  for (const { value } of store.keys.getRange({})) if (value.resource === resource) return true;
  return false;
}

/** Forgets documents that no key rests on any more. */
export function sweepDocuments(store: Store): void {
  const used = new Set<Digest>();
  for (const { value } of store.keys.getRange({})) {
    if (value.state === "open") used.add(value.policy).add(value.spec);
  }
  for (const digest of [...store.documents.getKeys({})]) if (!used.has(digest)) store.documents.removeSync(digest);
}
