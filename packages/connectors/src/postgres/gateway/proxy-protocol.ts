/**
 * The header by which a proxy in front of us says who its client is: PROXY protocol, versions 1 (a line) and 2 (binary), as published by
 * HAProxy. Read only on connections from proxies that are configured as such; there it is demanded.
 */
import { parseCidr } from "@cardea/core/lib/cidr";
import type { ByteReader } from "./byte-reader.ts";

const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
/** A line of version 1 with its end, at most (section 2.1). */
const longestLine = 107;
/** More than any address with its extensions needs. */
const longestBody = 4_096;

export interface ProxiedSource {
  readonly address: string;
  readonly port: number;
}

/**
 * Takes the header. `local`: the proxy speaks for itself, as in its health checks. `malformed`: the connection is to be dropped.
 * @throws ConnectionLost
 */
export async function readProxyHeader(reader: ByteReader): Promise<ProxiedSource | "local" | "malformed"> {
  const [first] = await reader.peek(1);
  return first === signature[0] ? readBinary(reader) : readLine(reader);
}

async function readLine(reader: ByteReader): Promise<ProxiedSource | "local" | "malformed"> {
  const start = await reader.take(6);
  if (start.toString("latin1") !== "PROXY ") return "malformed";
  let line = "";
  while (!line.endsWith("\r\n")) {
    if (line.length > longestLine) return "malformed";
    line += (await reader.take(1)).toString("latin1");
  }
  const [family, source, , port] = line.trimEnd().split(" ");
  if (family === "UNKNOWN") return "local";
  if ((family !== "TCP4" && family !== "TCP6") || source === undefined) return "malformed";
  return parsed(source, Number(port));
}

async function readBinary(reader: ByteReader): Promise<ProxiedSource | "local" | "malformed"> {
  const head = await reader.take(16);
  const length = head.readUInt16BE(14);
  const [version, command] = [head.readUInt8(12) >> 4, head.readUInt8(12) & 15];
  if (!head.subarray(0, 12).equals(signature) || version !== 2 || length > longestBody) return "malformed";
  const body = await reader.take(length);
  if (command === 0) return "local";
  if (command !== 1) return "malformed";
  switch (head.readUInt8(13)) {
    case 0x11: // TCP over IPv4
      return length < 12 ? "malformed" : parsed(body.subarray(0, 4).join("."), body.readUInt16BE(8));
    case 0x21: // TCP over IPv6
      return length < 36 ? "malformed" : parsed(ipv6(body.subarray(0, 16)), body.readUInt16BE(32));
    default:
      return "malformed";
  }
}

function ipv6(bytes: Buffer): string {
  return Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(":");
}

function parsed(address: string, port: number): ProxiedSource | "malformed" {
  const valid = parseCidr(address) !== undefined && Number.isInteger(port) && port >= 0 && port <= 65_535;
  return valid ? { address, port } : "malformed";
}
