/** Every recorded exchange of the Responses API, read and written again, against the plain reading. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChatCollector,
  GatewayFailure,
  inputTotalTokens,
  outputTotalTokens,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type Usage,
} from '#canonical';
import { openaiResponses, responsesInputTokens, withHistory } from '#dialects';
import {
  asObject,
  asObjects,
  asString,
  parseJson,
  parseJsonObject,
  textSize,
  type JsonObject,
  type JsonValue,
} from '#std';
import { listCases, sseFrames, type RecordingCase } from './load.ts';

const cases = [...listCases({ kinds: ['responses'] })];

/**
 * Recordings with a fault of their own. No stream of this set lacks its terminal event (two of the
 * whole harvest do); the two background answers are JSON bodies of a queued response.
 */
const faults: { readonly [name: string]: string } = {
  'openai/responses/pa-test-openai-previous-response-id-auto-mode':
    'made by hand: status "complete", which OpenAI does not send',
};

function bodyOf(recording: RecordingCase): JsonObject {
  const body = parseJsonObject(recording.responseBytes.toString('utf8'));
  assert.ok(body, 'the body is an object');
  return body;
}

function eventsOf(recording: RecordingCase, chunkBytes?: number): ChatEvent[] {
  const decoder = openaiResponses.stream.decoder({});
  const events: ChatEvent[] = [];
  for (const frame of sseFrames(recording.responseBytes, chunkBytes))
    events.push(...decoder.push(frame));
  events.push(...decoder.end());
  return events;
}

function collect(events: readonly ChatEvent[]): ChatResponse {
  const collector = new ChatCollector('openai-responses');
  for (const event of events) collector.push(event);
  return collector.finish();
}

type Reading = {
  text: string;
  reasoning: string;
  calls: { id: string; name: string; arguments: unknown }[];
};

function read(response: ChatResponse): Reading {
  const reading: Reading = { text: '', reasoning: '', calls: [] };
  for (const part of response.choices[0]?.parts ?? []) {
    if (part.kind === 'text') reading.text += part.text;
    if (part.kind === 'reasoning') reading.reasoning += part.text;
    if (part.kind === 'tool-call') {
      const parsed = parseJson(part.input);
      reading.calls.push({
        id: part.id,
        name: part.name,
        arguments: parsed.ok ? parsed.value : part.input,
      });
    }
  }
  return reading;
}

const requestOf = (recording: RecordingCase): ChatRequest =>
  openaiResponses.request.decode(prepared(recording.request ?? { model: 'm', input: 'x' }), {});

/** Vendor-held state is the gateway's to resolve before decoding. */
function prepared(request: JsonObject): JsonObject {
  const {
    background: _background,
    conversation: _conversation,
    ...rest
  } = withHistory(request, []);
  return rest;
}

function assertReading(recording: RecordingCase, response: ChatResponse): void {
  const expected = recording.meta.expected ?? {};
  const reading = read(response);
  assert.equal(reading.text, expected['text'] ?? '');
  assert.equal(response.id, expected['id']);
  assert.equal(response.model, expected['model']);
  if (expected['reasoning_text'] !== undefined) {
    assert.equal(
      reading.reasoning.replaceAll(/\s/g, ''),
      String(expected['reasoning_text']).replaceAll(/\s/g, ''),
    );
  }
  const calls =
    (expected['tool_calls'] as { id: string; name: string; arguments: unknown }[] | undefined) ??
    [];
  assert.deepEqual(
    reading.calls,
    calls.map(({ id, name, arguments: input }) => ({ id, name, arguments: input })),
  );
  assertUsage(response.usage, expected['usage_normalised'] as JsonObject | undefined);
  const finish = response.choices[0]?.finish;
  const status = String(expected['status']);
  if (status === 'completed')
    assert.equal(finish?.reason, calls.length > 0 ? 'tool-calls' : 'stop');
  else if (status === 'incomplete')
    assert.ok(['length', 'content-filter', 'other'].includes(finish?.reason ?? ''));
  else assert.equal(finish?.raw, status);
}

