/** The ten scripts: what vendors are there, what befalls them, and how hard clients press. */

import type { Fault, VendorSpec } from './vendor.ts';

export type Load =
  /** Poisson arrivals at a share of what the token limits allow. */
  | { readonly kind: 'open'; readonly share: number }
  /** So many clients, each with one request at a time and a pause between. */
  | {
      readonly kind: 'closed';
      readonly streams: number;
      readonly pauseMs: number;
      readonly rampMs: number;
    };

export type Scenario = {
  readonly id: string;
  readonly title: string;
  readonly vendors: readonly VendorSpec[];
  readonly load: Load;
  /** Share of the vendors' buckets that is full at the start. */
  readonly initialLevel: number;
  /** Requests that arrive before this are not measured. */
  readonly warmUpMs: number;
  readonly durationMs: number;
};

const dollars = 1_000_000_000;

type Row = readonly [
  id: string,
  firstContentMs: number,
  slots: number,
  interTokenMs: number,
  tokensPerMinute: number,
  inputDollars: number,
];

/** One model at eight channels: cheaper ones are sometimes, not always, slower. */
const rows: readonly Row[] = [
  ['north', 300, 40, 12, 300_000, 0.5],
  ['north-2', 350, 40, 15, 400_000, 0.5],
  ['east', 450, 40, 15, 500_000, 0.4],
  ['east-2', 500, 60, 18, 600_000, 0.45],
  ['south', 600, 40, 20, 400_000, 0.55],
  ['south-2', 700, 40, 20, 300_000, 0.5],
  ['west', 800, 30, 25, 200_000, 0.4],
  ['west-2', 400, 30, 15, 100_000, 0.6],
];

type Change = {
  readonly quota?: number;
  readonly slots?: number;
  readonly configuredFactor?: (index: number) => number | undefined;
  readonly sendsHeaders?: (index: number) => boolean;
  readonly faults?: Readonly<Record<string, readonly Fault[]>>;
};

function vendors(change: Change): readonly VendorSpec[] {
  const { quota = 1, slots = 1, configuredFactor, sendsHeaders, faults } = change;
  return rows.map(
    ([id, firstContentMs, rowSlots, interTokenMs, tokensPerMinute, inputDollars], index) => ({
      id,
      firstContentMs,
      sigma: 0.35,
      slots: rowSlots * slots,
      interTokenMs,
      prefillMsPerToken: 0.04,
      tokensPerMinute: tokensPerMinute * quota,
      requestsPerMinute: (tokensPerMinute * quota) / 1_500,
      inputNanoUsdPerMillion: inputDollars * dollars,
      outputNanoUsdPerMillion: inputDollars * 4 * dollars,
      sendsHeaders: sendsHeaders === undefined ? true : sendsHeaders(index),
      configuredFactor: configuredFactor === undefined ? 1 : configuredFactor(index),
      faults: faults?.[id] ?? [],
    }),
  );
}

const seconds = 1_000;
const warmUpMs = 30 * seconds;
const durationMs = 180 * seconds;

const brownout: readonly Fault[] = [
  { kind: 'slow', fromMs: 60 * seconds, toMs: 120 * seconds, amount: 8 },
  { kind: 'error', fromMs: 60 * seconds, toMs: 120 * seconds, amount: 0.4 },
];
const outage: readonly Fault[] = [{ kind: 'down', fromMs: 50 * seconds, toMs: 100 * seconds }];
const blackHole: readonly Fault[] = [{ kind: 'hang', fromMs: 70 * seconds, toMs: 130 * seconds }];

/** All faults at once, scaled to the length of a script. */
function everything(lengthMs: number): Readonly<Record<string, readonly Fault[]>> {
  const at = (share: number): number => share * lengthMs;
  return {
    north: [{ kind: 'slow', fromMs: at(0.3), toMs: at(0.6), amount: 8 }],
    'north-2': [{ kind: 'error', fromMs: at(0.25), toMs: at(0.65), amount: 0.4 }],
    east: [{ kind: 'hang', fromMs: at(0.45), toMs: at(0.75) }],
    south: [{ kind: 'down', fromMs: at(0.2), toMs: at(0.5) }],
  };
}

