import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inputTotalTokens, outputTotalTokens, usageBuckets, type Usage } from '#canonical';
import type { JsonObject, NanoUsd } from '#std';
import fc from 'fast-check';
import { annotateUsage } from '../bill.ts';
import { decodeUsage, encodeUsage, type UsageQuirks } from './usage.ts';

const plain: UsageQuirks = { usageGapIsReasoning: false };

/** What is said, without the object it was read from. */
function buckets(raw: JsonObject, quirks = plain): Usage {
  const { raw: _raw, rawDialect: _dialect, ...rest } = decodeUsage(raw, quirks) ?? {};
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
}

test('overlapping counts are made disjoint', () => {
  const raw = {
    prompt_tokens: 100,
    completion_tokens: 50,
    total_tokens: 150,
    prompt_tokens_details: {
      cached_tokens: 30,
      cache_write_tokens: 20,
      audio_tokens: 10,
      image_tokens: 5,
    },
    completion_tokens_details: { reasoning_tokens: 15, audio_tokens: 5 },
  };
  assert.deepEqual(buckets(raw), {
    inputTokens: 35,
    cacheReadTokens: 30,
    cacheWriteTokens: 20,
    inputAudioTokens: 10,
    inputImageTokens: 5,
    outputTokens: 30,
    reasoningTokens: 15,
    outputAudioTokens: 5,
  });
});

test('thinking that exceeds the completion, but not the total, is not charged beside it', () => {
  const raw = {
    prompt_tokens: 100,
    completion_tokens: 600,
    total_tokens: 701,
    completion_tokens_details: { reasoning_tokens: 601 },
  };
  assert.deepEqual(buckets(raw), { inputTokens: 100, outputTokens: 0, reasoningTokens: 601 });
});

test('what deep research reads, thinks and searches is counted as its vendor charges for it', () => {
  const raw = {
    prompt_tokens: 30,
    completion_tokens: 1000,
    total_tokens: 1030,
    citation_tokens: 500,
    num_search_queries: 7,
    reasoning_tokens: 900,
  };
  const quirks = { ...plain, usageExcludesReasoning: true };
  const charged = {
    inputTokens: 530,
    outputTokens: 1000,
    reasoningTokens: 900,
    webSearches: 7,
  };
  assert.deepEqual(buckets(raw, quirks), charged);
  const cost = { total_cost: 0.1, citation_tokens_cost: 0.001 };
  assert.deepEqual(buckets({ ...raw, cost }, quirks), { ...charged, reportedCostUsd: '0.1' });
  const free = buckets({ ...raw, cost: { total_cost: 0.1 } }, quirks);
  assert.equal(free.inputTokens, 30, 'and not where the vendor says that it costs nothing');
});

test('what is not said stays unsaid', () => {
  assert.deepEqual(buckets({ prompt_tokens: 3 }), { inputTokens: 3 });
  assert.equal(decodeUsage(null, plain), undefined);
  assert.equal(decodeUsage('many', plain), undefined);
});

test('vendors that count reasoning beside the completion are told by their totals', () => {
  const xai = {
    prompt_tokens: 10,
    completion_tokens: 5,
    total_tokens: 45,
    completion_tokens_details: { reasoning_tokens: 30 },
  };
  assert.equal(outputTotalTokens(buckets(xai)), 35);
  const more = {
    prompt_tokens: 10,
    completion_tokens: 40,
    total_tokens: 80,
    completion_tokens_details: { reasoning_tokens: 30 },
  };
  assert.equal(outputTotalTokens(buckets(more)), 70);
  assert.equal(outputTotalTokens(buckets(xai, { ...plain, usageExcludesReasoning: false })), 5);
  const beyond = {
    prompt_tokens: 10,
    completion_tokens: 5,
    total_tokens: 15,
    completion_tokens_details: { reasoning_tokens: 30 },
  };
  assert.equal(outputTotalTokens(buckets(beyond)), 35);
  const inside = {
    prompt_tokens: 10,
    completion_tokens: 50,
    total_tokens: 60,
    completion_tokens_details: { reasoning_tokens: 30 },
  };
  assert.equal(outputTotalTokens(buckets(inside)), 50);
  const hidden = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 45 };
  assert.equal(outputTotalTokens(buckets(hidden)), 5);
  assert.equal(buckets(hidden, { usageGapIsReasoning: true }).reasoningTokens, 30);
  const audio = {
    prompt_tokens: 10,
    completion_tokens: 5,
    total_tokens: 45,
    prompt_tokens_details: { audio_tokens: 30 },
  };
  assert.equal(inputTotalTokens(buckets(audio)), 40);
});

