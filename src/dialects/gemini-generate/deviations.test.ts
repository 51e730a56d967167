/** Streams of servers that print protobuf's defaults, keep the connection warm or bundle chunks. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatCollector, GatewayFailure, type ChatEvent } from '#canonical';
import { asObjects, type JsonObject, type JsonValue } from '#std';
import { anthropicMessages } from '../anthropic-messages/index.ts';
import { openaiChat } from '../openai-chat/index.ts';
import { openaiResponses } from '../openai-responses/index.ts';
import { emptyRequest } from '../../../test/support/requests.ts';
import { geminiGenerate } from './index.ts';

const { response, stream } = geminiGenerate;

function chunk(text: string, finishReason?: string): JsonValue {
  const content = { role: 'model', parts: [{ text }] };
  const candidate = finishReason === undefined ? { content } : { content, finishReason };
  return { candidates: [candidate], responseId: 'r-1', modelVersion: 'm' };
}

function eventsOf(chunks: readonly (JsonValue | undefined)[]): readonly ChatEvent[] {
  const decoder = stream.decoder({});
  return [
    ...chunks.flatMap((value) =>
      decoder.push({ data: typeof value === 'string' ? value : JSON.stringify(value) }),
    ),
    ...decoder.end(),
  ];
}

function textOf(chunks: readonly JsonValue[]): string {
  const collector = new ChatCollector('gemini-generate');
  for (const event of eventsOf(chunks)) collector.push(event);
  const { choices, id } = collector.finish();
  assert.equal(id, 'r-1');
  return (choices[0]?.parts ?? []).map((part) => (part.kind === 'text' ? part.text : '')).join();
}

test('events that keep the connection alive are no beginning', () => {
  assert.equal(textOf(['{}', { type: 'ping' }, ' ', chunk('a', 'STOP'), ' [DONE] ']), 'a');
  const last = eventsOf([{ type: 'ping' }]).at(-1);
  assert.equal(last?.kind === 'error' && last.error.code, 'upstream_empty');
});

test('all chunks of an event are read', () => {
  assert.equal(textOf([[chunk('a'), chunk('b', 'STOP')]]), 'ab');
});

test('defaults that are printed end nothing', () => {
  const unspecified = chunk('a', 'FINISH_REASON_UNSPECIFIED');
  const feedback = { promptFeedback: { blockReason: 'BLOCK_REASON_UNSPECIFIED' } };
  for (const chunks of [[unspecified], [chunk('a'), feedback], [chunk('a', '')]]) {
    const last = eventsOf(chunks).at(-1);
    assert.equal(last?.kind === 'error' && last.error.code, 'upstream_cut');
    const tap = stream.tap(emptyRequest, {});
    const facts = chunks.map((value) => tap.inspect({ data: JSON.stringify(value) }));
    assert.deepEqual(
      facts.map(({ complete }) => complete),
      chunks.map(() => false),
    );
  }
  assert.throws(
    () => response.decode({ candidates: [], ...feedback, responseId: 'r' }, {}),
    (error) => error instanceof GatewayFailure && error.error.code === 'upstream_empty',
  );
});

test('arguments as text are arguments, whole and streamed', () => {
  const part = { functionCall: { name: 'f', args: '{"x":1}' } };
  const wire = { candidates: [{ content: { parts: [part] }, finishReason: 'STOP' }] };
  const [whole] = response.decode(wire, {}).choices[0]?.parts ?? [];
  assert.equal(whole?.kind === 'tool-call' && whole.input, '{"x":1}');
  const deltas = eventsOf([wire]).flatMap((event) =>
    event.kind === 'part-delta' ? [event.delta] : [],
  );
  assert.deepEqual(deltas, ['{"x":1}']);
});

test('a call after the reason of the end is what the answer ends with', () => {
  const call = { functionCall: { name: 'f', args: { x: 1 } } };
  const candidate = { content: { role: 'model', parts: [call] } };
  for (const reason of ['STOP', 'MAX_TOKENS']) {
    const events = eventsOf([chunk('a', reason), { candidates: [candidate] }]);
    const end = events.find((event) => event.kind === 'end');
    const wanted = reason === 'STOP' ? 'tool-calls' : 'length';
    assert.deepEqual(end?.kind === 'end' && end.finish, { reason: wanted, raw: reason });
  }
});

test('an answer that failed on its calls is no good answer', () => {
  const words = ['MALFORMED_FUNCTION_CALL', 'TOO_MANY_TOOL_CALLS', 'MISSING_THOUGHT_SIGNATURE'];
  for (const finishReason of words) {
    const { choices } = response.decode({ candidates: [{ finishReason }] }, {});
    assert.deepEqual(choices[0]?.finish, { reason: 'error', raw: finishReason });
  }
});

test('a draft picture of a thought stays one in the conversation', () => {
  const draft = { inlineData: { mimeType: 'image/png', data: 'AAAA' }, thought: true };
  const turns = [
    { role: 'user', parts: [{ text: 'Draw.' }] },
    { role: 'model', parts: [draft, { inlineData: { mimeType: 'image/png', data: 'BBBB' } }] },
    { role: 'user', parts: [{ text: 'Again.' }] },
  ];
  const request = geminiGenerate.request.decode({ contents: turns }, { model: 'm' });
  assert.deepEqual(geminiGenerate.request.encode(request, {}).value['contents'], turns);
  const { value, losses } = openaiChat.request.encode(request, {});
  assert.doesNotMatch(JSON.stringify(value), /AAAA/);
  assert.ok(losses.some(({ changesMeaning }) => !changesMeaning));
});

test('the signature of a picture finds its picture again through clients of other dialects', () => {
  const drawn = { inlineData: { mimeType: 'image/png', data: 'BBBB' }, thoughtSignature: 'sig' };
  const answer = geminiGenerate.response.decode(
    { candidates: [{ content: { parts: [{ text: 'Here:' }, drawn] }, finishReason: 'STOP' }] },
    {},
  );
  const asked = { ...emptyRequest, encryptedReasoning: true };
  const message = anthropicMessages.response.encode(answer, asked).value;
  const items = openaiResponses.response.encode(answer, asked).value;
  const question = { role: 'user', content: 'Draw.' };
  for (const { messages } of [
    anthropicMessages.request.decode(
      {
        model: 'm',
        max_tokens: 9,
        messages: [question, { role: 'assistant', content: message['content'] }],
      },
      {},
    ),
    openaiResponses.request.decode(
      { model: 'm', input: [question, ...asObjects(items['output'])] },
      {},
    ),
  ]) {
    const { value } = geminiGenerate.request.encode({ ...asked, messages }, {});
    const turns = asObjects(value['contents']);
    assert.deepEqual(turns[1]?.['parts'], [{ text: 'Here:' }, drawn]);
  }
});

/** What the first text of a stream cites, whose frames say of its sources one after another. */
function citedBy(...metadata: readonly JsonObject[]): unknown {
  const events = eventsOf(
    metadata.map((groundingMetadata, at) => ({
      candidates: [
        {
          content: { parts: [{ text: at === 0 ? 'Paris is' : ' large.' }] },
          groundingMetadata,
          ...(at === metadata.length - 1 ? { finishReason: 'STOP' } : {}),
        },
      ],
    })),
  );
  const collector = new ChatCollector('gemini-generate');
  for (const event of events) collector.push(event);
  const [part] = collector.finish().choices[0]?.parts ?? [];
  return (part?.kind === 'text' ? (part.citations ?? []) : []).map(({ title, start }) => [
    title,
    start,
  ]);
}

