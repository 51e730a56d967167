/** Streams of servers that print protobuf's defaults, keep the connection warm or bundle chunks. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatCollector, GatewayFailure, type ChatEvent } from '#canonical';
import type { JsonValue } from '#std';
import { emptyRequest } from '../request-rig.ts';
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

test('a reason in the middle of an answer, as before code that it runs, is no end of it', () => {
  const code = { executableCode: { language: 'PYTHON', code: '1' } };
  const result = { codeExecutionResult: { outcome: 'OUTCOME_OK', output: '1' } };
  const candidate = (part: JsonValue, reason: JsonValue = {}): JsonValue => ({
    candidates: [{ content: { role: 'model', parts: [part] }, ...(reason as object) }],
  });
  const flow = [
    chunk('Look:'),
    candidate(code, { finishReason: 'STOP' }),
    candidate(result),
    chunk('It is '),
    chunk('1.', 'STOP'),
  ];
  const lastOf = (chunks: readonly JsonValue[]): readonly [string | undefined, boolean] => {
    const tap = stream.tap(emptyRequest, {});
    for (const value of chunks) tap.inspect({ data: JSON.stringify(value) });
    return [eventsOf(chunks).at(-1)?.kind, tap.mayEnd === true];
  };
  assert.deepEqual(lastOf(flow), ['finished', true]);
  assert.deepEqual(lastOf(flow.slice(0, 4)), ['error', false]);
  assert.deepEqual(lastOf(flow.slice(0, 3)), ['error', false]);
  assert.deepEqual(lastOf([...flow, chunk('')]), ['finished', true]);
});

test('an answer that failed on its calls is no good answer', () => {
  const words = ['MALFORMED_FUNCTION_CALL', 'TOO_MANY_TOOL_CALLS', 'MISSING_THOUGHT_SIGNATURE'];
  for (const finishReason of words) {
    const { choices } = response.decode({ candidates: [{ finishReason }] }, {});
    assert.deepEqual(choices[0]?.finish, { reason: 'error', raw: finishReason });
  }
});
