/** IPv4 and IPv6 networks as numbers. One family never contains the other; `::ffff:a.b.c.d` is read as IPv4. */
export interface Cidr {
  readonly family: 4 | 6;
  readonly base: bigint;
  readonly prefix: number;
}

/** Reads `10.0.0.0/8`, `10.1.2.3`, `2001:db8::/32`. `undefined` where malformed or where host bits are set. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const width = address.family === 4 ? 32 : 128;
  if (slash < 0) return { ...address, prefix: width };
  const written = text.slice(slash + 1);
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(written)) return undefined;
  const prefix = Number(written);
  if (prefix > width) return undefined;
  const hostBits = BigInt(width - prefix);
  if ((address.base >> hostBits) << hostBits !== address.base) return undefined;
  return { ...address, prefix };
}

/** Whether every address of `inner` is one of `outer`. */
export function cidrContains(outer: Cidr, inner: Cidr): boolean {
  if (outer.family !== inner.family || outer.prefix > inner.prefix) return false;
  const hostBits = BigInt((outer.family === 4 ? 32 : 128) - outer.prefix);
  return outer.base >> hostBits === inner.base >> hostBits;
}

function parseAddress(text: string): { family: 4 | 6; base: bigint } | undefined {
  if (!text.includes(":")) {
    const base = parseIpv4(text);
    return base === undefined ? undefined : { family: 4, base };
  }
  const base = parseIpv6(text);
  if (base === undefined) return undefined;
  return base >> 32n === 0xffffn ? { family: 4, base: base & 0xffff_ffffn } : { family: 6, base };
}

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let out = 0n;
  for (const part of parts) {
    // A leading zero is octal to some readers and decimal to others, so it is nobody's.
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    out = (out << 8n) | BigInt(part);
  }
  return out;
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) =>
    (half === "" ? [] : half.split(":")).flatMap((group, at, all) =>
      ipv6Group(group, index === halves.length - 1 && at === all.length - 1),
    ),
  );
  if (head === undefined) return undefined;
  const given = [...head, ...(tail ?? [])];
  if (given.some((group) => group === undefined)) return undefined;
  const missing = 8 - given.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = tail === undefined ? head : [...head, ...Array.from({ length: missing }, () => 0n), ...tail];
  return groups.reduce<bigint>((out, group) => (out << 16n) | (group ?? 0n), 0n);
}

/** One group, or the two that an IPv4 address in dotted form is; that may stand only at the very end of the address. */
function ipv6Group(text: string, atEnd: boolean): (bigint | undefined)[] {
  if (atEnd && text.includes(".")) {
    const embedded = parseIpv4(text);
    return embedded === undefined ? [undefined] : [embedded >> 16n, embedded & 0xffffn];
  }
  return [/^[0-9a-fA-F]{1,4}$/.test(text) ? BigInt(`0x${text}`) : undefined];
}
