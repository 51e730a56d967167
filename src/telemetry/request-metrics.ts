/** What is counted of every request. docs/reference/metrics.md lists the names. */

import type { Registry } from './metrics.ts';

/** One request at its end. Times in milliseconds. */
export type RequestFacts = {
  readonly dialect: string;
  /** A model that exists here, or `unknown`: the words of a client never become labels. */
  readonly model: string;
  readonly status: number;
  readonly errorCode: string | undefined;
  readonly durationMs: number;
  readonly firstContentMs: number | undefined;
  readonly attempts: readonly { readonly channelId: string; readonly outcome: string }[];
};

export type RequestMetrics = {
  /** A request that began to be worked on; to be followed by `ended`. */
  begun(): void;
  ended(facts: RequestFacts): void;
  /** So many that had begun will never end: their process is gone. */
  abandoned(count: number): void;
};

const firstContentBoundsS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 13, 20, 40, 120];
const durationBoundsS = [0.1, 0.3, 0.5, 1, 2, 3, 5, 8, 13, 20, 40, 60, 120, 300, 900];

export function createRequestMetrics(registry: Registry): RequestMetrics {
  const requests = registry.counter({
    name: 'manifold_requests_total',
    help: 'Requests answered, by dialect, model and class of status.',
    labels: ['dialect', 'model', 'status_class'],
  });
  const firstContent = registry.histogram({
    name: 'manifold_first_content_seconds',
    help: 'Time from the request to the first content of its answer.',
    labels: ['dialect', 'model'],
    bounds: firstContentBoundsS,
  });
  const duration = registry.histogram({
    name: 'manifold_request_seconds',
    help: 'Time from the request to the end of its answer.',
    labels: ['dialect', 'model'],
    bounds: durationBoundsS,
  });
  const attempts = registry.counter({
    name: 'manifold_attempts_total',
    help: 'Calls to upstreams, by channel and outcome.',
    labels: ['channel', 'outcome'],
  });
  const refusals = registry.counter({
    name: 'manifold_balance_refusals_total',
    help: 'Requests refused for want of money, by reason.',
    labels: ['reason'],
  });
  let active = 0;
  registry.gauge(
    { name: 'manifold_requests_active', help: 'Requests being worked on.', labels: [] },
    () => [{ values: [], value: active }],
  );
  return {
    begun() {
      active += 1;
    },
    abandoned(count) {
      active -= count;
    },
    ended({ dialect, model, status, errorCode, durationMs, firstContentMs, attempts: calls }) {
      active -= 1;
      requests.add([dialect, model, `${Math.floor(status / 100)}xx`]);
      duration.observe([dialect, model], durationMs / 1_000);
      if (firstContentMs !== undefined) {
        firstContent.observe([dialect, model], firstContentMs / 1_000);
      }
      for (const { channelId, outcome } of calls) attempts.add([channelId, outcome]);
      if (errorCode === 'insufficient_balance' || errorCode === 'budget_exceeded') {
        refusals.add([errorCode]);
      }
    },
  };
}
