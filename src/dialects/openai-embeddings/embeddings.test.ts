import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayFailure, type EmbeddingRequest } from '#canonical';
import { ReadError, type JsonObject, type NanoUsd } from '#std';
import fc from 'fast-check';
import { openaiEmbeddings } from './index.ts';
import { decodeVector, encodeVector } from './vector.ts';

function decode(wire: JsonObject): EmbeddingRequest {
  return openaiEmbeddings.request.decode({ model: 'm', input: 'x', ...wire }, {});
}

test('inputs of all forms come back as they were said, with unknown fields', () => {
  for (const input of ['x', ['x'], ['x', 'y'], [1, 2], [[1, 2], [3]]]) {
    const wire = {
      model: 'm',
      input,
      encoding_format: 'base64',
      dimensions: 8,
      user: 'u',
      input_type: 'query',
    };
    const { value, losses } = openaiEmbeddings.request.encode(decode(wire), {});
    assert.deepEqual([value, losses], [wire, []]);
  }
});

test('a wrong field is named by its path', () => {
  const wrong: readonly (readonly [JsonObject, string])[] = [
    [{ input: [] }, 'input'],
    [{ input: 5 }, 'input'],
    [{ input: ['a', 1] }, 'input[1]'],
    [{ input: [[1], 'a'] }, 'input[1]'],
    [{ input: [[]] }, 'input[0]'],
    [{ dimensions: 0 }, 'dimensions'],
    [{ encoding_format: 'hex' }, 'encoding_format'],
    [{ model: 4 }, 'model'],
  ];
  for (const [wire, path] of wrong) {
    assert.throws(
      () => decode(wire),
      (error: unknown) => error instanceof ReadError && error.path === path,
      path,
    );
  }
});

test('a vendor without base64 is asked for floats, one without dimensions is a loss', () => {
  const { value, losses } = openaiEmbeddings.request.encode(
    decode({ encoding_format: 'base64', dimensions: 4 }),
    { base64: false, dimensionsField: 'none' },
  );
  assert.deepEqual(value, { model: 'm', input: 'x' });
  assert.deepEqual(
    losses.map((loss) => [loss.path, loss.changesMeaning]),
    [['dimensions', true]],
  );
  assert.deepEqual(
    openaiEmbeddings.request.encode(decode({ dimensions: 4 }), {
      dimensionsField: 'output_dimension',
    }).value,
    { model: 'm', input: 'x', output_dimension: 4 },
  );
});

test('float32 goes through base64 unchanged, little-endian', () => {
  assert.equal(encodeVector([1, -2]), 'AACAPwAAAMA=');
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { maxLength: 50 }),
      (vector) => {
        assert.deepEqual(decodeVector(encodeVector(vector)), vector);
      },
    ),
    { seed: 20_261_123, numRuns: 200 },
  );
});

test('bytes that make no sense as float32 are signed numbers', () => {
  assert.deepEqual(
    decodeVector(Buffer.from([127, 255, 128, 0, 127, 255, 1, 127]).toString('base64')),
    [127, -1, -128, 0, 127, -1, 1, 127],
  );
  assert.deepEqual(decodeVector(Buffer.from([1, 2, 3]).toString('base64')), [1, 2, 3]);
});

const list = (...embeddings: readonly (readonly number[] | string)[]): JsonObject => ({
  object: 'list',
  model: 'm',
  data: embeddings.map((embedding, index) => ({ object: 'embedding', index, embedding })),
  usage: { prompt_tokens: 3, total_tokens: 3 },
});

test('the client gets the encoding it asked for, whatever the vendor sent', () => {
  for (const sent of [[0.5, -1], encodeVector([0.5, -1])]) {
    for (const [encoding, wanted] of [
      ['float', [0.5, -1]],
      ['base64', encodeVector([0.5, -1])],
    ] as const) {
      const request = decode({ encoding_format: encoding });
      const response = openaiEmbeddings.response.decode(list(sent), request);
      assert.deepEqual(openaiEmbeddings.response.encode(response, request), list(wanted));
    }
  }
});

test('vectors are put in the order of their inputs, and one is needed for each', () => {
  const request = decode({ input: ['a', 'b'] });
  const wire = {
    data: [
      { index: 1, embedding: [2] },
      { index: 0, embedding: [1] },
    ],
  };
  assert.deepEqual(openaiEmbeddings.response.decode(wire, request).vectors, [[1], [2]]);
  for (const bad of [
    list([1]),
    {},
    { data: [{ embedding: [] }, { embedding: [1] }] },
    { data: [{ embedding: ['x'] }, { embedding: [1] }] },
    { error: { message: 'no' } },
  ]) {
    assert.throws(() => openaiEmbeddings.response.decode(bad, request), GatewayFailure);
  }
});

test('the bill stands in the usage, also in a body that passes through', () => {
  const bill = { costNanoUsd: 20 as NanoUsd, receiptId: 'r' };
  const request = decode({});
  const response = openaiEmbeddings.response.decode(list([1]), request);
  assert.deepEqual(openaiEmbeddings.response.encode({ ...response, bill }, request)['usage'], {
    prompt_tokens: 3,
    total_tokens: 3,
    cost: 2e-8,
    receipt_id: 'r',
  });
  const gemini = { model: 'm', vectors: [[1]], usage: { inputTokens: 4 }, bill, extensions: {} };
  assert.deepEqual(openaiEmbeddings.response.encode(gemini, request)['usage'], {
    prompt_tokens: 4,
    total_tokens: 4,
    cost: 2e-8,
    receipt_id: 'r',
  });
  assert.equal(
    openaiEmbeddings.response.annotate('{"data":[],"usage":{"prompt_tokens":3}}', bill),
    '{"data":[],"usage":{"prompt_tokens":3,"cost":0.00000002,"receipt_id":"r"}}',
  );
});
