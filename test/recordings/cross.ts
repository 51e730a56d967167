/** Decoding any recorded answer with its own dialect, and writing it in any other. */

import {
  ChatCollector,
  inputTotalTokens,
  outputTotalTokens,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type DialectId,
  type FinishReason,
  type Loss,
} from '#canonical';
import {
  anthropicMessages,
  geminiGenerate,
  openaiChat,
  openaiCompletions,
  openaiResponses,
  type Dialect,
  type Quirks,
} from '#dialects';
import {
  createJsonArrayParser,
  createSseParser,
  parseJsonObject,
  type JsonObject,
  type StreamFrame,
} from '#std';
import type { ClientDialect, SdkReading } from './cross-sdk.ts';
import type { RecordingCase } from './load.ts';

export const dialectsById: { readonly [id in ClientDialect]: Dialect } = {
  'openai-chat': openaiChat,
  'openai-responses': openaiResponses,
  'anthropic-messages': anthropicMessages,
  'gemini-generate': geminiGenerate,
};

export const kinds = ['chat', 'completions', 'responses', 'messages', 'generate'] as const;
export type Kind = (typeof kinds)[number];

/** The dialect that a kind of recording is written in. */
export function dialectOf(kind: string): Dialect | undefined {
  switch (kind) {
    case 'chat':
      return openaiChat;
    case 'responses':
      return openaiResponses;
    case 'messages':
      return anthropicMessages;
    case 'generate':
      return geminiGenerate;
    case 'completions':
      return openaiCompletions;
    default:
      return undefined;
  }
}

/** What vendors of the chat dialect deviate in, as far as reading their answers needs it. */
export function readingQuirks(recorded: RecordingCase): Quirks {
  return recorded.meta.provider === 'xai' && recorded.meta.kind === 'chat'
    ? { usageExcludesReasoning: true }
    : {};
}

