import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  ChatCollector,
  GatewayFailure,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type Part,
} from '#canonical';
import { openaiChat, type Quirks, type StreamDecoder } from '#dialects';
import {
  asObject,
  createSseParser,
  parseJsonObject,
  ReadError,
  textSize,
  type JsonObject,
  type JsonValue,
} from '#std';
import { plainRequest } from './cross.ts';
import { compareAnswer, compareUsage, withoutVendorCosts } from './expected.ts';
import { listCases, sseFrames, type RecordingCase } from './load.ts';
import { createRecordingTable } from './table.ts';

/** Cases whose recording or expectation is at fault, with what is. */
const atFault: { readonly [name: string]: string } = {
  'mistral/chat/rl-chat-audio-models-mistral-voxtral-small-latest-can-understand-audio':
    'Mistral counts audio beside prompt_tokens (9 + 375 + 248 = total 632); the expected input leaves it out',
  'mistral/chat/rl-chat-audio-models-mistral-voxtral-small-latest-can-understand-mp3-audio':
    'Mistral counts audio beside prompt_tokens; the expected input leaves it out',
};

const table = createRecordingTable();
after(() => process.stdout.write(`\n${table.text()}\n\n`));

for (const recorded of listCases({ kinds: ['chat'] })) {
  test(`${recorded.name} is read as it was meant`, () => {
    const problems = [...checkAnswer(recorded), ...checkRequest(recorded)];
    table.record(recorded.meta.provider, 'chat', problems);
    if (recorded.name in atFault) return;
    assert.deepEqual(problems, []);
  });
}

const chatRequest = plainRequest('openai-chat', true);

function checkAnswer(recorded: RecordingCase): string[] {
  if (recorded.meta.status >= 400) return checkError(recorded);
  return recorded.responseForm === 'sse' ? checkStream(recorded) : checkWhole(recorded);
}

function checkError(recorded: RecordingCase): string[] {
  const error = openaiChat.error.decode(
    recorded.meta.status,
    recorded.responseBytes.toString('utf8'),
  );
  const encoded = openaiChat.error.encode(error, 'r1');
  const sound =
    error.upstream?.status === recorded.meta.status &&
    encoded.status >= 400 &&
    encoded.status !== 401;
  return sound ? [] : [`error: ${JSON.stringify(error)}`];
}

function expectedOf(recorded: RecordingCase): JsonObject {
  return (recorded.meta.expected ?? {}) as JsonObject;
}

function checkWhole(recorded: RecordingCase): string[] {
  const wire = parseJsonObject(recorded.responseBytes.toString('utf8'));
  if (!wire) return ['the body is not a JSON object'];
  const response = openaiChat.response.decode(wire, {});
  const expected = expectedOf(recorded);
  return [
    ...compareAnswer(response, expected),
    ...compareUsage(response.usage, asObject(expected['usage_normalised'])),
    ...checkAgain(response),
  ];
}

/** What a client would read is what was decoded. */
function checkAgain(response: ChatResponse): string[] {
  const client: ChatRequest = { ...chatRequest, stream: false };
  const { value } = openaiChat.response.encode(response, client);
  const again = openaiChat.response.decode(JSON.parse(JSON.stringify(value)) as JsonObject, {});
  return difference('written and read again', comparable(again), comparable(response));
}

/**
 * Words of one kind come together in chat; the client's finish word is the official one, and what the vendor took is
 * not told.
 */
function comparable(response: ChatResponse): JsonValue {
  const choices = response.choices.map((choice) => ({
    index: choice.index,
    parts: comparableParts(choice.parts),
    reason: choice.finish.reason,
    logprobs: choice.logprobs,
  }));
  const { id, model, usage } = response;
  const raw = usage?.raw && withoutVendorCosts(usage.raw);
  const told = usage && { ...usage, raw, reportedCostUsd: undefined };
  return JSON.parse(JSON.stringify({ id, model, choices, usage: told })) as JsonValue;
}

