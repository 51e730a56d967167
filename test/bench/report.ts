/** Measurements as a table: medians over the rounds with paired bootstrap intervals. */

import type { Measurement } from './rounds.ts';
import { interval, median, pairedDifference, pairedRatio, type Interval } from './statistics.ts';
import type { Workload } from './workloads.ts';

/** What our cost is divided by. */
export const unitLeg = 'node-dispatch';

export function tableOf(workload: Workload, measurements: readonly Measurement[]): string {
  const legs = [...new Set(measurements.map(({ leg }) => leg))];
  const roundsOf = (leg: string): readonly Measurement[] =>
    measurements.filter((each) => each.leg === leg).sort((left, right) => left.round - right.round);
  const floor = roundsOf(unitLeg);
  const direct = roundsOf('direct');
  const rows = legs.map((leg) => rowOf(workload, leg, roundsOf(leg), floor, direct));
  const head = [
    'leg',
    `CPU µs/${workload.per}`,
    `÷ ${unitLeg}`,
    'added first content p50 / p99 ms',
    'added gap p99 ms',
    'RSS MiB',
    'failed',
    'others on CPU',
  ];
  return markdown([head, ...rows]);
}

function rowOf(
  workload: Workload,
  leg: string,
  own: readonly Measurement[],
  floor: readonly Measurement[],
  direct: readonly Measurement[],
): readonly string[] {
  const cost = own.map(({ cpuMicroseconds }) => cpuMicroseconds);
  const added = (pick: (measurement: Measurement) => number): Interval =>
    pairedDifference(own.map(pick), direct.map(pick));
  const first = workload.shape.chunks > 0 ? 'firstContentMs' : 'totalMs';
  const isDirect = leg === 'direct';
  return [
    leg,
    isDirect ? '' : withInterval(interval(cost), cost.some((value) => value >= 100) ? 0 : 1),
    isDirect || floor.length === 0
      ? ''
      : withInterval(
          pairedRatio(
            cost,
            floor.map(({ cpuMicroseconds }) => cpuMicroseconds),
          ),
          2,
        ),
    isDirect
      ? `(${number(median(own.map((each) => each[first].p50)), 2)} / ${number(median(own.map((each) => each[first].p99)), 2)})`
      : `${number(added((each) => each[first].p50).median, 2)} / ${number(added((each) => each[first].p99).median, 2)}`,
    workload.shape.chunks === 0
      ? ''
      : isDirect
        ? `(${number(median(own.map(({ gapMs }) => gapMs.p99)), 2)})`
        : number(added(({ gapMs }) => gapMs.p99).median, 2),
    isDirect ? '' : number(Math.max(...own.map(({ rssBytes }) => rssBytes)) / 2 ** 20, 0),
    String(own.reduce((sum, { failures }) => sum + failures, 0)),
    `${number(median(own.map(({ othersShare }) => othersShare)) * 100, 0)} %`,
  ];
}

function withInterval({ median: middle, low, high }: Interval, digits: number): string {
  return `${number(middle, digits)} [${number(low, digits)}, ${number(high, digits)}]`;
}

function number(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '-';
}

function markdown(rows: readonly (readonly string[])[]): string {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = [], ...rest] = rows;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(head), rule, ...rest.map(line)].join('\n');
}
