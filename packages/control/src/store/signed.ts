/**
 * Documents in the database: canonical text, digest and signatures. The database's administrator can write any row, so whoever reads
 * a document to act on it goes through `readSigned`, which believes the control plane's signature and nothing else.
 */
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { digestOf, type Digest, type DocumentType } from "@cardea/core/documents/digest";
import { anyVerifies, Signature, signDigest } from "@cardea/core/documents/signature";
import type { ControlKeys } from "../control.ts";
import { Recent } from "./recent.ts";

/** A document whose digest and control signature were checked. */
export interface Signed<T> {
  readonly document: T;
  readonly digest: Digest;
  readonly signatures: readonly Signature[];
}

/** The columns that hold a document. */
export interface SignedColumns {
  readonly digest: string;
  /** Canonical JSON. */
  readonly document: string;
  readonly signatures: unknown;
}

const Signatures = z.array(Signature).max(10);

/** Signs as the control plane. Further signatures (an approver's own) stand beside it. */
export function signDocument<T>(
  { signing }: Pick<ControlKeys, "signing">,
  type: DocumentType,
  document: T,
  others: readonly Signature[] = [],
): Signed<T> {
  const digest = digestOf(type, document);
  const signed = { document, digest, signatures: [signDigest("control", signing.id, signing.seed, digest), ...others] };
  verifiedUnder(signing.publicKey).set(digest, {
    bytes: bytesOf(type, signed.signatures, canonicalJson(document)),
    signed,
  });
  return signed;
}

/** What to store for a signed document. */
export function signedColumns<T>({ document, digest, signatures }: Signed<T>): {
  digest: string;
  document: string;
  signatures: string;
} {
  return { digest, document: canonicalJson(document), signatures: JSON.stringify(signatures) };
}

/**
 * The stored document, if the control plane signed exactly it. `id`: the row's key, which must be the document's, so that two rows'
 * documents cannot be swapped. @throws CardeaError `evidence_signature` where the row was altered
 */
export function readSigned<T extends { readonly id: string }>(
  { signing }: Pick<ControlKeys, "signing">,
  type: DocumentType,
  schema: z.ZodType<T>,
  row: SignedColumns & { readonly id: string },
): Signed<T> {
  const signed = openSigned(signing.publicKey, type, schema, row);
  if (signed?.document.id !== row.id) {
    throw new CardeaError(
      "evidence_signature",
      `the stored ${type} \`${row.id}\` was altered: it does not bear the control plane's signature`,
      {
        extra: { altered: row.id },
      },
    );
  }
  return signed;
}

/** Like `readSigned` for documents without an id; `undefined` where the row was altered. */
export function openSigned<T>(
  publicKey: Uint8Array,
  type: DocumentType,
  schema: z.ZodType<T>,
  row: SignedColumns,
): Signed<T> | undefined {
  const signatures = Signatures.safeParse(row.signatures);
  if (!signatures.success) return undefined;
  const bytes = bytesOf(type, signatures.data, row.document);
  const cache = verifiedUnder(publicKey);
  const known = cache.get(row.digest);
  // Only the very same bytes of the same type, which this function parsed by that type's one schema, need no second look.
  if (known?.bytes === bytes) return known.signed as Signed<T>;
  const document = schema.safeParse(parseJson(row.document));
  if (!document.success) return undefined;
  const digest = digestOf(type, document.data);
  if (digest !== row.digest || !anyVerifies(signatures.data, "control", publicKey, digest)) return undefined;
  const signed = { document: document.data, digest, signatures: signatures.data };
  cache.set(digest, { bytes, signed });
  return signed;
}

interface Verified {
  readonly bytes: string;
  readonly signed: Signed<unknown>;
}

function bytesOf(type: DocumentType, signatures: readonly Signature[], document: string): string {
  return `${type} ${canonicalJson(signatures)} ${document}`;
}

/** Verified documents by digest. Parsing and verifying takes 0.3 ms, and each is read again at every step of its way. */
const verified = new WeakMap<Uint8Array, Recent<string, Verified>>();
const maxVerified = 2_000;

function verifiedUnder(publicKey: Uint8Array): Recent<string, Verified> {
  let cache = verified.get(publicKey);
  if (cache === undefined) {
    cache = new Recent(maxVerified);
    verified.set(publicKey, cache);
  }
  return cache;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
