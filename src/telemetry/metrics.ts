/**
 * A small registry of metrics, written in the Prometheus text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Every metric has a bound on its
 * label sets: what would exceed it is counted under `other`, so that no client can make it grow.
 */

/** Label values in the order in which the metric names its labels. */
export type LabelValues = readonly string[];

export type Counter = { add(values: LabelValues, amount?: number): void };
export type Histogram = { observe(values: LabelValues, value: number): void };
export type GaugeReading = { readonly values: LabelValues; readonly value: number };

export type MetricOptions = {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Most label sets; 1,000 unless told. */
  readonly seriesMax?: number;
};

export type Registry = {
  counter(options: MetricOptions): Counter;
  /** `bounds`: upper bounds of the buckets, ascending, without infinity. */
  histogram(options: MetricOptions & { readonly bounds: readonly number[] }): Histogram;
  /** Read when the metrics are asked for, not before. */
  gauge(options: MetricOptions, read: () => Iterable<GaugeReading>): void;
  /** The text of all metrics, in the order of their registration. */
  render(): string;
};

const seriesMaxDefault = 1_000;
const separator = '\u0000';

export function createRegistry(): Registry {
  const metrics: { render(): string }[] = [];
  const names = new Set<string>();
  const add = <T extends { render(): string }>(name: string, metric: T): T => {
    if (names.has(name)) throw new RangeError(`there are two metrics with the name ${name}`);
    names.add(name);
    metrics.push(metric);
    return metric;
  };
  return {
    counter: (options) => add(options.name, new CounterMetric(options)),
    histogram: (options) => add(options.name, new HistogramMetric(options, options.bounds)),
    gauge: (options, read) => void add(options.name, new GaugeMetric(options, read)),
    render: () => metrics.map((metric) => metric.render()).join(''),
  };
}

/** The label sets of one metric, each with its state. */
class Series<State> {
  readonly options: MetricOptions;
  readonly #states = new Map<string, State>();
  readonly #make: () => State;

  constructor(options: MetricOptions, make: () => State) {
    this.options = options;
    this.#make = make;
  }

  at(values: LabelValues): State {
    const key = values.join(separator);
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const { labels, seriesMax = seriesMaxDefault } = this.options;
    if (values.length !== labels.length) {
      throw new RangeError(`${this.options.name} has ${labels.length} labels`);
    }
    const isFull = this.#states.size >= seriesMax - 1;
    const place = isFull ? labels.map(() => 'other').join(separator) : key;
    const state = this.#states.get(place) ?? this.#make();
    this.#states.set(place, state);
    return state;
  }

  *[Symbol.iterator](): Generator<readonly [LabelValues, State]> {
    for (const [key, state] of this.#states) {
      yield [this.options.labels.length === 0 ? [] : key.split(separator), state];
    }
  }
}

class CounterMetric implements Counter {
  readonly #series: Series<{ value: number }>;

  constructor(options: MetricOptions) {
    this.#series = new Series(options, () => ({ value: 0 }));
  }

  add(values: LabelValues, amount = 1): void {
    this.#series.at(values).value += amount;
  }

  render(): string {
    const { options } = this.#series;
    let text = head(options, 'counter');
    for (const [values, state] of this.#series)
      text += line(options.name, options, values, state.value);
    return text;
  }
}

type Buckets = { readonly counts: number[]; sum: number; count: number };

class HistogramMetric implements Histogram {
  readonly #series: Series<Buckets>;
  readonly #bounds: readonly number[];

  constructor(options: MetricOptions, bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#series = new Series(options, () => ({ counts: bounds.map(() => 0), sum: 0, count: 0 }));
  }

  observe(values: LabelValues, value: number): void {
    const buckets = this.#series.at(values);
    const index = this.#bounds.findIndex((bound) => value <= bound);
    if (index >= 0) buckets.counts[index] = (buckets.counts[index] ?? 0) + 1;
    buckets.sum += value;
    buckets.count += 1;
  }

  render(): string {
    const { options } = this.#series;
    const name = `${options.name}_bucket`;
    let text = head(options, 'histogram');
    for (const [values, { counts, sum, count }] of this.#series) {
      let below = 0;
      for (const [index, bound] of this.#bounds.entries()) {
        below += counts[index] ?? 0;
        text += line(name, options, values, below, String(bound));
      }
      text += line(name, options, values, count, '+Inf');
      text += line(`${options.name}_sum`, options, values, sum);
      text += line(`${options.name}_count`, options, values, count);
    }
    return text;
  }
}

class GaugeMetric {
  readonly #options: MetricOptions;
  readonly #read: () => Iterable<GaugeReading>;

  constructor(options: MetricOptions, read: () => Iterable<GaugeReading>) {
    this.#options = options;
    this.#read = read;
  }

  render(): string {
    const { name, seriesMax = seriesMaxDefault } = this.#options;
    let text = head(this.#options, 'gauge');
    let count = 0;
    for (const { values, value } of this.#read()) {
      if (count >= seriesMax) break;
      count += 1;
      text += line(name, this.#options, values, value);
    }
    return text;
  }
}

function head({ name, help }: MetricOptions, type: string): string {
  return `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`;
}

function line(
  name: string,
  { labels }: MetricOptions,
  values: LabelValues,
  value: number,
  bound?: string,
): string {
  const pairs = labels.map((label, index) => `${label}="${escaped(values[index] ?? '')}"`);
  if (bound !== undefined) pairs.push(`le="${bound}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${numberText(value)}\n`;
}

function escaped(value: string): string {
  return value
    .slice(0, 200)
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n');
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return String(value);
}
