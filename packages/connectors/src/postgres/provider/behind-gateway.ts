import { durationMs } from "@cardea/core/lib/duration";
import { refused, ok } from "@cardea/core/lib/result";
import type { BehindGateway, GatewayTerms, ProviderHost } from "../../connector.ts";
import type { PostgresUpstream } from "../gateway/settings.ts";
import type { PostgresConfig } from "../spec/config.ts";
import { tlsOptions } from "./server.ts";

const defaults = { holdTimeout: "30m", transactionHoldTimeout: "2m" };

/** The resource as a gateway reaches it: with a session's own login, in one of the databases that the resource names. */
export function behindGateway({ connect, gateway }: PostgresConfig, host: Pick<ProviderHost, "secret">): BehindGateway {
  return {
    terms: termsOf(gateway),
    endpoint: ({ host: at, port, tls }) => ({
      host: at,
      port,
      databases: [...connect.databases],
      sslmode: tls === "none" ? "disable" : "verify-full",
      ...(typeof tls === "object" && { ca: tls.ca }),
    }),
    reach: async ({ database }) => {
      const wanted = connect.databases.find((one) => one === database);
      if (wanted === undefined) {
        const offered = connect.databases.map((one) => `\`${one}\``).join(", ");
        return refused("database_unknown", `this key opens no such database: connect to ${offered}`);
      }
      const tls = await tlsOptions(connect, host);
      return ok(({ user, secret }): PostgresUpstream => ({
        host: connect.host,
        port: connect.port,
        user,
        secret,
        database: wanted,
        tls,
      }));
    },
  };
}

function termsOf(gateway: PostgresConfig["gateway"]): GatewayTerms {
  return {
    ...(gateway?.sessionsMax === undefined ? {} : { sessionsMax: gateway.sessionsMax }),
    holdMs: durationMs(gateway?.holdTimeout ?? defaults.holdTimeout),
    transactionHoldMs: durationMs(gateway?.transactionHoldTimeout ?? defaults.transactionHoldTimeout),
    recordsOutput: gateway?.recordResults ?? false,
  };
}