function assertUsage(usage: Usage | undefined, expected: JsonObject | undefined): void {
  if (!expected) return;
  assert.ok(usage, 'usage is decoded');
  assert.equal(inputTotalTokens(usage), expected['input_total']);
  assert.equal(outputTotalTokens(usage), expected['output_total']);
  if (expected['cached_input'] !== undefined)
    assert.equal(usage.cacheReadTokens, expected['cached_input']);
  if (expected['reasoning'] !== undefined)
    assert.equal(usage.reasoningTokens, expected['reasoning']);
}

for (const recording of cases) {
  const { meta, name } = recording;
  const fault = faults[name];
  if (meta.status >= 400) {
    test(`the error of ${name} is understood`, () => {
      const error = openaiResponses.error.decode(
        meta.status,
        recording.responseBytes.toString('utf8'),
      );
      assert.ok(error.upstream, 'the upstream kind is known');
      if (meta.status === 401 || name.includes('appropriate-'))
        assert.equal(error.upstream.kind, 'credential');
      if (name.includes('context-length')) assert.equal(error.code, 'context_length_exceeded');
    });
  } else if (recording.responseForm === 'sse') {
    test(`the stream of ${name} reads as recorded`, () => {
      const events = eventsOf(recording);
      if (meta.expected?.['status'] === 'failed') {
        assert.equal(events.at(-1)?.kind, 'error');
        return;
      }
      assertGrammar(events);
      assertReading(recording, collect(events));
    });
    test(`the tap on ${name} agrees with the decoder`, () => assertTap(recording));
    test(`the stream of ${name} survives a second passage`, () => assertStreamAgain(recording));
  } else {
    test(`the answer of ${name} reads as recorded`, () => {
      if (meta.expected?.['status'] === 'failed') {
        assert.throws(() => openaiResponses.response.decode(bodyOf(recording), {}), GatewayFailure);
        return;
      }
      const response = openaiResponses.response.decode(bodyOf(recording), {});
      assertReading(recording, response);
      if (fault === undefined) assertAgain(response, requestOf(recording));
    });
  }
  if (recording.request) {
    test(`the request of ${name} goes out as it came`, () =>
      assertRequest(recording.request ?? {}));
  }
}

test('a sample of streams reads the same in pieces of one byte', () => {
  for (const recording of cases.filter((one) => one.responseForm === 'sse').slice(0, 12)) {
    assert.deepEqual(eventsOf(recording, 1), eventsOf(recording), recording.name);
  }
});

test('a stream cut anywhere before its terminal event ends in an error', () => {
  for (const recording of cases.filter((one) => one.responseForm === 'sse').slice(0, 6)) {
    const frames = sseFrames(recording.responseBytes);
    const terminal = frames.findIndex((frame) =>
      /"type":\s*"response\.(completed|incomplete|failed)"/.test(frame.data),
    );
    for (let length = 0; length < terminal; length += 3) {
      const decoder = openaiResponses.stream.decoder({});
      const events = frames.slice(0, length).flatMap((frame) => decoder.push(frame));
      events.push(...decoder.end());
      const last = events.at(-1);
      assert.ok(last?.kind === 'error' && last.error.code === 'upstream_cut', recording.name);
    }
  }
});

function assertGrammar(events: readonly ChatEvent[]): void {
  assert.equal(events[0]?.kind, 'start');
  let open: number | undefined;
  let next = 0;
  for (const event of events) {
    if (event.kind === 'part-start') {
      assert.equal(open, undefined, 'parts do not overlap');
      assert.equal(event.index, next, 'indices count up');
      open = next;
      next += 1;
    } else if (event.kind === 'part-delta') assert.equal(event.index, open);
    else if (event.kind === 'part-end') {
      assert.equal(event.index, open);
      open = undefined;
    }
  }
  assert.equal(open, undefined);
  assert.equal(events.at(-1)?.kind, 'finished');
}

/** Ids of items that the gateway makes are no part of the answer. */
function neutral(response: ChatResponse): JsonValue {
  const { id: _id, ...rest } = response;
  return JSON.parse(
    JSON.stringify(rest, (key, value: unknown) => (key === 'itemId' ? undefined : value)),
  ) as JsonValue;
}

