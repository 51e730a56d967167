import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anthropicMessages, geminiGenerate, openaiChat, openaiResponses } from '#dialects';
import { asArray, createSseParser, parseJson, parseJsonObject } from '#std';
import { cutError, passThroughRelay, translatingRelay, type Relay } from './relay.ts';
import { requestOf } from '../../test/support/requests.ts';

/** What the client has before the charge, and what it gets after it. */
function play(relay: Relay, body: string): { readonly early: string; readonly late: string } {
  let early = '';
  for (const frame of createSseParser().push(Buffer.from(body))) {
    const { output, error } = relay.push(frame);
    assert.equal(error, undefined);
    if (output !== undefined) early += Buffer.from(output).toString('utf8');
  }
  assert.equal(relay.end(), undefined);
  return { early, late: relay.close(undefined) };
}

const geminiFrame = (text: string): string =>
  `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }] }, finishReason: 'STOP' }] })}\n\n`;

test('a vendor that says in every frame that it stops is passed on as it speaks', () => {
  const frames = Array.from({ length: 200 }, (_, index) => geminiFrame(`word ${index} `));
  const relay = passThroughRelay(geminiGenerate, requestOf('gemini-generate'), {});
  const { early, late } = play(relay, frames.join(''));
  assert.equal(early + late, frames.join(''));
  assert.equal(late, frames.at(-1));
});

test('words after the reason do not make an answer without a mark of the end look cut', () => {
  const chunk = (content: string, reason: string | null): string =>
    `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content }, finish_reason: reason }] })}\n\n`;
  const body = chunk('a', null) + chunk('b', 'stop') + chunk('c', null);
  const { early, late } = play(passThroughRelay(openaiChat, requestOf('openai-chat'), {}), body);
  assert.equal(early + late, body);
});

test('frames after the end that hold nothing are still bounded', () => {
  const relay = passThroughRelay(geminiGenerate, requestOf('gemini-generate'), {});
  const frames = Array.from({ length: 100 }, () => geminiFrame(''));
  const errors = createSseParser()
    .push(Buffer.from(frames.join('')))
    .map((frame) => relay.push(frame).error?.code);
  assert.ok(errors.includes('upstream_invalid'));
});

test('parts that only the close of the connection ends are ended for the client', () => {
  const chat =
    'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n';
  for (const [upstream, body] of [
    [geminiGenerate, geminiFrame('Hi')],
    [openaiChat, chat],
  ] as const) {
    const request = requestOf('anthropic-messages');
    const form = { framing: 'sse' } as const;
    const relay = translatingRelay(upstream, anthropicMessages, request, {}, form, () => {});
    const { early, late } = play(relay, body);
    assert.match(early, /text_delta/);
    assert.deepEqual(
      [...late.matchAll(/event: (\w+)/g)].map(([, name]) => name),
      ['content_block_stop', 'message_delta', 'message_stop'],
    );
  }
});

test('a picture counts as one, however large it is', () => {
  const inlineData = { mimeType: 'image/png', data: 'A'.repeat(100_000) };
  const chunk = { candidates: [{ content: { parts: [{ inlineData }] }, finishReason: 'STOP' }] };
  const body = `data: ${JSON.stringify(chunk)}\n\n`;
  const form = { framing: 'sse' } as const;
  const request = requestOf('openai-chat');
  const relay = translatingRelay(geminiGenerate, openaiChat, request, {}, form, () => {});
  play(relay, body);
  assert.equal(relay.generatedSize, 1);
});

test('an error in the middle of a JSON array leaves an array', () => {
  const relay = translatingRelay(
    openaiChat,
    geminiGenerate,
    requestOf('gemini-generate'),
    {},
    { framing: 'json-array' },
    () => {},
  );
  const chunk = { id: 'c', choices: [{ index: 0, delta: { content: 'a' }, finish_reason: null }] };
  const [frame] = createSseParser().push(Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`));
  assert.ok(frame);
  const { output = '' } = relay.push(frame);
  const text = Buffer.from(output).toString('utf8') + relay.fail(cutError());
  const parsed = parseJson(text);
  assert.equal(parsed.ok && asArray(parsed.value)?.length, 2);
});

test('an error in the middle of a Responses stream that passes through begins no second answer', () => {
  const response = { id: 'resp_1', object: 'response', created_at: 7, model: 'm', output: [] };
  const frames = [
    { type: 'response.created', sequence_number: 0, response },
    { type: 'response.output_text.delta', sequence_number: 1, item_id: 'msg_1', delta: 'words' },
  ].map((data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`);
  const relay = passThroughRelay(openaiResponses, requestOf('openai-responses'), {});
  for (const frame of createSseParser().push(Buffer.from(frames.join('')))) relay.push(frame);
  const told = createSseParser().push(Buffer.from(relay.fail(cutError())));
  assert.deepEqual(
    told.map(({ event }) => event),
    ['error', 'response.failed'],
  );
  assert.match(told[1]?.data ?? '', /"id":"resp_1"/);
});

test('the error that ends a Responses stream is numbered after the last event that has left', () => {
  const response = { id: 'resp_1', object: 'response', created_at: 7, model: 'm', output: [] };
  const frames = [
    { type: 'response.created', sequence_number: 0, response },
    { type: 'response.output_text.delta', sequence_number: 40, item_id: 'msg_1', delta: 'words' },
    { type: 'response.metadata', sequence_number: 41, metadata: { sequence_number: 7 } },
    { type: 'response.completed', sequence_number: 42, response },
  ].map((data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`);
  const relay = passThroughRelay(openaiResponses, requestOf('openai-responses'), {});
  for (const frame of createSseParser().push(Buffer.from(frames.join('')))) relay.push(frame);
  const told = createSseParser().push(Buffer.from(relay.fail(cutError())));
  assert.deepEqual(
    told.map(({ data }) => parseJsonObject(data)?.['sequence_number']),
    [42, 43],
  );
});

test('nothing behind the mark of the end reaches the client, but its counts do', () => {
  const chunk = (delta: object, rest: object = {}): string =>
    `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta, finish_reason: null }], ...rest })}\n\n`;
  const mark = 'data: [DONE]\n\n';
  const counts = { usage: { prompt_tokens: 3, completion_tokens: 1 } };
  const relay = passThroughRelay(openaiChat, requestOf('openai-chat'), {});
  const behind =
    chunk({ content: 'more' }) +
    mark +
    `data: ${JSON.stringify({ choices: [], ...counts })}\n\n` +
    'data: {"error":{"message":"Gone."}}\n\n';
  const { early, late } = play(relay, chunk({ content: 'Hi' }) + mark + behind);
  assert.equal(early, chunk({ content: 'Hi' }));
  assert.equal(late, mark);
  assert.deepEqual([relay.usage?.inputTokens, relay.usage?.outputTokens], [3, 1]);
  assert.equal(relay.generatedSize, 2);
});
