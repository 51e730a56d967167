import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChatCollector,
  GatewayFailure,
  explode,
  type ChatEvent,
  type ChatResponse,
  type Part,
} from '#canonical';
import { createSseParser, ReadError, type JsonObject, type JsonValue } from '#std';
import fc from 'fast-check';
import type { Dialect } from '../dialect.ts';
import { openaiCompletions } from '../openai-completions/index.ts';
import { openaiChat } from './index.ts';
import { emptyRequest as request } from '../../../test/support/requests.ts';

const seed = 20_261_123;

/** JSON in which the keys that matter turn up often, with values of any type. */
const keys = [
  'choices',
  'delta',
  'message',
  'content',
  'text',
  'tool_calls',
  'function',
  'name',
  'arguments',
  'id',
  'index',
  'usage',
  'finish_reason',
  'error',
  'reasoning_details',
  'type',
  'audio',
  'annotations',
  'logprobs',
  'prompt_tokens',
  'messages',
  'role',
  'model',
  'tools',
  'tool_choice',
  'response_format',
  'stop',
  'reasoning',
  'thinking',
];
const { tree } = fc.letrec<{ tree: JsonValue }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    fc.constantFrom<JsonValue>(
      null,
      true,
      0,
      1,
      -1,
      1.5,
      '',
      'x',
      'user',
      'assistant',
      'function',
      'text',
      'stop',
      'm',
      2 ** 60,
    ),
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...keys), tie('tree'), { maxKeys: 6 }),
  ),
}));

for (const dialect of [openaiChat, openaiCompletions] satisfies readonly Dialect[]) {
  test(`${dialect.id}: any JSON is read or refused with a path, never anything else`, () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), tree), (wire: JsonObject) => {
        const body = {
          model: 'm',
          messages: [{ role: 'user', content: 'x' }],
          prompt: 'x',
          ...wire,
        };
        try {
          const decoded = dialect.request.decode(body, {});
          dialect.request.encode(decoded, {});
        } catch (error) {
          assert.ok(error instanceof ReadError, String(error));
        }
        try {
          const response = dialect.response.decode({ choices: [wire], ...wire }, {});
          dialect.response.encode(response, request);
        } catch (error) {
          assert.ok(error instanceof GatewayFailure, String(error));
        }
        assert.ok(dialect.error.decode(500, JSON.stringify(wire)).status >= 400);
      }),
      { seed, numRuns: 1_500 },
    );
  });

  test(`${dialect.id}: any frames make a well-formed stream`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.constantFrom(...keys), tree), { maxLength: 6 }),
        (wires) => {
          const decoder = dialect.stream.decoder({});
          const tap = dialect.stream.tap(request, {});
          const events: ChatEvent[] = [];
          for (const wire of wires) {
            const frame = { data: JSON.stringify({ choices: [{ index: 0, ...wire }] }) };
            tap.inspect(frame);
            events.push(...decoder.push(frame));
          }
          events.push(...decoder.end());
          checkGrammar(events);
          const encoder = dialect.stream.encoder(request, { framing: 'sse' });
          for (const event of events) encoder.push(event);
        },
      ),
      { seed, numRuns: 600 },
    );
  });
}

function checkGrammar(events: readonly ChatEvent[]): void {
  const open = new Map<number, number>();
  const last = events.at(-1)?.kind;
  assert.ok(last === 'finished' || last === 'error', `ends with ${String(last)}`);
  let next = 0;
  for (const event of events) {
    if (event.kind === 'part-start') {
      assert.ok(![...open.values()].includes(event.choice), 'parts overlap');
      assert.equal(event.index, next);
      next += 1;
      open.set(event.index, event.choice);
    } else if (event.kind === 'part-delta')
      assert.ok(open.has(event.index), 'delta of a closed part');
    else if (event.kind === 'part-end') assert.ok(open.delete(event.index), 'end of a closed part');
  }
  if (last === 'finished') assert.equal(open.size, 0);
}

const words = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const callPart: fc.Arbitrary<Part> = fc
  .tuple(
    fc.uuid(),
    fc.constantFrom('f', 'g'),
    fc.constantFrom('{}', '{"a":"}"}', '{"b":[1,{"c":"\\""}]}'),
  )
  .map(([id, name, input]) => ({ kind: 'tool-call', id, name, input }));
const answer: fc.Arbitrary<readonly Part[]> = fc
  .tuple(
    fc.option(words, { nil: undefined }),
    fc.option(words, { nil: undefined }),
    fc.array(callPart, { maxLength: 3 }),
  )
  .map(([thinking, text, calls]) => [
    ...(thinking === undefined
      ? []
      : [{ kind: 'reasoning' as const, form: 'full' as const, text: thinking }]),
    ...(text === undefined ? [] : [{ kind: 'text' as const, text }]),
    ...calls,
  ]);

test('an answer is the same after it was written and read, whole or as a stream cut at any bytes', () => {
  fc.assert(
    fc.property(
      fc.array(answer, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 40 }),
      (choices, step) => {
        const response: ChatResponse = {
          dialect: 'openai-chat',
          id: 'chatcmpl-1',
          model: 'm',
          createdAt: 5,
          choices: choices.map((parts, index) => ({
            index,
            parts,
            finish: {
              reason: parts.some((part) => part.kind === 'tool-call') ? 'tool-calls' : 'length',
              raw: '',
            },
          })),
          extensions: {},
        };
        const whole = openaiChat.response.decode(
          JSON.parse(
            JSON.stringify(openaiChat.response.encode(response, request).value),
          ) as JsonObject,
          {},
        );
        assert.deepEqual(plain(whole), plain(response));
        const encoder = openaiChat.stream.encoder(request, { framing: 'sse' });
        const bytes = Buffer.from(
          [...explode(response)].map((event) => encoder.push(event)).join(''),
        );
        const parser = createSseParser();
        const decoder = openaiChat.stream.decoder({});
        const collector = new ChatCollector('openai-chat');
        for (let start = 0; start < bytes.length; start += step) {
          for (const frame of parser.push(bytes.subarray(start, start + step)))
            for (const event of decoder.push(frame)) collector.push(event);
        }
        assert.deepEqual(plain(collector.finish()), plain(response));
      },
    ),
    { seed, numRuns: 150 },
  );
});

function plain(response: ChatResponse): unknown {
  return response.choices.map(({ index, parts, finish }) => ({
    index,
    parts,
    reason: finish.reason,
  }));
}