function assertAgain(response: ChatResponse, request: ChatRequest): void {
  const { value } = openaiResponses.response.encode(response, request);
  const again = openaiResponses.response.decode(value, {});
  const unbilled = { ...response, usage: undefined };
  assert.deepEqual(neutral({ ...again, usage: undefined }), neutral(unbilled));
  assert.equal(again.usage?.inputTokens, response.usage?.inputTokens);
  assert.equal(again.usage?.outputTokens, response.usage?.outputTokens);
}

function assertStreamAgain(recording: RecordingCase): void {
  const first = eventsOf(recording);
  // Log probabilities are only written for a client that asked for them.
  const asked = first.some((event) => event.kind === 'logprobs') ? { logprobs: { top: 0 } } : {};
  const encoder = openaiResponses.stream.encoder(
    { ...requestOf(recording), ...asked },
    { framing: 'sse' },
  );
  const wire = first.map((event) => encoder.push(event)).join('');
  const frames = sseFrames(Buffer.from(wire));
  assertEventOrder(frames.map((frame) => parseJsonObject(frame.data) ?? {}));
  const decoder = openaiResponses.stream.decoder({});
  const second = frames.flatMap((frame) => decoder.push(frame));
  second.push(...decoder.end());
  if (first.at(-1)?.kind === 'error') {
    assert.equal(second.at(-1)?.kind, 'error');
    return;
  }
  const [before, after] = [collect(first), collect(second)];
  assert.deepEqual(
    neutral({ ...after, usage: undefined, serviceTier: undefined }),
    neutral({ ...before, usage: undefined, serviceTier: undefined }),
  );
}

function assertEventOrder(events: readonly JsonObject[]): void {
  assert.deepEqual(
    events.map((event) => event['sequence_number']),
    events.map((_event, index) => index),
  );
  assert.equal(events[0]?.['type'], 'response.created');
  assert.equal(events[1]?.['type'], 'response.in_progress');
  const done = events
    .filter((event) => event['type'] === 'response.output_item.done')
    .map((event) => event['item']);
  const last = asObject(events.at(-1)?.['response']);
  assert.deepEqual(last?.['output'], done, 'the terminal event repeats the items');
}

function assertTap(recording: RecordingCase): void {
  const tap = openaiResponses.stream.tap(requestOf(recording), {});
  const decoder = openaiResponses.stream.decoder({});
  let counted = 0;
  let decoded = 0;
  let thinking = false;
  let closing = false;
  let complete = false;
  let usage: Usage | undefined;
  let decodedUsage: Usage | undefined;
  for (const frame of sseFrames(recording.responseBytes)) {
    const facts = tap.inspect(frame);
    assert.ok(!(closing && facts.content), 'no content after the closing frame');
    closing ||= facts.closing;
    complete ||= facts.complete;
    usage = facts.usage ?? usage;
    const code = frame.data.includes('code_interpreter_call_code.delta');
    counted += code ? 0 : facts.generatedSize;
    for (const event of decoder.push(frame)) {
      if (event.kind === 'part-start') thinking = event.part.kind === 'reasoning';
      // Paragraph breaks between summary parts are the decoder's own.
      if (event.kind === 'part-delta')
        decoded += textSize(thinking ? event.delta.replace(/^\n\n/, '') : event.delta);
      if (event.kind === 'part-start' && event.part.kind === 'native') decoded += 1;
      if (event.kind === 'usage') decodedUsage = event.usage;
    }
    if (frame.data.includes('image_generation_call') && frame.data.includes('output_item.done'))
      decoded = counted;
  }
  assert.ok(complete, 'the terminal mark is seen');
  assert.deepEqual(usage, decodedUsage);
  assert.ok(Math.abs(counted - decoded) <= 16, `tap counts ${counted}, the decoder ${decoded}`);
}

// ---- requests ------------------------------------------------------------------------------------

/**
 * What may differ between a recorded request and its second writing, and why: `store` and `stream`
 * are the gateway's; ids and statuses of items are not sent (nothing is stored at the vendor);
 * `previous_response_id`, `conversation` and `background` are resolved or refused; null means absent;
 * the order of `include` means nothing; a lone text may stand for its list; `strict: true` is the
 * default; empty annotations and old log probabilities say nothing.
 */
