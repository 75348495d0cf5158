/**
 * What the kind `postgres` is, as data: its configuration, what it can do, and the actions it knows. The control plane loads this
 * and nothing else of the connector; nothing here reaches a server.
 */
import type { ConnectorSpec } from "../../connector.ts";
import { actionNames } from "./actions.ts";
import { PostgresConfig } from "./config.ts";
import { readParameters } from "./parameters.ts";
import { maxIdentifierBytes } from "./table-name.ts";

export const postgresSpec: ConnectorSpec<PostgresConfig> = {
  kind: "postgres",
  schema: PostgresConfig,
  actionNames,
  readParameters,
  capabilities: {
    vias: {
      gateway: {
        expiry: "gateway",
        sessions: "gateway",
        closesSessions: "gateway",
        sourceIps: "gateway",
        uses: "gateway",
        hold: "gateway",
      },
      direct: {
        /** `VALID UNTIL` stops new logins; the outpost's end closes what is open. */
        expiry: "native",
        /** `CONNECTION LIMIT`. */
        sessions: "native",
        closesSessions: "native",
        sourceIps: "none",
        uses: "none",
        hold: "none",
      },
    },
    facets: { databases: "set", tables: "names", columns: "set", functions: "names", requireWhere: "flag" },
    listsOwn: true,
    resolvesUnknown: true,
    maxNameLength: maxIdentifierBytes,
    concurrency: 8,
  },
};
