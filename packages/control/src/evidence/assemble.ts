/**
 * Evidence: everything by which an outpost, or anybody with the trust document, checks a grant without believing the control plane's
 * database. Put together here from stored documents and the log; whether it holds is for `verifyEvidence` to say, on the other side.
 */
import type { GrantId } from "@cardea/core/contract/ids";
import { digestOf, type Digest } from "@cardea/core/documents/digest";
import type { Evidence } from "@cardea/core/documents/evidence";
import type { Policy } from "@cardea/core/documents/policy";
import { verifyDigest, type Signature } from "@cardea/core/documents/signature";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import { CardeaError } from "@cardea/core/contract/errors";
import { reportingAlterations } from "../audit/altered.ts";
import { currentHead, proveEntry } from "../audit/proofs.ts";
import type { Control } from "../control.ts";
import { currentRoster, RosterView } from "../people/roster.ts";
import { policyByDigest, policyByVersion } from "../policy/current.ts";
import { maybeOneGrantRoster } from "../store/grant-rosters.ts";
import { maybeOneGrantGround, type StoredGrant } from "../store/grants.ts";
import { manyVotes } from "../store/requests.ts";
import { Recent } from "../store/recent.ts";
import { maybeOneRunDocument } from "../store/runs.ts";
import { publicPrivilegesByDigest, specByDigest } from "../store/resources.ts";
import type { Signed } from "../store/signed.ts";
import { readRosterPart, relevantVotes, rosterPart, type RosterPart } from "./roster-part.ts";

/**
 * `issue`: for the outpost that is to make the key, by the roster of this moment: who lost their standing since the approval gets none. `audit`:
 * for whoever looks back, by the roster of the approval: what was right then stays provable, whoever leaves later.
 */
export type Purpose = "issue" | "audit";

/**
 * The evidence of a grant, under the newest signed head; `undefined` while that does not cover the grant's creation, or where there is no
 * such grant. @throws CardeaError `log_rolled_back`; `evidence_signature`, `evidence_roster`, `evidence_mismatch` where what is stored was
 * altered or is gone
 */
export function assembleEvidence(control: Control, id: GrantId, purpose: Purpose): Promise<Evidence | undefined> {
  return reportingAlterations(control, assemble(control, id, purpose));
}

async function assemble(control: Control, id: GrantId, purpose: Purpose): Promise<Evidence | undefined> {
  const [found, early, people] = await Promise.all([
    maybeOneGrantGround(control.db, control.keys, id),
    currentHead(control),
    purpose === "issue" ? currentRoster(control) : maybeOneGrantRoster(control.db, id),
  ]);
  if (found?.entry === undefined) return undefined;
  const { grant, request, entry, askedSignature } = found;
  // Entry and head are committed together, so a head read after the entry covers it.
  const head = early !== undefined && early.checkpoint.size > entry.index ? early : await currentHead(control);
  if (head === undefined) return undefined;
  const votes =
    grant.signed.document.votes.length === 0 ? [] : await manyVotes(control.db, control.keys, grant.request);
  const proof = await proveEntry(control, head, entry);
  if (proof === undefined) return undefined;
  const { document } = request;
  if (grant.signed.document.request !== request.digest) {
    throw new CardeaError("evidence_mismatch", `the stored grant \`${id}\` is not of the request that its row names`, {
      extra: { altered: id },
    });
  }
  const [policy, current, spec] = await Promise.all([
    policyByDigest(control, document.decision.policy),
    policyByVersion(control, grant.createdPolicy),
    specOf(control, document.resource.specDigest),
  ]);
  if (policy === undefined || current === undefined) throw gone("a policy");
  if (spec === undefined) throw gone("the resource's specification");
  // An outpost wrote it itself, and a key waits.
  const besides =
    purpose === "issue" ? undefined : await publicPrivilegesByDigest(control.db, spec.document.publicPrivileges);
  const counted = relevantVotes(votes, grant.signed.document.votes);
  const isCurrent = current.signed.digest === policy.signed.digest;
  const part =
    people instanceof RosterView
      ? rosterPart(people, document, counted)
      : readRosterPart(control.keys, id, people, proof.data["roster"]);
  const run = purpose === "issue" || grant.role !== undefined ? undefined : await runOf(control, grant, part);
  return {
    v: 1,
    request: document,
    votes: counted.map((vote) => vote.document),
    grant: grant.signed.document,
    signatures: signaturesOf(
      [request, grant.signed, policy.signed, ...(isCurrent ? [] : [current.signed]), ...counted],
      part,
      spec,
      document.asked.within === undefined || askedSignature === undefined
        ? undefined
        : { digest: digestOf("asked", document.asked), signature: askedSignature },
      run,
    ),
    policy: policy.signed.document,
    ...(!isCurrent && { current: current.signed.document satisfies Policy }),
    spec: spec.document,
    ...(run !== undefined && { run: run.document }),
    ...(besides !== undefined && { publicPrivileges: besides }),
    roster: part.roster,
    trust: digestOf("trust", control.trust),
    log: { checkpoint: head.note, proofs: [proof] },
  };
}

type StoredSpec = NonNullable<Awaited<ReturnType<typeof specByDigest>>>;

/** Specifications read last; named by their content, so none goes out of date. */
const specs = new WeakMap<Control, Recent<Digest, StoredSpec>>();
const maxSpecs = 200;

async function specOf(control: Control, digest: Digest): Promise<StoredSpec | undefined> {
  const cache = specs.get(control) ?? new Recent<Digest, StoredSpec>(maxSpecs);
  specs.set(control, cache);
  const known = cache.get(digest);
  if (known !== undefined) return known;
  const stored = await specByDigest(control.db, digest);
  if (stored !== undefined) cache.set(digest, stored);
  return stored;
}

function signaturesOf(
  documents: readonly Signed<unknown>[],
  roster: RosterPart,
  ...others: readonly (DocumentSignature | undefined)[]
): Evidence["signatures"] {
  const signatures: Record<string, Signature[]> = {
    [roster.digest]: [roster.signature],
  };
  for (const other of others) if (other !== undefined) signatures[other.digest] = [other.signature];
  for (const signed of documents) signatures[signed.digest] = [...signed.signatures];
  return signatures;
}

/** Somebody's signature over a document that the control plane has not signed. */
interface DocumentSignature {
  readonly digest: Digest;
  readonly signature: Signature;
}

/**
 * How the grant's action went, as its outpost signed it. Left out where the roster of the approval does not hold the outpost's key: then nobody could
 * check it. @throws CardeaError `evidence_signature` where the row was altered
 */
async function runOf(
  control: Control,
  grant: StoredGrant,
  part: RosterPart,
): Promise<Awaited<ReturnType<typeof maybeOneRunDocument>>> {
  const run = await maybeOneRunDocument(control.db, grant.id);
  const key = part.roster.head.outposts?.find(({ id }) => id === grant.outpost)?.key;
  if (run === undefined || key === undefined) return undefined;
  if (
    run.document.grant === grant.signed.digest &&
    verifyDigest(run.signature, "outpost", fromBase64Url(key), run.digest)
  )
    return run;
  throw new CardeaError("evidence_signature", `the stored run of grant \`${grant.id}\` was altered`, {
    extra: { altered: run.document.id },
  });
}

function gone(what: string): CardeaError {
  return new CardeaError("evidence_mismatch", `${what} that the grant rests on is not stored any more`);
}