const source = (title: string): JsonObject => ({ web: { uri: `https://${title}.test`, title } });
const support = (text: string, ...groundingChunkIndices: readonly number[]): JsonObject => ({
  segment: { startIndex: 0, endIndex: text.length, text },
  groundingChunkIndices,
});

test('sources that frames name one after another are all cited, whichever way they are counted', () => {
  const first = { groundingChunks: [source('a')] };
  const both = [
    ['b', 0],
    ['a', undefined],
  ];
  const place = support('Paris is large.', 1);
  // Counted on, told anew, told from the beginning each time, and not told once more.
  const countedOn = { groundingChunks: [source('b')], groundingSupports: [place] };
  assert.deepEqual(citedBy(first, countedOn), both);
  const anew = { ...countedOn, groundingSupports: [support('Paris is large.', 0)] };
  assert.deepEqual(citedBy(first, anew), both);
  const all = { ...countedOn, groundingChunks: [source('a'), source('b')] };
  assert.deepEqual(citedBy(first, all), both);
  assert.deepEqual(citedBy(all, {}), both);
  assert.deepEqual(citedBy(all, { groundingChunks: [] }), both);
  // The same source, found by two searches.
  const again = { groundingChunks: [source('a')], groundingSupports: [place] };
  assert.deepEqual(citedBy(first, again), [
    ['a', 0],
    ['a', undefined],
  ]);
});

test('a step that ends with code to be run is no end of the answer', () => {
  const code = { executableCode: { language: 'PYTHON', code: 'print(1)' } };
  const ran = { candidates: [{ content: { parts: [code] }, finishReason: 'STOP' }] };
  const result = {
    candidates: [{ content: { parts: [{ codeExecutionResult: { output: '1' } }] } }],
  };
  const tap = (frames: readonly JsonValue[]): boolean | undefined => {
    const watched = stream.tap(emptyRequest, {});
    for (const frame of frames) watched.inspect({ data: JSON.stringify(frame) });
    return watched.mayEnd;
  };
  for (const cut of [[ran], [ran, result], [ran, result, chunk('It')]]) {
    const last = eventsOf(cut).at(-1);
    assert.equal(last?.kind === 'error' && last.error.code, 'upstream_cut');
    assert.equal(tap(cut), false);
  }
  const whole = [ran, result, chunk('It'), chunk(' is 1.', 'STOP')];
  assert.equal(eventsOf(whole).at(-1)?.kind, 'finished');
  assert.equal(tap(whole), true);
});
