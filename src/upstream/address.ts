import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Where an address lies: `public`, `private` (this machine and its networks, open to channels that
 * the operator marked) or `forbidden` (never a server: link-local with the metadata services of
 * clouds, multicast, documentation, reserved).
 */
export type AddressZone = 'public' | 'private' | 'forbidden';

type Range = readonly [bytes: readonly number[], bits: number];

/** IANA special-purpose registry, RFC 1918, RFC 6598. */
const privateV4: readonly Range[] = [
  [[10], 8],
  [[127], 8],
  [[172, 16], 12],
  [[192, 168], 16],
  [[100, 64], 10],
];

const forbiddenV4: readonly Range[] = [
  [[0], 8],
  [[169, 254], 16],
  [[192, 0, 0], 24],
  [[192, 0, 2], 24],
  [[192, 88, 99], 24],
  [[198, 18], 15],
  [[198, 51, 100], 24],
  [[203, 0, 113], 24],
  [[224], 4],
  [[240], 4],
  // The metadata service of Alibaba Cloud lies inside the shared space of carriers.
  [[100, 100, 100, 200], 32],
];

const forbiddenV6: readonly Range[] = [
  [[0x20, 0x01, 0x0d, 0xb8], 32],
  [[0x3f, 0xff], 20],
  // IETF protocol assignments, Teredo and its hidden addresses among them.
  [[0x20, 0x01, 0x00], 23],
  [[0x5f], 8],
  // The IPv6 metadata service of AWS lies inside the unique local space.
  [[0xfd, 0x00, 0x0e, 0xc2], 32],
];

const globalUnicast: Range = [[0x20], 3];
const uniqueLocal: Range = [[0xfc], 7];

/** Prefixes of addresses that carry an IPv4 address, and the offset of its four bytes. */
const embedded: readonly (readonly [Range, number])[] = [
  [[[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 96], 12],
  [[[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0], 96], 12],
  [[[0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], 96], 12],
  [[[0x20, 0x02], 16], 2],
];

/**
 * The zone of an address in text form, decided on its bytes. What a translation prefix wraps
 * (mapped, NAT64, 6to4, ISATAP) counts as the wrapped address. Text that is no address,
 * or names an interface, is forbidden.
 */
export function zoneOf(address: string): AddressZone {
  if (isIP(address) === 0 || address.includes('%')) return 'forbidden';
  const bytes = ipaddr.parse(address).toByteArray();
  return bytes.length === 4 ? zoneOfV4(bytes) : zoneOfV6(bytes);
}

function zoneOfV4(bytes: readonly number[]): AddressZone {
  if (forbiddenV4.some((range) => contains(range, bytes))) return 'forbidden';
  return privateV4.some((range) => contains(range, bytes)) ? 'private' : 'public';
}

function zoneOfV6(bytes: readonly number[]): AddressZone {
  for (const [range, offset] of embedded) {
    if (contains(range, bytes)) return zoneOfV4(bytes.slice(offset, offset + 4));
  }
  if (bytes.slice(0, 15).every((byte) => byte === 0))
    return bytes[15] === 1 ? 'private' : 'forbidden';
  // IPv4-compatible addresses, long deprecated: the last four bytes are the address.
  if (bytes.slice(0, 12).every((byte) => byte === 0)) return zoneOfV4(bytes.slice(12));
  if (isIsatap(bytes) && zoneOfV4(bytes.slice(12)) !== 'public') return 'forbidden';
  if (forbiddenV6.some((range) => contains(range, bytes))) return 'forbidden';
  if (contains(uniqueLocal, bytes)) return 'private';
  return contains(globalUnicast, bytes) ? 'public' : 'forbidden';
}

/** Interface identifiers `0000:5efe` and `0200:5efe` followed by an IPv4 address (RFC 5214). */
function isIsatap(bytes: readonly number[]): boolean {
  return (
    (bytes[8] === 0 || bytes[8] === 2) && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe
  );
}

function contains([prefix, bits]: Range, bytes: readonly number[]): boolean {
  for (let bit = 0; bit < bits; bit += 8) {
    const index = bit >> 3;
    const mask = bits - bit >= 8 ? 0xff : (0xff << (8 - (bits - bit))) & 0xff;
    if (((bytes[index] ?? 0) & mask) !== ((prefix[index] ?? 0) & mask)) return false;
  }
  return true;
}
