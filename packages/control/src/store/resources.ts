/** Resources and every specification they ever had, as reported by outposts. */
import type { ColumnType, Selectable } from "kysely";
import { z } from "zod";
import type { OutpostId, ResourceId } from "@cardea/core/contract/ids";
import { MissingPrivilege } from "@cardea/core/wire/link";
import { digestOf, type Digest } from "@cardea/core/documents/digest";
import type { Time } from "@cardea/core/documents/primitives";
import { PublicPrivileges } from "@cardea/core/documents/public-privileges";
import { ResourceSpec } from "@cardea/core/documents/resource-spec";
import { Signature } from "@cardea/core/documents/signature";
import { canonicalJson } from "@cardea/core/documents/canonical";
import type { Control, Tx } from "../control.ts";

type Db = Control["db"] | Tx;
type JsonColumn = ColumnType<unknown, string | undefined, string>;

export type ResourceState = "ready" | "degraded" | "unreachable" | "invalid" | "unknown";

interface ResourcesTable {
  id: ResourceId;
  name: string;
  kind: string | null;
  outpost: OutpostId;
  state: ResourceState;
  detail: string | null;
  version: string | null;
  missing: JsonColumn;
  warnings: JsonColumn;
  spec_digest: string | null;
  created_at: Time;
  reported_at: Time | null;
  removed_at: Time | null;
}

interface ResourceSpecsTable {
  digest: string;
  resource_id: ResourceId;
  outpost: OutpostId;
  document: string;
  signature: ColumnType<unknown, string, never>;
  reported_at: Time;
}

interface PublicPrivilegesTable {
  digest: string;
  document: string;
  reported_at: Time;
}

export interface ResourceTables {
  public_privileges: PublicPrivilegesTable;
  resources: ResourcesTable;
  resource_specs: ResourceSpecsTable;
}

/** A resource that can be asked for: it was reported whole at least once. */
export interface ResourceRow {
  readonly id: ResourceId;
  readonly name: string;
  readonly kind: string;
  readonly outpost: OutpostId;
  /** Signed by the outpost, which judges requests by it again; not believed beyond that. */
  readonly spec: ResourceSpec;
  readonly specDigest: Digest;
  readonly specSignature: Signature;
  readonly state: ResourceState;
}

/** A resource as shown, reported or not. */
export interface StoredResource {
  readonly id: ResourceId;
  readonly name: string;
  readonly outpost: OutpostId;
  readonly state: ResourceState;
  readonly detail: string | undefined;
  readonly version: string | undefined;
  readonly missing: readonly MissingPrivilege[];
  readonly warnings: readonly string[];
  readonly reportedAt: Time | undefined;
  readonly spec:
    { readonly document: ResourceSpec; readonly digest: Digest; readonly signature: Signature } | undefined;
}

/** The resource with this name, if it can be asked for. */
export async function resourceByName(db: Db, name: string): Promise<ResourceRow | undefined> {
  return registered(await maybeOneResource(db, { name }));
}

export async function resourceById(db: Db, id: ResourceId): Promise<ResourceRow | undefined> {
  return registered(await maybeOneResource(db, { id }));
}

/** The specification with this digest, the resource's newest or an older one. */
export async function specByDigest(db: Db, digest: Digest): Promise<StoredResource["spec"]> {
  const row = await db
    .selectFrom("resource_specs")
    .select(["digest", "document", "signature"])
    .where("digest", "=", digest)
    .executeTakeFirst();
  return row === undefined ? undefined : readSpec(row);
}

export async function maybeOneResource(
  db: Db,
  which: { readonly name: string } | { readonly id: ResourceId },
): Promise<StoredResource | undefined> {
  const query = resourcesWithSpec(db);
  const row = await (
    "id" in which ? query.where("resources.id", "=", which.id) : query.where("resources.name", "=", which.name)
  ).executeTakeFirst();
  return row === undefined ? undefined : stored(row);
}

/** By name. */
export async function manyResources(db: Db, after: string | undefined, limit: number): Promise<StoredResource[]> {
  let query = resourcesWithSpec(db).orderBy("resources.name").limit(limit);
  if (after !== undefined) query = query.where("resources.name", ">", after);
  return (await query.execute()).map(stored);
}

export interface ReportedResource {
  readonly id: ResourceId;
  readonly name: string;
  readonly outpost: OutpostId;
  readonly state: Exclude<ResourceState, "unknown">;
  readonly detail: string | undefined;
  readonly version: string | undefined;
  readonly missing: readonly MissingPrivilege[];
  readonly warnings: readonly string[];
  readonly spec:
    { readonly document: ResourceSpec; readonly digest: Digest; readonly signature: Signature } | undefined;
  /** What the specification names by its digest. */
  readonly publicPrivileges: PublicPrivileges | undefined;
  readonly at: Time;
}

