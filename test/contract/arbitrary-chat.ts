/**
 * Arbitrary conversations, answers and event streams of the neutral model. Every text carries a
 * marker that is unique within its value, so that a test can tell for each of them whether it
 * arrived on the other side or was reported as lost.
 */

import fc from 'fast-check';
import {
  explode,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type Choice,
  type DialectId,
  type FunctionTool,
  type MediaPart,
  type Message,
  type OpaqueState,
  type Part,
  type ReasoningPart,
  type TextPart,
  type ToolCallPart,
  type ToolChoice,
  type ToolResultPart,
  type Usage,
} from '#canonical';
import type { JsonObject } from '#std';
import { anyCharacter } from '../support/characters.ts';

/** A string found in a value, with the path at which it stands. */
export type Marker = { readonly path: string; readonly text: string };

const markerPattern = /q[0-9a-f]{10}z/g;

/** The markers in a value, each with its path (`messages[0].parts[1].text`). */
export function markersOf(value: unknown, path = ''): readonly Marker[] {
  if (typeof value === 'string')
    return [...value.matchAll(markerPattern)].map(([text]) => ({ path, text }));
  if (Array.isArray(value))
    return value.flatMap((element, index) => markersOf(element, `${path}[${index}]`));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    ...markersOf(key, path),
    ...markersOf(inner, path === '' ? key : `${path}.${key}`),
  ]);
}

const marker = fc
  .nat({ max: 2 ** 31 - 1 })
  .chain((high) => fc.nat({ max: 255 }).map((low) => markerText(high, low)));

function markerText(high: number, low: number): string {
  return `q${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(2, '0')}z`;
}

/** Unicode of all planes, line breaks, quotes and escapes among it; never empty. */
const text = fc
  .tuple(marker, fc.string({ unit: anyCharacter, maxLength: 12 }).filter(isWellFormed))
  .map(([head, tail]) => `${head}${tail}.`);

function isWellFormed(value: string): boolean {
  return value.isWellFormed() && !value.includes('\0');
}

/** Base64 whose own letters are a marker, of a picture by its first bytes. */
const imageData = marker.map((name) => `iVBORw0KGgoAAAANSUhEUg${`${name}AAAAAAAAAA`.slice(0, 14)}`);
const documentData = marker.map((name) => `JVBERi0xLjQK${name}`);

const jsonInput = fc.dictionary(
  fc.stringMatching(/^[a-z]{1,6}$/),
  fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null)),
  {
    maxKeys: 3,
    noNullPrototype: true,
  },
);

// ---- parts ----------------------------------------------------------------------------------

const textPart: fc.Arbitrary<TextPart> = text.map((value) => ({ kind: 'text', text: value }));

const imagePart: fc.Arbitrary<MediaPart> = fc.oneof(
  imageData.map((data): MediaPart => ({
    kind: 'media',
    media: 'image',
    mimeType: 'image/png',
    source: { kind: 'data', data },
  })),
  marker.map((name): MediaPart => ({
    kind: 'media',
    media: 'image',
    source: { kind: 'url', url: `https://pictures.test/${name}.png` },
  })),
);

const documentPart: fc.Arbitrary<MediaPart> = documentData.map((data) => ({
  kind: 'media',
  media: 'document',
  mimeType: 'application/pdf',
  source: { kind: 'data', data },
  filename: 'paper.pdf',
}));

/** How each dialect names the state that its own reasoning carries. */
const stateForm: { readonly [dialect in DialectId]: string } = {
  'openai-chat': 'reasoning.encrypted',
  'openai-responses': 'encrypted_content',
  'anthropic-messages': 'signature',
  'gemini-generate': 'thoughtSignature',
  'openai-completions': 'none',
};

const stateOf = (issuer: DialectId): fc.Arbitrary<OpaqueState> =>
  marker.map((name) => ({
    issuer,
    form: stateForm[issuer],
    value: Buffer.from(name).toString('base64'),
  }));

