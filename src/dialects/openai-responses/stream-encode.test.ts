/** The stream a client gets, as the official SDK reads it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import {
  ChatCollector,
  explode,
  gatewayError,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type Part,
} from '#canonical';
import { asObject, createSseParser, nanoUsd, parseJsonObject, type JsonObject } from '#std';
import { openaiResponses } from './index.ts';

const request: ChatRequest = openaiResponses.request.decode(
  {
    model: 'any-model',
    instructions: 'Be brief.',
    input: 'What is the weather in Oslo and Rome?',
    tools: [
      {
        type: 'function',
        name: 'weather',
        parameters: {
          type: 'object',
          properties: { city: { type: 'string' } },
          required: ['city'],
          additionalProperties: false,
        },
      },
    ],
    temperature: 0.5,
    stream: true,
  },
  {},
);

function answer(parts: readonly Part[], change: Partial<ChatResponse> = {}): ChatResponse {
  const calls = parts.some((part) => part.kind === 'tool-call');
  return {
    dialect: 'anthropic-messages',
    id: 'msg_01',
    model: 'any-model',
    createdAt: 1_790_000_000,
    choices: [
      { index: 0, parts, finish: { reason: calls ? 'tool-calls' : 'stop', raw: 'end_turn' } },
    ],
    usage: { inputTokens: 10, cacheReadTokens: 5, outputTokens: 7, reasoningTokens: 3 },
    extensions: {},
    ...change,
  };
}

function wireOf(events: Iterable<ChatEvent>, asked: ChatRequest = request): string {
  const encoder = openaiResponses.stream.encoder(asked, { framing: 'sse' });
  let wire = '';
  for (const event of events) wire += encoder.push(event);
  return wire;
}

function dataOf(wire: string): JsonObject[] {
  return createSseParser()
    .push(Buffer.from(wire))
    .map((frame) => {
      const data = parseJsonObject(frame.data) ?? {};
      assert.equal(frame.event, data['type'], 'the event line repeats the type');
      return data;
    });
}

function clientFor(wire: string): OpenAI {
  const fetch = (): Promise<Response> =>
    Promise.resolve(new Response(wire, { headers: { 'content-type': 'text/event-stream' } }));
  return new OpenAI({ apiKey: 'none', baseURL: 'http://127.0.0.1:1', maxRetries: 0, fetch });
}

async function readWithSdk(wire: string): Promise<OpenAI.Responses.Response> {
  return clientFor(wire).responses.stream({ model: 'any-model', input: 'x' }).finalResponse();
}

const parts: readonly Part[] = [
  {
    kind: 'reasoning',
    form: 'full',
    text: 'Two cities, two calls.',
    state: { issuer: 'anthropic-messages', form: 'signature', value: 'c2ln' },
  },
  {
    kind: 'text',
    text: 'Let me look. 天気',
    citations: [{ url: 'https://example.org/a', title: 'A', start: 0, end: 3 }],
  },
  { kind: 'tool-call', id: 'toolu_1', name: 'weather', input: '{"city":"Oslo"}' },
  {
    kind: 'tool-call',
    id: 'toolu_2',
    name: 'weather',
    input: '',
    state: { issuer: 'gemini-generate', form: 'thought_signature', value: 'dGhvdWdodA==' },
  },
];

test('the SDK accumulates thinking, text with a citation and parallel calls', async () => {
  const response = await readWithSdk(wireOf(explode(answer(parts))));
  assert.equal(response.status, 'completed');
  assert.equal(response.id, 'resp_msg_01');
  assert.equal(response.output_text, 'Let me look. 天気');
  assert.deepEqual(
    response.output.map((item) => item.type),
    ['reasoning', 'message', 'function_call', 'reasoning', 'function_call'],
  );
  const calls = response.output.filter((item) => item.type === 'function_call');
  assert.deepEqual(
    calls.map((call) => [call.call_id, call.arguments]),
    [
      ['toolu_1', '{"city":"Oslo"}'],
      ['toolu_2', '{}'],
    ],
  );
  assert.equal(response.usage?.input_tokens, 15);
  assert.equal(response.usage?.output_tokens, 10);
  assert.equal(response.usage?.input_tokens_details.cached_tokens, 5);
  assert.equal(response.instructions, 'Be brief.');
  assert.equal(response.temperature, 0.5);
});

test('the events come in the official order with a sequence number each', () => {
  const events = dataOf(wireOf(explode(answer(parts))));
  assert.deepEqual(
    events.map((event) => event['sequence_number']),
    events.map((_event, index) => index),
  );
  assert.deepEqual(
    events.map((event) => String(event['type']).replace('response.', '')),
    [
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'reasoning_text.delta',
      'reasoning_text.done',
      'content_part.done',
      'output_item.done',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.annotation.added',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'output_item.added',
      'function_call_arguments.delta',
      'function_call_arguments.done',
      'output_item.done',
      'output_item.added',
      'output_item.done',
      'output_item.added',
      'function_call_arguments.delta',
      'function_call_arguments.done',
      'output_item.done',
      'completed',
    ],
  );
});

test('state bound to a call comes back to its call, and thinking keeps its signature', () => {
  const wire = openaiResponses.response.encode(answer(parts), request).value;
  const decoded = openaiResponses.request.decode({ model: 'm', input: wire['output'] ?? null }, {});
  const [thinking, text, first, second] = decoded.messages[0]?.parts ?? [];
  assert.ok(thinking?.kind === 'reasoning' && thinking.text === 'Two cities, two calls.');
  assert.equal(thinking.state?.issuer, 'anthropic-messages');
  assert.equal(thinking.state?.value, 'c2ln');
  assert.equal(text?.kind, 'text');
  assert.equal(first?.state, undefined);
  assert.deepEqual(
    [second?.state?.issuer, second?.state?.form, second?.state?.value],
    ['gemini-generate', 'thought_signature', 'dGhvdWdodA=='],
  );
});

test('the bill stands in the usage of the terminal event and of the whole answer', () => {
  const bill = { costNanoUsd: nanoUsd(1_234_000), receiptId: 'rcpt_1' };
  const terminal = dataOf(wireOf(explode(answer(parts, { bill })))).at(-1);
  const usage = asObject(asObject(terminal?.['response'])?.['usage']);
  assert.equal(usage?.['cost'], 0.001234);
  assert.equal(usage?.['receipt_id'], 'rcpt_1');
  const whole = asObject(
    openaiResponses.response.encode(answer(parts, { bill }), request).value['usage'],
  );
  assert.deepEqual(whole, usage);
});

test('usage may come after the end of the content', async () => {
  const events = [...explode(answer([{ kind: 'text', text: 'Hi' }]))];
  const usage = events.findIndex((event) => event.kind === 'usage');
  const end = events.findIndex((event) => event.kind === 'end');
  assert.ok(end < usage);
  const response = await readWithSdk(wireOf(events));
  assert.equal(response.usage?.total_tokens, 25);
});

test('an error becomes an error event, then a failed response; the SDK raises it', async () => {
  const events: ChatEvent[] = [...explode(answer([{ kind: 'text', text: 'Hi' }]))].slice(0, 3);
  events.push({ kind: 'error', error: gatewayError('upstream_cut', 'cut short') });
  const wire = wireOf(events);
  const types = dataOf(wire).map((event) => event['type']);
  assert.deepEqual(types.slice(-2), ['error', 'response.failed']);
  await assert.rejects(readWithSdk(wire), /cut short/);
  const failed = asObject(dataOf(wire).at(-1)?.['response']);
  assert.deepEqual(
    [failed?.['status'], asObject(failed?.['error'])?.['code']],
    ['failed', 'upstream_cut'],
  );
});

test('an answer cut by its limit is incomplete, in the stream and as a whole', async () => {
  const choices = [
    {
      index: 0,
      parts: [{ kind: 'text', text: 'Once upon' }],
      finish: { reason: 'length', raw: 'max_tokens' },
    },
  ] as const;
  const cut = answer([], { choices });
  const response = await readWithSdk(wireOf(explode(cut)));
  assert.equal(response.status, 'incomplete');
  assert.equal(response.incomplete_details?.reason, 'max_output_tokens');
  const [item] = response.output;
  assert.ok(item?.type === 'message' && item.status === 'incomplete');
  assert.equal(openaiResponses.response.encode(cut, request).value['status'], 'incomplete');
});

test('refusals, custom tool calls, images and built-in calls pass the SDK', async () => {
  const search = {
    type: 'web_search_call',
    id: 'ws_1',
    status: 'completed',
    action: { type: 'search', query: 'oslo' },
  };
  const response = await readWithSdk(
    wireOf(
      explode(
        answer(
          [
            { kind: 'native', dialect: 'openai-responses', value: search },
            { kind: 'refusal', text: 'No.' },
            { kind: 'tool-call', id: 'call_9', name: 'run', input: 'print(1)', custom: true },
            {
              kind: 'media',
              media: 'image',
              mimeType: 'image/png',
              source: { kind: 'data', data: 'aGVsbG8=' },
            },
          ],
          { dialect: 'openai-responses' },
        ),
      ),
    ),
  );
  assert.deepEqual(
    response.output.map((item) => item.type),
    ['web_search_call', 'message', 'custom_tool_call', 'image_generation_call'],
  );
  const [found, refused, custom, image] = response.output;
  assert.deepEqual(found, search);
  assert.ok(
    refused?.type === 'message' &&
      refused.content[0]?.type === 'refusal' &&
      refused.content[0].refusal === 'No.',
  );
  assert.ok(custom?.type === 'custom_tool_call' && custom.input === 'print(1)');
  assert.ok(image?.type === 'image_generation_call' && image.result === 'aGVsbG8=');
});

test('log probabilities reach a client that asked for them', async () => {
  const asked: ChatRequest = { ...request, logprobs: { top: 1 } };
  const tokens = [{ token: 'Hi', logprob: -0.1, top: [{ token: 'Hi', logprob: -0.1 }] }];
  const choices = [
    {
      index: 0,
      parts: [{ kind: 'text', text: 'Hi' }],
      finish: { reason: 'stop', raw: 'stop' },
      logprobs: tokens,
    },
  ] as const;
  const response = await readWithSdk(wireOf(explode(answer([], { choices })), asked));
  const [item] = response.output;
  assert.ok(item?.type === 'message' && item.content[0]?.type === 'output_text');
  assert.equal(item.content[0].logprobs?.[0]?.logprob, -0.1);
});

test('a client that asked for a summary sees other vendors’ thinking as one', () => {
  const asked: ChatRequest = { ...request, reasoning: { summary: 'auto' } };
  const types = dataOf(wireOf(explode(answer(parts.slice(0, 1))), asked)).map(
    (event) => event['type'],
  );
  assert.ok(types.includes('response.reasoning_summary_text.delta'));
  assert.ok(!types.includes('response.reasoning_text.delta'));
});

test('what the decoder reads from an encoded stream is what went in', () => {
  const before = answer(parts.slice(1, 3), { dialect: 'openai-responses' });
  const decoder = openaiResponses.stream.decoder({});
  const collector = new ChatCollector('openai-responses');
  for (const frame of createSseParser().push(Buffer.from(wireOf(explode(before))))) {
    for (const event of decoder.push(frame)) collector.push(event);
  }
  const after = collector.finish();
  assert.equal(after.choices[0]?.finish.reason, 'tool-calls');
  assert.equal(
    JSON.stringify(after.choices[0]?.parts[1]),
    JSON.stringify(before.choices[0]?.parts[1]),
  );
});

test('an answer that its model ended with a fault says so, and sources without words are kept', () => {
  const url = 'https://example.org';
  const part: Part = { kind: 'text', text: '', citations: [{ url, start: 0, end: 0 }] };
  const finish = { reason: 'error', raw: 'MALFORMED_FUNCTION_CALL' } as const;
  const wire = wireOf(explode(answer([part], { choices: [{ index: 0, parts: [part], finish }] })));
  const last = dataOf(wire).at(-1);
  assert.equal(last?.['type'], 'response.failed');
  const response = asObject(last['response']);
  assert.match(String(asObject(response?.['error'])?.['message']), /MALFORMED_FUNCTION_CALL/);
  assert.match(JSON.stringify(response?.['output']), /url_citation/);
});
