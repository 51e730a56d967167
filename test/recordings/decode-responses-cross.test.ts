/**
 * The Responses dialect against the other three: recorded answers of any vendor, read by the official
 * SDK as Responses; and recorded Responses answers, written in the other dialects and read back.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import {
  ChatCollector,
  GatewayFailure,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type DialectId,
} from '#canonical';
import {
  anthropicMessages,
  geminiGenerate,
  openaiChat,
  openaiResponses,
  type Dialect,
} from '#dialects';
import {
  asObject,
  asObjects,
  parseJson,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from '#std';
import { listCases, sseFrames, type RecordingCase } from './load.ts';

const dialectOfKind: { readonly [kind: string]: Dialect } = {
  chat: openaiChat,
  messages: anthropicMessages,
  generate: geminiGenerate,
};

const client: ChatRequest = openaiResponses.request.decode(
  { model: 'm', input: 'x', stream: true },
  {},
);

function eventsOf(dialect: Dialect, recording: RecordingCase): ChatEvent[] {
  const decoder = dialect.stream.decoder({});
  const events: ChatEvent[] = [];
  for (const frame of sseFrames(recording.responseBytes)) events.push(...decoder.push(frame));
  events.push(...decoder.end());
  return events;
}

function collect(events: readonly ChatEvent[], dialect: DialectId): ChatResponse {
  const collector = new ChatCollector(dialect);
  for (const event of events) collector.push(event);
  return collector.finish();
}

type Reading = { text: string; calls: (readonly [name: string, input: unknown])[] };

/** Arguments parsed; free text is one field of an object in dialects without such calls. */
function inputOf(input: string): unknown {
  const value = asObject(parsed(input) as JsonValue);
  const isText = value !== undefined && Object.keys(value).join() === 'input';
  return isText ? (value['input'] ?? '') : parsed(input);
}

/** What an answer says, whatever the dialect: text, and calls with their arguments parsed. */
function read(response: ChatResponse): Reading {
  const reading: Reading = { text: '', calls: [] };
  for (const part of response.choices[0]?.parts ?? []) {
    // A refusal has no place of its own in most dialects.
    if (part.kind === 'text' || part.kind === 'refusal') reading.text += part.text;
    if (part.kind === 'tool-call') reading.calls.push([part.name, inputOf(part.input)]);
  }
  return reading;
}

function parsed(text: string): unknown {
  const value = parseJson(text === '' ? '{}' : text);
  return value.ok ? value.value : text;
}

async function readWithSdk(wire: string): Promise<Reading & { status: string | undefined }> {
  const fetch = (): Promise<Response> =>
    Promise.resolve(new Response(wire, { headers: { 'content-type': 'text/event-stream' } }));
  const sdk = new OpenAI({ apiKey: 'none', baseURL: 'http://127.0.0.1:1', maxRetries: 0, fetch });
  const response = await sdk.responses.stream({ model: 'm', input: 'x' }).finalResponse();
  const reading: Reading = { text: response.output_text, calls: [] };
  for (const item of response.output) {
    if (item.type === 'function_call') reading.calls.push([item.name, parsed(item.arguments)]);
    if (item.type === 'custom_tool_call') reading.calls.push([item.name, item.input]);
    if (item.type === 'message')
      for (const part of item.content) if (part.type === 'refusal') reading.text += part.refusal;
  }
  return { ...reading, status: response.status };
}

/** The answer in neutral form, or `undefined` when the recording holds an error or an answer that was cut. */
function answerOf(
  dialect: Dialect,
  recording: RecordingCase,
): { events: ChatEvent[]; response: ChatResponse } | undefined {
  try {
    const events = eventsOf(dialect, recording);
    return { events, response: collect(events, dialect.id) };
  } catch (error) {
    if (error instanceof GatewayFailure) return undefined;
    throw error;
  }
}

const foreign = [...listCases({ kinds: ['chat', 'messages', 'generate'], stream: true })].filter(
  (recording) => recording.responseForm === 'sse' && recording.meta.status < 400,
);

test(
  'streams of every vendor, translated, are accumulated by the official SDK without complaint',
  { skip: foreign.length === 0 },
  async () => {
    let compared = 0;
    for (const recording of foreign) {
      const dialect = dialectOfKind[recording.meta.kind];
      const answer = dialect && answerOf(dialect, recording);
      if (!answer) continue;
      const encoder = openaiResponses.stream.encoder(client, { framing: 'sse' });
      const wire = answer.events.map((event) => encoder.push(event)).join('');
      const { status, ...reading } = await readWithSdk(wire);
      assert.deepEqual(reading, read(answer.response), recording.name);
      const failed = answer.response.choices[0]?.finish.reason === 'error';
      const wanted = failed ? ['failed'] : ['completed', 'incomplete'];
      assert.ok(wanted.includes(status ?? ''), recording.name);
      compared += 1;
    }
    assert.ok(compared > foreign.length * 0.9, `${compared} of ${foreign.length} streams compared`);
  },
);

