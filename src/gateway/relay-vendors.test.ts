/** Streams of vendors that break off or add something: passed through and translated, they end alike. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatRequest, Usage } from '#canonical';
import {
  anthropicMessages,
  geminiGenerate,
  openaiChat,
  openaiResponses,
  type Dialect,
} from '#dialects';
import { createSseParser, nanoUsd } from '#std';
import { passThroughRelay, translatingRelay, type Relay } from './relay.ts';
import { requestOf } from '../../test/support/requests.ts';

/** The same upstream for a client of its dialect, and for one of another. */
function relaysOf(dialect: Dialect, rest: Partial<ChatRequest> = {}): readonly Relay[] {
  const other = dialect === anthropicMessages ? openaiChat : anthropicMessages;
  const request = requestOf(other.id, rest);
  return [
    passThroughRelay(dialect, requestOf(dialect.id, rest), {}),
    translatingRelay(dialect, other, request, {}, { framing: 'sse' }, () => {}),
  ];
}

type Told = {
  /** What the client has before the charge. */
  readonly early: string;
  readonly error: string | undefined;
  readonly usage: Usage | undefined;
};

function play(relay: Relay, frames: readonly (string | object)[]): Told {
  const texts = frames.map((frame) => (typeof frame === 'string' ? frame : JSON.stringify(frame)));
  const body = texts.map((text) => `data: ${text}\n\n`).join('');
  let early = '';
  for (const frame of createSseParser().push(Buffer.from(body))) {
    const { output, error } = relay.push(frame);
    if (error) return { early, error: error.code, usage: relay.usage };
    if (output !== undefined) early += Buffer.from(output).toString('utf8');
  }
  return { early, error: relay.end()?.code, usage: relay.usage };
}

const chatChunk = (delta: object, reason: string | null = null, index = 0): object => ({
  id: 'c',
  choices: [{ index, delta, finish_reason: reason }],
});
const chatCall = (input: string): object =>
  chatChunk({ tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: input } }] });
const geminiChunk = (text: string, rest: object = {}): object => ({
  candidates: [{ content: { parts: [{ text }] }, ...rest }],
});
const blockDelta = (text: string): object => ({
  type: 'content_block_delta',
  index: 0,
  delta: { type: 'text_delta', text },
});
const outputDelta = (delta: string): object => ({
  type: 'response.output_text.delta',
  output_index: 0,
  delta,
});

type Stream = {
  readonly dialect: Dialect;
  readonly start: readonly object[];
  readonly pieces: readonly object[];
  readonly end: readonly (object | string)[];
};

const streams: readonly Stream[] = [
  {
    dialect: openaiChat,
    start: [chatChunk({ role: 'assistant', content: 'Hi' })],
    pieces: [chatChunk({ content: ' you' }), chatCall('{"x":1}')],
    end: [chatChunk({}, 'stop'), '[DONE]'],
  },
  {
    dialect: anthropicMessages,
    start: [
      { type: 'message_start', message: { id: 'm', usage: { input_tokens: 1 } } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    ],
    pieces: [blockDelta('Hi'), { type: 'content_block_stop', index: 0 }],
    end: [
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } },
      { type: 'message_stop' },
    ],
  },
  {
    dialect: geminiGenerate,
    start: [geminiChunk('Hi')],
    pieces: [
      geminiChunk(' you'),
      { candidates: [{ content: { parts: [{ functionCall: { name: 'f', args: { x: 1 } } }] } }] },
    ],
    end: [geminiChunk('', { finishReason: 'STOP' })],
  },
  {
    dialect: openaiResponses,
    start: [outputDelta('Hi')],
    pieces: [
      outputDelta(' you'),
      {
        type: 'response.output_item.done',
        output_index: 1,
        item: { type: 'function_call', call_id: 'a', name: 'f', arguments: '{}' },
      },
    ],
    end: [{ type: 'response.completed', response: { status: 'completed', output: [] } }],
  },
];

for (const { dialect, start, pieces, end } of streams) {
  test(`${dialect.id}: a frame that breaks off in the middle of a stream leaves no complete answer`, () => {
    for (const piece of pieces) {
      const text = JSON.stringify(piece);
      for (const half of [text.slice(0, -6), text.slice(0, text.length / 2)])
        for (const relay of relaysOf(dialect)) {
          const told = play(relay, [...start, half, ...end]);
          assert.equal(told.error, 'upstream_invalid', half);
          assert.equal(relay.complete, false);
        }
    }
  });
}

test('what is no event is passed over, and the mark of the end may stand between spaces', () => {
  for (const { dialect, start, pieces, end } of streams) {
    const noises = dialect === geminiGenerate ? ['', ' '] : ['', ' ', 'ping', '"ping"', '[ping]'];
    const marked = end.map((frame) => (frame === '[DONE]' ? '  [DONE]  ' : frame));
    for (const relay of relaysOf(dialect)) {
      const frames = [...start, ...noises, ...pieces.slice(0, 1), ...noises, ...marked];
      assert.equal(play(relay, frames).error, undefined, dialect.id);
    }
  }
});

test('two frames in one, and words that end only with their frame, are no plain words', () => {
  const chunk = JSON.stringify(chatChunk({ content: 'Hi' }));
  const open = '{"choices":[{"index":0,"delta":{"content":"Hi}';
  for (const broken of [`${chunk}data: ${chunk}`, open])
    for (const relay of relaysOf(openaiChat))
      assert.equal(play(relay, [broken, '[DONE]']).error, 'upstream_invalid');
});

