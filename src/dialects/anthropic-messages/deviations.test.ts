/** Deviations of servers that speak this dialect after their own fashion: nothing is lost silently. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '#std';
import { emptyRequest } from '../../../test/support/requests.ts';
import { anthropicMessages } from './index.ts';
import { block, collected, decoded, end, start } from './messages-rig.ts';

const { stream, response } = anthropicMessages;
const words = (index: number, text: string): JsonObject => ({
  type: 'content_block_delta',
  index,
  delta: { type: 'text_delta', text },
});
const opening = (index: number, text = ''): JsonObject => ({
  type: 'content_block_start',
  index,
  content_block: { type: 'text', text },
});

test('words of a block that was never announced are read', () => {
  const thought = {
    type: 'content_block_delta',
    index: 0,
    delta: { type: 'thinking_delta', thinking: 'Hm.' },
  };
  const { choices } = collected(decoded([start, thought, words(1, 'a'), words(1, 'b'), ...end]));
  assert.deepEqual(
    choices[0]?.parts.map((part) => ('text' in part ? [part.kind, part.text] : part.kind)),
    [
      ['reasoning', 'Hm.'],
      ['text', 'ab'],
    ],
  );
});

test('words of another kind than the open block are in none of its parts, and not lost', () => {
  const thought = (index: number, thinking: string): JsonObject => ({
    type: 'content_block_delta',
    index,
    delta: { type: 'thinking_delta', thinking },
  });
  const thinking = { type: 'thinking', thinking: '', signature: '' };
  const call = { type: 'tool_use', id: 'a', name: 'f', input: {} };
  const begun = (content_block: JsonObject): JsonObject => ({ ...opening(0), content_block });
  const partsOf = (...frames: readonly JsonObject[]): unknown =>
    collected(decoded([start, ...frames, ...end])).choices[0]?.parts.map((part) =>
      'text' in part ? [part.kind, part.text] : part.kind,
    );
  assert.deepEqual(partsOf(begun(thinking), thought(0, 'Hm.'), words(0, 'a'), words(0, 'b')), [
    ['reasoning', 'Hm.'],
    ['text', 'ab'],
  ]);
  assert.deepEqual(partsOf(opening(0), thought(0, 'Hm.'), words(0, 'a')), [
    ['text', ''],
    ['reasoning', 'Hm.'],
    ['text', 'a'],
  ]);
  assert.deepEqual(partsOf(begun(call), words(0, ''), words(0, 'a')), ['tool-call', ['text', 'a']]);
});

test('a signature of thinking that is not shown is kept without an announcement', () => {
  const delta = { type: 'signature_delta', signature: 'sig' };
  const frames = [start, { type: 'content_block_delta', index: 0, delta }, words(1, 'a'), ...end];
  const [thought] = collected(decoded(frames)).choices[0]?.parts ?? [];
  assert.equal(thought?.state?.value, 'sig');
});

test('a delta with the number of a block that has ended belongs to the one that is open', () => {
  const frames = [
    start,
    ...block(0, { type: 'text', text: 'a' }),
    opening(1),
    words(0, 'b'),
    ...end,
  ];
  const { choices } = collected(decoded(frames));
  assert.deepEqual(
    choices[0]?.parts.map((part) => 'text' in part && part.text),
    ['a', 'b'],
  );
});

test('blocks that interleave are an error and not an answer with holes', () => {
  const stop = { type: 'content_block_stop', index: 0 };
  const fine = decoded([start, opening(0, 'a'), opening(1), stop, words(1, 'b'), ...end]);
  assert.deepEqual(
    collected(fine).choices[0]?.parts.map((part) => 'text' in part && part.text),
    ['a', 'b'],
  );
  const last = decoded([start, opening(0), opening(1), words(0, 'a'), words(1, 'b'), ...end]).at(
    -1,
  );
  assert.equal(last?.kind === 'error' && last.error.code, 'upstream_invalid');
});

test('zeros at the end do not make the prompt of the start empty', () => {
  const counts = (usage: JsonObject): readonly JsonObject[] => [
    { type: 'message_start', message: { usage: { input_tokens: 30, cache_read_input_tokens: 5 } } },
    ...block(0, { type: 'text', text: 'a' }),
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage },
    { type: 'message_stop' },
  ];
  const none = { input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 7 };
  for (const [usage, wanted] of [
    [none, [30, 5, 7]],
    [{ ...none, cache_read_input_tokens: 35 }, [0, 35, 7]],
  ] as const) {
    const told = collected(decoded(counts(usage))).usage;
    assert.deepEqual([told?.inputTokens, told?.cacheReadTokens, told?.outputTokens], wanted);
    const tap = stream.tap(emptyRequest, {});
    const seen = counts(usage).map((event) => tap.inspect({ data: JSON.stringify(event) }).usage);
    const last = seen.findLast((each) => each !== undefined);
    assert.deepEqual([last?.inputTokens, last?.cacheReadTokens, last?.outputTokens], wanted);
  }
});

test('blank events and a spaced mark say nothing', () => {
  const decoder = stream.decoder({});
  for (const data of [' ', ' [DONE] ']) assert.deepEqual(decoder.push({ data }), []);
  assert.equal(decoder.push({ data: JSON.stringify(start) })[0]?.kind, 'start');
});

test('the end is read in any case and in chat’s words, and calls are calls', () => {
  const call = { type: 'tool_use', id: 'a', name: 'f', input: {} };
  const text = { type: 'text', text: 'a' };
  const reasonOf = (
    stop_reason: string | null,
    content: JsonObject,
    stop_sequence?: string,
  ): string => {
    const wire = { type: 'message', content: [content], stop_reason, stop_sequence };
    return response.decode(wire, {}).choices[0]?.finish.reason ?? '';
  };
  assert.deepEqual(
    [
      reasonOf('MAX_TOKENS', text),
      reasonOf('length', text),
      reasonOf('constructor', text),
      reasonOf(null, text),
      reasonOf('end_turn', call),
      reasonOf(null, call),
      reasonOf('max_tokens', call),
      reasonOf('stop_sequence', call, '\n'),
    ],
    ['length', 'length', 'other', 'other', 'tool-calls', 'tool-calls', 'length', 'stop'],
  );
  const streamed = decoded([start, ...block(0, call), { type: 'message_stop' }]);
  assert.equal(collected(streamed).choices[0]?.finish.reason, 'tool-calls');
});

test('arguments that say none give the empty object, and way to those that follow', () => {
  const call = { type: 'tool_use', id: 'a', name: 'f', input: {} };
  const pieces = (...texts: readonly string[]): readonly JsonObject[] =>
    texts.map((partial_json) => ({ type: 'input_json_delta', partial_json }));
  const inputOf = (...texts: readonly string[]): unknown => {
    const [part] =
      collected(decoded([start, ...block(0, call, ...pieces(...texts)), ...end])).choices[0]
        ?.parts ?? [];
    return part?.kind === 'tool-call' && part.input;
  };
  assert.equal(inputOf('null'), '{}');
  assert.equal(inputOf('{}'), '{}');
  assert.equal(inputOf('{}', '{"x":', 'null', '}'), '{"x":null}');
});

test('a message that comes whole in the one frame of its stream is read as it stands', () => {
  const message = {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude',
    content: [
      { type: 'thinking', thinking: 'Hm.', signature: 'sig' },
      { type: 'text', text: 'Hi' },
      { type: 'tool_use', id: 'a', name: 'f', input: { x: 1 } },
    ],
    container: { id: 'box' },
    stop_reason: 'tool_use',
    stop_sequence: null,
    usage: { input_tokens: 3, output_tokens: 7 },
  };
  const events = decoded([{ type: 'ping' }, message]);
  const { choices, usage, extensions } = response.decode(message, {});
  const read = collected(events);
  assert.deepEqual([read.choices, read.usage, read.extensions], [choices, usage, extensions]);
  assert.equal(events.filter(({ kind }) => kind === 'usage').length, 1);
  const facts = stream.tap(emptyRequest, {}).inspect({ data: JSON.stringify(message) });
  assert.deepEqual([facts.whole, facts.content, facts.complete], [true, true, true]);
});

const ranByCode = {
  type: 'message_start',
  message: {
    id: 'msg_1',
    content: [
      { type: 'code_execution_tool_result', tool_use_id: 's', content: { stdout: '1' } },
      { type: 'tool_use', id: 'a', name: 'f', input: { x: 1 }, caller: { tool_id: 's' } },
    ],
    stop_reason: 'tool_use',
    usage: { input_tokens: 3, output_tokens: 7 },
  },
};

test('blocks that the head of a message holds are in the answer, before those that are streamed', () => {
  const kinds = (...frames: readonly JsonObject[]): unknown =>
    collected(decoded([ranByCode, ...frames, { type: 'message_stop' }])).choices[0]?.parts.map(
      (part) => ('text' in part ? part.text : part.kind),
    );
  assert.deepEqual(kinds(), ['native', 'tool-call']);
  assert.deepEqual(kinds(...block(0, { type: 'text', text: 'a' })), ['native', 'tool-call', 'a']);
  const { choices, usage } = collected(decoded([ranByCode, { type: 'message_stop' }]));
  const called = choices[0]?.parts[1];
  assert.deepEqual(called?.kind === 'tool-call' && [called.id, called.input, called.extensions], [
    'a',
    '{"x":1}',
    { caller: { tool_id: 's' } },
  ]);
  assert.equal(choices[0]?.finish.reason, 'tool-calls');
  assert.equal(usage?.outputTokens, 7);
  const facts = stream.tap(emptyRequest, {}).inspect({ data: JSON.stringify(ranByCode) });
  assert.deepEqual([facts.content, facts.complete], [true, false]);
});

test('a head whose blocks are streamed once more does not double them', () => {
  const message = { id: 'm', content: [{ type: 'text', text: 'Hi' }] };
  const again = block(0, { type: 'text', text: '' }, { type: 'text_delta', text: 'Hi' });
  for (const frames of [again, [words(0, 'Hi')]])
    assert.deepEqual(
      collected(decoded([{ type: 'message_start', message }, ...frames, ...end])).choices[0]?.parts,
      [{ kind: 'text', text: 'Hi' }],
    );
});
