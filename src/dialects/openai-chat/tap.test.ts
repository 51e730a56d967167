import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatRequest } from '#canonical';
import { textSize } from '#std';
import fc from 'fast-check';
import { openaiChat } from './index.ts';
import { emptyRequest } from '../../../test/support/requests.ts';

const request: ChatRequest = { ...emptyRequest, streamUsage: false };

function tapOf(
  rest: Partial<ChatRequest> = {},
): (data: string) => ReturnType<ReturnType<typeof openaiChat.stream.tap>['inspect']> {
  const tap = openaiChat.stream.tap({ ...request, ...rest }, {});
  return (data) => tap.inspect({ data });
}

function chunk(delta: unknown, rest: object = {}, top: object = {}): string {
  return JSON.stringify({
    id: 'c',
    choices: [{ index: 0, delta, finish_reason: null, ...rest }],
    usage: null,
    ...top,
  });
}

test('words are counted whatever they hold', () => {
  const anyText = fc.string({ unit: 'grapheme', maxLength: 60 });
  fc.assert(
    fc.property(
      anyText,
      anyText,
      fc.constantFrom('content', 'reasoning_content', 'refusal', 'reasoning'),
      fc.boolean(),
      (text, other, field, spaced) => {
        const compact = chunk({ [field]: text, role: other });
        const data = spaced ? JSON.stringify(JSON.parse(compact), undefined, 1) : compact;
        const facts = tapOf()(data);
        assert.equal(facts.generatedSize, textSize(text));
        assert.equal(facts.content, text !== '');
        assert.equal(facts.closing, false);
      },
    ),
    { seed: 20_261_123, numRuns: 400 },
  );
});

test('frames like the last one are counted alike, and one that ends otherwise is looked into', () => {
  const frame = (words: string, reason: string, pad: string): string =>
    `{"choices":[{"index":0,"delta":{"content":"${words}"},"finish_reason":${reason}}],"usage":null${pad}}`;
  for (const pad of ['', ',"obfuscation":"abc"']) {
    const inspect = tapOf();
    const counts = ['one', 'two', '\\u4f60\\u597d', 'a\\nb\\\\', '\\"', 'x'].map(
      (words) => inspect(frame(words, 'null', pad)).generatedSize,
    );
    assert.deepEqual(counts, [3, 3, textSize('你好'), 4, 1, 1]);
    const longer = inspect(frame('y', 'null', pad === '' ? pad : ',"obfuscation":"abcdef"'));
    assert.deepEqual([longer.generatedSize, longer.closing], [1, false]);
    const last = inspect(frame('z', '"ok"', pad));
    assert.deepEqual([last.generatedSize, last.closing], [1, true], 'a finish as long as null');
  }
  const inspect = tapOf();
  inspect(frame('a', 'null', ',"obfuscation":"abc"'));
  assert.equal(
    inspect(frame('a', 'null', ',"obfuscation":"abc","error":{"message":"x"}')).error?.code,
    'upstream_failed',
  );
});

test('marks inside a text are only text', () => {
  for (const text of [
    '"usage":{"prompt_tokens":1}',
    '"finish_reason":"stop"',
    '[DONE]',
    '"error":{}',
    '"content":"x"',
    '\\"usage\\":{',
  ]) {
    const facts = tapOf()(chunk({ content: text }));
    assert.deepEqual(
      [facts.generatedSize, facts.closing, facts.complete, facts.usage, facts.error],
      [text.length, false, false, undefined, undefined],
      text,
    );
  }
});

test('the finish closes, with the words of its own frame', () => {
  const inspect = tapOf();
  assert.equal(inspect(chunk({ content: 'a' })).closing, false);
  const last = inspect(chunk({ content: 'b' }, { finish_reason: 'stop' }));
  assert.deepEqual([last.closing, last.content, last.complete], [true, true, false]);
  assert.equal(inspect(chunk({})).closing, true, 'and stays closed');
  const done = inspect('[DONE]');
  assert.deepEqual([done.closing, done.complete, done.content], [true, true, false]);
});

test('with several answers asked for, only the last finish closes', () => {
  const inspect = tapOf({ choiceCount: 2 });
  assert.equal(inspect(chunk({}, { finish_reason: 'stop' })).closing, false);
  assert.equal(inspect(chunk({ content: 'x' }, { index: 1 })).content, true);
  assert.equal(inspect(chunk({}, { index: 1, finish_reason: 'stop' })).closing, true);
});

test('the usage chunk is unasked for when the client did not ask', () => {
  const usage = { prompt_tokens: 4, completion_tokens: 2, total_tokens: 6 };
  const data = JSON.stringify({ id: 'c', choices: [], usage });
  const facts = tapOf()(data);
  assert.deepEqual([facts.unasked, facts.closing, facts.usage?.outputTokens], [true, true, 2]);
  assert.equal(tapOf({ streamUsage: true })(data).unasked, false);
  const inFinish = tapOf()(chunk({}, { finish_reason: 'stop' }, { usage }));
  assert.deepEqual([inFinish.unasked, inFinish.usage?.inputTokens], [false, 4]);
  const running = tapOf()(chunk({ content: 'x' }, {}, { usage }));
  assert.deepEqual(
    [running.closing, running.usage?.outputTokens],
    [false, 2],
    'usage beside words is only a running count',
  );
});

test('tool calls count, with their names', () => {
  const facts = tapOf()(
    chunk({ tool_calls: [{ index: 0, id: 'a', function: { name: 'fn', arguments: '{"a":1}' } }] }),
  );
  assert.deepEqual([facts.content, facts.generatedSize], [true, 9]);
});

test('an error in the stream is seen and closes', () => {
  for (const data of [
    '{"error":{"message":"x","code":429}}',
    '{"id":"c","choices":[{"index":0,"delta":{"content":""},"error":{"message":"x"}}]}',
  ]) {
    const facts = tapOf()(data);
    assert.ok(facts.error && facts.closing, data);
  }
  assert.ok(
    openaiChat.stream.tap(request, {}).inspect({ event: 'error', data: '{"message":"x"}' }).error,
  );
});

test('frames that are no chunks mean nothing', () => {
  for (const data of [
    '',
    '{',
    '5',
    '[]',
    '{"choices":[]}',
    '{"choices":[{}]}',
    '{"choices":[null]}',
  ]) {
    const facts = tapOf()(data);
    assert.deepEqual([facts.content, facts.closing, facts.complete], [false, false, false], data);
  }
});

test('a frame that is no JSON is an error, though it ends as one does', () => {
  for (const data of [
    '{"id":"c","choices":[{"index":0,"delta":{"content":"a"}}}',
    '{"id":"c","choices":[{"index":0,"delta":{"content":"a"}},"usage":null}',
    '{"id":"c","choices":[{"index":0,"delta":{"content":"f() {}',
    '{"id":"c","choices":[{"index":0 "delta":{"role":"assistant"}}]}',
  ]) {
    const inspect = tapOf();
    assert.equal(inspect(chunk({ content: 'Hello.' })).error, undefined);
    assert.equal(inspect(data).error?.code, 'upstream_invalid', data);
  }
});
