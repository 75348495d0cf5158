import { cidrContains, parseCidr } from "@cardea/core/lib/cidr";

/** Whether the address is in one of the networks. */
export function isWithin(networks: readonly string[], address: string): boolean {
  const own = parseCidr(address);
  if (own === undefined) return false;
  return networks.some((text) => {
    const network = parseCidr(text);
    return network !== undefined && cidrContains(network, own);
  });
}
