/** Addresses: ranges of them, and whose a request is when proxies stand in front. */

import ipaddr from 'ipaddr.js';

export type AddressRange = readonly [network: ipaddr.IPv4 | ipaddr.IPv6, bits: number];

/** An address (then it alone) or a CIDR range; `undefined` when it is neither. */
export function readRange(text: string): AddressRange | undefined {
  // Not the forms with fewer than four numbers or with octal ones: 10.1 could be meant as 10.1.0.0, 010 as 10.
  if (ipaddr.IPv4.isValidCIDRFourPartDecimal(text)) return ipaddr.IPv4.parseCIDR(text);
  if (ipaddr.IPv6.isValidCIDR(text)) return unmapped(ipaddr.IPv6.parseCIDR(text));
  if (!ipaddr.IPv6.isValid(text) && !ipaddr.IPv4.isValidFourPartDecimal(text)) return undefined;
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

/** Clients of IPv4 are compared as such, also where a range writes them as IPv6. */
function unmapped([network, bits]: readonly [ipaddr.IPv6, number]): AddressRange {
  return network.isIPv4MappedAddress() && bits >= 96
    ? [network.toIPv4Address(), bits - 96]
    : [network, bits];
}

/** Whether the text is an address of one of the ranges. */
export function inRanges(address: string, ranges: readonly AddressRange[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const client = ipaddr.process(address);
  return ranges.some(
    ([network, bits]) => network.kind() === client.kind() && client.match(network, bits),
  );
}

export type AddressTest = (address: string) => boolean;

/** A test for addresses of these ranges; texts that are no range count for nothing. */
export function addressTest(texts: readonly string[]): AddressTest {
  const ranges = texts.map(readRange).filter((range) => range !== undefined);
  return (address) => ranges.length > 0 && inRanges(address, ranges);
}

/**
 * The client behind the proxies that are trusted. Each proxy adds to the end of `x-forwarded-for` who asked it, and a
 * client may have written anything before: so the list is read from its end, up to the first that is no trusted proxy.
 */
export function clientAddress(
  peer: string,
  forwardedFor: string | undefined,
  isTrusted: AddressTest,
): string {
  if (forwardedFor === undefined) return peer;
  const hops = forwardedFor.split(',');
  let address = peer;
  while (isTrusted(address)) {
    const hop = hops.pop();
    if (hop === undefined) break;
    address = withoutPort(hop.trim());
  }
  return address;
}

/** Some proxies write `203.0.113.7:1234`, or `[2001:db8::7]:1234`. */
function withoutPort(hop: string): string {
  return /^\[(.+)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
}