test('a Gemini stream is complete when it is closed, not when it has said why it ends', () => {
  for (const relay of relaysOf(geminiGenerate)) {
    const [frame] = createSseParser().push(
      Buffer.from(`data: ${JSON.stringify(geminiChunk('Hi', { finishReason: 'STOP' }))}\n\n`),
    );
    assert.ok(frame);
    relay.push(frame);
    assert.equal(relay.complete, false);
    assert.equal(relay.end(), undefined);
    assert.equal(relay.complete, true);
  }
});

test('counts of Gemini stay where a later frame tells no output, and are its own where it does', () => {
  const counts = { promptTokenCount: 9, candidatesTokenCount: 4, thoughtsTokenCount: 2 };
  for (const later of [
    { promptTokenCount: 9 },
    { promptTokenCount: 9, candidatesTokenCount: null },
    { trafficType: 'ON_DEMAND' },
  ])
    for (const relay of relaysOf(geminiGenerate)) {
      const end = { finishReason: 'STOP' };
      const { error, usage } = play(relay, [
        geminiChunk('Hi', { ...end, index: 0 }),
        { usageMetadata: counts },
        { usageMetadata: later },
      ]);
      assert.equal(error, undefined);
      assert.deepEqual(
        [usage?.inputTokens, usage?.outputTokens, usage?.reasoningTokens],
        [9, 4, 2],
      );
    }
  // Google leaves zeros out.
  for (const relay of relaysOf(geminiGenerate)) {
    const last = { usageMetadata: { promptTokenCount: 87, thoughtsTokenCount: 78 } };
    const said = geminiChunk('Hi', { finishReason: 'STOP' });
    const { usage } = play(relay, [said, { usageMetadata: counts }, last]);
    assert.deepEqual([usage?.outputTokens, usage?.reasoningTokens], [0, 78]);
  }
});

test('what is counted behind the mark of the end is counted, and told in its place', () => {
  const usage = { prompt_tokens: 3, completion_tokens: 1 };
  const said = [chatChunk({ content: 'Hi' }), chatChunk({}, 'stop'), '[DONE]'];
  for (const relay of relaysOf(openaiChat)) {
    const told = play(relay, [...said, { choices: [], usage }, '[DONE]']);
    assert.equal(told.error, undefined);
    assert.deepEqual([told.usage?.inputTokens, told.usage?.outputTokens], [3, 1]);
    assert.equal(relay.usageAtEnd, true);
  }
  const [, translating] = relaysOf(openaiChat);
  assert.ok(translating);
  play(translating, [...said, { choices: [], usage }]);
  assert.match(translating.close(undefined), /"output_tokens":1.*message_stop/s);
});

test('a vendor that ignores the number of choices and marks no end is complete', () => {
  const asked = { choiceCount: 2 };
  const first = chatChunk({ content: 'Hi' });
  const second = chatChunk({ content: 'Ho' }, null, 1);
  for (const relay of relaysOf(openaiChat, asked))
    assert.equal(play(relay, [first, chatChunk({}, 'stop')]).error, undefined);
  for (const relay of relaysOf(geminiGenerate, asked)) {
    const last = geminiChunk(' you', { finishReason: 'STOP' });
    assert.equal(play(relay, [geminiChunk('Hi'), last]).error, undefined);
  }
  for (const relay of relaysOf(geminiGenerate, asked)) {
    const frames = [geminiChunk('Hi', { index: 1 }), geminiChunk('', { finishReason: 'STOP' })];
    assert.equal(play(relay, frames).error, 'upstream_cut');
  }
  for (const relay of relaysOf(openaiChat, asked))
    assert.equal(play(relay, [first, second, chatChunk({}, 'stop')]).error, 'upstream_cut');
  for (const relay of relaysOf(openaiChat, asked)) {
    const inTurn = [first, chatChunk({}, 'stop'), second, second, chatChunk({}, 'stop', 1)];
    assert.equal(play(relay, inTurn).error, undefined);
  }
  for (const relay of relaysOf(openaiChat, asked))
    assert.equal(play(relay, [first, chatChunk({}, 'stop'), second]).error, 'upstream_cut');
});

test('an Anthropic message may be counted by its last event, and by its first only not at its end', () => {
  const [start, begun] = streams[1]?.start ?? [];
  const delta = { type: 'message_delta', delta: { stop_reason: 'end_turn' } };
  const stop = { type: 'message_stop' };
  for (const relay of relaysOf(anthropicMessages)) {
    const last = { ...stop, usage: { output_tokens: 7 } };
    const told = play(relay, [start ?? {}, begun ?? {}, blockDelta('Hi'), delta, last]);
    assert.deepEqual([told.error, told.usage?.outputTokens], [undefined, 7]);
    assert.deepEqual([told.usage?.inputTokens, relay.usageAtEnd], [1, true]);
  }
  for (const relay of relaysOf(anthropicMessages)) {
    play(relay, [start ?? {}, begun ?? {}, blockDelta('Hi'), delta, stop]);
    assert.equal(relay.usageAtEnd, false);
  }
});

test('a client is told what is billed where its upstream counted searches and no tokens', () => {
  const search = { type: 'web_search_call', id: 'ws_1', status: 'completed' };
  const done = { type: 'response.output_item.done', output_index: 1, item: search };
  const [, relay] = relaysOf(openaiResponses);
  assert.ok(relay);
  const end = streams[3]?.end ?? [];
  const { usage } = play(relay, [outputDelta('Hi'), done, ...end]);
  assert.equal(usage?.webSearches, 1);
  const billed = { webSearches: 1, inputTokens: 5, outputTokens: 2 };
  assert.match(
    relay.close({ costNanoUsd: nanoUsd(5), receiptId: 'r' }, billed),
    /"input_tokens":5.*"output_tokens":2/,
  );
});
