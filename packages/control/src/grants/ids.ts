import type { StoredGrant } from "../store/grants.ts";

/** Ids of a grant for the log. */
export function grantIds(grant: StoredGrant): Record<string, string> {
  return {
    grant: grant.id,
    request: grant.request,
    requester: grant.requester,
    ...(grant.onBehalfOf !== undefined && { onBehalfOf: grant.onBehalfOf }),
    outpost: grant.outpost,
  };
}
