/** The table and the closing line. */

import type { Installed } from './kits.ts';
import type { Row } from './world.ts';

export function printRow({ client, upstream, faults }: Row): void {
  console.log(`  ${faults.length === 0 ? 'pass' : 'FAIL'}  ${client.padEnd(44)} ${upstream}`);
  for (const fault of faults) console.log(`        ${fault}`);
}

export type Summary = {
  readonly rows: readonly Row[];
  readonly skipped: readonly { readonly what: string; readonly installed: Installed }[];
  /** Hosts that clients tried to reach and could not. */
  readonly hosts: readonly string[];
  readonly stopped: boolean;
  /** A machine that lacks what it should have is a failure: on continuous integration. */
  readonly strict: boolean;
};

/** Returns the exit code. Nothing passed is no success. */
export function printSummary({ rows, skipped, hosts, stopped, strict }: Summary): number {
  const upstreams = [...new Set(rows.map((row) => row.upstream))];
  const clients = [...new Set(rows.map((row) => row.client))];
  const width = Math.max(10, ...clients.map((client) => client.length));
  console.log(`\n${'client'.padEnd(width)}  ${upstreams.join('  ')}`);
  for (const client of clients) {
    const cells = upstreams.map((upstream) => {
      const row = rows.find(
        (candidate) => candidate.client === client && candidate.upstream === upstream,
      );
      return (row === undefined ? '-' : row.faults.length === 0 ? 'pass' : 'FAIL').padEnd(
        upstream.length,
      );
    });
    console.log(`${client.padEnd(width)}  ${cells.join('  ')}`);
  }
  if (hosts.length > 0) console.log(`\nrefused on the way out: ${hosts.join(', ')}`);
  for (const { what, installed } of skipped)
    console.error(`\nSKIPPED ${what}: ${installed.skipped?.reason}`);
  if (stopped) console.error('\nSTOPPED before all was done');
  const missing = strict
    ? skipped.filter(({ installed }) => installed.skipped?.machineAtFault === true).length
    : 0;
  const failed = rows.filter((row) => row.faults.length > 0).length + missing;
  const passed = rows.filter((row) => row.faults.length === 0).length;
  console.log(
    `\n${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`,
  );
  return failed > 0 || passed === 0 || stopped ? 1 : 0;
}
