import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRegistry } from './metrics.ts';
import { createRequestMetrics } from './request-metrics.ts';

describe('the registry of metrics', () => {
  it('writes counters, gauges and cumulative buckets in the Prometheus text format', () => {
    const registry = createRegistry();
    registry.counter({ name: 'a_total', help: 'As.', labels: ['kind'] }).add(['x'], 2);
    const times = registry.histogram({
      name: 't_seconds',
      help: 'Ts.',
      labels: [],
      bounds: [1, 2],
    });
    for (const value of [0.5, 1.5, 1.6, 9]) times.observe([], value);
    registry.gauge({ name: 'g', help: 'Gs.', labels: ['n'] }, () => [{ values: ['1'], value: 7 }]);
    assert.equal(
      registry.render(),
      [
        '# HELP a_total As.',
        '# TYPE a_total counter',
        'a_total{kind="x"} 2',
        '# HELP t_seconds Ts.',
        '# TYPE t_seconds histogram',
        't_seconds_bucket{le="1"} 1',
        't_seconds_bucket{le="2"} 3',
        't_seconds_bucket{le="+Inf"} 4',
        't_seconds_sum 12.6',
        't_seconds_count 4',
        '# HELP g Gs.',
        '# TYPE g gauge',
        'g{n="1"} 7',
        '',
      ].join('\n'),
    );
  });

  it('counts what exceeds the bound of label sets under `other`', () => {
    const registry = createRegistry();
    const counter = registry.counter({ name: 'a', help: 'A', labels: ['l'], seriesMax: 3 });
    for (let index = 0; index < 100; index += 1) counter.add([`v${index}`]);
    const lines = registry
      .render()
      .split('\n')
      .filter((line) => line.startsWith('a{'));
    assert.deepEqual(lines, ['a{l="v0"} 1', 'a{l="v1"} 1', 'a{l="other"} 98']);
  });

  it('escapes what a label value must not hold', () => {
    const registry = createRegistry();
    registry.counter({ name: 'a', help: 'A', labels: ['l'] }).add(['q"b\\n\n']);
    assert.match(registry.render(), /a\{l="q\\"b\\\\n\\n"\} 1\n/);
  });

  it('refuses two metrics of one name and a wrong number of labels', () => {
    const registry = createRegistry();
    const counter = registry.counter({ name: 'a', help: 'A', labels: ['l'] });
    assert.throws(() => registry.counter({ name: 'a', help: 'A', labels: [] }), RangeError);
    assert.throws(() => counter.add([]), RangeError);
  });
});

describe('metrics of requests', () => {
  it('count status class, attempts and refusals for want of money', () => {
    const registry = createRegistry();
    const metrics = createRequestMetrics(registry);
    metrics.begun();
    metrics.begun();
    metrics.ended({
      dialect: 'openai-chat',
      model: 'm',
      status: 402,
      errorCode: 'insufficient_balance',
      durationMs: 20,
      firstContentMs: undefined,
      attempts: [{ channelId: 'c', outcome: 'failed' }],
    });
    const text = registry.render();
    assert.match(
      text,
      /manifold_requests_total\{dialect="openai-chat",model="m",status_class="4xx"\} 1/,
    );
    assert.match(text, /manifold_attempts_total\{channel="c",outcome="failed"\} 1/);
    assert.match(text, /manifold_balance_refusals_total\{reason="insufficient_balance"\} 1/);
    assert.match(text, /manifold_requests_active 1\n/);
    assert.match(
      text,
      /manifold_request_seconds_bucket\{dialect="openai-chat",model="m",le="0.1"\} 1/,
    );
  });
});
