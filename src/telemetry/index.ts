export * from './log.ts';
export {
  createRegistry,
  type Counter,
  type GaugeReading,
  type Histogram,
  type LabelValues,
  type MetricOptions,
  type Registry,
} from './metrics.ts';
export { createRequestMetrics, type RequestFacts, type RequestMetrics } from './request-metrics.ts';