test('the cost that a vendor reports is exact decimal text', () => {
  assert.equal(buckets({ cost: 1.4e-7 }).reportedCostUsd, '0.00000014');
  assert.equal(
    buckets({ cost: 0.1, is_byok: true, cost_details: { upstream_inference_cost: 0.2 } })
      .reportedCostUsd,
    '0.3',
  );
  assert.equal(buckets({ cost: { total_cost: 2 } }).reportedCostUsd, '2');
  assert.equal(buckets({ cost_in_usd_ticks: 12_345_000_000 }).reportedCostUsd, '1.2345');
  assert.equal(buckets({ cost: -1 }).reportedCostUsd, undefined);
});

const hostile = fc.oneof(
  fc.nat(1_000),
  fc.integer(),
  fc.double(),
  fc.string(),
  fc.constant(2 ** 63),
  fc.constant(null),
  fc.boolean(),
);

test('no usage object makes a bucket negative or unsafe, and the buckets never exceed the counts they come from', () => {
  const details = fc.record(
    {
      cached_tokens: hostile,
      cache_write_tokens: hostile,
      audio_tokens: hostile,
      image_tokens: hostile,
      reasoning_tokens: hostile,
    },
    { requiredKeys: [] },
  );
  const object = fc.record(
    {
      prompt_tokens: hostile,
      completion_tokens: hostile,
      total_tokens: hostile,
      cached_tokens: hostile,
      cost: hostile,
      prompt_tokens_details: details,
      completion_tokens_details: details,
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(object, (raw) => {
      const usage = decodeUsage(raw, plain) ?? {};
      for (const bucket of usageBuckets) {
        const count = usage[bucket];
        assert.ok(count === undefined || (Number.isSafeInteger(count) && count >= 0), bucket);
      }
      const prompt = raw.prompt_tokens;
      const gap = typeof raw.total_tokens === 'number' ? raw.total_tokens : 0;
      if (typeof prompt === 'number' && Number.isSafeInteger(prompt) && prompt >= 0)
        assert.ok((inputTotalTokens(usage) ?? 0) <= Math.max(prompt, gap));
    }),
    { seed: 20_261_123, numRuns: 500 },
  );
});

test('usage of another dialect is built from its buckets, the vendor’s own object is kept', () => {
  const usage: Usage = {
    inputTokens: 5,
    cacheReadTokens: 3,
    cacheWriteTokens: 2,
    outputTokens: 7,
    reasoningTokens: 1,
    raw: { input_tokens: 5 },
    rawDialect: 'anthropic-messages',
  };
  assert.deepEqual(encodeUsage(usage, undefined), {
    prompt_tokens: 10,
    completion_tokens: 8,
    total_tokens: 18,
    prompt_tokens_details: { cached_tokens: 3, cache_write_tokens: 2, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 1, audio_tokens: 0 },
  });
  const raw = { prompt_tokens: 1, odd: true };
  assert.deepEqual(encodeUsage({ raw, rawDialect: 'openai-chat' }, undefined), raw);
});

const bill = { costNanoUsd: 1_234 as NanoUsd, receiptId: 'r"1' };

test('the bill is written into the text and nothing else changes', () => {
  const text =
    '{ "a" : 1.0, "usage" : {"prompt_tokens": 1e0 , "nested":{"cost":9}} ,"big":12345678901234567890 }';
  assert.equal(
    annotateUsage(text, bill),
    '{ "a" : 1.0, "usage" : {"prompt_tokens": 1e0 , "nested":{"cost":9},"cost":0.000001234,"receipt_id":"r\\"1"} ,"big":12345678901234567890 }',
  );
  assert.equal(
    annotateUsage('{"usage":{}}', bill),
    '{"usage":{"cost":0.000001234,"receipt_id":"r\\"1"}}',
  );
  assert.equal(
    annotateUsage('{"usage":{"cost":5,"x":1}}', bill),
    '{"usage":{"cost":0.000001234,"x":1,"receipt_id":"r\\"1"}}',
  );
  for (const none of ['{"usage":null}', '{"a":{"usage":{}}}', '[1]', 'x', ''])
    assert.equal(annotateUsage(none, bill), undefined, none);
});
