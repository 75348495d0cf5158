/**
 * PostgreSQL as a resource: `spec/` says what it can do, `provider/` makes and ends logins at a real server. Versions 15 to 18. The
 * outpost opens it; the control plane loads `spec/spec.ts` alone.
 */
import type { Connector } from "../connector.ts";
import { PostgresProvider } from "./provider/provider.ts";
import type { PostgresConfig } from "./spec/config.ts";
import { postgresSpec } from "./spec/spec.ts";

export const postgres: Connector<PostgresConfig> = {
  spec: postgresSpec,
  open: (config, host) => new PostgresProvider(config, host),
};
