import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayFailure, type EmbeddingRequest } from '#canonical';
import { nanoUsd, ReadError } from '#std';
import { geminiEmbed } from './index.ts';

const plain: EmbeddingRequest = {
  model: 'm',
  inputs: ['a', 'b'],
  encoding: 'float',
  dimensions: 4,
  extensions: {},
};

test('a single embedContent and a batch are read and written back', () => {
  const single = {
    content: { parts: [{ text: 'a' }] },
    task_type: 'RETRIEVAL_QUERY',
    output_dimensionality: 8,
  };
  const read = geminiEmbed.request.decode(single, { model: 'm' });
  assert.deepEqual(
    [read.inputs, read.taskType, read.dimensions, read.batched],
    [['a'], 'RETRIEVAL_QUERY', 8, undefined],
  );
  const one = {
    model: 'models/m',
    content: { parts: [{ text: 'a' }] },
    taskType: 'RETRIEVAL_QUERY',
    outputDimensionality: 8,
  };
  assert.deepEqual(geminiEmbed.request.encode(read, { form: 'single' }).value, one);
  const batch = { requests: [one, { ...one, content: { parts: [{ text: 'b' }] } }] };
  const again = geminiEmbed.request.decode(batch, { model: 'm' });
  assert.deepEqual(geminiEmbed.request.encode(again, {}), { value: batch, losses: [] });
});

test('requests of a batch that disagree are refused with their path', () => {
  const one = { content: { parts: [{ text: 'a' }] } };
  const refused = { requests: [one, { ...one, outputDimensionality: 3 }] };
  assert.throws(
    () => geminiEmbed.request.decode(refused, { model: 'm' }),
    (error) => error instanceof ReadError && error.path === 'requests[1].dimensions',
  );
});

test('token ids are a loss that changes the meaning', () => {
  const { losses } = geminiEmbed.request.encode({ ...plain, inputs: [[1, 2]] }, {});
  assert.equal(losses[0]?.changesMeaning, true);
});

test('Vertex is asked by predict and answers with statistics', () => {
  assert.deepEqual(geminiEmbed.request.encode(plain, { form: 'predict' }).value, {
    instances: [{ content: 'a' }, { content: 'b' }],
    parameters: { outputDimensionality: 4 },
  });
  const prediction = { embeddings: { values: [1, 2], statistics: { token_count: 3 } } };
  const response = geminiEmbed.response.decode({ predictions: [prediction, prediction] }, plain);
  assert.deepEqual([response.vectors.length, response.usage?.inputTokens], [2, 6]);
});

test('base64 vectors of another vendor become numbers, with the bill beside them', () => {
  const floats = Buffer.alloc(8);
  floats.writeFloatLE(1.5, 0);
  floats.writeFloatLE(-2, 4);
  const bill = { costNanoUsd: nanoUsd(1_500_000), receiptId: 'r1' };
  const response = {
    model: 'm',
    vectors: [floats.toString('base64')],
    usage: { inputTokens: 2 },
    bill,
    extensions: {},
  };
  assert.deepEqual(geminiEmbed.response.encode(response, { ...plain, batched: true }), {
    embeddings: [{ values: [1.5, -2] }],
    usageMetadata: { promptTokenCount: 2, cost: 0.0015, receiptId: 'r1' },
  });
});

test('the bill is spliced into the text, with or without usage', () => {
  const bill = { costNanoUsd: nanoUsd(2_000), receiptId: 'r1' };
  assert.equal(
    geminiEmbed.response.annotate('{ "embedding": {} }', bill),
    '{"usageMetadata":{"cost":0.000002,"receiptId":"r1"}, "embedding": {} }',
  );
  assert.equal(
    geminiEmbed.response.annotate('{"usageMetadata": {"promptTokenCount": 1}}', bill),
    '{"usageMetadata": {"promptTokenCount": 1,"cost":0.000002,"receiptId":"r1"}}',
  );
});

test('vectors with holes, or fewer than inputs, are no answer', () => {
  const whole = { values: [1, 2] };
  for (const embeddings of [[whole], [whole, { values: [1, null] }], [whole, { values: ['1'] }]]) {
    assert.throws(
      () => geminiEmbed.response.decode({ embeddings }, plain),
      (error) => error instanceof GatewayFailure && error.error.code === 'upstream_invalid',
    );
  }
});