/** Makes the resource known before its outpost has reported it. Nothing changes where it is known. */
export async function insertResource(
  tx: Tx,
  resource: { readonly id: ResourceId; readonly name: string; readonly outpost: OutpostId; readonly at: Time },
): Promise<void> {
  await tx
    .insertInto("resources")
    .values({
      id: resource.id,
      name: resource.name,
      outpost: resource.outpost,
      state: "unknown",
      created_at: resource.at,
    })
    .onConflict((conflict) => conflict.column("id").doUpdateSet({ removed_at: null, outpost: resource.outpost }))
    .execute();
}

/** Offers the resource no longer. */
export async function markRemoved(tx: Tx, id: ResourceId, at: Time): Promise<void> {
  await tx.updateTable("resources").set({ removed_at: at }).where("id", "=", id).execute();
}

/** Stores what an outpost reported. A report without a specification keeps the last one: a resource that is down is still what it was. */
export async function storeReport(tx: Tx, report: ReportedResource): Promise<void> {
  const { spec } = report;
  const seen = {
    outpost: report.outpost,
    state: report.state,
    detail: report.detail ?? null,
    version: report.version ?? null,
    missing: JSON.stringify(report.missing),
    warnings: JSON.stringify(report.warnings),
    reported_at: report.at,
    removed_at: null,
    ...(spec === undefined ? {} : { kind: spec.document.kind, spec_digest: spec.digest }),
  };
  await tx
    .insertInto("resources")
    .values({ id: report.id, name: report.name, created_at: report.at, ...seen })
    .onConflict((conflict) => conflict.column("id").doUpdateSet(seen))
    .execute();
  if (spec === undefined) return;
  await tx
    .insertInto("resource_specs")
    .values({
      digest: spec.digest,
      resource_id: report.id,
      outpost: report.outpost,
      document: canonicalJson(spec.document),
      signature: JSON.stringify(spec.signature),
      reported_at: report.at,
    })
    .onConflict((conflict) => conflict.column("digest").doNothing())
    .execute();
  if (report.publicPrivileges === undefined) return;
  await tx
    .insertInto("public_privileges")
    .values({
      digest: spec.document.publicPrivileges,
      document: canonicalJson(report.publicPrivileges),
      reported_at: report.at,
    })
    .onConflict((conflict) => conflict.column("digest").doNothing())
    .execute();
}

/** The inventory with this digest; `undefined` where none was reported, or the row was altered so that its digest does not name it any more. */
export async function publicPrivilegesByDigest(db: Db, digest: Digest): Promise<PublicPrivileges | undefined> {
  const row = await db
    .selectFrom("public_privileges")
    .select("document")
    .where("digest", "=", digest)
    .executeTakeFirst();
  const document = PublicPrivileges.safeParse(row === undefined ? undefined : parseJson(row.document));
  return document.success && digestOf("public-privileges", document.data) === digest ? document.data : undefined;
}

function resourcesWithSpec(db: Db) {
  return db
    .selectFrom("resources")
    .leftJoin("resource_specs", "resource_specs.digest", "resources.spec_digest")
    .selectAll("resources")
    .select(["resource_specs.document as spec_document", "resource_specs.signature as spec_signature"])
    .where("resources.removed_at", "is", null);
}

type ResourceColumns = Selectable<ResourcesTable> & {
  readonly spec_document: string | null;
  readonly spec_signature: unknown;
};

const Missing = z.array(MissingPrivilege);
const Warnings = z.array(z.string());

function stored(row: ResourceColumns): StoredResource {
  return {
    id: row.id,
    name: row.name,
    outpost: row.outpost,
    state: row.state,
    detail: row.detail ?? undefined,
    version: row.version ?? undefined,
    missing: Missing.parse(row.missing),
    warnings: Warnings.parse(row.warnings),
    reportedAt: row.reported_at ?? undefined,
    spec:
      row.spec_digest === null || row.spec_document === null
        ? undefined
        : readSpec({ digest: row.spec_digest, document: row.spec_document, signature: row.spec_signature }),
  };
}

function registered(resource: StoredResource | undefined): ResourceRow | undefined {
  if (resource?.spec === undefined) return undefined;
  const { id, name, outpost, state, spec } = resource;
  return {
    id,
    name,
    outpost,
    state,
    kind: spec.document.kind,
    spec: spec.document,
    specDigest: spec.digest,
    specSignature: spec.signature,
  };
}

/** `undefined` where the row was altered so that its digest does not name it any more. */
function readSpec(row: {
  readonly digest: string;
  readonly document: string;
  readonly signature: unknown;
}): StoredResource["spec"] {
  const document = ResourceSpec.safeParse(parseJson(row.document));
  const signature = Signature.safeParse(row.signature);
  if (!document.success || !signature.success) return undefined;
  const digest = digestOf("spec", document.data);
  return digest === row.digest ? { document: document.data, digest, signature: signature.data } : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
