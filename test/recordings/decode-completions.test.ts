import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ChatCollector, type ChatEvent, type ChatRequest, type ChatResponse } from '#canonical';
import { openaiCompletions } from '#dialects';
import { asObject, parseJsonObject, ReadError, type JsonObject, type JsonValue } from '#std';
import { compareAnswer, compareUsage } from './expected.ts';
import { listCases, sseFrames, type RecordingCase } from './load.ts';
import { createRecordingTable } from './table.ts';

const table = createRecordingTable();
after(() => process.stdout.write(`\n${table.text()}\n\n`));

for (const recorded of listCases({ kinds: ['completions'] })) {
  test(`${recorded.name} is read as it was meant`, () => {
    const problems = [...checkAnswer(recorded), ...checkRequest(recorded)];
    table.record(recorded.meta.provider, 'completions', problems);
    assert.deepEqual(problems, []);
  });
}

function checkAnswer(recorded: RecordingCase): string[] {
  const { meta, responseBytes } = recorded;
  const body = responseBytes.toString('utf8');
  if (meta.status >= 400) {
    const error = openaiCompletions.error.decode(meta.status, body);
    return error.upstream?.status === meta.status ? [] : [`error: ${JSON.stringify(error)}`];
  }
  const response =
    recorded.responseForm === 'sse'
      ? collect(recorded)
      : openaiCompletions.response.decode(parseJsonObject(body) ?? {}, {});
  const expected = (meta.expected ?? {}) as JsonObject;
  const client = { ...requestOf(recorded), streamUsage: true };
  const written = JSON.parse(
    JSON.stringify(openaiCompletions.response.encode(response, client).value),
  ) as JsonObject;
  const again = openaiCompletions.response.decode(written, {});
  assert.deepEqual(comparable(again), comparable(response));
  return [
    ...compareAnswer(response, expected),
    ...compareUsage(response.usage, asObject(expected['usage_normalised'])),
  ];
}

function comparable(response: ChatResponse): JsonValue {
  const choices = response.choices.map(({ index, parts, finish, logprobs }) => ({
    index,
    parts,
    reason: finish.reason,
    logprobs,
  }));
  return JSON.parse(JSON.stringify({ ...response, choices })) as JsonValue;
}

function requestOf(recorded: RecordingCase): ChatRequest {
  return openaiCompletions.request.decode(recorded.request ?? { model: 'm', prompt: '' }, {});
}

function collect(recorded: RecordingCase): ChatResponse {
  const frames = sseFrames(recorded.responseBytes);
  const decoder = openaiCompletions.stream.decoder({});
  const tap = openaiCompletions.stream.tap(requestOf(recorded), {});
  const events: ChatEvent[] = [];
  let closing = false;
  for (const frame of frames) {
    const read = decoder.push(frame);
    const facts = tap.inspect(frame);
    const wordy = read.some((event) => event.kind === 'part-delta');
    assert.equal(facts.content, wordy, `content of ${frame.data}`);
    assert.ok(!(closing && facts.content), 'content after the closing frame');
    closing ||= facts.closing;
    assert.equal(facts.complete, frame.data === '[DONE]');
    events.push(...read);
  }
  events.push(...decoder.end());
  assert.ok(closing);
  const response = collected(events);
  const encoder = openaiCompletions.stream.encoder(
    { ...requestOf(recorded), streamUsage: true },
    { framing: 'sse' },
  );
  const text = events.map((event) => encoder.push(event)).join('');
  const second = openaiCompletions.stream.decoder({});
  const again = [
    ...sseFrames(Buffer.from(text)).flatMap((frame) => second.push(frame)),
    ...second.end(),
  ];
  assert.deepEqual(comparable(collected(again)), comparable(response));
  return response;
}

function collected(events: readonly ChatEvent[]): ChatResponse {
  const collector = new ChatCollector('openai-completions');
  for (const event of events) collector.push(event);
  return collector.finish();
}

/** Null fields, `stream: false`, and a list of one prompt as that prompt are written differently. */
function checkRequest(recorded: RecordingCase): string[] {
  const { request, meta } = recorded;
  if (!request) return [];
  try {
    const decoded = openaiCompletions.request.decode(request, {});
    const { value, losses } = openaiCompletions.request.encode(decoded, { streamUsage: false });
    assert.deepEqual(losses, []);
    assert.deepEqual(normal(value), normal(request));
    return [];
  } catch (error) {
    return error instanceof ReadError && meta.status >= 400
      ? []
      : [`request: ${(error as Error).message}`];
  }
}

function normal(request: JsonObject): JsonObject {
  const kept = Object.entries(request).filter(
    ([key, value]) => value !== null && !(key === 'stream' && value === false),
  );
  return Object.fromEntries(
    kept.map(([key, value]) => [
      key,
      key === 'prompt' && Array.isArray(value) && value.length === 1
        ? (value as JsonValue[])[0]
        : value,
    ]),
  );
}