function plain(value: JsonValue | undefined, key = ''): JsonValue | undefined {
  if (Array.isArray(value)) {
    const list: JsonValue[] = [];
    for (const element of value as readonly JsonValue[]) {
      const kept = plain(element);
      if (kept !== undefined) list.push(kept);
    }
    return key === 'include' ? list.toSorted() : list;
  }
  const object = asObject(value);
  if (!object) return value ?? undefined;
  const kept: Record<string, JsonValue> = {};
  for (const [name, inner] of Object.entries(object)) {
    const written = key === 'schema' || key === 'parameters' ? inner : plain(inner, name);
    if (written !== undefined && written !== null) kept[name] = written;
  }
  return kept;
}

const native = /_call$|^mcp_|^compaction|^tool_search_output|^program/;

/** Also the tools of a namespace are functions whose default is strict. */
function plainTool(tool: JsonObject): JsonObject {
  if (tool['type'] === 'namespace') {
    return { ...tool, tools: asObjects(tool['tools']).map(plainTool) };
  }
  return tool['type'] === 'function' && tool['strict'] === true
    ? { ...tool, strict: undefined }
    : tool;
}

function plainRequest(request: JsonObject): JsonValue {
  const {
    store: _store,
    stream: _stream,
    previous_response_id: _previous,
    conversation: _conversation,
    background: _background,
    ...rest
  } = request;
  const input =
    typeof rest['input'] === 'string'
      ? [{ role: 'user', content: rest['input'] }]
      : asObjects(rest['input']);
  const tools = asObjects(rest['tools']).map(plainTool);
  const include =
    Array.isArray(rest['include']) && rest['include'].length === 0 ? undefined : rest['include'];
  return (
    plain({
      ...rest,
      input: input.map(plainItem),
      tools: tools.length > 0 ? tools : undefined,
      include,
      reasoning: plainReasoning(rest),
    }) ?? {}
  );
}

function plainReasoning(request: JsonObject): JsonValue | undefined {
  const reasoning = plain(request['reasoning']);
  return reasoning && Object.keys(reasoning).length > 0 ? reasoning : undefined;
}

function plainItem(item: JsonObject): JsonObject {
  const type = asString(item['type']) ?? 'message';
  if (native.test(type) && type !== 'function_call' && type !== 'custom_tool_call') return item;
  const { id: _id, status: _status, ...rest } = item;
  if (type === 'reasoning') {
    const content = asObjects(rest['content']);
    const summary = asObjects(rest['summary'])
      .map((part) => part['text'])
      .join('\n\n');
    return {
      ...rest,
      summary: summary === '' ? [] : [{ type: 'summary_text', text: summary }],
      content: content.length > 0 ? content : undefined,
    };
  }
  if (type !== 'message') return rest;
  const textType = rest['role'] === 'assistant' ? 'output_text' : 'input_text';
  const content =
    typeof rest['content'] === 'string'
      ? [{ type: textType, text: rest['content'] }]
      : asObjects(rest['content']);
  return {
    ...rest,
    type,
    content: content.map(({ annotations, logprobs: _logprobs, ...part }) =>
      Array.isArray(annotations) && annotations.length > 0 ? { ...part, annotations } : part,
    ),
  };
}

function assertRequest(request: JsonObject): void {
  const decoded = openaiResponses.request.decode(prepared(request), {});
  const replay = asObjects(request['input']).some(
    (item) => item['type'] === 'reasoning' && item['encrypted_content'] === null,
  );
  const { value, losses } = openaiResponses.request.encode(
    decoded,
    replay ? { reasoningReplay: 'content' } : {},
  );
  assert.deepEqual(losses, []);
  assert.equal(value['store'], false);
  assert.deepEqual(plainRequest(value), plainRequest(request));
}

for (const recording of listCases({ kinds: ['count-tokens'], providers: ['openai'] })) {
  test(`the count of ${recording.name} is read and written`, () => {
    const body = bodyOf(recording);
    const count = responsesInputTokens.decode(body);
    assert.ok(count !== undefined && count > 0);
    assert.deepEqual(responsesInputTokens.encode(count), body);
    if (recording.request) assert.equal(requestOf(recording).dialect, 'openai-responses');
  });
}