function open(id: string, title: string, share: number, change: Change): Scenario {
  const load: Load = { kind: 'open', share };
  return { id, title, vendors: vendors(change), load, initialLevel: 0.1, warmUpMs, durationMs };
}

function closed(
  streams: number,
  lengthMs: number,
  load: { pauseMs: number; rampMs: number; warmUpMs: number },
): Scenario {
  const factor = streams / 50;
  return {
    id: String(streams),
    title: `${streams} streams, all faults`,
    vendors: vendors({ quota: 2 * factor, slots: factor, faults: everything(lengthMs) }),
    load: { kind: 'closed', streams, pauseMs: load.pauseMs, rampMs: load.rampMs },
    initialLevel: 0.6,
    warmUpMs: load.warmUpMs,
    durationMs: lengthMs,
  };
}

/** Multiples of the truth that operators wrote down in G. */
const wrongFactors = [1.5, 0.7, 1, 1.4, 1, 0.8, 1.3, 1.5];

export const scenarios: readonly Scenario[] = [
  open('A', 'heterogeneous, 55 % load', 0.55, {}),
  open('B', '85 % of quota', 0.85, {}),
  open('C', 'brownout 8× and 40 % 5xx', 0.5, { faults: { north: brownout, east: brownout } }),
  open('D', 'outage and black hole', 0.5, { faults: { 'north-2': outage, north: blackHole } }),
  open('E', 'limits unknown, 80 %', 0.8, {
    configuredFactor: () => undefined,
    sendsHeaders: () => false,
  }),
  open('F', '130 % overload', 1.3, {}),
  open('G', 'configured limits wrong, 75 %', 0.75, {
    configuredFactor: (index) => wrongFactors[index],
    sendsHeaders: (index) => index % 2 === 0,
  }),
  closed(50, 120 * seconds, { pauseMs: 1_500, rampMs: 2_000, warmUpMs: 10 * seconds }),
  closed(500, 40 * seconds, { pauseMs: 4_000, rampMs: 2_000, warmUpMs: 3 * seconds }),
  closed(5_000, 20 * seconds, { pauseMs: 15_000, rampMs: 6_000, warmUpMs: 0 }),
];

function labVendor(
  id: string,
  firstContentMs: number,
  dollarsPerMillion: number,
  faults: readonly Fault[],
): VendorSpec {
  return {
    id,
    firstContentMs,
    sigma: 0.35,
    slots: 200,
    interTokenMs: 8,
    prefillMsPerToken: 0.04,
    tokensPerMinute: 2_000_000,
    requestsPerMinute: 600,
    inputNanoUsdPerMillion: dollarsPerMillion * dollars,
    outputNanoUsdPerMillion: dollarsPerMillion * dollars,
    sendsHeaders: false,
    configuredFactor: undefined,
    faults,
  };
}

/** The script of `test/lab/streams.ts`: four vendors of which one after the other fails, 50 streams. */
export const faultAfterFault: Scenario = {
  id: 'lab',
  title: '50 streams, one fault after another',
  vendors: [
    labVendor('a', 250, 1, [{ kind: 'slow', fromMs: 8_000, toMs: 16_000, amount: 8 }]),
    labVendor('b', 350, 1, [{ kind: 'error', fromMs: 16_000, toMs: 22_000, amount: 0.5 }]),
    labVendor('c', 450, 0.8, [{ kind: 'hang', fromMs: 24_000, toMs: 30_000 }]),
    labVendor('d', 700, 0.6, [{ kind: 'error', fromMs: 18_000, toMs: 24_000, amount: 0.3 }]),
  ],
  load: { kind: 'closed', streams: 50, pauseMs: 1, rampMs: 3_000 },
  initialLevel: 0.5,
  warmUpMs: 0,
  durationMs: 40_000,
};

/** The yardstick of "p99 without faults": the same vendors, plenty of quota, little load. */
export const faultFree: Scenario = {
  ...open('0', 'fault-free', 0.11, { quota: 5 }),
  id: '0',
};
