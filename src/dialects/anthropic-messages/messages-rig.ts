/** What the tests of this dialect share: requests, streams and short ways to read both. */

import assert from 'node:assert/strict';
import {
  ChatCollector,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type Encoded,
  type Message,
  type Part,
} from '#canonical';
import {
  asObjects,
  createSseParser,
  nanoUsd,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Frame, Quirks } from '../dialect.ts';
import { anthropicMessages } from './index.ts';

const { decode, encode } = anthropicMessages.request;

/** A message of the user. */
export const user = (...parts: readonly Part[]): Message => ({ role: 'user', parts });

/** A text. */
export const text = (value: string): Part => ({ kind: 'text', text: value });

/** A call of the tool `look_up`. */
export const call = (id: string, input = '{}'): Part => ({
  kind: 'tool-call',
  id,
  name: 'look_up',
  input,
});

/** What a call gave. */
export const result = (id: string, value: string): Part => ({
  kind: 'tool-result',
  id,
  parts: [{ kind: 'text', text: value }],
});

/** A request as a chat client states it. */
export function foreign(fields: Partial<ChatRequest>): ChatRequest {
  return {
    dialect: 'openai-chat',
    model: 'claude',
    messages: [user(text('Hello.'))],
    tools: [],
    stream: false,
    streamUsage: false,
    extensions: {},
    ...fields,
  };
}

/** A request as a client of this dialect states it. */
export function own(fields: JsonObject): ChatRequest {
  return decode(
    {
      model: 'claude',
      max_tokens: 100,
      messages: [{ role: 'user', content: 'Hello.' }],
      ...fields,
    },
    {},
  );
}

/** What goes upstream, and what was lost. */
export function encoded(request: ChatRequest, quirks: Quirks = {}): Encoded<JsonObject> {
  return encode(request, quirks);
}

/** The fields that were lost. */
export const lostPaths = (result: Encoded<JsonObject>): readonly string[] =>
  result.losses.map(({ path }) => path);

/** Read and written again. */
export const roundTrip = (wire: JsonObject): JsonObject => encode(decode(wire, {}), {}).value;

/** Role and content of each turn on the wire. */
export function contents(result: Encoded<JsonObject>): readonly JsonValue[] {
  return asObjects(result.value['messages']).map((message) => [
    message['role'] ?? null,
    message['content'] ?? null,
  ]);
}

/** The tool that most tests use. */
export const lookUp = {
  kind: 'function',
  name: 'look_up',
  parameters: { type: 'object' },
} as const;

const { stream } = anthropicMessages;

/** A client of this dialect. */
export const client: ChatRequest = {
  dialect: 'anthropic-messages',
  model: 'asked',
  messages: [],
  tools: [],
  stream: true,
  streamUsage: true,
  extensions: {},
};

/** What the client owes. */
export const bill = { costNanoUsd: nanoUsd(42_000), receiptId: 'rcp_1' };

/** A frame as the parser of the stream gives it. */
export const frame = (data: JsonObject): Frame => ({
  event: String(data['type']),
  data: JSON.stringify(data),
});

/** The events of a stream that ends after `frames`. */
export function decoded(frames: readonly JsonObject[], quirks: Quirks = {}): readonly ChatEvent[] {
  const decoder = stream.decoder(quirks);
  const events = frames.flatMap((data) => [...decoder.push(frame(data))]);
  return [...events, ...decoder.end()];
}

/** The whole answer of a stream. */
export function collected(events: Iterable<ChatEvent>): ChatResponse {
  const collector = new ChatCollector('anthropic-messages');
  for (const event of events) collector.push(event);
  return collector.finish();
}

/** The events of a stream on the wire. */
export function written(
  events: readonly ChatEvent[],
  onLoss?: (path: string) => void,
): readonly JsonObject[] {
  const encoder = stream.encoder(client, { framing: 'sse' }, onLoss);
  const text = events.map((event) => encoder.push(event)).join('');
  return createSseParser()
    .push(Buffer.from(text))
    .map(({ event, data }) => {
      const object = parseJsonObject(data);
      assert.equal(object?.['type'], event);
      return object ?? {};
    });
}

/** How a stream begins. */
export const start = {
  type: 'message_start',
  message: { id: 'msg_1', model: 'claude', usage: { input_tokens: 10, output_tokens: 1 } },
};

/** How a stream ends well. */
export const end = [
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } },
  { type: 'message_stop' },
];

/** A block with its deltas. */
export const block = (
  index: number,
  contentBlock: JsonObject,
  ...deltas: readonly JsonObject[]
): readonly JsonObject[] => [
  { type: 'content_block_start', index, content_block: contentBlock },
  ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
  { type: 'content_block_stop', index },
];
