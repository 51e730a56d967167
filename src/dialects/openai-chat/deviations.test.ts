/** Deviations that compatible servers may have and no SDK minds: each is read as if it were not there. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatCollector, type ChatEvent, type Part } from '#canonical';
import type { JsonObject, JsonValue } from '#std';
import { anthropicMessages, geminiGenerate, openaiChat, openaiResponses } from '../index.ts';
import { emptyRequest as request } from '../../../test/support/requests.ts';

function chunk(delta: JsonObject, choice: JsonObject = {}): JsonObject {
  return { id: 'c', model: 'm', choices: [{ index: 0, delta, ...choice }] };
}

function eventsOf(frames: readonly JsonObject[], marked = true): readonly ChatEvent[] {
  const decoder = openaiChat.stream.decoder({});
  return [
    ...frames.flatMap((wire) => decoder.push({ data: JSON.stringify(wire) })),
    ...(marked ? decoder.push({ data: '[DONE]' }) : []),
    ...decoder.end(),
  ];
}

function streamed(...deltas: readonly JsonObject[]): readonly Part[] {
  const collector = new ChatCollector('openai-chat');
  const last = chunk({}, { finish_reason: 'stop' });
  for (const event of eventsOf([...deltas.map((delta) => chunk(delta)), last]))
    collector.push(event);
  return collector.finish().choices[0]?.parts ?? [];
}

function whole(message: JsonObject): readonly Part[] {
  const wire = { id: 'c', choices: [{ index: 0, message, finish_reason: 'stop' }] };
  return openaiChat.response.decode(wire, {}).choices[0]?.parts ?? [];
}

test('an empty spelling of thinking does not hide the other one', () => {
  const message = { content: 'a', reasoning_content: '', reasoning: 'Hm.' };
  const wanted = [
    { kind: 'reasoning', form: 'full', text: 'Hm.' },
    { kind: 'text', text: 'a' },
  ];
  assert.deepEqual(whole(message), wanted);
  assert.deepEqual(streamed({ ...message, content: '' }, { content: 'a', reasoning: '' }), wanted);
});

test('fields that are written out empty are no calls and no sound', () => {
  const empty = {
    function_call: { name: '', arguments: '' },
    tool_calls: [{ index: 0, id: '', type: 'function', function: { name: '', arguments: '' } }],
    audio: {},
  };
  for (const extra of [empty, { ...empty, function_call: {}, tool_calls: [{}] }]) {
    assert.deepEqual(whole({ content: 'a', ...extra }), [{ kind: 'text', text: 'a' }]);
    assert.deepEqual(streamed({ content: 'a', ...extra }, extra), [{ kind: 'text', text: 'a' }]);
  }
});

test('a call that is also told in the legacy field is one call', () => {
  const inner = { name: 'f', arguments: '{"x":1}' };
  const message = { tool_calls: [{ id: 'a', function: inner }], function_call: inner };
  const wanted = [{ kind: 'tool-call', id: 'a', name: 'f', input: '{"x":1}' }];
  assert.deepEqual(whole(message), wanted);
  const namesOf = (parts: readonly Part[]): readonly string[] =>
    parts.flatMap((part) => (part.kind === 'tool-call' ? [part.id, part.input] : []));
  const halves = ['{"x"', ':1}'].map((text, at) => ({
    tool_calls: [{ index: 0, id: at === 0 ? 'a' : null, function: { ...inner, arguments: text } }],
    function_call: { ...inner, arguments: text },
  }));
  assert.deepEqual(namesOf(streamed(...halves)), ['a', '{"x":1}']);
});

test('an error without a wrapper is an error, also where the stream goes on to its mark', () => {
  const bodies: readonly JsonObject[] = [
    { detail: 'No room.' },
    { detail: [{ loc: ['body'], msg: 'No room.', type: 'value_error' }] },
    { code: 'InternalError', message: 'No room.', request_id: 'r' },
    { code: 500, message: 'No room.', choices: null },
    { status: 503, message: 'No room.' },
    { type: 'server_error', message: 'No room.' },
    { error: true, message: 'No room.' },
    { success: false, msg: 'No room.', choices: [] },
    { success: false, errors: [{ code: 5, message: 'No room.' }] },
  ];
  for (const body of bodies) {
    const last = eventsOf([chunk({ content: 'a' }), body]).at(-1);
    assert.equal(last?.kind, 'error', JSON.stringify(body));
    assert.match(last.error.upstream?.message ?? '', /No room\./);
    const tap = openaiChat.stream.tap(request, {});
    assert.ok(tap.inspect({ data: JSON.stringify(body) }).error, JSON.stringify(body));
  }
});

test('a notice beside the answer is no error', () => {
  const notices: readonly JsonObject[] = [
    { type: 'ping' },
    { message: 'You are third in the queue.', status: 'queued' },
    { code: 0, message: 'success' },
    { code: '200', message: 'ok' },
    { id: 'c', choices: [], prompt_filter_results: [{ prompt_index: 0 }] },
  ];
  const events = eventsOf([...notices, chunk({ content: 'a' }, { finish_reason: 'stop' })]);
  assert.equal(events.at(-1)?.kind, 'finished');
});

test('an only answer that is numbered from 1 reaches every client', () => {
  const answer = {
    id: 'c',
    choices: [{ index: 1, delta: { content: 'Here.' }, finish_reason: 'length' }],
  };
  const events = eventsOf([answer]);
  for (const dialect of [openaiChat, openaiResponses, anthropicMessages, geminiGenerate]) {
    const encoder = dialect.stream.encoder(request, { framing: 'sse' });
    const text = events.map((event) => encoder.push(event)).join('');
    assert.match(text, /Here\./, dialect.id);
    assert.match(text, /length|max_tokens|max_output_tokens|MAX_TOKENS/, dialect.id);
  }
});

test('counts in digits and a time with fractions are read', () => {
  const usage = { prompt_tokens: '10', completion_tokens: 5.0, total_tokens: '15' };
  const wire: JsonObject = {
    id: 'c',
    created: 1_718_345_013.25,
    choices: [{ index: 0, message: { content: 'a' }, finish_reason: 'stop' }],
    usage,
  };
  const answer = openaiChat.response.decode(wire, {});
  assert.deepEqual([answer.usage?.inputTokens, answer.usage?.outputTokens], [10, 5]);
  assert.equal(answer.createdAt, 1_718_345_013);
  const { value } = openaiChat.response.encode({ ...answer, createdAt: 7.5 }, request);
  assert.equal(value['created'], 7);
});

test('words for the end that no vendor has used yet do not look into the language', () => {
  const words: readonly (readonly [JsonValue, string])[] = [
    ['constructor', 'other'],
    ['max_output_tokens', 'length'],
    ['abort', 'error'],
  ];
  for (const [word, reason] of words) {
    const last = eventsOf([chunk({ content: 'a' }, { finish_reason: word })]);
    const end = last.find((event) => event.kind === 'end');
    assert.deepEqual(end?.finish, { reason, raw: word });
  }
});

test('content is a text, a list of texts, or one part', () => {
  const contents: readonly JsonValue[] = [
    ['a', 'b'],
    { type: 'text', text: 'ab' },
    [{ text: 'a' }, { type: 'output_text', text: 'b' }],
  ];
  for (const content of contents) {
    assert.deepEqual(whole({ content }), [{ kind: 'text', text: 'ab' }]);
    assert.deepEqual(streamed({ content }), [{ kind: 'text', text: 'ab' }]);
  }
});

test('zeros after the counts take nothing back', () => {
  const zeros = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  const counts = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
  const frames = [
    { ...chunk({ content: 'a' }), usage: zeros },
    { ...chunk({}, { finish_reason: 'stop' }), usage: counts },
    { id: 'c', choices: [], usage: zeros },
  ];
  const told = eventsOf(frames).find((event) => event.kind === 'usage');
  assert.equal(told?.usage.inputTokens, 10);
  const tap = openaiChat.stream.tap(request, {});
  const taps = frames.map((wire) => tap.inspect({ data: JSON.stringify(wire) }).usage?.inputTokens);
  assert.deepEqual(taps, [0, 10, undefined]);
});

function callsOf(...deltas: readonly JsonObject[]): readonly (readonly string[])[] {
  const parts = streamed(...deltas.map((delta) => ({ tool_calls: [{ index: 0, ...delta }] })));
  return parts.flatMap((part) => (part.kind === 'tool-call' ? [[part.id, part.input]] : []));
}

test('no arguments are written in many ways, and may be a placeholder for those that follow', () => {
  for (const none of ['null', ' {} ', '', null, {}]) {
    const call = { id: 'a', function: { name: 'f', arguments: none } };
    assert.deepEqual(
      callsOf(call).map(([id, input]) => [id, input]),
      [['a', '{}']],
    );
    const [part] = whole({ tool_calls: [call] });
    assert.ok(part?.kind === 'tool-call' && part.input.trim() === '{}');
    const rest = { function: { arguments: '{"x":null}' } };
    assert.deepEqual(callsOf(call, rest), [['a', '{"x":null}']]);
  }
});

test('null inside of arguments is a value, wherever the pieces end', () => {
  const pieces = ['{"x":', 'null', ',"y":', '{}', '}'].map((text, at) => ({
    function: at === 0 ? { name: 'f', arguments: text } : { arguments: text },
    id: 'a',
  }));
  assert.deepEqual(callsOf(...pieces), [['a', '{"x":null,"y":{}}']]);
});

test('arguments that are whole do not grow, and a new id inside of them begins no call', () => {
  const piece = (id: string | null, text: string): JsonObject => ({
    id,
    function: { name: 'f', arguments: text },
  });
  assert.deepEqual(callsOf(piece('a', '{"x"'), piece('b', ':1}')), [['a', '{"x":1}']]);
  assert.deepEqual(callsOf(piece('a', '{"x":1}'), piece('a', '{"x":1}')), [['a', '{"x":1}']]);
  assert.deepEqual(callsOf(piece('a', '{}'), piece('b', '{}')), [
    ['a', '{}'],
    ['b', '{}'],
  ]);
});

test('a refusal among the parts is a refusal, and an error in any answer is an error', () => {
  const content = [{ type: 'refusal', refusal: 'No.' }];
  assert.deepEqual(whole({ content }), [{ kind: 'refusal', text: 'No.' }]);
  const choices = [
    { index: 0, delta: {} },
    { index: 1, delta: {}, error: { code: 502, message: 'No.' } },
  ];
  assert.equal(eventsOf([{ id: 'c', choices }]).at(-1)?.kind, 'error');
});
