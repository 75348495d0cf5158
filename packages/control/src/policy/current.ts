/**
 * The policy in force: the highest stored version, whose document bears the control plane's signature, and never one older than was in
 * force before (remembered in a file as well). Everything that decides gets its policy here. Changed in `apply.ts` and nowhere else.
 */
import { join } from "node:path";
import type { PolicyView } from "@cardea/core/wire/api/operations";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Digest } from "@cardea/core/documents/digest";
import type { Actor, Control } from "../control.ts";
import { rememberedHead, rememberHead } from "../people/roster-memory.ts";
import { currentRoster } from "../people/roster.ts";
import { subjectRef } from "../requests/subject-ref.ts";
import { Recent } from "../store/recent.ts";
import { maybeOnePolicy, oneNewestVersion, type StoredPolicy } from "../store/policies.ts";

interface Cache {
  /** Verified policies by digest; the objects are kept, as what is compiled from one is kept with it. */
  readonly byDigest: Recent<string, StoredPolicy>;
  /** The newest that was ever in force, as far as this process knows. */
  highest: { readonly version: number; readonly digest: string } | undefined;
  /** Whether the file was read. */
  remembered: boolean;
}

const caches = new WeakMap<Control, Cache>();
const maxCached = 50;

/**
 * The policy in force; `undefined` before the first was applied. One short query where nothing changed.
 * @throws CardeaError `evidence_signature` where the stored one was altered, `evidence_stale` where it is older than one in force before
 */
export async function policyInForce(control: Control): Promise<StoredPolicy | undefined> {
  const cache = await cacheOf(control);
  const floor = cache.highest;
  const newest = await oneNewestVersion(control.db);
  if (floor !== undefined && newest.version < floor.version) {
    throw stale(
      `the newest policy in the database is version ${newest.version}, older than version ${floor.version}, which was in force before`,
    );
  }
  if (newest.digest === undefined) return undefined;
  const policy = await policyByDigest(control, newest.digest);
  if (policy?.signed.document.version !== newest.version)
    throw stale(`the stored policy version ${newest.version} bears another version's document`);
  if (floor?.version === newest.version && floor.digest !== policy.signed.digest)
    throw stale(`there were two different policies of version ${newest.version}`);
  if (newest.version > (cache.highest?.version ?? 0)) {
    await rememberHead(memoryOf(control), newest.version, policy.signed.digest);
    cache.highest = { version: newest.version, digest: policy.signed.digest };
  }
  return policy;
}

/** The policy in force. @throws CardeaError `policy_denied` before the first was applied: without a policy everything is refused */
export async function demandPolicy(control: Control): Promise<StoredPolicy> {
  const policy = await policyInForce(control);
  if (policy === undefined)
    throw new CardeaError(
      "policy_denied",
      "no policy has been applied yet, so everything is refused; ask an administrator",
    );
  return policy;
}

/** Any version that was ever applied, verified. */
export async function policyByDigest(control: Control, digest: Digest | string): Promise<StoredPolicy | undefined> {
  const { byDigest } = await cacheOf(control);
  const cached = byDigest.get(digest);
  if (cached !== undefined) return cached;
  const policy = await maybeOnePolicy(control.db, control.keys, { digest });
  if (policy !== undefined) byDigest.set(policy.signed.digest, policy);
  return policy;
}

/** The version with this number, verified. */
export async function policyByVersion(control: Control, version: number): Promise<StoredPolicy | undefined> {
  const { byDigest } = await cacheOf(control);
  const cached = [...byDigest.values()].find((policy) => policy.signed.document.version === version);
  if (cached !== undefined) return cached;
  const policy = await maybeOnePolicy(control.db, control.keys, { version });
  if (policy !== undefined) byDigest.set(policy.signed.digest, policy);
  return policy;
}

/** `GET /v1/policy`. @throws CardeaError `not_found` before the first was applied */
export async function currentPolicy(control: Control, _actor: Actor): Promise<PolicyView> {
  const policy = await policyInForce(control);
  if (policy === undefined) throw new CardeaError("not_found", "no policy has been applied yet");
  return policyView(policy, control);
}

/** A stored policy as the API shows it. */
export async function policyView({ signed, source, appliedBy }: StoredPolicy, control: Control): Promise<PolicyView> {
  const roster = await currentRoster(control);
  return {
    policy: signed.document,
    digest: signed.digest,
    source,
    ...(appliedBy !== undefined && { appliedBy: subjectRef(roster, appliedBy) }),
  };
}

async function cacheOf(control: Control): Promise<Cache> {
  let cache = caches.get(control);
  if (cache === undefined) {
    cache = { byDigest: new Recent(maxCached), highest: undefined, remembered: false };
    caches.set(control, cache);
  }
  if (!cache.remembered) {
    const remembered = await rememberedHead(memoryOf(control));
    if (remembered !== undefined && remembered.version > (cache.highest?.version ?? 0)) cache.highest = remembered;
    cache.remembered = true;
  }
  return cache;
}

function stale(why: string): CardeaError {
  return new CardeaError("evidence_stale", `${why}; was a backup restored?`);
}

function memoryOf(control: Control): string {
  return join(control.settings.logDirectory, "policy");
}