/** Reasoning as its dialect shows it: a summary at OpenAI Responses, the thinking itself elsewhere. */
function reasoningPart(dialect: DialectId): fc.Arbitrary<ReasoningPart> {
  const form = dialect === 'openai-responses' ? 'summary' : 'full';
  return fc.tuple(text, stateOf(dialect)).map(([value, state]) => {
    const part: ReasoningPart = { kind: 'reasoning', form, text: value };
    return dialect === 'anthropic-messages' || dialect === 'openai-responses'
      ? { ...part, state }
      : part;
  });
}

const toolCallPart: fc.Arbitrary<ToolCallPart> = fc
  .tuple(marker, fc.constantFrom('look_up', 'add'), jsonInput)
  .map(([id, name, input]) => ({
    kind: 'tool-call',
    id: `call_${id}`,
    name,
    input: JSON.stringify(input),
  }));

const resultParts = fc.array(textPart, { minLength: 1, maxLength: 2 });

// ---- requests -------------------------------------------------------------------------------

const userMessage: fc.Arbitrary<Message> = fc
  .tuple(textPart, fc.array(fc.oneof(textPart, imagePart, documentPart), { maxLength: 2 }))
  .map(([first, others]) => ({ role: 'user', parts: [first, ...others] }));

/** A turn of the model, with the results of its calls when it made any. */
function modelTurn(dialect: DialectId): fc.Arbitrary<readonly Message[]> {
  const reasoning = fc.option(reasoningPart(dialect), { nil: undefined, freq: 3 });
  const calls = fc.uniqueArray(toolCallPart, { maxLength: 2, selector: (call) => call.id });
  return fc
    .tuple(reasoning, textPart, calls, fc.array(resultParts, { minLength: 2, maxLength: 2 }))
    .map(([thought, said, made, results]) => {
      const parts: Part[] = [...(thought ? [thought] : []), said, ...made];
      if (made.length === 0) return [{ role: 'assistant', parts }];
      const answers = made.map((call, index): ToolResultPart => ({
        kind: 'tool-result',
        id: call.id,
        name: call.name,
        parts: results[index] ?? [],
      }));
      return [
        { role: 'assistant', parts },
        { role: 'tool', parts: answers },
      ];
    });
}

function conversation(dialect: DialectId): fc.Arbitrary<readonly Message[]> {
  const roles =
    dialect === 'openai-chat' || dialect === 'openai-responses'
      ? (['system', 'developer'] as const)
      : (['system'] as const);
  const system = fc.option(fc.tuple(fc.constantFrom(...roles), textPart), { nil: undefined });
  const late =
    dialect === 'gemini-generate'
      ? fc.constant(undefined)
      : fc.option(textPart, { nil: undefined, freq: 2 });
  const exchange = fc
    .tuple(userMessage, modelTurn(dialect))
    .map(([asked, answered]) => [asked, ...answered]);
  return fc
    .tuple(system, fc.array(exchange, { maxLength: 2 }), userMessage, late)
    .map(([first, exchanges, last, said]) => {
      const opening: readonly Message[] = first ? [{ role: first[0], parts: [first[1]] }] : [];
      const reminder: readonly Message[] = said ? [{ role: 'system', parts: [said] }] : [];
      return [...opening, ...exchanges.flat(), last, ...reminder];
    });
}

const toolsArbitrary: fc.Arbitrary<readonly FunctionTool[]> = fc
  .tuple(text, text)
  .map(([first, second]) => [
    {
      kind: 'function',
      name: 'look_up',
      description: first,
      parameters: {
        type: 'object',
        properties: { key: { type: 'string', description: second } },
        required: ['key'],
      },
    },
    {
      kind: 'function',
      name: 'add',
      description: 'Adds.',
      parameters: { type: 'object', properties: { a: { type: 'number' } } },
    },
  ]);

const toolChoice: fc.Arbitrary<ToolChoice> = fc.oneof(
  fc.constantFrom<ToolChoice>({ kind: 'auto' }, { kind: 'none' }, { kind: 'required' }),
  fc.constant<ToolChoice>({ kind: 'tool', name: 'look_up' }),
);

