/** Streams that number, name or repeat their items otherwise: nothing is lost and nothing said twice. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatCollector, inputTotalTokens, type ChatEvent, type Part } from '#canonical';
import { asObjects, type JsonObject } from '#std';
import { emptyRequest } from '../../../test/support/requests.ts';
import { openaiChat } from '../openai-chat/index.ts';
import { openaiResponses } from './index.ts';
import { decodeUsage } from './usage.ts';

const text = (value: string): JsonObject => ({ type: 'output_text', text: value, annotations: [] });
const message = (id: string, value: string): JsonObject => ({
  type: 'message',
  id,
  role: 'assistant',
  content: [text(value)],
});
const call = { type: 'function_call', id: 'fc_1', call_id: 'a', name: 'f', arguments: '{}' };
const reasoning = { type: 'reasoning', id: 'rs_1', summary: [] };

function itemEvents(item: JsonObject, rest: JsonObject = {}): readonly JsonObject[] {
  return [
    { type: 'response.output_item.added', item: { ...item, content: [] }, ...rest },
    { type: 'response.output_item.done', item, ...rest },
  ];
}

function completed(output: readonly JsonObject[]): JsonObject {
  return { type: 'response.completed', response: { status: 'completed', output } };
}

function eventsOf(events: readonly (JsonObject | string)[]): readonly ChatEvent[] {
  const decoder = openaiResponses.stream.decoder({});
  const frames = events.map((event) => ({
    data: typeof event === 'string' ? event : JSON.stringify(event),
  }));
  return [...frames.flatMap((frame) => decoder.push(frame)), ...decoder.end()];
}

function partsOf(...events: readonly JsonObject[]): readonly Part[] {
  const collector = new ChatCollector('openai-responses');
  for (const event of eventsOf(events)) collector.push(event);
  return collector.finish().choices[0]?.parts ?? [];
}

const kindsOf = (parts: readonly Part[]): readonly string[] => parts.map(({ kind }) => kind);

test('an item that only the end lists does not make the others new', () => {
  const items = [message('msg_1', 'Hello.'), call];
  const streamed = items.flatMap((item, at) => itemEvents(item, { output_index: at }));
  const parts = partsOf(...streamed, completed([reasoning, ...items]));
  assert.deepEqual(kindsOf(parts), ['text', 'tool-call', 'reasoning']);
});

test('ids that change tell nothing: then places do, where the types agree, or the types alone', () => {
  const streamed = itemEvents(message('x', 'Hello.'), { output_index: 0 });
  const parts = partsOf(...streamed, completed([message('y', 'Hello.'), call]));
  assert.deepEqual(kindsOf(parts), ['text', 'tool-call']);
  const other = partsOf(...streamed, completed([call, message('y', 'Hello.')]));
  assert.deepEqual(kindsOf(other), ['text', 'tool-call']);
  const unclear = partsOf(...streamed, completed([call, message('y', 'Hello.'), message('z', '')]));
  assert.deepEqual(kindsOf(unclear), ['text']);
});

test('a stream that numbers its parts from 1, and a part of another kind, repeat no words', () => {
  const delta = {
    type: 'response.output_text.delta',
    output_index: 0,
    content_index: 1,
    delta: 'Hello.',
  };
  const [added, done] = itemEvents(message('msg_1', 'Hello.'), { output_index: 0 });
  const odd = { ...message('msg_1', ''), content: [{ type: 'sound' }, text('Hello.')] };
  for (const [deltas, last] of [
    [[delta], done],
    [[{ ...delta, content_index: 0 }], { ...done, item: odd }],
  ] as const) {
    const parts = partsOf(added ?? {}, ...deltas, last ?? {}, completed([]));
    assert.equal(parts.map((part) => (part.kind === 'text' ? part.text : '')).join(), 'Hello.');
  }
});

test('events without number and id belong to the item that was announced last', () => {
  const bare = { type: 'message', role: 'assistant', content: [] };
  const parts = partsOf(
    { type: 'response.output_item.added', item: bare },
    { type: 'response.output_text.delta', delta: 'Hello.' },
    { type: 'response.output_item.done', item: bare },
    {
      type: 'response.output_item.added',
      item: { ...bare, type: 'function_call', name: 'f', call_id: 'a' },
    },
    { type: 'response.function_call_arguments.delta', delta: '{"x":1}' },
    completed([]),
  );
  assert.deepEqual(kindsOf(parts), ['text', 'tool-call']);
  assert.equal(parts[1]?.kind === 'tool-call' && parts[1].input, '{"x":1}');
});

test('an event that breaks off in its middle leaves no complete answer', () => {
  const [added, done] = itemEvents(message('msg_1', 'Hello.'), { output_index: 0 });
  const broken = '{"type":"response.output_text.delta","output_index":0,"delta":"Hel';
  const last = eventsOf([added ?? {}, broken, done ?? {}, completed([])]).at(-1);
  assert.equal(last?.kind === 'error' && last.error.code, 'upstream_invalid');
});

test('a stream that ends in the middle of its last event is not complete where it passes through', () => {
  const whole = JSON.stringify(completed([message('msg_1', 'Hello.')]));
  for (const event of [undefined, 'response.completed']) {
    const tap = openaiResponses.stream.tap(emptyRequest, {});
    const facts = tap.inspect({ event, data: whole.slice(0, -5) });
    assert.deepEqual([facts.complete, facts.error?.code], [false, 'upstream_invalid']);
  }
});

test('more cached tokens than there were in the prompt are cut to it', () => {
  const counts = decodeUsage({
    input_tokens: 7,
    input_tokens_details: { cached_tokens: 163 },
    output_tokens: 2,
  });
  assert.deepEqual([counts?.inputTokens, counts?.cacheReadTokens], [0, 7]);
});

test('a prompt that is counted as read from a cache and as written to it is billed once', () => {
  const counts = decodeUsage({
    input_tokens: 10,
    input_tokens_details: {
      cached_tokens: 8,
      cache_write_tokens: 8,
      cache_write_tokens_details: { ttl_12h: 8 },
    },
  });
  assert.equal(counts && inputTotalTokens(counts), 10);
  assert.deepEqual([counts?.cacheReadTokens, counts?.cacheWriteLongTokens], [8, 2]);
});

test('a call without arguments has the empty object, whole and streamed', () => {
  for (const none of ['', 'null', null]) {
    const item = { ...call, arguments: none };
    const [part] = openaiResponses.response.decode({ output: [item] }, {}).choices[0]?.parts ?? [];
    assert.equal(part?.kind === 'tool-call' && part.input, '{}');
    const delta = {
      type: 'response.function_call_arguments.delta',
      output_index: 0,
      delta: none ?? '',
    };
    const [added, done] = itemEvents(item, { output_index: 0 });
    const [said] = partsOf(added ?? {}, delta, done ?? {}, completed([item]));
    assert.equal(said?.kind === 'tool-call' && said.input, '{}');
  }
});

test('a failure without its error is one, and the framework’s event name says nothing', () => {
  const failures = [
    { type: 'response.failed', response: {} },
    { type: 'response.completed', response: { status: 'failed', error: null, output: [] } },
  ];
  for (const failure of failures) {
    assert.equal(eventsOf([failure]).at(-1)?.kind, 'error');
    const tap = openaiResponses.stream.tap(emptyRequest, {});
    assert.ok(tap.inspect({ data: JSON.stringify(failure) }).error);
  }
  const tap = openaiResponses.stream.tap(emptyRequest, {});
  const frame = { event: 'message', data: JSON.stringify(completed([message('m', 'Hello.')])) };
  assert.deepEqual([tap.inspect(frame).complete, tap.inspect(frame).closing], [true, true]);
});

test('a placeholder before the arguments is none of them', () => {
  const [added, done] = itemEvents({ ...call, arguments: '{"x":1}' }, { output_index: 0 });
  const announced = { ...added, item: { ...call, arguments: '{}' } };
  const delta = {
    type: 'response.function_call_arguments.delta',
    output_index: 0,
    delta: '{"x":1}',
  };
  for (const events of [
    [announced, delta],
    [announced, { ...delta, delta: '{}' }, delta],
  ]) {
    const [said] = partsOf(...events, done ?? {}, completed([]));
    assert.equal(said?.kind === 'tool-call' && said.input, '{"x":1}');
  }
});

test('a message whose content is its text is read, whole and streamed', () => {
  const item = { ...message('msg_1', ''), content: 'Hello.' };
  const wanted = [{ kind: 'text', text: 'Hello.' }];
  const { choices } = openaiResponses.response.decode({ output: [item] }, {});
  const textsOf = (parts: readonly Part[]): unknown =>
    parts.map((part) => (part.kind === 'text' ? { kind: 'text', text: part.text } : part.kind));
  assert.deepEqual(textsOf(choices[0]?.parts ?? []), wanted);
  assert.deepEqual(textsOf(partsOf(completed([item]))), wanted);
});

test('searches that the stream has shown are counted where its end lists no items', () => {
  const search = (id: string, rest: JsonObject = {}): JsonObject => ({
    type: 'web_search_call',
    id,
    status: 'completed',
    action: { type: 'search', query: 'q' },
    ...rest,
  });
  const items = [
    search('ws_1'),
    search('ws_2', { action: { type: 'open_page', url: 'u' } }),
    search('ws_3', { status: 'failed' }),
    search('ws_4'),
  ];
  const shown = items.flatMap((item, at) => itemEvents(item, { output_index: at }));
  const delta = { type: 'response.output_text.delta', output_index: 4, delta: 'Hello.' };
  const usage = { input_tokens: 3, output_tokens: 2 };
  for (const rest of [{}, { output: [] }, { output: items }]) {
    const last = { type: 'response.completed', response: { status: 'completed', usage, ...rest } };
    // A delta of another item may come before a search is done.
    const events = [...shown.slice(0, -1), delta, ...shown.slice(-1), last];
    const told = eventsOf(events).find((event) => event.kind === 'usage');
    assert.equal(told?.kind === 'usage' && told.usage.webSearches, 2);
    const tap = openaiResponses.stream.tap(emptyRequest, {});
    const facts = events.map((event) => tap.inspect({ data: JSON.stringify(event) }));
    assert.equal(facts.at(-1)?.usage?.webSearches, 2);
  }
});

test('words that go back to an earlier content of their message are not lost', () => {
  const delta = (content_index: number, value: string, rest: JsonObject = {}): JsonObject => ({
    type: 'response.output_text.delta',
    output_index: 0,
    content_index,
    delta: value,
    ...rest,
  });
  const whole = (content_index: number, value: string): JsonObject => ({
    type: 'response.output_text.done',
    output_index: 0,
    content_index,
    text: value,
  });
  const textsOf = (...events: readonly JsonObject[]): readonly string[] =>
    partsOf(...events, completed([])).map((part) => (part.kind === 'text' ? part.text : part.kind));
  const item = { type: 'message', id: 'msg_1', content: [text('One more.'), text('Two.')] };
  const [added, done] = itemEvents(item, { output_index: 0 });
  const pieces = [added ?? {}, delta(0, 'One'), delta(1, 'Two.')];
  const parts = ['One', 'Two.', ' more.'];
  assert.deepEqual(textsOf(...pieces, delta(0, ' more.'), done ?? {}), parts);
  assert.deepEqual(textsOf(...pieces, whole(0, 'One more.'), whole(1, 'Two.'), done ?? {}), parts);
  assert.deepEqual(textsOf(...pieces, done ?? {}), parts);
  // What comes after the end of a content belongs to nothing.
  assert.deepEqual(
    textsOf(delta(0, 'One'), whole(0, 'One'), delta(1, 'Two.'), done ?? {}).length,
    3,
  );
  const closed = { type: 'response.content_part.done', output_index: 0, content_index: 0 };
  const end = { ...closed, part: text('One') };
  assert.deepEqual(textsOf(delta(0, 'One'), end, delta(1, 'Two.'), delta(0, '!')), ['One', 'Two.']);
});

test('the log probabilities of a content that is interrupted are told once', () => {
  const delta = (content_index: number, token: string): JsonObject => ({
    type: 'response.output_text.delta',
    output_index: 0,
    content_index,
    delta: token,
    logprobs: [{ token, logprob: -1 }],
  });
  const told = eventsOf([delta(0, 'a'), delta(1, 'b'), delta(0, 'c'), completed([])]);
  const tokens = told.flatMap((event) => (event.kind === 'logprobs' ? event.tokens : []));
  assert.deepEqual(tokens.map(({ token }) => token).sort(), ['a', 'b', 'c']);
});

test('what only the end of a text or of a call’s input tells is counted once where it passes through', () => {
  const ends: readonly (readonly [JsonObject, number])[] = [
    [{ type: 'response.output_text.done', text: 'Hello.' }, 6],
    [{ type: 'response.refusal.done', refusal: 'No.' }, 3],
    [{ type: 'response.reasoning_summary_text.done', text: 'Hm.' }, 3],
    [{ type: 'response.function_call_arguments.done', arguments: '{"x":1}' }, 7],
    [{ type: 'response.custom_tool_call_input.done', input: 'ls' }, 2],
    [{ type: 'response.content_part.done', part: text('Hello.') }, 6],
  ];
  for (const [end, size] of ends) {
    const tap = openaiResponses.stream.tap(emptyRequest, {});
    const sizes = [end, end, completed([message('m', 'Hello.')])].map((event) => {
      const facts = tap.inspect({ data: JSON.stringify(event) });
      return [facts.generatedSize, facts.content];
    });
    assert.deepEqual(sizes, [
      [size, true],
      [0, false],
      [0, false],
    ]);
  }
});

test('searches are counted also where the end of a stream counts no tokens', () => {
  const search = { type: 'web_search_call', id: 'ws_1', status: 'completed' };
  const shown = itemEvents(search, { output_index: 0 });
  const delta = { type: 'response.output_text.delta', output_index: 1, delta: 'Hello.' };
  for (const last of [completed([]), completed([search])]) {
    const events = [...shown, delta, last];
    const told = eventsOf(events).find((event) => event.kind === 'usage');
    assert.deepEqual(told?.kind === 'usage' && told.usage, { webSearches: 1 });
    const tap = openaiResponses.stream.tap(emptyRequest, {});
    const facts = events.map((event) => tap.inspect({ data: JSON.stringify(event) }));
    assert.equal(facts.at(-1)?.usage?.webSearches, 1);
  }
  assert.equal(decodeUsage(undefined, { output: [] }), undefined);
});

test('a built-in call that ends as one of another kind is one part all the same', () => {
  const search = { type: 'web_search_call', status: 'in_progress' };
  const image = { type: 'image_generation_call', status: 'completed', result: 'AAAA' };
  for (const [first, last] of [
    [search, image],
    [image, search],
  ] as const) {
    const told = eventsOf([
      { type: 'response.output_item.added', output_index: 0, item: first },
      { type: 'response.output_item.done', output_index: 0, item: last },
      completed([]),
    ]);
    const parts = told.filter(({ kind }) => kind === 'part-start' || kind === 'part-end');
    assert.deepEqual(
      parts.map(({ kind }) => kind),
      ['part-start', 'part-end'],
    );
  }
});

test('a content that is announced and never says anything is no part; its sources are one', () => {
  const at = { output_index: 0, content_index: 0 };
  const added = { type: 'response.content_part.added', ...at, part: text('') };
  const done = { type: 'response.content_part.done', ...at, part: text('') };
  const phased = { ...message('msg_1', ''), phase: 'commentary' };
  const [begun, over] = itemEvents(phased, { output_index: 0 });
  const silent = [begun ?? {}, added, done, over ?? {}];
  assert.deepEqual(partsOf(...silent, completed([phased])), []);
  assert.deepEqual(partsOf(begun ?? {}, added, completed([phased])), []);
  const { choices } = openaiResponses.response.decode({ output: [phased, call] }, {});
  assert.deepEqual(kindsOf(choices[0]?.parts ?? []), ['tool-call']);
  const url = { type: 'url_citation', url: 'https://a.example', title: 'A' };
  const sourced = { ...text(''), annotations: [url] };
  const source = { type: 'response.output_text.annotation.added', ...at, annotation: url };
  const cited = partsOf(added, source, { ...done, part: sourced }, completed([]));
  assert.equal(cited[0]?.kind === 'text' && cited[0].citations?.[0]?.url, 'https://a.example');
  const [second] = partsOf(
    begun ?? {},
    added,
    { type: 'response.refusal.delta', output_index: 0, content_index: 1, delta: 'No.' },
    completed([]),
  );
  assert.deepEqual(
    second?.extensions,
    { item: { phase: 'commentary' } },
    'on the first with words',
  );
});

test('what a vendor tells of its searches under the name of thinking is no thinking', () => {
  const told = { type: 'response.reasoning.search_queries', queries: ['x'] };
  const parts = partsOf(...itemEvents(message('m', 'Hi.')), told, completed([]));
  assert.deepEqual(kindsOf(parts), ['text']);
});

test('a frame that is no JSON ends a stream that passes through, whichever event it is of', () => {
  const broken = [
    ['response.output_text.delta', '{"type":"response.output_text.delta","delta":"f() {}'],
    ['response.output_item.added', '{"type":"response.output_item.added","item":{}}}'],
    ['response.output_text.done', '{"type":"response.output_text.done","text":"a",}'],
    [undefined, '{"text" "a"}'],
  ] as const;
  for (const [event, data] of broken) {
    const tap = openaiResponses.stream.tap(emptyRequest, {});
    tap.inspect({ data: '{"type":"response.output_text.delta","delta":"Hello."}' });
    assert.equal(tap.inspect({ event, data }).error?.code, 'upstream_invalid', data);
  }
  const tap = openaiResponses.stream.tap(emptyRequest, {});
  assert.equal(tap.inspect({ event: 'error', data: 'down' }).error?.code, 'upstream_failed');
  assert.equal(tap.inspect({ data: 'keep-alive' }).error, undefined);
});

test('an answer that is incomplete for a reason of the vendor’s own looks complete in no dialect', () => {
  for (const details of [{ reason: 'server_timeout' }, undefined]) {
    const wire = {
      status: 'incomplete',
      incomplete_details: details,
      output: [message('m', 'Hi')],
    };
    const decoded = openaiResponses.response.decode(wire, {});
    const chat = openaiChat.response.encode(decoded, emptyRequest).value;
    assert.equal(asObjects(chat['choices'])[0]?.['finish_reason'], 'length');
    const again = openaiResponses.response.encode(decoded, emptyRequest).value;
    assert.equal(again['status'], 'incomplete');
    if (details) assert.deepEqual(again['incomplete_details'], details);
  }
});
