/** What the table must show. A miss is a sentence; an empty list is a pass. */

import type { Cell } from './measurement.ts';
import type { Scenario } from './scenarios.ts';

export const oursName = 'ours';

/** By id of the scenario, then by name of the strategy. */
export type Table = ReadonlyMap<string, ReadonlyMap<string, Cell>>;

/** Differences below these are noise of twenty seeds and count as equal. */
const successTolerancePercent = 0.02;
const p99Tolerance = 1.01;

type Bounds = {
  readonly successPercent?: number;
  /** Multiple of the p99 without faults and without pressure. */
  readonly p99OfFaultFree?: number;
  readonly p99Ms?: number;
  readonly rateLimitedPerHundred: number;
  readonly slowVendorPercent?: number;
  readonly recoveryMs?: number;
  readonly cacheHitPercent?: number;
  /** Share of the tokens that the limits would have allowed. */
  readonly goodputOfTheoryPercent?: number;
};

const bounds: Readonly<Record<string, Bounds>> = {
  A: { successPercent: 99.9, p99OfFaultFree: 1.5, rateLimitedPerHundred: 0.5, cacheHitPercent: 90 },
  B: { successPercent: 99.9, p99OfFaultFree: 1.5, rateLimitedPerHundred: 0.5 },
  C: {
    successPercent: 99.9,
    p99OfFaultFree: 2.5,
    rateLimitedPerHundred: 0.5,
    slowVendorPercent: 2,
    recoveryMs: 60_000,
  },
  D: {
    successPercent: 99.9,
    p99OfFaultFree: 2.5,
    rateLimitedPerHundred: 0.5,
    recoveryMs: 60_000,
  },
  E: { successPercent: 99.9, p99OfFaultFree: 1.5, rateLimitedPerHundred: 5 },
  F: { p99Ms: 2_000, rateLimitedPerHundred: 0.5, goodputOfTheoryPercent: 95 },
  G: { successPercent: 99.9, p99OfFaultFree: 1.5, rateLimitedPerHundred: 5 },
  '50': { successPercent: 99.9, rateLimitedPerHundred: 0.5, slowVendorPercent: 2 },
  '500': { successPercent: 99.9, rateLimitedPerHundred: 0.5, slowVendorPercent: 2 },
  '5000': { successPercent: 99.9, rateLimitedPerHundred: 0.5 },
};

const amplificationMaximum = 1.2;

/** Share of the offered tokens that the vendors' limits allow in the measured time. */
export function theoreticalShare(scenario: Scenario, cell: Cell, seeds: number): number {
  const measuredMinutes = ((scenario.durationMs - scenario.warmUpMs) * seeds) / 60_000;
  let perMinute = 0;
  for (const vendor of scenario.vendors) perMinute += vendor.tokensPerMinute;
  return Math.min(1, (perMinute * measuredMinutes) / cell.tokensOffered);
}

export function misses(
  scenario: Scenario,
  table: Table,
  faultFreeP99Ms: number,
  seeds: number,
): readonly string[] {
  const row = table.get(scenario.id);
  const cell = row?.get(oursName);
  if (row === undefined || cell === undefined) return [`${scenario.id}: not run`];
  return [
    ...boundMisses(scenario, cell, faultFreeP99Ms, seeds),
    ...baselineMisses(scenario.id, row, cell),
  ];
}

function boundMisses(
  scenario: Scenario,
  cell: Cell,
  faultFreeP99Ms: number,
  seeds: number,
): readonly string[] {
  const found: string[] = [];
  const bound = bounds[scenario.id];
  if (bound === undefined) return [`${scenario.id}: no thresholds`];
  const atMost = (what: string, value: number, limit: number | undefined): void => {
    if (limit === undefined || value <= limit) return;
    found.push(`${scenario.id}: ${what} ${value.toFixed(2)} is above ${limit.toFixed(2)}`);
  };
  const atLeast = (what: string, value: number, limit: number | undefined): void => {
    if (limit === undefined || value >= limit) return;
    found.push(`${scenario.id}: ${what} ${value.toFixed(2)} is below ${limit.toFixed(2)}`);
  };
  atLeast('success %', cell.successPercent, bound.successPercent);
  if (bound.p99OfFaultFree !== undefined) {
    atMost('p99 over fault-free p99', cell.p99Ms / faultFreeP99Ms, bound.p99OfFaultFree);
  }
  atMost('p99 ms', cell.p99Ms, bound.p99Ms);
  atMost('429 per 100', cell.rateLimitedPerHundred, bound.rateLimitedPerHundred);
  atMost('retry amplification', cell.attempts / cell.requests, amplificationMaximum);
  const slowPercent = (100 * cell.slowVendorAttempts) / Math.max(1, cell.slowWindowAttempts);
  atMost('share % of a slow vendor', slowPercent, bound.slowVendorPercent);
  atMost('recovery ms', cell.recoveryMaximumMs, bound.recoveryMs);
  atLeast('cache hit %', (100 * cell.cacheHits) / cell.cacheable, bound.cacheHitPercent);
  const goodput = cell.tokensServed / cell.tokensOffered;
  const ofTheory = (100 * goodput) / theoreticalShare(scenario, cell, seeds);
  atLeast('goodput % of theory', ofTheory, bound.goodputOfTheoryPercent);
  return found;
}

function baselineMisses(id: string, row: ReadonlyMap<string, Cell>, cell: Cell): readonly string[] {
  const found: string[] = [];
  for (const [name, other] of row) {
    if (name === oursName) continue;
    if (cell.successPercent < other.successPercent - successTolerancePercent) {
      found.push(
        `${id}: success ${cell.successPercent.toFixed(2)} % is below ${name} ${other.successPercent.toFixed(2)} %`,
      );
    }
    if (cell.p99Ms > other.p99Ms * p99Tolerance) {
      found.push(
        `${id}: p99 ${cell.p99Ms.toFixed(0)} ms is above ${name} ${other.p99Ms.toFixed(0)} ms`,
      );
    }
  }
  return found;
}
