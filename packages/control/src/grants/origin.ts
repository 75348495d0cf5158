import { CardeaError } from "@cardea/core/contract/errors";
import type { Request } from "@cardea/core/documents/request";
import type { Control, Tx } from "../control.ts";
import type { StoredGrant } from "../store/grants.ts";
import { maybeOneRequest } from "../store/requests.ts";
import type { Signed } from "../store/signed.ts";

/**
 * The request that a grant was made from: by the digest in its signed document, whatever its row names. Who a grant is for is read here and
 * never from a column. @throws CardeaError `evidence_mismatch`, `evidence_signature` where a row was altered
 */
export async function originOf(db: Tx | Control["db"], control: Control, grant: StoredGrant): Promise<Signed<Request>> {
  const request = await maybeOneRequest(db, control.keys, grant.request);
  if (request === undefined || grant.signed.document.request !== request.signed.digest) {
    throw new CardeaError(
      "evidence_mismatch",
      `the stored grant \`${grant.id}\` is not of the request that its row names`,
      { extra: { altered: grant.id } },
    );
  }
  return request.signed;
}
