/** Which item the events of a stream speak of, where its vendor does not announce or number them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatCollector, type ChatEvent, type Part } from '#canonical';
import type { JsonObject } from '#std';
import { openaiResponses } from './index.ts';

const completed = (output: readonly JsonObject[] = []): JsonObject => ({
  type: 'response.completed',
  response: { status: 'completed', output },
});
const thought = (rest: JsonObject = {}): JsonObject => ({
  type: 'response.reasoning_text.delta',
  delta: 'Hm.',
  ...rest,
});
const word = (rest: JsonObject = {}): JsonObject => ({
  type: 'response.output_text.delta',
  delta: 'Hello.',
  ...rest,
});
const content = (what: 'added' | 'done', text: string): JsonObject => ({
  type: `response.content_part.${what}`,
  output_index: 0,
  part: { type: 'reasoning_text', text },
});
const message = {
  type: 'message',
  id: 'msg_1',
  content: [{ type: 'output_text', text: 'Hello.', annotations: [] }],
};
const call = (id: string, input: string): JsonObject => ({
  type: 'function_call',
  id: `fc_${id}`,
  call_id: id,
  name: 'f',
  arguments: input,
});
const added = (item: JsonObject): JsonObject => ({
  type: 'response.output_item.added',
  output_index: 0,
  item: { ...item, ...(item['type'] === 'message' ? { content: [] } : { arguments: '' }) },
});
const done = (item: JsonObject): JsonObject => ({
  type: 'response.output_item.done',
  output_index: 0,
  item,
});
const pieceOf = (id: string, delta: string): JsonObject => ({
  type: 'response.function_call_arguments.delta',
  output_index: 0,
  item_id: `fc_${id}`,
  delta,
});

function eventsOf(events: readonly JsonObject[]): readonly ChatEvent[] {
  const decoder = openaiResponses.stream.decoder({});
  return [
    ...events.flatMap((event) => decoder.push({ data: JSON.stringify(event) })),
    ...decoder.end(),
  ];
}

function said(...events: readonly JsonObject[]): readonly string[] {
  const collector = new ChatCollector('openai-responses');
  for (const event of eventsOf(events)) collector.push(event);
  const parts: readonly Part[] = collector.finish().choices[0]?.parts ?? [];
  return parts.map((part) => {
    if (part.kind === 'tool-call') return `${part.id} ${part.name} ${part.input}`;
    return 'text' in part ? `${part.kind} ${part.text}` : part.kind;
  });
}

const wanted = ['reasoning Hm.', 'text Hello.'];

test('thinking that nothing announced is thinking, however it is numbered', () => {
  assert.deepEqual(said(thought(), word(), completed()), wanted);
  assert.deepEqual(
    said(thought({ output_index: 0 }), word({ output_index: 0 }), completed()),
    wanted,
  );
  const first = thought({ output_index: 0 });
  const second = word({ output_index: 1 });
  assert.deepEqual(
    said(content('added', ''), first, content('done', 'Hm.'), second, completed()),
    wanted,
  );
  // In the middle of a message that was announced.
  const inside = [thought({ output_index: 0, item_id: 'msg_1' }), word({ item_id: 'msg_1' })];
  assert.deepEqual(said(added(message), ...inside, done(message), completed()), wanted);
});

test('thinking whose deltas never came is taken from its end', () => {
  const full = { type: 'response.reasoning_text.done', output_index: 0, text: 'Hm.' };
  const summary = (at: number, text: string): JsonObject => ({
    type: 'response.reasoning_summary_text.done',
    output_index: 1,
    summary_index: at,
    text,
  });
  assert.deepEqual(said(full, summary(0, 'A'), summary(1, 'B'), completed()), [
    'reasoning Hm.',
    'reasoning A\n\nB',
  ]);
  assert.deepEqual(said(thought({ output_index: 0 }), full, completed()), ['reasoning Hm.']);
});

test('items that all have the same number are none lost and none said twice', () => {
  const items = [message, call('a', '{"x":1}'), call('b', '{"x":2}')];
  const events = [
    added(message),
    word({ output_index: 0, item_id: 'msg_1' }),
    done(message),
    ...['a', 'b'].flatMap((id, at) => {
      const item = items[at + 1] ?? {};
      return [added(item), pieceOf(id, `{"x":${at + 1}}`), done(item)];
    }),
  ];
  const all = ['text Hello.', 'a f {"x":1}', 'b f {"x":2}'];
  const renamed = items.map((item) => ({ ...item, id: `${String(item['id'])}_other` }));
  for (const output of [[], items, renamed])
    assert.deepEqual(said(...events, completed(output)), all);
  // Whole, without an announcement.
  assert.deepEqual(said(...items.map(done), completed(items)), all);
});

test('what was streamed without an announcement is not said again by the end that lists it', () => {
  const items = [{ type: 'reasoning', id: 'rs_1', summary: [] }, message, call('a', '{}')];
  const streamed = word({ output_index: 0, item_id: 'msg_1' });
  assert.deepEqual(said(streamed, completed(items)), ['text Hello.', 'reasoning ', 'a f {}']);
  // Without an id and under another number its kind tells; not where there are several of it.
  const shifted = word({ output_index: 5 });
  assert.deepEqual(said(shifted, completed(items)), ['text Hello.', 'reasoning ', 'a f {}']);
  assert.deepEqual(said(shifted, completed([...items, message])), ['text Hello.']);
});

test('calls with one number that interleave keep their own arguments', () => {
  const first = call('a', '{"x":1}');
  const second = call('b', '{"x":2}');
  const events = [
    added(first),
    added(second),
    pieceOf('a', '{"x":'),
    pieceOf('b', '{"x":'),
    pieceOf('a', '1}'),
    pieceOf('b', '2}'),
    done(first),
    done(second),
  ];
  assert.deepEqual(said(...events, completed()), ['a f {"x":1}', 'b f {"x":2}']);
});

test('an item that is announced or ended twice is one', () => {
  const item = call('a', '{}');
  assert.deepEqual(said(added(item), added(item), done(item), done(item), completed([item])), [
    'a f {}',
  ]);
  const bare = { ...message, id: '' };
  assert.deepEqual(said(done(bare), done(bare), completed([bare])), ['text Hello.']);
});

test('a call whose name comes with the end of its arguments is one', () => {
  const end = {
    type: 'response.function_call_arguments.done',
    output_index: 0,
    item_id: 'fc_a',
    name: 'f',
    arguments: '{"x":1}',
  };
  assert.deepEqual(said(pieceOf('a', '{"x":'), end, completed()), ['fc_a f {"x":1}']);
  assert.deepEqual(said(pieceOf('a', '{"x":'), end, done(call('a', '{"x":1}')), completed()), [
    'a f {"x":1}',
  ]);
});

test('an answer of more items than one may hold is none', () => {
  const items = Array.from({ length: 10_001 }, (_, at) => ({ ...message, id: `msg_${at}` }));
  const streamed = eventsOf([...items.map(done), completed()]).at(-1);
  assert.equal(streamed?.kind === 'error' && streamed.error.code, 'upstream_invalid');
  const listed = eventsOf([completed(items)]).at(-1);
  assert.equal(listed?.kind === 'error' && listed.error.code, 'upstream_invalid');
});
