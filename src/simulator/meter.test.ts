import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { seededRandom, systemClock } from '#std';
import { startSimulator, type RunningSimulator } from './index.ts';

describe('the simulator’s own bill', () => {
  let simulator: RunningSimulator;
  before(async () => {
    simulator = await startSimulator({
      host: '127.0.0.1',
      port: 0,
      clock: systemClock,
      random: seededRandom(1),
      rules: [
        { model: 'sim-slow', fault: { pause_after_events: 3, pause_ms: 60_000 } },
        { model: 'sim-ill', fault: { status: 500 } },
      ],
    });
  });
  after(() => simulator.close());

  const ask = (body: object, signal?: AbortSignal): Promise<Response> =>
    fetch(`${simulator.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-client-request-id': 'one' },
      body: JSON.stringify({
        model: 'sim-chat',
        messages: [{ role: 'user', content: 'Tell it in 40 words' }],
        ...body,
      }),
      ...(signal ? { signal } : {}),
    });

  it('has what the answer says of itself, streamed or whole', async () => {
    for (const stream of [false, true]) {
      simulator.bill.clear();
      const text = await (await ask({ stream, stream_options: { include_usage: true } })).text();
      const told = /"completion_tokens":(\d+)/.exec(text)?.[1];
      const [entry] = simulator.bill.entries;
      assert.equal(entry?.outputTokens, Number(told));
      assert.equal(entry.complete, true);
      assert.equal(entry.attemptId, 'one');
    }
  });

  it('counts a stream that was cut by its client up to there', async () => {
    simulator.bill.clear();
    const leave = new AbortController();
    const response = await ask({ model: 'sim-slow', stream: true }, leave.signal);
    const reader = response.body?.getReader();
    await reader?.read();
    leave.abort();
    while (simulator.bill.entries.length === 0) await new Promise((turn) => setImmediate(turn));
    const [entry] = simulator.bill.entries;
    assert.equal(entry?.complete, false);
    assert.ok(entry.characters > 0 && entry.characters < 20);
    assert.equal(entry.outputTokens, Math.ceil(entry.characters / 4));
  });

  it('has nothing for an error, and never more tokens than were allowed', async () => {
    simulator.bill.clear();
    await (await ask({ model: 'sim-ill' })).text();
    assert.equal(simulator.bill.entries.length, 0);
    for (const limit of [1, 2, 7, 30]) await (await ask({ max_tokens: limit })).text();
    assert.deepEqual(
      simulator.bill.entries.map((entry) => entry.outputTokens),
      [1, 2, 7, 30],
    );
  });

  it('is told over HTTP', async () => {
    simulator.bill.clear();
    await (await ask({})).text();
    const told = (await (await fetch(`${simulator.url}/_bill`)).json()) as { data: unknown[] };
    assert.equal(told.data.length, 1);
  });
});
