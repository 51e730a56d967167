import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asObject, ReadError, type JsonObject } from '#std';
import { openaiResponses } from './index.ts';

const { decode, encode } = openaiResponses.request;
const seed = 20_261_123;

test('any JSON is read or refused with a path, and what is read can be written', () => {
  const item = fc.oneof(
    fc.object(),
    fc.record(
      {
        type: fc.constantFrom('message', 'reasoning', 'function_call', 'function_call_output', 'x'),
        role: fc.constantFrom('user', 'assistant', 'no'),
        content: fc.oneof(fc.string(), fc.array(fc.object())),
        call_id: fc.oneof(fc.string(), fc.integer()),
        name: fc.string(),
        arguments: fc.string(),
        output: fc.oneof(fc.string(), fc.object()),
      },
      { requiredKeys: [] },
    ),
  );
  const wire = fc.record(
    {
      model: fc.string(),
      input: fc.oneof(fc.string(), fc.array(item), fc.jsonValue()),
      tools: fc.oneof(fc.array(fc.object()), fc.jsonValue()),
      tool_choice: fc.jsonValue(),
      text: fc.jsonValue(),
      reasoning: fc.jsonValue(),
      include: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(wire, (value) => {
      const json = JSON.parse(JSON.stringify(value)) as JsonObject;
      try {
        const request = decode(json, {});
        assert.ok(asObject(encode(request, {}).value));
      } catch (error) {
        assert.ok(error instanceof ReadError, String(error));
      }
    }),
    { seed, numRuns: 500 },
  );
});

test('whatever comes, the decoder never throws and ends in finished or error', () => {
  const type = fc.constantFrom(
    ...[
      'created',
      'output_item.added',
      'output_item.done',
      'content_part.added',
      'output_text.delta',
      'refusal.delta',
      'output_text.done',
      'reasoning_text.delta',
    ].map((name) => `response.${name}`),
    ...[
      'reasoning_summary_text.delta',
      'function_call_arguments.delta',
      'content_part.done',
      'completed',
      'incomplete',
      'failed',
    ].map((name) => `response.${name}`),
  );
  const item = fc.record(
    {
      type: fc.constantFrom(
        'message',
        'reasoning',
        'function_call',
        'web_search_call',
        'image_generation_call',
      ),
      name: fc.string(),
      call_id: fc.string(),
      arguments: fc.jsonValue(),
      content: fc.jsonValue(),
      summary: fc.jsonValue(),
      result: fc.jsonValue(),
    },
    { requiredKeys: ['type'] },
  );
  const event = fc.record(
    {
      type,
      output_index: fc.integer({ min: 0, max: 3 }),
      content_index: fc.integer({ min: 0, max: 2 }),
      delta: fc.oneof(fc.string(), fc.jsonValue()),
      text: fc.string(),
      item: fc.oneof(item, fc.jsonValue()),
      part: fc.jsonValue(),
      response: fc.jsonValue(),
    },
    { requiredKeys: ['type'] },
  );
  fc.assert(
    fc.property(fc.array(event), (list) => {
      const decoder = openaiResponses.stream.decoder({});
      const frames = list.map((one) => ({ data: JSON.stringify(one) }));
      const events = [...frames.flatMap((frame) => decoder.push(frame)), ...decoder.end()];
      let open = -1;
      let next = 0;
      for (const one of events) {
        if (one.kind === 'part-start') {
          assert.equal(open, -1);
          assert.equal(one.index, next);
          open = next;
          next += 1;
        }
        if (one.kind === 'part-delta') assert.equal(one.index, open);
        if (one.kind === 'part-end') open = -1;
      }
      const last = events.at(-1)?.kind;
      assert.ok(last === 'finished' || last === 'error');
      if (last === 'finished') assert.equal(open, -1);
    }),
    { seed, numRuns: 1_000 },
  );
});
