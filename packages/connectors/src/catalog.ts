/** Every connector that comes with Cardea, by kind: for the outpost. The control plane uses `spec-catalog.ts`, which reaches no resource. */
import type { Connector } from "./connector.ts";
import { postgres } from "./postgres/connector.ts";

export const connectors: Readonly<Record<string, Connector>> = {
  postgres,
};