/** Fields that one dialect or another cannot say: each must arrive or be reported. */
const taste: fc.Arbitrary<Partial<ChatRequest>> = fc.record(
  {
    seed: fc.integer({ min: 1_000_000, max: 2_000_000 }),
    presencePenalty: fc.constant(0.5),
    frequencyPenalty: fc.constant(0.25),
    topK: fc.integer({ min: 1, max: 64 }),
    endUserId: marker,
    promptCacheKey: marker,
    verbosity: fc.constant('low'),
    serviceTier: fc.constant('auto'),
    metadata: marker.map((value) => ({ key: value })),
    reasoning: fc.constantFrom('low' as const, 'high' as const).map((effort) => ({ effort })),
    responseFormat: text.map((description) => ({
      kind: 'json-schema' as const,
      name: 'answer',
      schema: {
        type: 'object',
        properties: { answer: { type: 'string', description } },
        required: ['answer'],
        additionalProperties: false,
      },
      strict: true,
    })),
  },
  { requiredKeys: [] },
);

const common: fc.Arbitrary<Partial<ChatRequest>> = fc.record(
  {
    outputTokensMax: fc.integer({ min: 5000, max: 60_000 }),
    temperature: fc.constantFrom(0, 0.25, 1),
    topP: fc.constantFrom(0.5, 0.96),
    stop: fc.array(text, { minLength: 1, maxLength: 2 }),
    parallelToolCalls: fc.boolean(),
  },
  { requiredKeys: [] },
);

/** The completions dialect knows one text and no conversation. */
const prompts: fc.Arbitrary<ChatRequest> = fc
  .tuple(textPart, common)
  .map(([part, { parallelToolCalls: _, ...fields }]) => ({
    dialect: 'openai-completions',
    model: 'model-asked',
    messages: [{ role: 'user', parts: [part] }],
    tools: [],
    ...fields,
    stream: false,
    streamUsage: true,
    extensions: {},
  }));

/** What a client of a dialect cannot say, because the dialect has no place for it. */
const unsayable: { readonly [dialect in DialectId]?: readonly (keyof ChatRequest)[] } = {
  'openai-responses': ['stop'],
  'gemini-generate': ['parallelToolCalls'],
};

function sayable(dialect: DialectId, fields: Partial<ChatRequest>): Partial<ChatRequest> {
  const without = unsayable[dialect] ?? [];
  return Object.fromEntries(
    Object.entries(fields).filter(
      ([key, value]) => value !== undefined && !without.includes(key as keyof ChatRequest),
    ),
  );
}

/** A conversation as a client of `dialect` may state it; `foreign`: with what only some dialects know. */
export function chatRequests(
  dialect: DialectId,
  options: { readonly foreign?: boolean } = {},
): fc.Arbitrary<ChatRequest> {
  if (dialect === 'openai-completions') return prompts;
  const offered = fc.option(fc.tuple(toolsArbitrary, fc.option(toolChoice, { nil: undefined })), {
    nil: undefined,
  });
  const tasteOrNone = options.foreign ? taste : fc.constant<Partial<ChatRequest>>({});
  const extension = fc.option(marker, { nil: undefined });
  return fc
    .tuple(conversation(dialect), offered, common, tasteOrNone, fc.boolean(), extension)
    .map(([messages, offer, fields, extra, stream, unknown]) => ({
      dialect,
      model: 'model-asked',
      messages,
      tools: offer?.[0] ?? [],
      ...(offer?.[1] ? { toolChoice: offer[1] } : {}),
      ...sayable(dialect, fields),
      ...sayable(dialect, extra),
      stream,
      streamUsage: true,
      extensions: unknown === undefined ? {} : { some_unknown_field: unknown },
    }));
}

// ---- answers --------------------------------------------------------------------------------

const count = fc.nat({ max: 100_000 });

const usageArbitrary: fc.Arbitrary<Usage> = fc
  .tuple(count, count, count, count)
  .map(([inputTokens, cacheReadTokens, outputTokens, reasoningTokens]) => ({
    inputTokens,
    cacheReadTokens,
    outputTokens,
    reasoningTokens,
  }));

