/** What every kind of resource is, by kind: pure data and schemas, so the control plane may load it. */
import type { ConnectorSpec, ResourceConfig } from "./connector.ts";
import { postgresSpec } from "./postgres/spec/spec.ts";

export const connectorSpecs: Readonly<Record<string, ConnectorSpec<ResourceConfig>>> = {
  postgres: postgresSpec,
};
