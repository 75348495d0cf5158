/** What a held action asks for: what who holds the key would have asked for by themselves, for one run, in this session. Pure. */
import type { SessionId } from "@cardea/core/contract/ids";
import type { Grant } from "@cardea/core/documents/grant";
import type { Action, Asked, Request } from "@cardea/core/documents/request";
import { heldWindow } from "@cardea/core/wire/action-events";
import { toBase64Url } from "@cardea/core/lib/base64url";
import type { Random } from "@cardea/core/lib/random";

/** In the name of the grant's requester, and for the reason that they gave. */
export function askedFor(
  { grant, request, session }: { readonly grant: Grant; readonly request: Request; readonly session: SessionId },
  action: Action,
  random: Random,
): Asked {
  const { requester, resource, justification, ticket } = request.asked;
  const { sourceIps } = grant.limits;
  return {
    nonce: toBase64Url(random.bytes(24)),
    requester,
    resource,
    ask: { action },
    justification,
    ...(ticket !== undefined && { ticket }),
    window: { duration: heldWindow },
    ...(sourceIps !== undefined && { limits: { sourceIps } }),
    within: { grant: grant.id, session },
  };
}