function answerParts(dialect: DialectId): fc.Arbitrary<readonly Part[]> {
  if (dialect === 'openai-completions') return textPart.map((part) => [part]);
  const reasoning = fc.option(reasoningPart(dialect), { nil: undefined, freq: 3 });
  const calls = fc.uniqueArray(toolCallPart, { maxLength: 2, selector: (call) => call.id });
  return fc
    .tuple(reasoning, fc.option(textPart, { nil: undefined, freq: 5 }), calls)
    .map(([thought, said, made]) => [
      ...(thought ? [thought] : []),
      ...(said ? [said] : []),
      ...made,
    ])
    .filter((parts) => parts.length > 0);
}

/** An answer as some vendors give it: a text that cites, calls that carry state of their own. */
function richParts(dialect: DialectId): fc.Arbitrary<readonly Part[]> {
  return fc.tuple(answerParts(dialect), marker, stateOf(dialect)).map(([parts, cited, state]) => {
    let stated = dialect !== 'gemini-generate';
    return parts.map((part): Part => {
      if (part.kind === 'text') {
        return {
          ...part,
          citations: [
            {
              url: `https://sources.test/${cited}`,
              title: 'A source',
              start: 0,
              end: part.text.length,
            },
          ],
        };
      }
      if (part.kind !== 'tool-call' || stated) return part;
      stated = true;
      return { ...part, state };
    });
  });
}

function choiceOf(parts: readonly Part[], cutShort: boolean): Choice {
  const calls = parts.some((part) => part.kind === 'tool-call');
  const reason = calls ? 'tool-calls' : cutShort ? 'length' : 'stop';
  return { index: 0, parts, finish: { reason, raw: '' } };
}

/** An answer of an upstream that speaks `dialect`; `rich`: with citations and state of calls. */
export function chatResponses(
  dialect: DialectId,
  options: { readonly rich?: boolean } = {},
): fc.Arbitrary<ChatResponse> {
  return fc
    .tuple(
      options.rich ? richParts(dialect) : answerParts(dialect),
      fc.boolean(),
      usageArbitrary,
      marker,
    )
    .map(([parts, cutShort, usage, id]) => ({
      dialect,
      id: `msg_${id}`,
      model: 'model-answering',
      createdAt: 1_790_000_000,
      choices: [choiceOf(parts, cutShort)],
      usage,
      extensions: {},
    }));
}

/** The events of an answer, its texts cut into pieces of `pieceLength` characters. */
export function eventsOf(response: ChatResponse, pieceLength: number): readonly ChatEvent[] {
  const events: ChatEvent[] = [];
  for (const event of explode(response)) {
    if (event.kind !== 'part-delta') events.push(event);
    else for (const delta of piecesOf(event.delta, pieceLength)) events.push({ ...event, delta });
  }
  return events;
}

/** Cut between characters, not inside of surrogate pairs: no vendor does that. */
function piecesOf(value: string, length: number): readonly string[] {
  const characters = Array.from(value);
  const pieces: string[] = [];
  for (let start = 0; start < characters.length; start += length)
    pieces.push(characters.slice(start, start + length).join(''));
  return pieces;
}

// ---- damage ---------------------------------------------------------------------------------

/** Any JSON value, now and then with the field names and types that codecs look for. */
export const anyJson: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    null,
    '',
    'text',
    0,
    -1,
    1.5,
    2 ** 63,
    true,
    [],
    {},
    [null],
    [{}],
    { type: 'text' },
    { type: 7 },
    [[[]]],
  ),
);

/** `value` with one place, chosen by `choice`, replaced by `replacement`. */
export function damaged(value: unknown, choice: number, replacement: unknown): unknown {
  const places = placesOf(value);
  const place = places[choice % Math.max(1, places.length)];
  return place ? replaceAt(value, place, replacement) : replacement;
}

type Place = readonly (string | number)[];

function placesOf(value: unknown, at: Place = []): readonly Place[] {
  if (typeof value !== 'object' || value === null) return [at];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return [at, ...keys.flatMap((key) => placesOf((value as JsonObject)[key], [...at, key]))];
}

function replaceAt(value: unknown, place: Place, replacement: unknown): unknown {
  const [key, ...rest] = place;
  if (key === undefined) return replacement;
  if (Array.isArray(value))
    return value.map((element, index) =>
      index === key ? replaceAt(element, rest, replacement) : element,
    );
  return { ...(value as object), [key]: replaceAt((value as JsonObject)[key], rest, replacement) };
}
