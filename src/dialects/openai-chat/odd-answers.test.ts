/** Answers of vendors that keep the fields of the dialect, but not its order of events or its words. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatCollector, GatewayFailure, type ChatEvent, type ChatResponse } from '#canonical';
import type { JsonObject, JsonValue } from '#std';
import { openaiChat } from './index.ts';
import { emptyRequest as request } from '../../../test/support/requests.ts';

const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };

function chunk(
  delta: JsonObject | undefined,
  choice: JsonObject = {},
  top: JsonObject = {},
): JsonObject {
  const said = delta ? { delta } : {};
  return { id: 'c', model: 'm', choices: [{ index: 0, ...said, ...choice }], ...top };
}

function eventsOf(chunks: readonly JsonObject[]): readonly ChatEvent[] {
  const decoder = openaiChat.stream.decoder({});
  return [
    ...chunks.flatMap((wire) => decoder.push({ data: JSON.stringify(wire) })),
    ...decoder.push({ data: '[DONE]' }),
  ];
}

function read(chunks: readonly JsonObject[]): ChatResponse {
  const collector = new ChatCollector('openai-chat');
  for (const event of eventsOf(chunks)) collector.push(event);
  return collector.finish();
}

function callsOf(deltas: readonly JsonObject[]): readonly (readonly string[])[] {
  const chunks = deltas.map((delta) => chunk({ tool_calls: [delta] }));
  const parts = read([...chunks, chunk({}, { finish_reason: 'stop' })]).choices[0]?.parts ?? [];
  return parts.flatMap((part) => (part.kind === 'tool-call' ? [[part.name, part.input]] : []));
}

const call = (name: string, args: string, rest: JsonObject = {}): JsonObject => ({
  function: { name, arguments: args },
  ...rest,
});

test('whole calls that all stand under index 0 without an id are several calls', () => {
  const bare = { index: 0, id: '' };
  assert.deepEqual(callsOf([call('f', '{"x":1}', bare), call('f', '{"x":2}', bare)]), [
    ['f', '{"x":1}'],
    ['f', '{"x":2}'],
  ]);
});

test('a name that is repeated in each piece does not begin a new call', () => {
  const repeated = [call('f', '{"x"'), call('f', ':1}')];
  assert.deepEqual(callsOf(repeated), [['f', '{"x":1}']]);
  assert.deepEqual(callsOf(repeated.map((delta) => ({ ...delta, index: 0 }))), [['f', '{"x":1}']]);
});

test('an answer that comes whole in the one frame of its stream is read from its message', () => {
  const message = { content: 'All.', tool_calls: [call('f', '{}', { id: 'a' })] };
  const { choices } = read([chunk(undefined, { message, finish_reason: 'tool_calls' })]);
  assert.deepEqual(
    choices[0]?.parts.map(({ kind }) => kind),
    ['text', 'tool-call'],
  );
  const tap = openaiChat.stream.tap(request, {});
  const whole = chunk(undefined, { message, finish_reason: 'tool_calls' });
  assert.equal(tap.inspect({ data: JSON.stringify(whole) }).content, true);
});

test('a message that repeats what was streamed says nothing new', () => {
  const chunks = [
    chunk({ content: 'All.' }),
    chunk(undefined, { message: { content: 'All.' }, finish_reason: 'stop' }),
  ];
  assert.deepEqual(read(chunks).choices[0]?.parts, [{ kind: 'text', text: 'All.' }]);
  const tap = openaiChat.stream.tap(request, {});
  const counts = chunks.map((wire) => tap.inspect({ data: JSON.stringify(wire) }).generatedSize);
  assert.deepEqual(counts, [4, 0]);
});

test('a reason in every chunk leaves one text, and the last reason counts', () => {
  const { choices } = read([
    chunk({ content: 'a' }, { finish_reason: 'stop' }),
    chunk({ content: 'b' }, { finish_reason: 'length' }),
  ]);
  assert.deepEqual(choices[0]?.parts, [{ kind: 'text', text: 'ab' }]);
  assert.equal(choices[0].finish.reason, 'length');
});

test('sources that are named after the reason stand at the text', () => {
  const { choices } = read([
    chunk({ content: 'a' }, { finish_reason: 'stop' }),
    { id: 'c', choices: [], usage, citations: ['https://example.org'] },
  ]);
  assert.deepEqual(choices[0]?.parts, [
    { kind: 'text', text: 'a', citations: [{ url: 'https://example.org' }] },
  ]);
});

test('sources are read from each list in which a vendor puts them', () => {
  const cited = (beside: JsonObject): unknown => {
    const streamed = read([chunk({ content: 'a' }, { finish_reason: 'stop' }, beside)]);
    const message = { content: 'a' };
    const wire = { id: 'c', choices: [{ message, finish_reason: 'stop' }], ...beside };
    const whole = openaiChat.response.decode(wire, {});
    assert.deepEqual(streamed.choices[0]?.parts, whole.choices[0]?.parts);
    const [part] = whole.choices[0]?.parts ?? [];
    return part?.kind === 'text' ? part.citations : undefined;
  };
  const url = 'https://example.org';
  const source = { url, title: 'Example' };
  const found = [{ ...source, date: '2026-01-02' }];
  assert.deepEqual(cited({ citations: [url], search_results: found }), [source]);
  assert.deepEqual(cited({ search_results: found }), [source]);
  assert.deepEqual(cited({ citations: null, search_results: found }), [source]);
  assert.deepEqual(cited({ web_search: [{ title: 'Example', link: url, refer: 'ref_1' }] }), [
    source,
  ]);
  assert.equal(cited({ web_search: [{ title: 'Example', link: '' }] }), undefined);
});

test('an empty usage object at the end takes nothing back', () => {
  const chunks = [
    chunk({ content: 'a' }, { finish_reason: 'stop' }, { usage }),
    { id: 'c', choices: [], usage: {} },
  ];
  assert.equal(read(chunks).usage?.inputTokens, 10);
  const tap = openaiChat.stream.tap(request, {});
  const told = chunks.map((wire) => tap.inspect({ data: JSON.stringify(wire) }).usage?.inputTokens);
  assert.deepEqual(told, [10, undefined]);
});

test('vendors’ words for the end are understood', () => {
  const words: readonly (readonly [JsonValue, string])[] = [
    ['content_filter: RECITATION', 'content-filter'],
    ['function_call_filter: MALFORMED_FUNCTION_CALL', 'error'],
    ['PROHIBITED_CONTENT', 'content-filter'],
    ['model_context_window_exceeded', 'length'],
    ['MAX_TOKENS', 'length'],
    ['COMPLETE', 'stop'],
    ['ERROR_TOXIC', 'content-filter'],
  ];
  for (const [word, reason] of words) {
    const { choices } = read([chunk({ content: 'a' }, { finish_reason: word })]);
    assert.deepEqual(choices[0]?.finish, { reason, raw: word });
  }
});

test('an answer without an id is written with one, because SDKs pass over usage without it', () => {
  const encoder = openaiChat.stream.encoder(request, { framing: 'sse' });
  encoder.push({ kind: 'start', id: '', model: 'm', dialect: 'gemini-generate' });
  const text = encoder.push({
    kind: 'end',
    choice: 0,
    finish: { reason: 'stop', raw: 'STOP' },
  });
  assert.match(text, /"id":"chatcmpl-/);
});

test('an error that only has a number means what the vendor’s table says', () => {
  const quirks = { baseResponseStatuses: { 1008: 402, 1002: 429 } };
  const base = (number: number): JsonObject => ({
    id: 'c',
    choices: null,
    base_resp: { status_code: number, status_msg: 'no' },
  });
  const kindOf = (number: number): string | undefined => {
    try {
      openaiChat.response.decode(base(number), quirks);
    } catch (error) {
      if (error instanceof GatewayFailure) return error.error.upstream?.kind;
    }
    return undefined;
  };
  assert.deepEqual([1008, 1002, 1000].map(kindOf), ['quota-exhausted', 'rate-limited', 'server']);
  const frame = { data: JSON.stringify(base(1002)) };
  assert.equal(
    openaiChat.stream.tap(request, quirks).inspect(frame).error?.upstream?.kind,
    'rate-limited',
  );
  assert.equal(openaiChat.stream.decoder(quirks).push(frame).at(-1)?.kind, 'error');
});

test('ids made for calls of answers that have none differ from answer to answer', () => {
  const idAt = (created: number): string => {
    const wire = { choices: [{ message: { tool_calls: [call('f', '{}')] } }], created };
    const [part] = openaiChat.response.decode(wire, {}).choices[0]?.parts ?? [];
    return part?.kind === 'tool-call' ? part.id : '';
  };
  assert.notEqual(idAt(1), idAt(2));
});