/** The frames of a streamed body in whichever framing it has. */
export function framesOf(bytes: Uint8Array): readonly StreamFrame[] {
  const isArray = /^\s*\[/.test(Buffer.from(bytes.subarray(0, 64)).toString('utf8'));
  const parser = isArray ? createJsonArrayParser() : createSseParser();
  const frames = [...parser.push(bytes)];
  const last = parser.end();
  return last ? [...frames, last] : frames;
}

/** A recorded success as canonical events (stream) or answer. */
export type Decoded =
  | {
      readonly kind: 'stream';
      readonly events: readonly ChatEvent[];
      readonly response: ChatResponse;
    }
  | { readonly kind: 'plain'; readonly response: ChatResponse }
  /** The recording itself ends in an error. */
  | { readonly kind: 'error'; readonly events: readonly ChatEvent[] };

export function decodeRecorded(recorded: RecordingCase, dialect: Dialect): Decoded {
  const quirks = readingQuirks(recorded);
  if (recorded.responseForm === 'json' && !isArrayStream(recorded)) {
    const wire = parseJsonObject(recorded.responseBytes.toString('utf8'));
    if (!wire) throw new Error('the body is no object');
    return { kind: 'plain', response: dialect.response.decode(wire, quirks) };
  }
  const decoder = dialect.stream.decoder(quirks);
  const events = [
    ...framesOf(recorded.responseBytes).flatMap((frame) => decoder.push(frame)),
    ...decoder.end(),
  ];
  if (events.at(-1)?.kind === 'error') return { kind: 'error', events };
  const collector = new ChatCollector(dialect.id);
  for (const event of events) collector.push(event);
  return { kind: 'stream', events: inGatewayOrder(events), response: collector.finish() };
}

function isArrayStream(recorded: RecordingCase): boolean {
  return recorded.meta.stream && recorded.meta.kind === 'generate';
}

/** The gateway holds back the ends until the charge is durable, then sends end*, usage, finished. */
function inGatewayOrder(events: readonly ChatEvent[]): readonly ChatEvent[] {
  const isLate = ({ kind }: ChatEvent): boolean =>
    kind === 'end' || kind === 'usage' || kind === 'finished';
  const late = (wanted: string): readonly ChatEvent[] =>
    events.filter(({ kind }) => kind === wanted);
  return [
    ...events.filter((event) => !isLate(event)),
    ...late('end'),
    ...late('usage').slice(-1),
    ...late('finished'),
  ];
}

/** The plainest request of a client of `dialect`: what the answer's encoder asks it about. */
export function plainRequest(dialect: DialectId, stream: boolean): ChatRequest {
  return {
    dialect,
    model: 'm',
    messages: [{ role: 'user', parts: [{ kind: 'text', text: 'q' }] }],
    tools: [],
    encryptedReasoning: true,
    stream,
    streamUsage: true,
    extensions: {},
  };
}

export type Written = {
  readonly body: string;
  readonly losses: readonly Pick<Loss, 'path' | 'reason'>[];
};

/** The answer as a client of `target` gets it. */
export function writeFor(target: Dialect, decoded: Decoded): Written {
  if (decoded.kind === 'plain') {
    const { value, losses } = target.response.encode(
      decoded.response,
      plainRequest(target.id, false),
    );
    return { body: JSON.stringify(value satisfies JsonObject), losses };
  }
  const losses: { path: string; reason: string }[] = [];
  const encoder = target.stream.encoder(
    plainRequest(target.id, true),
    { framing: 'sse' },
    (path, reason) => losses.push({ path, reason }),
  );
  return { body: decoded.events.map((event) => encoder.push(event)).join(''), losses };
}

/** Words of each dialect that may stand for a canonical reason. */
const finishWords: {
  readonly [dialect in ClientDialect]: { readonly [reason in FinishReason]: readonly string[] };
} = {
  'openai-chat': {
    stop: ['stop'],
    length: ['length'],
    'tool-calls': ['tool_calls'],
    'content-filter': ['content_filter'],
    refusal: ['content_filter', 'stop'],
    pause: ['stop'],
    error: ['stop', 'content_filter', 'error'],
    other: ['stop'],
  },
  'openai-responses': {
    stop: ['completed'],
    length: ['max_output_tokens'],
    'tool-calls': ['completed'],
    'content-filter': ['content_filter'],
    refusal: ['content_filter', 'completed'],
    // Something is missing, and the only word for that which is no filter.
    pause: ['max_output_tokens'],
    error: ['failed', 'completed', 'incomplete'],
    other: ['completed'],
  },
  'anthropic-messages': {
    stop: ['end_turn', 'stop_sequence'],
    length: ['max_tokens', 'model_context_window_exceeded'],
    'tool-calls': ['tool_use'],
    'content-filter': ['refusal'],
    refusal: ['refusal'],
    pause: ['pause_turn'],
    error: ['end_turn', 'refusal'],
    other: ['end_turn'],
  },
  'gemini-generate': {
    stop: ['STOP'],
    length: ['MAX_TOKENS'],
    'tool-calls': ['STOP'],
    'content-filter': ['SAFETY', 'PROHIBITED_CONTENT'],
    refusal: ['SAFETY'],
    pause: ['OTHER', 'STOP'],
    error: ['OTHER'],
    other: ['OTHER', 'STOP'],
  },
};

/** What the SDK read otherwise than it was meant; empty when all is well. */
export function differences(
  target: ClientDialect,
  response: ChatResponse,
  reading: SdkReading,
): readonly string[] {
  const found: string[] = [];
  const [choice] = response.choices;
  const parts = choice?.parts ?? [];
  const text = parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
  const refusal = parts.map((part) => (part.kind === 'refusal' ? part.text : '')).join('');
  const spoken = parts
    .map((part) => (part.kind === 'media' ? (part.transcript ?? '') : ''))
    .join('');
  // Where speech has no place of its own, its transcript is what the client gets.
  if (![text + refusal, text + refusal + spoken].includes(reading.text + reading.refusal))
    found.push(`text ${sample(text + refusal)} read as ${sample(reading.text + reading.refusal)}`);
  const calls = parts.flatMap((part) =>
    part.kind === 'tool-call'
      ? [{ name: part.name, input: comparableInput(part.input, part.custom === true) }]
      : [],
  );
  const read = reading.calls.map(({ name, input }) => ({ name, input: comparable(input) }));
  if (JSON.stringify(calls) !== JSON.stringify(read))
    found.push(`calls ${sample(JSON.stringify(calls))} read as ${sample(JSON.stringify(read))}`);
  // A client of the vendor's own dialect reads the vendor's own word and its own count of tokens.
  const own = response.dialect === target;
  const words = [
    ...finishWords[target][choice?.finish.reason ?? 'other'],
    own ? choice?.finish.raw : '',
  ];
  if (!words.includes(reading.finish))
    found.push(
      `finish ${choice?.finish.reason ?? ''} (${choice?.finish.raw ?? ''}) read as ${reading.finish}`,
    );
  return own ? found : [...found, ...usageDifferences(response, reading)];
}

function usageDifferences({ usage }: ChatResponse, reading: SdkReading): readonly string[] {
  if (!usage) return [];
  const found: string[] = [];
  const input = inputTotalTokens(usage);
  const output = outputTotalTokens(usage);
  if (input !== undefined && (reading.inputTokens ?? 0) !== input)
    found.push(`input ${input} read as ${reading.inputTokens ?? 'nothing'}`);
  if (output !== undefined && (reading.outputTokens ?? 0) !== output)
    found.push(`output ${output} read as ${reading.outputTokens ?? 'nothing'}`);
  return found;
}

function sample(text: string): string {
  return text.length > 160 ? `${text.slice(0, 120)}…${text.slice(-30)}` : text;
}

/** Arguments as values; free text compares with the one member it is wrapped in where there is no free text. */
function comparableInput(input: string, custom: boolean): unknown {
  if (custom) return comparable({ input });
  if (input.trim() === '') return {};
  try {
    return comparable(JSON.parse(input) as unknown);
  } catch {
    return comparable({ input });
  }
}

function comparable(input: unknown): unknown {
  if (typeof input === 'string') return { input };
  if (typeof input === 'object' && input !== null && !Array.isArray(input))
    return sorted(input as { readonly [key: string]: unknown });
  return input;
}

/** Order of members means nothing, except that it is kept in practice. */
function sorted(object: { readonly [key: string]: unknown }): unknown {
  return Object.fromEntries(
    Object.entries(object).sort(([left], [right]) => (left < right ? -1 : 1)),
  );
}