function comparableParts(parts: readonly Part[]): unknown {
  const rank = (part: Part): number =>
    ['reasoning', 'text', 'refusal', 'media', 'tool-call', 'native'].indexOf(part.kind);
  return parts
    .filter((part) => part.kind !== 'native')
    .sort((left, right) => rank(left) - rank(right))
    .map(comparablePart);
}

/** A citation that stood beside the answer comes back as an annotation. */
function comparablePart(part: Part): unknown {
  if (part.kind !== 'text' || !part.citations) return part;
  return {
    ...part,
    citations: part.citations.map(({ url, title }) => ({
      url,
      title: title === '' ? undefined : title,
    })),
  };
}

function difference(what: string, actual: unknown, wanted: unknown): string[] {
  try {
    assert.deepEqual(actual, wanted);
    return [];
  } catch (error) {
    return [`${what}: ${(error as Error).message.slice(0, 600)}`];
  }
}

// ---- streams --------------------------------------------------------------------------------

function checkStream(recorded: RecordingCase): string[] {
  const bytes = recorded.responseBytes;
  const events = decodeAll(bytes, bytes.length);
  const problems = checkGrammar(events);
  if (expectedOf(recorded)['error_in_stream'] !== undefined) {
    const last = events.at(-1);
    return [
      ...problems,
      ...(last?.kind === 'error' ? [] : ['the error in the stream was not seen']),
    ];
  }
  const response = collect(events);
  if (typeof response === 'string') return [...problems, response];
  const expected = expectedOf(recorded);
  return [
    ...problems,
    ...compareAnswer(response, expected),
    ...compareUsage(response.usage, asObject(expected['usage_normalised'])),
    ...(bytes.length < 20_000 ? difference('byte by byte', decodeAll(bytes, 1), events) : []),
    ...checkTap(bytes),
    ...checkStreamAgain(events, response),
    ...checkCut(bytes),
  ];
}

function decodeAll(bytes: Uint8Array, chunkBytes: number): readonly ChatEvent[] {
  const decoder = openaiChat.stream.decoder({});
  const events: ChatEvent[] = [];
  for (const frame of sseFrames(bytes, chunkBytes)) events.push(...decoder.push(frame));
  events.push(...decoder.end());
  return events;
}

function collect(events: readonly ChatEvent[]): ChatResponse | string {
  const collector = new ChatCollector('openai-chat');
  try {
    for (const event of events) collector.push(event);
    return collector.finish();
  } catch (error) {
    if (error instanceof GatewayFailure) return `the stream failed: ${error.message}`;
    throw error;
  }
}

/** The grammar of canonical/chat.ts. */
function checkGrammar(events: readonly ChatEvent[]): string[] {
  const problems: string[] = [];
  const open = new Map<number, number>();
  let next = 0;
  for (const [position, event] of events.entries()) {
    if ((position === 0) !== (event.kind === 'start') && event.kind !== 'error')
      problems.push(`event ${position} is ${event.kind}`);
    if (event.kind === 'part-start') {
      if ([...open.values()].includes(event.choice)) problems.push('two parts of a choice overlap');
      if (event.index !== next) problems.push(`part ${event.index} instead of ${next}`);
      next += 1;
      open.set(event.index, event.choice);
    } else if (event.kind === 'part-delta' || event.kind === 'part-end') {
      if (!open.has(event.index)) problems.push(`${event.kind} of a part that is not open`);
      if (event.kind === 'part-end') open.delete(event.index);
    }
  }
  const last = events.at(-1)?.kind;
  if (last !== 'finished' && last !== 'error')
    problems.push(`the stream ends with ${String(last)}`);
  return problems;
}

