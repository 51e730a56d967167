import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { zoneOf } from './address.ts';
import { UpstreamFailure } from './failure.ts';

/** One record of a name. */
export type ResolvedAddress = { readonly address: string; readonly family: number };

/** Turns a name into all of its addresses; rejects with a DNS error code. */
export type Resolve = (hostname: string) => Promise<readonly ResolvedAddress[]>;

/** What an outbound URL may be. */
export type EgressPolicy = {
  /** The operator marked this channel: private addresses and plain http are open to it. */
  readonly allowPrivate: boolean;
  /** Allowed ports; any when absent. */
  readonly ports?: ReadonlySet<number>;
};

const urlCharactersMax = 8_192;

/** Resolves by the operating system, so that /etc/hosts counts as it does everywhere else. */
export const systemResolve: Resolve = (hostname) =>
  new Promise((resolve, reject) => {
    systemLookup(hostname, { all: true }, (error, addresses) => {
      if (error === null) resolve(addresses);
      else reject(error);
    });
  });

/**
 * Reads a URL once and refuses what must never be called: other schemes than https (http for
 * private channels), credentials in the URL, ports outside the policy, and addresses outside the
 * zones of the policy. Names are checked again when they are resolved. Throws UpstreamFailure of
 * kind 'forbidden'.
 */
export function checkUrl(text: string, policy: EgressPolicy): URL {
  if (text.length > urlCharactersMax) throw forbidden('the URL is too long');
  const url = URL.parse(text);
  if (url === null) throw forbidden('the URL cannot be read');
  if (url.protocol !== 'https:' && !(policy.allowPrivate && url.protocol === 'http:')) {
    throw forbidden('only https URLs are called');
  }
  if (url.username !== '' || url.password !== '') throw forbidden('the URL holds credentials');
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  if (policy.ports !== undefined && !policy.ports.has(port))
    throw forbidden(`port ${port} is not allowed`);
  const host = literalHost(url);
  if (isIP(host) !== 0) checkAddress(host, policy);
  else if (host === '') throw forbidden('the URL has no host');
  return url;
}

/** The host as an address or a name, without the brackets of IPv6. */
function literalHost(url: URL): string {
  const { hostname } = url;
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** Throws when an address lies outside the zones of the policy. */
export function checkAddress(address: string, policy: EgressPolicy): void {
  const zone = zoneOf(address);
  if (zone === 'public' || (zone === 'private' && policy.allowPrivate)) return;
  throw forbidden(`the address is ${zone}`);
}

/**
 * Names that only a local resolver answers. Behind an outbound proxy the proxy resolves, so that
 * nothing but the name itself can be judged here.
 */
export function checkNameForProxy(url: URL, policy: EgressPolicy): void {
  if (policy.allowPrivate) return;
  const host = literalHost(url).replace(/\.$/, '');
  if (isIP(host) !== 0) return;
  if (
    !host.includes('.') ||
    /(?:^|\.)(?:localhost|local|internal|intranet|lan|home|corp)$/.test(host)
  ) {
    throw forbidden('the host is a local name');
  }
}

/**
 * A lookup function for sockets: resolves, demands that every record lies in the zones of the
 * policy, and gives exactly the checked addresses to the socket, so that no second resolution can
 * answer differently.
 */
export function guardedLookup(resolve: Resolve, policy: EgressPolicy): LookupFunction {
  return (hostname, options, answer) => {
    resolveChecked(resolve, hostname, policy).then(
      (records) => {
        const [first] = records;
        if (options.all === true) answer(null, records);
        else answer(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => answer(error, '', 0),
    );
  };
}

type CheckedAddresses = [ResolvedAddress, ...ResolvedAddress[]];

async function resolveChecked(
  resolve: Resolve,
  hostname: string,
  policy: EgressPolicy,
): Promise<CheckedAddresses> {
  const records = await resolve(hostname);
  const checked = records.map(({ address }) => {
    checkAddress(address, policy);
    return { address, family: isIP(address) };
  });
  const [first, ...others] = checked;
  if (first === undefined) throw Object.assign(new Error('no address'), { code: 'ENOTFOUND' });
  return [first, ...others];
}

function forbidden(reason: string): UpstreamFailure {
  return new UpstreamFailure('forbidden', `the call is not allowed: ${reason}`, false);
}
