import type { Capabilities, RoleSpec } from "@cardea/core/documents/resource-spec";
import type { Via } from "@cardea/core/documents/primitives";

/** What a resource offers. */
export interface Offer {
  readonly capabilities: Capabilities;
  readonly roles: Readonly<Record<string, RoleSpec>>;
}

/** What is left of what a connector can do at an outpost without a gateway of the kind: nobody is promised a way that nobody keeps open. */
export function withoutGateway({ capabilities, roles }: Offer): Offer {
  const { direct } = capabilities.vias;
  const other = (via: Via): boolean => via !== "gateway";
  return {
    capabilities: { ...capabilities, vias: direct === undefined ? {} : { direct } },
    roles: Object.fromEntries(
      Object.entries(roles)
        .map(([name, role]): [string, RoleSpec] => [
          name,
          { ...role, vias: role.vias.filter(other), narrows: role.narrows.filter(other) },
        ])
        .filter(([, role]) => role.vias.length > 0),
    ),
  };
}