const own = [...listCases({ kinds: ['responses'] })].filter(
  (recording) => recording.meta.status < 400,
);

/** A client of another dialect, as it would have asked. */
function clientOf(dialect: Dialect): ChatRequest {
  return { ...client, dialect: dialect.id, extensions: {}, streamUsage: true };
}

/** A filter and a refusal are one word at Anthropic. */
function reasonOf({ choices }: ChatResponse): string | undefined {
  const reason = choices[0]?.finish.reason;
  return reason === 'refusal' ? 'content-filter' : reason;
}

function responsesAnswer(
  recording: RecordingCase,
): { events: ChatEvent[]; response: ChatResponse } | undefined {
  if (recording.responseForm === 'sse') return answerOf(openaiResponses, recording);
  const body = parseJsonObject(recording.responseBytes.toString('utf8'));
  assert.ok(body);
  return { events: [], response: openaiResponses.response.decode(body, {}) };
}

for (const dialect of [openaiChat, anthropicMessages, geminiGenerate]) {
  test(`Responses answers reach a client of ${dialect.id} with their text, calls and end`, () => {
    for (const recording of own) {
      const answer = responsesAnswer(recording);
      if (!answer) continue;
      const wire = dialect.response.encode(answer.response, clientOf(dialect)).value;
      const whole = dialect.response.decode(wire, {});
      assert.deepEqual(read(whole), read(answer.response), recording.name);
      if (answer.events.length === 0) continue;
      const encoder = dialect.stream.encoder(clientOf(dialect), { framing: 'sse' });
      const stream = answer.events.map((event) => encoder.push(event)).join('');
      const decoder = dialect.stream.decoder({});
      const events = sseFrames(Buffer.from(stream)).flatMap((frame) => decoder.push(frame));
      const again = collect([...events, ...decoder.end()], dialect.id);
      assert.deepEqual(read(again), read(answer.response), recording.name);
      assert.equal(reasonOf(again), reasonOf(answer.response), recording.name);
    }
  });
}

test('a chat client’s next turn brings encrypted reasoning and parallel calls back to a Responses upstream', () => {
  const answer = openaiResponses.response.decode(
    {
      id: 'resp_1',
      model: 'gpt-5.3-codex',
      status: 'completed',
      output: [
        {
          type: 'reasoning',
          id: 'rs_1',
          summary: [{ type: 'summary_text', text: 'Read both.' }],
          encrypted_content: 'gAAAAverbatim==',
        },
        {
          type: 'message',
          id: 'msg_1',
          role: 'assistant',
          content: [{ type: 'output_text', text: 'Reading.', annotations: [] }],
        },
        {
          type: 'function_call',
          id: 'fc_1',
          call_id: 'call_1',
          name: 'read',
          arguments: '{"path": "a",  "n": 1.0}',
        },
        { type: 'function_call', id: 'fc_2', call_id: 'call_2', name: 'read', arguments: '{}' },
      ],
    },
    {},
  );
  const wire = openaiChat.response.encode(answer, clientOf(openaiChat)).value;
  const message = asObject(asObjects(wire['choices'])[0]?.['message']);
  assert.ok(message);
  const next: JsonObject = {
    model: 'gpt-5.3-codex',
    messages: [
      { role: 'user', content: 'Compare.' },
      message,
      { role: 'tool', tool_call_id: 'call_1', content: 'A' },
      { role: 'tool', tool_call_id: 'call_2', content: 'B' },
    ],
    tools: [{ type: 'function', function: { name: 'read', parameters: { type: 'object' } } }],
  };
  const { value, losses } = openaiResponses.request.encode(openaiChat.request.decode(next, {}), {
    encryptedReasoning: true,
  });
  assert.ok(losses.every((loss) => !loss.changesMeaning));
  const [user, reasoning, said, ...rest] = asObjects(value['input']);
  assert.deepEqual(user, { role: 'user', content: 'Compare.' });
  assert.equal(reasoning?.['type'], 'reasoning');
  assert.equal(reasoning?.['encrypted_content'], 'gAAAAverbatim==');
  assert.deepEqual(said, {
    type: 'message',
    role: 'assistant',
    content: [{ type: 'output_text', text: 'Reading.' }],
  });
  assert.deepEqual(rest, [
    {
      type: 'function_call',
      call_id: 'call_1',
      name: 'read',
      arguments: '{"path": "a",  "n": 1.0}',
    },
    { type: 'function_call', call_id: 'call_2', name: 'read', arguments: '{}' },
    { type: 'function_call_output', call_id: 'call_1', output: 'A' },
    { type: 'function_call_output', call_id: 'call_2', output: 'B' },
  ]);
});
