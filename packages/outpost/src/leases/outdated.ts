import type { ErrorCode } from "@cardea/core/contract/errors";
import { canonicalJson } from "@cardea/core/documents/canonical";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import { refused, type Refused } from "@cardea/core/lib/result";
import type { ResourceHost } from "../resources/host.ts";

/** What the request was decided on must still be what the resource is: its labels and owners, and what the role, if one was asked for, can do. */
export function whyOutdated(
  host: ResourceHost,
  then: ResourceSpec,
  role: string | undefined,
): Refused<ErrorCode> | undefined {
  const now = host.found?.spec;
  const essence = ({ kind, labels, owners, capabilities, roles }: ResourceSpec): string =>
    canonicalJson({ kind, labels, owners, capabilities, role: role === undefined ? undefined : roles[role] });
  if (now !== undefined && essence(now) === essence(then)) return undefined;
  return refused("evidence_mismatch", `\`${then.name}\` has changed since the request was made; ask again`);
}
