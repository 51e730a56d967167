import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatRequest } from '#canonical';
import { openaiChat } from '#dialects';
import { textSize, type SseFrame } from '#std';
import { ContinuedRelay, DeliveredAnswer } from './continued-relay.ts';
import { relayInto, type Relay } from './relay.ts';

const request: ChatRequest = {
  dialect: 'openai-chat',
  model: 'm',
  messages: [{ role: 'user', parts: [{ kind: 'text', text: 'Hello' }] }],
  tools: [],
  stream: true,
  streamUsage: true,
  extensions: {},
};

function frame(data: string): SseFrame {
  return { data, raw: Buffer.from(`data: ${data}\n\n`) };
}

function chunk(delta: object, rest: object = {}): SseFrame {
  const choices = [{ index: 0, delta, finish_reason: null, ...rest }];
  return frame(JSON.stringify({ id: 'c', model: 'm', choices }));
}

function feed(relay: Relay, frames: readonly SseFrame[]): string {
  return frames.map((each) => String(relay.push(each).output ?? '')).join('');
}

/** An answer of which `text` has left, and the relay of an upstream that goes on with it. */
function broken(text: string): { answer: DeliveredAnswer; next: ContinuedRelay } {
  const answer = new DeliveredAnswer(openaiChat.stream.encoder(request, { framing: 'sse' }));
  const first = relayInto(answer, openaiChat, request, {});
  feed(first, [chunk({ role: 'assistant', content: '' }), chunk({ content: text })]);
  const earlier = { answer, text: answer.continuable ?? '', usage: undefined };
  return { answer, next: new ContinuedRelay(earlier, openaiChat, request, {}) };
}

const usage = frame(
  JSON.stringify({
    id: 'c',
    choices: [],
    usage: { prompt_tokens: 50, completion_tokens: 7, total_tokens: 57 },
  }),
);

test('a continuation goes on in the open text and ends the stream once', () => {
  const { next } = broken('The answer to everything');
  const said = feed(next, [
    chunk({ role: 'assistant', content: ' is forty-two, as everybody knows by now.' }),
    chunk({}, { finish_reason: 'stop' }),
    usage,
    frame('[DONE]'),
  ]);
  const told = { inputTokens: 9, outputTokens: 14 };
  const tail = next.close(undefined, told);
  assert.match(said, /"content":" is forty-two, as everybody knows by now\."/);
  assert.doesNotMatch(said, /"role"/);
  assert.match(tail, /"finish_reason":"stop"/);
  assert.match(tail, /"prompt_tokens":9,"completion_tokens":14/);
  assert.equal(tail.match(/\[DONE\]/g)?.length, 1);
  assert.equal(next.complete, true);
});

test('usage is the output of both, and what the later upstream bills is its own', () => {
  const { next } = broken('x'.repeat(36));
  feed(next, [
    chunk({ content: 'y'.repeat(100) }),
    chunk({}, { finish_reason: 'stop' }),
    usage,
    frame('[DONE]'),
  ]);
  assert.equal(next.usage?.outputTokens, 10 + 7);
  assert.equal(next.usage?.inputTokens, undefined);
  assert.equal(next.usageAtEnd, false);
  const own = next.ownUsage(5);
  assert.deepEqual([own.inputTokens, own.outputTokens], [50, 7]);
  assert.equal(next.generatedSize, 136);
});

test('what is delivered counts by its size in every script', () => {
  const { next } = broken('你好');
  feed(next, [
    chunk({ content: '世界 and more' }),
    chunk({}, { finish_reason: 'stop' }),
    frame('[DONE]'),
  ]);
  assert.equal(next.generatedSize, textSize('你好世界 and more'));
  assert.equal(next.ownUsage(0).outputTokens, Math.ceil(textSize('世界 and more') / 3.6));
});

test('a call after the text has a place of its own, and thinking has none', () => {
  const { answer, next } = broken('Let me look that up');
  const said = feed(next, [
    chunk({ reasoning_content: 'hidden' }),
    chunk({ content: '.' }),
    chunk({
      tool_calls: [
        { index: 0, id: 'call_1', type: 'function', function: { name: 'find', arguments: '{}' } },
      ],
    }),
    chunk({}, { finish_reason: 'tool_calls' }),
    frame('[DONE]'),
  ]);
  assert.doesNotMatch(said, /hidden/);
  assert.ok(said.indexOf('"content":"."') < said.indexOf('"name":"find"'));
  assert.ok(said.includes('"content":"."'));
  assert.match(next.close(undefined), /"finish_reason":"tool_calls"/);
  assert.equal(answer.continuable, undefined);
});

test('an answer that begins anew is an error, and nothing of it goes out', () => {
  const { next } = broken('The answer to everything is well known');
  const step = next.push(
    chunk({ content: `The answer to everything is well known ${'z'.repeat(60)}` }),
  );
  assert.equal(step.output, undefined);
  assert.equal(step.error?.code, 'upstream_invalid');
  assert.equal(next.hasAdded, false);
});

test('only one open text can be continued', () => {
  const answer = new DeliveredAnswer(openaiChat.stream.encoder(request, { framing: 'sse' }));
  const relay = relayInto(answer, openaiChat, request, {});
  assert.equal(answer.continuable, undefined);
  feed(relay, [chunk({ content: 'Some text' })]);
  assert.equal(answer.continuable, 'Some text');
  feed(relay, [chunk({ reasoning_content: 'a thought' })]);
  assert.equal(answer.continuable, undefined);
});
