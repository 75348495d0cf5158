/**
 * Where a webhook may lead. A URL is an administrator's, but what its name resolves to is anybody's: addresses that only machines on this
 * network can reach for their own purposes (link-local, cloud metadata, multicast, unspecified) are refused when the connection is made,
 * and the connection goes to exactly the address that was looked at, so a name cannot change its mind in between.
 */
import type { LookupAddress, LookupOptions } from "node:dns";
import { lookup as systemLookup } from "node:dns/promises";
import type { LookupFunction } from "node:net";
import { CardeaError } from "@cardea/core/contract/errors";
import { cidrContains, parseCidr, type Cidr } from "@cardea/core/lib/cidr";

const refusedNetworks = cidrs([
  "0.0.0.0/8",
  "169.254.0.0/16", // link-local, and the metadata service of most clouds
  "100.100.100.200/32", // metadata of one cloud
  "192.0.0.192/32", // metadata of another
  "224.0.0.0/3", // multicast, reserved, broadcast
  "::/128",
  "fe80::/10",
  "fd00:ec2::254/128", // metadata over IPv6
  "ff00::/8",
  "64:ff9b::/96", // IPv4 behind a translator: it would hide what is behind
  "2002::/16",
]);
const loopback = cidrs(["127.0.0.0/8", "::1/128"]);

/** The URL, if notifications may go there: https, or plain http to this machine. @throws CardeaError `invalid_request` */
export function checkWebhookUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw invalidUrl("not a URL");
  if (url.username !== "" || url.password !== "")
    throw invalidUrl("a user or password does not belong in a URL; the signature proves who sends");
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopbackHost(url.hostname)))
    throw invalidUrl("notifications leave by https only; plain http is for this machine itself");
  const literal = parseCidr(url.hostname.replace(/^\[|\]$/g, ""));
  if (literal !== undefined && within(refusedNetworks, literal))
    throw invalidUrl("this address is not one that notifications may go to");
  return url;
}

/** A lookup for `http.request` that answers only with addresses that may be called. `allowed` networks are exempt. */
export function guardedLookup(url: URL, allowed: readonly Cidr[]): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, options)
      .then((found) => {
        const bad = found.find(({ address }) => !mayCall(url, address, allowed));
        if (bad !== undefined)
          throw new Error(`\`${hostname}\` leads to \`${bad.address}\`, where notifications may not go`);
        const [first] = found;
        if (first === undefined) throw new Error(`\`${hostname}\` has no address`);
        if (options.all === true) callback(null, found);
        else callback(null, first.address, first.family);
      })
      .catch((error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), []));
  };
}

/** Whether a connection for this URL may go to this address. */
export function mayCall(url: URL, address: string, allowed: readonly Cidr[]): boolean {
  const parsed = parseCidr(address.replace(/%.*$/, ""));
  if (parsed === undefined) return false;
  if (within(allowed, parsed)) return true;
  // A name of this machine must not lead away from it in clear.
  if (url.protocol === "http:") return within(loopback, parsed);
  return !within(refusedNetworks, parsed);
}

async function resolve(hostname: string, { family, hints }: LookupOptions): Promise<LookupAddress[]> {
  return systemLookup(hostname, {
    all: true,
    ...(family !== undefined && { family }),
    ...(hints !== undefined && { hints }),
  });
}

function isLoopbackHost(hostname: string): boolean {
  if (hostname === "localhost") return true;
  const literal = parseCidr(hostname.replace(/^\[|\]$/g, ""));
  return literal !== undefined && within(loopback, literal);
}

function within(networks: readonly Cidr[], address: Cidr): boolean {
  return networks.some((network) => cidrContains(network, address));
}

function cidrs(texts: readonly string[]): Cidr[] {
  return texts.map((text) => {
    const parsed = parseCidr(text);
    if (parsed === undefined) throw new TypeError(`\`${text}\` is no network`);
    return parsed;
  });
}

function invalidUrl(why: string): CardeaError {
  return new CardeaError("invalid_request", `the webhook's URL cannot be used: ${why}`, {
    pointers: [{ path: "url", message: why }],
  });
}
