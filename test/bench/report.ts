/** Measurements as a table: medians over the rounds with paired bootstrap intervals. */

import type { Fidelity } from './fidelity.ts';
import type { Capacity, Measurement } from './rounds.ts';
import { interval, median, pairedDifference, pairedRatio, type Interval } from './statistics.ts';
import type { Workload } from './workloads.ts';

/** What our cost is divided by. */
export const unitLeg = 'node-dispatch';

/** With fewer undisturbed rounds than this, all of them count, and the table says so. */
const undisturbedMin = 5;

type Rows = readonly Measurement[];

export function tableOf(
  workload: Workload,
  measurements: Rows,
  capacities: readonly Capacity[],
  fidelities: readonly Fidelity[],
): string {
  const counted = countedRounds(measurements);
  const roundsOf = (leg: string, rate: number): Rows =>
    counted
      .filter((each) => each.leg === leg && each.rate === rate)
      .sort((left, right) => left.round - right.round);
  const pairs = [
    ...new Map(measurements.map(({ leg, rate }) => [`${rate} ${leg}`, { leg, rate }])).values(),
  ].sort((one, other) => other.rate - one.rate || one.leg.localeCompare(other.leg));
  const rows = pairs.map(({ leg, rate }) =>
    rowOf(workload, leg, {
      own: roundsOf(leg, rate),
      floor: roundsOf(unitLeg, rate),
      direct: roundsOf('direct', rate),
      capacity: capacities.find((capacity) => capacity.leg === leg),
      fidelity: fidelities.find((fidelity) => fidelity.leg === leg),
    }),
  );
  const head = [
    'leg',
    'asked/s',
    `CPU µs/${workload.per}`,
    `÷ ${unitLeg}`,
    'added first content p50 / p99 ms',
    'added gap p50 / p99 ms',
    'RSS MiB',
    'failed',
    'most/s',
    'content',
  ];
  return `${markdown([head, ...rows])}\n${remarks(measurements, counted)}`;
}

/** Only rounds in which no leg was disturbed, as long as there are enough of them. */
export function countedRounds(measurements: Rows): Rows {
  const disturbed = new Set(
    measurements.filter((each) => each.disturbances.length > 0).map(({ round }) => round),
  );
  const clean = measurements.filter(({ round }) => !disturbed.has(round));
  return new Set(clean.map(({ round }) => round)).size >= undisturbedMin ? clean : measurements;
}

function remarks(measurements: Rows, counted: Rows): string {
  const all = new Set(measurements.map(({ round }) => round)).size;
  const used = new Set(counted.map(({ round }) => round)).size;
  const counts = new Map<string, number>();
  for (const { disturbances } of measurements)
    for (const each of disturbances) counts.set(each, (counts.get(each) ?? 0) + 1);
  const told = [...counts].map(([what, count]) => `${what} ${count}`).join(', ');
  const disturbed = told === '' ? 'nothing disturbed them' : `disturbances: ${told}`;
  const verdict =
    used < all
      ? `${used} of ${all} rounds count, the others were disturbed`
      : told === ''
        ? `all ${all} rounds count`
        : `all ${all} rounds count, because too few were undisturbed: compare ratios only`;
  return `${verdict}; ${disturbed} (of ${measurements.length} measurements)`;
}

type Compared = {
  readonly own: Rows;
  readonly floor: Rows;
  readonly direct: Rows;
  readonly capacity: Capacity | undefined;
  readonly fidelity: Fidelity | undefined;
};

function rowOf(workload: Workload, leg: string, compared: Compared): readonly string[] {
  const { own, floor, direct, capacity, fidelity } = compared;
  const cost = own.map(({ cpuMicroseconds }) => cpuMicroseconds);
  const isDirect = leg === 'direct';
  const isStream = workload.shape.chunks > 0;
  const first = isStream ? 'firstContentMs' : 'totalMs';
  const time = (pick: (measurement: Measurement) => number): string =>
    isDirect
      ? number(median(own.map(pick)), 2)
      : withInterval(pairedDifference(own.map(pick), direct.map(pick)), 2);
  const times = (kind: 'firstContentMs' | 'totalMs' | 'gapMs'): string => {
    const both = `${time((each) => each[kind].p50)} / ${time((each) => each[kind].p99)}`;
    return isDirect ? `(${both})` : both;
  };
  const costs = floor.map(({ cpuMicroseconds }) => cpuMicroseconds);
  return [
    leg,
    String(own[0]?.rate ?? ''),
    isDirect ? '' : withInterval(interval(cost), cost.some((value) => value >= 100) ? 0 : 1),
    isDirect || floor.length === 0 ? '' : withInterval(pairedRatio(cost, costs), 2),
    times(first),
    isStream ? times('gapMs') : '',
    isDirect ? '' : number(Math.max(...own.map(({ rssBytes }) => rssBytes)) / 2 ** 20, 0),
    String(own.reduce((sum, { failures }) => sum + failures, 0)),
    capacity === undefined ? '' : mostOf(capacity),
    fidelity?.verdict ?? '',
  ];
}

/** What the leg answered when the next request followed the last; `>` where it was not the limit. */
function mostOf({ perSecond, offered }: Capacity): string {
  return `${perSecond >= offered * 0.85 ? '> ' : ''}${number(perSecond, 0)}`;
}

export function withInterval({ median: middle, low, high }: Interval, digits: number): string {
  return `${number(middle, digits)} [${number(low, digits)}, ${number(high, digits)}]`;
}

export function number(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '-';
}

export function markdown(rows: readonly (readonly string[])[]): string {
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