/** The cheap look at frames agrees with the full reading of them. */
function checkTap(bytes: Uint8Array): string[] {
  const problems: string[] = [];
  const choiceCount = new Set(
    decodeAll(bytes, bytes.length).flatMap((event) => (event.kind === 'end' ? [event.choice] : [])),
  ).size;
  const tap = openaiChat.stream.tap({ ...chatRequest, choiceCount, streamUsage: false }, {});
  const decoder: StreamDecoder = openaiChat.stream.decoder({});
  let closed = false;
  let complete = false;
  let usage: unknown;
  let counted = 0;
  let generated = 0;
  for (const [position, frame] of sseFrames(bytes).entries()) {
    const facts = tap.inspect(frame);
    const wordy = decoder.push(frame).some(isContent);
    // A call whose turn has not come is told later.
    const waits = facts.content && frame.data.includes('"tool_calls"');
    if (facts.content !== wordy && !facts.closing && !waits)
      problems.push(`frame ${position}: content ${facts.content}, read ${wordy}`);
    if (closed && facts.content && !/"finish_reason": ?"/.test(frame.data))
      problems.push(`frame ${position}: content after the closing frame`);
    if (closed && !facts.closing) problems.push(`frame ${position}: no longer closing`);
    closed = facts.closing;
    complete ||= facts.complete;
    usage = facts.usage ?? usage;
    counted += facts.generatedSize;
    if (facts.usage && facts.closing)
      problems.push(
        ...checkAnnotated(
          tap.annotate(frame, { costNanoUsd: 1_500 as never, receiptId: 'r-1' }),
          frame.data,
        ),
      );
  }
  const pictures = new Set<number>();
  for (const event of decodeAll(bytes, bytes.length)) {
    if (event.kind === 'part-start' && event.part.kind === 'media') pictures.add(event.index);
    if (event.kind === 'part-delta' && !pictures.has(event.index))
      generated += textSize(event.delta);
    if (event.kind === 'usage')
      problems.push(
        ...difference('usage by the tap', withoutTier(usage), withoutTier(event.usage)),
      );
  }
  if (!closed) problems.push('no frame was closing');
  if (counted < generated * 0.9) problems.push(`${counted} counted of ${generated}`);
  return problems;
}

function withoutTier(usage: unknown): unknown {
  return { ...(usage as object), serviceTier: undefined };
}

function isContent(event: ChatEvent): boolean {
  return (
    (event.kind === 'part-start' &&
      (event.part.kind === 'tool-call' || event.part.state !== undefined)) ||
    (event.kind === 'part-delta' && event.delta !== '')
  );
}

function checkAnnotated(text: string | undefined, data: string): string[] {
  if (text === undefined)
    return asObject(parseJsonObject(data)?.['usage']) ? ['the bill was not written'] : [];
  const frame = createSseParser().push(Buffer.from(text))[0];
  const usage = asObject(parseJsonObject(frame?.data ?? '')?.['usage']);
  const before = asObject(parseJsonObject(data)?.['usage']);
  return difference('annotated usage', usage, {
    ...withoutVendorCosts(before ?? {}),
    cost: 0.0000015,
    receipt_id: 'r-1',
  });
}

/** A client of our own stream reads the same answer. */
function checkStreamAgain(events: readonly ChatEvent[], response: ChatResponse): string[] {
  const encoder = openaiChat.stream.encoder(chatRequest, { framing: 'sse' });
  const text = events.map((event) => encoder.push(event)).join('');
  const again = collect(decodeAll(Buffer.from(text), text.length));
  if (typeof again === 'string') return [`written again: ${again}`];
  return difference(
    'stream written and read again',
    withoutIndex(comparable(again)),
    withoutIndex(comparable(response)),
  );
}

/** Our stream numbers the entries of reasoning_details anew; a tool state may come late. */
function withoutIndex(value: JsonValue): JsonValue {
  return JSON.parse(
    JSON.stringify(value, (key, inner: unknown) => (key === 'extensions' ? undefined : inner)),
  ) as JsonValue;
}

/** A stream that is cut anywhere never looks complete. */
function checkCut(bytes: Uint8Array): string[] {
  const frames = sseFrames(bytes);
  const decoder = openaiChat.stream.decoder({});
  const events: ChatEvent[] = [];
  for (const frame of frames) {
    if (frame.data.trim() === '[DONE]' || /"finish_reason"\s*:\s*"/.test(frame.data)) break;
    events.push(...decoder.push(frame));
  }
  events.push(...decoder.end());
  return events.at(-1)?.kind === 'error' ? [] : ['a cut stream ended like a complete one'];
}

// ---- requests -------------------------------------------------------------------------------

/** Reads the request and writes it for the same vendor; quirks say how that vendor spells things. */
function checkRequest(recorded: RecordingCase): string[] {
  const { request } = recorded;
  if (!request) return [];
  let decoded: ChatRequest;
  try {
    decoded = openaiChat.request.decode(request, {});
  } catch (error) {
    if (error instanceof ReadError && recorded.meta.status >= 400) return [];
    return [`request: ${(error as Error).message}`];
  }
  const { value, losses } = openaiChat.request.encode(decoded, quirksOf(request));
  const problems = losses.map((loss) => `request loss: ${loss.path} ${loss.reason}`);
  return [...problems, ...difference('request written again', normal(value), normal(request))];
}

function quirksOf(request: JsonObject): Quirks {
  const text = JSON.stringify(request);
  return {
    outputTokensField: 'max_tokens' in request ? 'max_tokens' : 'max_completion_tokens',
    streamUsage: asObject(request['stream_options'])?.['include_usage'] === true,
    reasoningReplay: replayOf(text),
    legacyFunctions: 'functions' in request,
    toolChoiceRequired: request['tool_choice'] === 'any' ? 'any' : 'required',
  };
}

function replayOf(text: string): string {
  if (text.includes('"type":"thinking"')) return 'content';
  if (text.includes('"reasoning_content":""')) return 'reasoning_content_required';
  if (text.includes('"reasoning_details"') || text.includes('"reasoning_content"')) return 'auto';
  return text.includes('"reasoning":"') ? 'reasoning' : 'auto';
}

/**
 * Differences without a meaning, which are not kept: fields that are null, `stream: false`, a single
 * stop as a string, one text as an array, an image URL as a bare string, missing content beside calls,
 * a tool without its type, the index of a tool call, empty lists of tools, and thinking that is said a second time in another field.
 */
function normal(value: JsonValue | undefined, key = ''): JsonValue {
  if (Array.isArray(value)) {
    const [only] = value as readonly JsonValue[];
    const text = asObject(only);
    if (
      key === 'content' &&
      value.length === 1 &&
      text?.['type'] === 'text' &&
      Object.keys(text).filter((name) => text[name] !== null).length === 2
    )
      return text['text'] ?? '';
    return value.map((element) => normal(element as JsonValue, key));
  }
  const object = asObject(value);
  if (!object) return value ?? null;
  const entries: [string, JsonValue][] = [];
  for (const [name, inner] of Object.entries(object)) {
    if (inner === null || inner === undefined || (name === 'stream' && inner === false)) continue;
    if (name === 'tools' && Array.isArray(inner) && inner.length === 0) continue;
    if (name === 'reasoning' && ('reasoning_content' in object || 'reasoning_details' in object))
      continue;
    if (name === 'content' && inner === '' && object['role'] === 'assistant') continue;
    if (name === 'stop' && typeof inner === 'string') entries.push([name, [inner]]);
    else if (name === 'image_url' && typeof inner === 'string')
      entries.push([name, { url: inner }]);
    else if (!(name === 'include_usage' && inner === false))
      entries.push([name, normal(inner, name)]);
  }
  if (key === 'tools' && object['function'] && !('type' in object))
    entries.push(['type', 'function']);
  return Object.fromEntries(entries);
}
