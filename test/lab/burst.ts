/**
 * What HTTP/2 would do for bursts: twenty requests at once to a vendor behind TLS, 200 ms of round trip and
 * 1 % of lost packets away, over connections that are open already and over ones that have to be opened.
 *
 *   npm run lab:burst        needs root and iproute2
 */

import { parseJsonObject } from '#std';
import { percentile } from '../bench/statistics.ts';
import {
  awayAddress,
  home,
  line,
  makeCertificates,
  makeNamespaces,
  run,
  slowDown,
  startVendor,
} from './network-world.ts';

const burst = 20;
const rounds = Number(process.argv[2] ?? 12);
const ways = [
  { name: 'HTTP/1.1, nothing open', http2: false, connections: 1_024, warm: 0 },
  { name: 'HTTP/1.1, one connection open', http2: false, connections: 1_024, warm: 1 },
  { name: 'HTTP/1.1, all connections open', http2: false, connections: 1_024, warm: burst },
  { name: 'HTTP/2 on one connection, nothing open', http2: true, connections: 1, warm: 0 },
  { name: 'HTTP/2 on one connection, open', http2: true, connections: 1, warm: 1 },
  { name: 'HTTP/2 on four connections, nothing open', http2: true, connections: 4, warm: 0 },
];

if (makeNamespaces()) {
  makeCertificates();
  await slowDown();
  await startVendor(awayAddress, 50, 'h2');
  const child = run(home, [
    process.execPath,
    'test/lab/burst-client.ts',
    `https://${awayAddress}:8443`,
    JSON.stringify(ways),
    String(burst),
    String(rounds),
  ]);
  const [text] = await line(child, /^\{.*\}$/);
  const report = parseJsonObject(text) as { readonly times?: number[][]; readonly errors?: number };
  console.log('way | median | p95 | slowest | answers');
  for (const [index, { name }] of ways.entries()) {
    const times = report.times?.[index] ?? [];
    const at = (share: number): string => `${percentile(times, share).toFixed(0)} ms`;
    console.log([name.padEnd(42), at(0.5), at(0.95), at(1), times.length].join(' | '));
  }
  console.log(`errors: ${report.errors ?? 'unknown'}`);
}
process.exit(0);
