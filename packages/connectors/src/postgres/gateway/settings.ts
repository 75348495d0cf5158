/** What a PostgreSQL gateway is opened with, and how much of anything it takes. */
import type { SecureContext, ConnectionOptions } from "node:tls";

export interface PostgresGatewaySettings {
  /** The certificate that clients see, asked for at each connection so that it can change; absent: nothing is encrypted. */
  readonly tls?: { secureContext(): SecureContext };
  /** Whether sessions must be encrypted; connections from this very machine need not be. */
  readonly requireTls: boolean;
  /** Networks (CIDR) of proxies that send a PROXY header, which is demanded of them and of nobody else. */
  readonly proxies: readonly string[];
  readonly limits?: Partial<GatewayLimits>;
}

/** How the gateway reaches the resource for one session: the session's own login, made for it. */
export interface PostgresUpstream {
  /** A host name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly secret: string;
  readonly database: string;
  readonly tls: false | ConnectionOptions;
  /** Further settings to start with, such as `search_path`; they win over the client's. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface GatewayLimits {
  /** From the connection to the end of signing in, in milliseconds. */
  readonly arrivalMs: number;
  /** Connections that have not signed in: in all, and from one address. */
  readonly arriving: number;
  readonly arrivingFromOne: number;
  /** Reaching the resource and signing in there, in milliseconds. */
  readonly upstreamMs: number;
  /** A statement, a Bind with what is recorded of it, everything of one held pipeline: in bytes. Larger statements are refused. */
  readonly statementBytes: number;
  /** Prepared statements and open portals of one session. */
  readonly prepared: number;
  /** Messages that the resource still owes an answer to; then the client has to wait. */
  readonly pipeline: number;
  /** How often a waiting client hears from us, in milliseconds. */
  readonly keepAliveMs: number;
  /** What a client gets to close after its last message has left, before the socket is dropped, in milliseconds. */
  readonly farewellMs: number;
}

export const defaultLimits: GatewayLimits = {
  arrivalMs: 15_000,
  arriving: 512,
  arrivingFromOne: 128,
  upstreamMs: 10_000,
  statementBytes: 1_048_576,
  prepared: 10_000,
  pipeline: 10_000,
  keepAliveMs: 15_000,
  farewellMs: 100,
};
