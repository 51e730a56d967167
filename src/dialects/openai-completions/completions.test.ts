import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatEvent, ChatRequest } from '#canonical';
import {
  asObject,
  createSseParser,
  parseJsonObject,
  ReadError,
  type JsonObject,
  type NanoUsd,
} from '#std';
import { openaiChat } from '../openai-chat/index.ts';
import { nativeOnlyReason, openaiCompletions } from './index.ts';

function decode(wire: JsonObject): ChatRequest {
  return openaiCompletions.request.decode({ model: 'm', ...wire }, {});
}

test('prompts of all forms come back as they were said', () => {
  for (const prompt of ['x', ['x', 'y'], [1, 2, 3], [[1], [2, 3]], ['x', [4]]]) {
    const wire = {
      model: 'm',
      prompt,
      max_tokens: 5,
      logprobs: 3,
      n: 2,
      stop: ['\n'],
      echo: true,
      suffix: 'z',
      best_of: 3,
      user: 'u',
    };
    const { value, losses } = openaiCompletions.request.encode(decode(wire), {});
    assert.deepEqual([value, losses], [wire, []]);
  }
});

test('a wrong prompt is named by its path', () => {
  for (const [prompt, path] of [
    [[], 'prompt'],
    [{}, 'prompt'],
    [['a', 5], 'prompt[1]'],
    [[[-1]], 'prompt[0]'],
    [5, 'prompt'],
  ] as const) {
    assert.throws(
      () => decode({ prompt }),
      (error: unknown) => error instanceof ReadError && error.path === path,
    );
  }
  assert.throws(() => decode({ prompt: 'x', logprobs: 99 }), ReadError);
});

test('one plain prompt is a question to a chat model; what only this endpoint can do is refused there', () => {
  assert.equal(nativeOnlyReason(decode({ prompt: 'x', best_of: 1 })), undefined);
  const { value, losses } = openaiChat.request.encode(
    decode({ prompt: 'x', max_tokens: 3, stream: true, suffix: null, echo: null }),
    {},
  );
  assert.deepEqual(value, {
    model: 'm',
    messages: [{ role: 'user', content: 'x' }],
    max_completion_tokens: 3,
    stream: true,
    stream_options: { include_usage: true },
  });
  assert.deepEqual(losses, []);
  for (const only of [
    { prompt: ['a', 'b'] },
    { prompt: [1, 2] },
    { prompt: 'x', echo: true },
    { prompt: 'x', suffix: 'y' },
  ]) {
    const request = decode(only);
    assert.notEqual(nativeOnlyReason(request), undefined);
    assert.ok(
      openaiChat.request.encode(request, {}).losses.some((loss) => loss.changesMeaning),
      JSON.stringify(only),
    );
  }
});

test('a chat is written down as one prompt, and what a prompt cannot hold changes its meaning', () => {
  const request = openaiChat.request.decode(
    {
      model: 'm',
      messages: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'hi' },
      ],
    },
    {},
  );
  assert.equal(
    openaiCompletions.request.encode(request, {}).value['prompt'],
    'System: be brief\n\nUser: hi\n\nAssistant:',
  );
  const tools = openaiChat.request.decode(
    {
      model: 'm',
      messages: [{ role: 'user', content: 'hi' }],
      tools: [{ type: 'function', function: { name: 'f' } }],
    },
    {},
  );
  assert.deepEqual(
    openaiCompletions.request
      .encode(tools, {})
      .losses.map((loss) => [loss.path, loss.changesMeaning]),
    [['tools', true]],
  );
});

test('log probabilities keep their lists, with offsets', () => {
  const logprobs = {
    tokens: ['a', 'bc'],
    token_logprobs: [-1, -2],
    top_logprobs: [{ a: -1, x: -3 }, null],
    text_offset: [0, 1],
  };
  const wire = {
    id: 'cmpl',
    object: 'text_completion',
    created: 4,
    model: 'm',
    choices: [{ index: 0, text: 'abc', logprobs, finish_reason: 'length' }],
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  };
  const response = openaiCompletions.response.decode(wire, {});
  const bill = { costNanoUsd: 5 as NanoUsd, receiptId: 'r' };
  const { value } = openaiCompletions.response.encode(
    { ...response, bill },
    decode({ prompt: 'x' }),
  );
  assert.deepEqual(value, { ...wire, usage: { ...wire.usage, cost: 5e-9, receipt_id: 'r' } });
});

test('a chat stream reaches a client of the legacy endpoint as text', () => {
  const lost: string[] = [];
  const encoder = openaiCompletions.stream.encoder(
    { ...decode({ prompt: 'x', stream: true }), streamUsage: true },
    { framing: 'sse' },
    (path) => lost.push(path),
  );
  const events: readonly ChatEvent[] = [
    { kind: 'start', id: 'c', model: 'm', dialect: 'openai-chat', createdAt: 3 },
    {
      kind: 'part-start',
      index: 0,
      choice: 0,
      part: { kind: 'reasoning', text: '', form: 'full' },
    },
    { kind: 'part-delta', index: 0, delta: 'hm' },
    { kind: 'part-end', index: 0 },
    { kind: 'part-start', index: 1, choice: 0, part: { kind: 'text', text: '' } },
    { kind: 'part-delta', index: 1, delta: 'Hi' },
    { kind: 'part-end', index: 1 },
    { kind: 'end', choice: 0, finish: { reason: 'tool-calls', raw: 'tool_calls' } },
    {
      kind: 'usage',
      usage: { inputTokens: 1, outputTokens: 1 },
      bill: { costNanoUsd: 5 as NanoUsd, receiptId: 'r' },
    },
    { kind: 'finished' },
  ];
  const text = events.map((event) => encoder.push(event)).join('');
  const chunks = createSseParser()
    .push(Buffer.from(text))
    .map((frame) => parseJsonObject(frame.data));
  const choices = chunks.map((chunk) => (chunk?.['choices'] as JsonObject[] | undefined)?.[0]);
  assert.deepEqual(
    choices.map((choice) => [choice?.['text'], choice?.['finish_reason']]),
    [
      ['Hi', null],
      ['', 'stop'],
      [undefined, undefined],
      [undefined, undefined],
    ],
  );
  assert.equal(asObject(chunks[2]?.['usage'])?.['receipt_id'], 'r');
  assert.ok(text.endsWith('data: [DONE]\n\n'));
  assert.equal(lost.length, 1);
});

test('with several prompts, only the last finish closes the stream', () => {
  const tap = openaiCompletions.stream.tap(decode({ prompt: ['a', 'b'], stream: true }), {});
  const chunk = (index: number, text: string, reason: string | null): { data: string } => ({
    data: JSON.stringify({ choices: [{ text, index, logprobs: null, finish_reason: reason }] }),
  });
  assert.equal(tap.inspect(chunk(0, 'x', 'stop')).closing, false);
  assert.deepEqual(
    [tap.inspect(chunk(1, 'yz', null)).generatedSize, tap.inspect(chunk(1, '', 'length')).closing],
    [2, true],
  );
});
