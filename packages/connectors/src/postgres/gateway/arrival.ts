/**
 * From an accepted connection to a start-up message: PROXY header, TLS asked for or begun directly, GSS declined, cancellations told
 * apart. Whoever speaks another protocol is dropped without an answer.
 */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Duplex } from "node:stream";
import { cidrContains, parseCidr } from "@cardea/core/lib/cidr";
import { ByteReader } from "./byte-reader.ts";
import { certificateHash } from "./certificate-hash.ts";
import { Farewell } from "./farewell.ts";
import { readProxyHeader, type ProxiedSource } from "./proxy-protocol.ts";
import type { PostgresGatewaySettings } from "./settings.ts";
import { longestStartupMessage, protocol, readStartup, type Startup } from "./startup-message.ts";

/** The name of the protocol in TLS (IANA, ALPN protocol ids). */
const alpn = "postgresql";
const tlsHandshake = 0x16;

/** A client whose start-up message has been read. */
export interface Client {
  readonly stream: Duplex;
  readonly reader: ByteReader;
  readonly source: ProxiedSource;
  readonly tls?: { readonly version: string; readonly binding: Uint8Array | undefined };
  readonly startup: Startup;
}

export type Arrived =
  | { readonly kind: "session"; readonly client: Client }
  | { readonly kind: "cancel"; readonly process: number; readonly key: Buffer }
  | { readonly kind: "dropped" };

/** The connection as it is now: the socket, or TLS over it. Here a farewell is to be said. */
export interface Line {
  stream: Duplex;
}

/** @throws ConnectionLost, Farewell */
export async function arrive(socket: Socket, line: Line, settings: PostgresGatewaySettings): Promise<Arrived> {
  let reader = new ByteReader(socket);
  let tls: Client["tls"];
  let source: ProxiedSource = { address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 };
  if (isProxy(settings.proxies, source.address)) {
    const header = await readProxyHeader(reader);
    if (header === "malformed") return { kind: "dropped" };
    if (header !== "local") source = header;
  }
  const protect = async (direct: boolean): Promise<void> => {
    const held = reader.release();
    if (held.length > 0) socket.unshift(held);
    const secured = await handshake(socket, settings, direct);
    line.stream = secured;
    reader = new ByteReader(secured);
    tls = { version: secured.getProtocol() ?? "TLS", binding: bindingOf(secured) };
  };

  if ((await reader.peek(1))[0] === tlsHandshake) {
    if (settings.tls === undefined) return { kind: "dropped" };
    await protect(true);
  }
  for (let gssAsked = false; ;) {
    const head = await reader.take(8);
    const [length, code] = [head.readInt32BE(0), head.readInt32BE(4)];
    if (code === protocol.sslRequest && length === 8 && tls === undefined) {
      if (settings.tls === undefined) {
        line.stream.write("N");
        continue;
      }
      // What came before the handshake was not protected: somebody may have put it there.
      if (reader.pending)
        throw new Farewell({ code: "08P01", message: "unencrypted bytes followed the request for TLS" });
      line.stream.write("S");
      await protect(false);
    } else if (code === protocol.gssEncRequest && length === 8 && !gssAsked && tls === undefined) {
      gssAsked = true;
      line.stream.write("N");
    } else if (code === protocol.cancelRequest && length >= 16 && length <= 12 + 256) {
      const body = await reader.take(length - 8);
      return { kind: "cancel", process: body.readInt32BE(0), key: body.subarray(4) };
    } else {
      if (length < 9 || length > longestStartupMessage) return { kind: "dropped" };
      const startup = readStartup(code, await reader.take(length - 8));
      if ("code" in startup) throw new Farewell(startup);
      if (tls === undefined && settings.requireTls && !isLoopback(socket.remoteAddress ?? ""))
        throw new Farewell({
          code: "28000",
          message: "this gateway asks for TLS: connect with `sslmode=require` or better",
        });
      return {
        kind: "session",
        client: { stream: line.stream, reader, source, startup, ...(tls === undefined ? {} : { tls }) },
      };
    }
  }
}

async function handshake(socket: Socket, settings: PostgresGatewaySettings, direct: boolean): Promise<TLSSocket> {
  const secured = new TLSSocket(socket, {
    isServer: true,
    // The caller asked before.
    ...(settings.tls === undefined ? {} : { secureContext: settings.tls.secureContext() }),
    ALPNProtocols: [alpn],
  });
  await new Promise<void>((done, failed) => {
    secured.once("secure", done);
    secured.once("error", failed);
    secured.once("close", () => failed(new Error("closed during the TLS handshake")));
  });
  // Without it, another protocol's client could be led to talk to us (RFC 7301; PostgreSQL documentation, "SSL Session Encryption").
  if (direct && secured.alpnProtocol !== alpn) {
    secured.destroy();
    throw new Error("TLS was begun directly without the protocol's name");
  }
  return secured;
}

function bindingOf(secured: TLSSocket): Buffer | undefined {
  const certificate = secured.getCertificate();
  return certificate !== null && "raw" in certificate && certificate.raw instanceof Uint8Array
    ? certificateHash(certificate.raw)
    : undefined;
}

/** Whether the address is a proxy's that has to say who its client is. */
export function isProxy(proxies: readonly string[], address: string): boolean {
  const own = parseCidr(address);
  return (
    own !== undefined &&
    proxies.some((text) => {
      const network = parseCidr(text);
      return network !== undefined && cidrContains(network, own);
    })
  );
}

function isLoopback(address: string): boolean {
  return address === "" || address === "::1" || /^(?:::ffff:)?127\./.test(address);
}
