/**
 * PostgreSQL as a resource: `spec/` says what it can do, `provider/` makes and ends logins at a real server, `gateway/` stands
 * before it. Versions 15 to 18. The
 * outpost opens it; the control plane loads `spec/spec.ts` alone.
 */
import type { Connector } from "../connector.ts";
import type { GatewayHost } from "../gateway.ts";
import { PostgresGateway } from "./gateway/gateway.ts";
import type { PostgresUpstream } from "./gateway/settings.ts";
import { grammarJudges } from "./gateway/statement-judge.ts";
import { PostgresProvider } from "./provider/provider.ts";
import type { PostgresConfig } from "./spec/config.ts";
import { postgresSpec } from "./spec/spec.ts";
import { loadParser } from "./spec/statement/parser.ts";

export const postgres: Connector<PostgresConfig> = {
  spec: postgresSpec,
  open: (config, host) => new PostgresProvider(config, host),
  gateway: async (host, settings, surroundings) => {
    await loadParser();
    // What is admitted is reached as `PostgresProvider.behindGateway` says, and that is a `PostgresUpstream`.
    return new PostgresGateway(host as GatewayHost<PostgresUpstream>, settings, surroundings, grammarJudges());
  },
};
