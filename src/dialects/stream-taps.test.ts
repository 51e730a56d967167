/** What all taps have in common: they measure what a text says, not how JSON writes it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatRequest } from '#canonical';
import { textSize } from '#std';
import fc from 'fast-check';
import { anyCharacter } from '../../test/support/characters.ts';
import type { Dialect } from './dialect.ts';
import {
  anthropicMessages,
  geminiGenerate,
  openaiChat,
  openaiCompletions,
  openaiResponses,
} from './index.ts';
import { emptyRequest } from '../../test/support/requests.ts';

const request: ChatRequest = { ...emptyRequest, streamUsage: false };

type Place = { readonly dialect: Dialect; readonly name: string; readonly frame: object };

/** Stands where the generated text goes. */
const words = '@';

const chat = (delta: object): object => ({ choices: [{ index: 0, delta, finish_reason: null }] });
const messages = (delta: object): object => ({ type: 'content_block_delta', index: 0, delta });
const responses = (type: string): object => ({ type, output_index: 0, delta: words });
const gemini = (part: object): object => ({ candidates: [{ content: { parts: [part] } }] });
const chatCall = { index: 0, id: 'a', function: { name: '', arguments: words } };
const wholeItem = {
  type: 'response.output_item.done',
  item: { type: 'message', content: [{ type: 'output_text', text: words }] },
};

const places: readonly Place[] = [
  { dialect: openaiChat, name: 'content', frame: chat({ content: words }) },
  { dialect: openaiChat, name: 'reasoning', frame: chat({ reasoning_content: words }) },
  { dialect: openaiChat, name: 'arguments', frame: chat({ tool_calls: [chatCall] }) },
  {
    dialect: openaiCompletions,
    name: 'text',
    frame: { choices: [{ index: 0, text: words, finish_reason: null }] },
  },
  { dialect: anthropicMessages, name: 'text', frame: messages({ text: words }) },
  { dialect: anthropicMessages, name: 'thinking', frame: messages({ thinking: words }) },
  { dialect: anthropicMessages, name: 'arguments', frame: messages({ partial_json: words }) },
  { dialect: openaiResponses, name: 'text', frame: responses('response.output_text.delta') },
  {
    dialect: openaiResponses,
    name: 'arguments',
    frame: responses('response.function_call_arguments.delta'),
  },
  { dialect: openaiResponses, name: 'item', frame: wholeItem },
  { dialect: geminiGenerate, name: 'text', frame: gemini({ text: words }) },
  { dialect: geminiGenerate, name: 'thinking', frame: gemini({ thought: true, text: words }) },
];

/** The frame with the text as JSON writes it, with all but ASCII escaped, and with everything escaped. */
function spellings(frame: object, text: string, space = 0): readonly string[] {
  const plain = JSON.stringify(text).slice(1, -1);
  const forms = [plain, escapeUnits(plain, /[^\0-\x7f]/g), escapeUnits(text, /[^]/g)];
  return forms.map((form) => JSON.stringify(frame, undefined, space).replace(words, () => form));
}

function escapeUnits(text: string, which: RegExp): string {
  return text.replace(which, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const mixture = Array.from('ab "\\/\n你好か한жب😀é—');

const anyText = fc.oneof(
  fc.string({ unit: anyCharacter, minLength: 1, maxLength: 20 }),
  fc.string({ unit: fc.constantFrom(...mixture), minLength: 1, maxLength: 20 }),
);

for (const { dialect, name, frame } of places) {
  test(`${dialect.id}: ${name} is as large escaped as it is plain`, () => {
    fc.assert(
      fc.property(anyText, fc.nat(1), (text, space) => {
        const tap = dialect.stream.tap(request, {});
        for (const data of spellings(frame, text, space)) {
          // Items of Responses count when nothing was streamed before, so each gets a tap of its own.
          const own = name === 'item' ? dialect.stream.tap(request, {}) : tap;
          assert.equal(own.inspect({ data }).generatedSize, textSize(text), data);
        }
      }),
      { seed: 20_261_128, numRuns: 200 },
    );
  });
}

test('gemini-generate: the arguments of a call are as large escaped as they are plain', () => {
  const frame = gemini({ functionCall: { name: 'f', args: { city: words } } });
  const sizes = spellings(frame, '你好, "Köln" 😀').map(
    (data) => geminiGenerate.stream.tap(request, {}).inspect({ data }).generatedSize,
  );
  assert.equal(new Set(sizes).size, 1);
  assert.ok((sizes[0] ?? 0) > textSize('你好, "Köln" 😀'));
});

test('gemini-generate: a frame with counts and without a price is not read again', () => {
  const tap = geminiGenerate.stream.tap(request, {});
  const frameOf = (usageMetadata: object): { data: string; readonly raw: Uint8Array } => {
    const data = JSON.stringify({ candidates: [], usageMetadata });
    return {
      data,
      get raw() {
        assert.match(data, /cost/, 'there is nothing to take out');
        return Buffer.from(`data: ${data}\n\n`);
      },
    };
  };
  assert.equal(tap.annotate(frameOf({ promptTokenCount: 5 }), undefined), undefined);
  assert.equal(
    tap.annotate(frameOf({ promptTokenCount: 5, cost: 0.5 }), undefined),
    'data: {"candidates":[],"usageMetadata":{"promptTokenCount":5}}\n\n',
  );
});

for (const dialect of [openaiChat, openaiCompletions, openaiResponses]) {
  test(`${dialect.id}: an error in words alone ends the stream with them, and noise does not`, () => {
    const frame = { event: 'error', data: 'The model runs on no machine now' };
    const last = dialect.stream.decoder({}).push(frame).at(-1);
    const told = dialect.stream.tap(request, {}).inspect(frame).error;
    for (const error of [last?.kind === 'error' ? last.error : undefined, told])
      assert.deepEqual([error?.code, error?.message], ['upstream_failed', frame.data]);
    const noise = { data: 'keep-alive' };
    assert.deepEqual(dialect.stream.decoder({}).push(noise), []);
    assert.equal(dialect.stream.tap(request, {}).inspect(noise).error, undefined);
  });
}
