import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayFailure, type ChatRequest, type ChatResponse, type Part } from '#canonical';
import type { JsonObject, NanoUsd } from '#std';
import { openaiChat } from './index.ts';
import { createToolIdMapping, shortDigest } from './tool-ids.ts';

const request: ChatRequest = {
  dialect: 'openai-chat',
  model: 'm',
  messages: [],
  tools: [],
  stream: false,
  streamUsage: false,
  extensions: {},
};

function decode(message: JsonObject, choice: JsonObject = {}, top: JsonObject = {}): ChatResponse {
  return openaiChat.response.decode(
    {
      id: 'c',
      model: 'm',
      created: 3,
      choices: [{ index: 0, message, finish_reason: 'stop', ...choice }],
      ...top,
    },
    {},
  );
}

function foreign(parts: readonly Part[], rest: Partial<ChatResponse> = {}): ChatResponse {
  return {
    dialect: 'anthropic-messages',
    id: 'c',
    model: 'm',
    choices: [{ index: 0, parts, finish: { reason: 'stop', raw: 'end_turn' } }],
    extensions: { odd: 1 },
    ...rest,
  };
}

function messageOf(response: ChatResponse, asked: Partial<ChatRequest> = {}): JsonObject {
  const { value } = openaiChat.response.encode(response, { ...request, ...asked });
  return (value['choices'] as readonly JsonObject[])[0]?.['message'] as JsonObject;
}

test('calls without ids get one, which is the same in every reading; empty arguments are an empty object', () => {
  const message = {
    tool_calls: [
      { function: { name: 'f', arguments: '' } },
      { id: '', function: { name: 'f', arguments: { a: 1 } } },
    ],
  };
  const calls = decode(message).choices[0]?.parts ?? [];
  assert.deepEqual(
    calls.map((call) => call.kind === 'tool-call' && call.input),
    ['{}', '{"a":1}'],
  );
  const ids = calls.map((call) => call.kind === 'tool-call' && call.id);
  assert.equal(new Set(ids).size, 2);
  assert.deepEqual(decode(message).choices[0]?.parts, calls);
  assert.notDeepEqual(
    openaiChat.response.decode({ id: 'other', choices: [{ message }] }, {}).choices[0]?.parts,
    calls,
  );
});

test('what is no answer at all is refused; an error in a good status is an error', () => {
  for (const wire of [{}, { choices: [] }, { choices: 'x' }, { choices: [1] }]) {
    assert.throws(
      () => openaiChat.response.decode(wire, {}),
      (error: unknown) =>
        error instanceof GatewayFailure && error.error.code === 'upstream_invalid',
    );
  }
  const inChoice = { choices: [{ message: { content: 'x' }, error: { message: 'y', code: 429 } }] };
  assert.throws(
    () => openaiChat.response.decode(inChoice, {}),
    (error: unknown) =>
      error instanceof GatewayFailure && error.error.code === 'capacity_exhausted',
  );
  assert.throws(
    () => openaiChat.response.decode({ error: { message: 'busy', code: 529 } }, {}),
    (error: unknown) => error instanceof GatewayFailure && error.error.code === 'overloaded',
  );
});

test('citations of several texts count from the start of the joined text', () => {
  const cite = (url: string): Part => ({
    kind: 'text',
    text: 'abc',
    citations: [{ url, title: 't', start: 0, end: 3 }],
  });
  const message = messageOf(foreign([cite('https://x/1'), cite('https://x/2')]));
  assert.equal(message['content'], 'abcabc');
  assert.deepEqual(message['annotations'], [
    {
      type: 'url_citation',
      url_citation: { url: 'https://x/1', title: 't', start_index: 0, end_index: 3 },
    },
    {
      type: 'url_citation',
      url_citation: { url: 'https://x/2', title: 't', start_index: 3, end_index: 6 },
    },
  ]);
});

test('citations beside the answer belong to its text, with the titles of the search', () => {
  const response = decode(
    { content: 'x' },
    {},
    {
      citations: ['https://a/', 'https://b/'],
      search_results: [{ url: 'https://b/', title: 'B' }],
    },
  );
  const [text] = response.choices[0]?.parts ?? [];
  assert.deepEqual(text?.kind === 'text' && text.citations, [
    { url: 'https://a/' },
    { url: 'https://b/', title: 'B' },
  ]);
});

test('an answer of another dialect is a plain chat completion, with its own stop word and the bill', () => {
  const bill = { costNanoUsd: 7 as NanoUsd, receiptId: 'r' };
  const { value, losses } = openaiChat.response.encode(
    foreign(
      [
        { kind: 'text', text: 'x' },
        {
          kind: 'native',
          dialect: 'anthropic-messages',
          value: { type: 'web_search_tool_result' },
        },
      ],
      { bill, usage: { inputTokens: 2, outputTokens: 3 } },
    ),
    request,
  );
  assert.deepEqual(value, {
    id: 'c',
    object: 'chat.completion',
    created: 0,
    model: 'm',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'x', refusal: null },
        logprobs: null,
        finish_reason: 'stop',
        native_finish_reason: 'end_turn',
      },
    ],
    usage: {
      prompt_tokens: 2,
      completion_tokens: 3,
      total_tokens: 5,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
      cost: 7e-9,
      receipt_id: 'r',
    },
  });
  assert.deepEqual(
    losses.map(({ path }) => path),
    ['choices[0].message', 'odd'],
  );
});

test('content is null beside calls and refusals, and empty text when nothing was said', () => {
  assert.equal(messageOf(foreign([]))['content'], '');
  assert.equal(
    messageOf(foreign([{ kind: 'tool-call', id: 'a', name: 'f', input: '{}' }]))['content'],
    null,
  );
  assert.deepEqual(messageOf(foreign([{ kind: 'refusal', text: 'no' }])), {
    role: 'assistant',
    content: null,
    refusal: 'no',
  });
});

test('fields of one vendor come back to a chat client and to no other', () => {
  const wire = {
    id: 'c',
    object: 'chat.completion',
    created: 3,
    model: 'm',
    provider: 'P',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'x', refusal: null, executed_tools: [1] },
        logprobs: null,
        finish_reason: 'stop',
        native_finish_reason: 'STOP',
        content_filter_results: { hate: {} },
      },
    ],
  };
  assert.deepEqual(
    openaiChat.response.encode(openaiChat.response.decode(wire, {}), request).value,
    wire,
  );
});

test('a made id never meets one that was there', () => {
  const taken = shortDigest('functions.f:0');
  for (const ids of [
    ['functions.f:0', taken],
    [taken, 'functions.f:0'],
  ]) {
    const map = createToolIdMapping('alphanumeric-9');
    const mapped = ids.map(map);
    assert.equal(new Set(mapped).size, 2);
    assert.deepEqual(ids.map(map), mapped, 'and stays the same within a request');
  }
});
