/**
 * What grows with a conversation or an answer grows with it, not with its square: each shape is
 * encoded and decoded at a size and at sixteen times that, in every dialect.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ChatEvent, ChatRequest, Message, Part } from '#canonical';
import { createSseParser, type JsonObject } from '#std';
import { anthropicMessages, geminiGenerate, openaiChat, openaiResponses } from './index.ts';

const dialects = [openaiChat, openaiResponses, anthropicMessages, geminiGenerate];
const step = 16;
/** A square would be 2; what is linear is seen between 0.8 and 1.3. */
const exponentMax = 1.55;

function secondsOf(run: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 4; round += 1) {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

/** What else the machine does may disturb one measurement, or two; a square shows in each. */
const measurementsMax = 3;

function assertLinear(size: number, prepare: (size: number) => () => void): void {
  const seen: string[] = [];
  while (seen.length < measurementsMax) {
    const small = secondsOf(prepare(size));
    const large = secondsOf(prepare(size * step));
    if (Math.log(large / small) / Math.log(step) < exponentMax) return;
    seen.push(`${small.toFixed(2)} ms became ${large.toFixed(2)} ms at ${step} times the size`);
  }
  assert.fail(seen.join('; '));
}

const each = <Result>(size: number, make: (index: number) => Result): Result[] =>
  Array.from({ length: size }, (_, index) => make(index));

const text = (words: string): Part => ({ kind: 'text', text: words });
const call = (id: string): Message => ({
  role: 'assistant',
  parts: [{ kind: 'tool-call', id, name: 'look', input: '{"path":"a"}' }],
});
const result = (id: string): Message => ({
  role: 'tool',
  parts: [{ kind: 'tool-result', id, name: 'look', parts: [{ kind: 'text', text: 'found' }] }],
});

/** Conversations of about so many messages. */
const conversations: { readonly [name: string]: (size: number) => readonly Message[] } = {
  'turns of two': (size) =>
    each(size, (index) => ({
      role: index % 2 === 0 ? 'user' : 'assistant',
      parts: [text(`word ${index}`)],
    })),
  'one speaker after another': (size) =>
    each(size, (index) => ({ role: 'user', parts: [text(`word ${index}`)] })),
  'instructions in the middle': (size) =>
    each(size, (index) => ({
      role: index % 2 === 0 ? 'user' : 'system',
      parts: [text(`word ${index}`)],
    })),
  'calls with ids of their own': (size) =>
    each(size / 2, (index) => [
      call(`functions.look:${index}`),
      result(`functions.look:${index}`),
    ]).flat(),
  'calls that all have one id': (size) =>
    each(size / 2, () => [call('call_0'), result('call_0')]).flat(),
};

const request = (messages: readonly Message[]): ChatRequest => ({
  dialect: 'openai-completions',
  model: 'm',
  messages,
  tools: [],
  stream: true,
  streamUsage: true,
  extensions: {},
});

const start: ChatEvent = { kind: 'start', id: 'a', model: 'm', dialect: 'openai-chat' };
const end: readonly ChatEvent[] = [
  { kind: 'end', choice: 0, finish: { reason: 'stop', raw: 'stop' } },
  { kind: 'finished', extensions: {} },
];
const part = (index: number, head: Part, deltas: readonly string[]): ChatEvent[] => [
  { kind: 'part-start', index, choice: 0, part: head },
  ...deltas.map((delta): ChatEvent => ({ kind: 'part-delta', index, delta })),
  { kind: 'part-end', index },
];

/** Answers of about so many events. */
const answers: { readonly [name: string]: (size: number) => readonly ChatEvent[] } = {
  'words of one text': (size) =>
    part(
      0,
      text(''),
      each(size, (index) => `word ${index} `),
    ),
  'pieces of one call': (size) =>
    part(0, { kind: 'tool-call', id: 'c', name: 'write', input: '' }, [
      '{"text":"',
      ...each(size, (index) => `word ${index} `),
      '"}',
    ]),
  'thoughts and texts in turns': (size) =>
    each(size / 3, (index) =>
      part(index, index % 2 === 0 ? text('') : { kind: 'reasoning', form: 'full', text: '' }, [
        'some words of it',
      ]),
    ).flat(),
  'many calls': (size) =>
    each(size / 3, (index) =>
      part(index, { kind: 'tool-call', id: `c${index}`, name: 'look', input: '' }, ['{"a":1}']),
    ).flat(),
};

describe('the time that a conversation takes is linear in its messages', () => {
  for (const [name, conversation] of Object.entries(conversations)) {
    for (const { id, request: codec } of dialects) {
      it(`${name}, written as ${id}`, () => {
        assertLinear(500, (size) => {
          const asked = request(conversation(size));
          return () => void codec.encode(asked, {});
        });
      });
      it(`${name}, read as ${id}`, () => {
        assertLinear(500, (size) => {
          const wire: JsonObject = {
            model: 'm',
            max_tokens: 9,
            ...codec.encode(request(conversation(size)), {}).value,
          };
          return () => void codec.decode(wire, { model: 'm' });
        });
      });
    }
  }
});

describe('the time that a stream takes is linear in its events', () => {
  for (const [name, answer] of Object.entries(answers)) {
    for (const { id, stream } of dialects) {
      const written = (size: number): string => {
        const encoder = stream.encoder(request([]), { framing: 'sse' });
        return [start, ...answer(size), ...end].map((event) => encoder.push(event)).join('');
      };
      it(`${name}, written as ${id}`, () => {
        assertLinear(1_200, (size) => () => void written(size));
      });
      it(`${name}, read as ${id}`, () => {
        assertLinear(1_200, (size) => {
          const frames = [...createSseParser().push(Buffer.from(written(size)))];
          return () => {
            const decoder = stream.decoder({});
            for (const frame of frames) decoder.push(frame);
            decoder.end();
          };
        });
      });
    }
  }
});
