/** Fallback models that answer longer, or shorter, than the one that was asked for. */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { asObject, parseJsonObject, type JsonObject } from '#std';
import { startOddVendor } from './odd-vendor.ts';
import { startRig, type Rig } from './rig.ts';

const prices = [{ from: '2026-01-01', source: 'test', units: { input: '1', output: '100' } }];
const models = [
  { id: 'short', vendor: 'own', output_tokens: 100, offers: { openai: 'short' }, prices },
  { id: 'long', vendor: 'own', output_tokens: 8_000, offers: { openai: 'long' }, prices },
];

/** A vendor that has no room for `full`, and answers for the other model with 4,000 tokens, or as many as it may. */
async function rigWith(t: TestContext, full: string): Promise<{ rig: Rig; seen: JsonObject[] }> {
  const seen: JsonObject[] = [];
  const vendor = await startOddVendor((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    request.on('end', () => {
      const wire = parseJsonObject(text) ?? {};
      response.setHeader('content-type', 'application/json');
      if (wire['model'] === full) return void response.writeHead(503).end('{"error":{}}');
      seen.push(wire);
      const most = wire['max_tokens'] ?? wire['max_completion_tokens'] ?? 4_000;
      response.end(JSON.stringify(answerOf(Math.min(4_000, Number(most)))));
    });
  });
  t.after(() => vendor.close());
  const channel = vendor.channel({
    dialect: undefined,
    provider: 'openai',
    models: ['short', 'long'],
  });
  const rig = await startRig({ vendors: [], config: { models }, channels: [channel] });
  t.after(() => rig.close());
  return { rig, seen };
}

function answerOf(completion_tokens: number): object {
  const message = { role: 'assistant', content: 'hello' };
  const choices = [{ index: 0, message, finish_reason: 'stop' }];
  const usage = { prompt_tokens: 5, completion_tokens, total_tokens: 5 + completion_tokens };
  return { id: 'c', object: 'chat.completion', created: 1, model: 'house', choices, usage };
}

const messages = [{ role: 'user', content: 'Hello' }];

test('the hold of a request without a limit covers the longest answer of its fallback models', async (t) => {
  const { rig } = await rigWith(t, 'short');
  const body = { model: 'short', models: ['long'], messages };
  const response = await rig.post('/v1/chat/completions', body);
  assert.equal(response.status, 200, await response.text());
  const receipt = await rig.books.ledger.receipt(response.headers.get('x-manifold-receipt') ?? '');
  assert.equal(receipt?.chargeNanoUsd, 4_000 * 100_000 + 5 * 1_000);
  assert.equal(receipt.chargeNanoUsd, receipt.ratedNanoUsd);
});

test('a fallback model is asked for no more than it can answer, and the answer says so', async (t) => {
  const { rig, seen } = await rigWith(t, 'long');
  const body = { model: 'long', models: ['short'], max_tokens: 2_000, messages };
  const response = await rig.post('/v1/chat/completions', body);
  assert.equal(response.status, 200, await response.clone().text());
  assert.deepEqual(
    seen.map((wire) => [wire['model'], wire['max_tokens']]),
    [['short', 100]],
  );
  assert.match(response.headers.get('x-manifold-losses') ?? '', /max_tokens/);
  const answer = parseJsonObject(await response.text());
  assert.equal(asObject(answer?.['usage'])?.['completion_tokens'], 100);
});
