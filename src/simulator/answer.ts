/**
 * Answers of the simulator's own models. `sim-chat` talks back about what it was asked; it calls a tool
 * when one is forced or named in the question, and sums up tool results. Everything is a function of
 * the request, so that the same question gets the same answer.
 */

import type { ChatRequest, ChatResponse, FunctionTool, Message, Part, Usage } from '#canonical';
import { asArray, asObject, asString, type JsonObject, type JsonValue } from '#std';
import { charactersPerToken } from './meter.ts';
import { scripted, type Turn } from './turns.ts';

/** Names of the simulator's own models, also in the catalog. */
export const simulatorModels = ['sim-chat', 'sim-reasoning', 'sim-embedding'] as const;

/** What becomes of a beginning of the answer that the request gives: see `continued`. */
export type Prefill = 'continued' | 'ignored' | 'overlapping';

/** `turns` come before the model's own mind. */
export function answer(
  request: ChatRequest,
  id: string,
  createdAt: number,
  turns: readonly Turn[] = [],
  prefill: Prefill = 'continued',
): ChatResponse {
  const said = scripted(request, turns, id);
  const { parts, cut } = said
    ? { parts: said.parts, cut: false }
    : limited(continued(request, partsOf(request), prefill), request.outputTokensMax);
  const called = parts.some((part) => part.kind === 'tool-call');
  return {
    dialect: request.dialect,
    id,
    model: request.model,
    createdAt,
    choices: [
      {
        index: 0,
        parts,
        finish: { reason: cut ? 'length' : called ? 'tool-calls' : 'stop', raw: '' },
      },
    ],
    usage: said?.usage ?? usageOf(request, parts),
    extensions: {},
  };
}

function partsOf(request: ChatRequest): readonly Part[] {
  const last = request.messages.findLast(
    (message) => message.role === 'user' || message.role === 'tool',
  );
  const question = textOf(last);
  const thinking: Part[] = thinks(request)
    ? [
        {
          kind: 'reasoning',
          text: `The user says ${question.length} characters. I will answer plainly.`,
          form: 'full',
        },
      ]
    : [];
  const results = last?.role === 'tool' ? resultTexts(last) : undefined;
  if (results)
    return [...thinking, { kind: 'text', text: `The tool answered: ${results.join('; ')}` }];
  const tool = toolToCall(request, question);
  if (tool) {
    const input = JSON.stringify(exampleOf(tool.parameters ?? {}, question));
    return [
      ...thinking,
      { kind: 'tool-call', id: `call_sim${request.messages.length}`, name: tool.name, input },
    ];
  }
  if (request.responseFormat?.kind === 'json-schema')
    return [
      ...thinking,
      { kind: 'text', text: JSON.stringify(exampleOf(request.responseFormat.schema, question)) },
    ];
  if (request.responseFormat?.kind === 'json')
    return [...thinking, { kind: 'text', text: JSON.stringify({ answer: question }) }];
  const words = /\bin (\d{1,6}) words\b/.exec(question)?.[1];
  const text =
    words === undefined
      ? `This is the simulator speaking, no vendor was asked. You said: "${question}" 你好!`
      : essay(question, Number(words));
  return [...thinking, { kind: 'text', text }];
}

const overlapCharacters = 30;

/**
 * A last message of the assistant is the beginning of the answer, which goes on from there. Faulty
 * models ignore it and begin anew, or say its last words again.
 */
function continued(
  request: ChatRequest,
  parts: readonly Part[],
  prefill: Prefill,
): readonly Part[] {
  const last = request.messages.at(-1);
  if (last?.role !== 'assistant' || prefill === 'ignored') return parts;
  const beginning = last.parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
  const said = Math.max(0, beginning.length - (prefill === 'overlapping' ? overlapCharacters : 0));
  return parts.map((part) =>
    part.kind === 'text' && part.text.startsWith(beginning)
      ? { ...part, text: part.text.slice(said) }
      : part,
  );
}

const vocabulary =
  'river stone under morning light each small answer grows slowly from what was asked and nobody knows the end of it before it comes'.split(
    ' ',
  );
const wordsMax = 100_000;

/** A text of so many words that depends on the question alone: "… in 300 words". */
function essay(question: string, wordCount: number): string {
  let state = 2_166_136_261;
  for (let index = 0; index < question.length; index += 1)
    state = Math.imul(state ^ question.charCodeAt(index), 16_777_619);
  const words: string[] = [];
  for (let index = 0; index < Math.min(wordCount, wordsMax); index += 1) {
    state = Math.imul(state ^ index, 16_777_619);
    words.push(vocabulary[(state >>> 8) % vocabulary.length] ?? 'and');
  }
  return words.join(' ');
}

function thinks(request: ChatRequest): boolean {
  return (
    request.model === 'sim-reasoning' ||
    (request.reasoning !== undefined &&
      request.reasoning.effort !== 'none' &&
      request.reasoning.budgetTokens !== 0)
  );
}

/** No more tokens than allowed, reasoning first; the end of an answer takes one. Calls stay whole. */
function limited(
  parts: readonly Part[],
  outputTokensMax: number | undefined,
): { readonly parts: readonly Part[]; readonly cut: boolean } {
  if (outputTokensMax === undefined) return { parts, cut: false };
  let room = Math.max(1, (outputTokensMax - 1) * charactersPerToken);
  let cut = false;
  const kept: Part[] = [];
  for (const part of parts) {
    if (!('text' in part) || part.text.length <= room) kept.push(part);
    else if (room > 0) kept.push({ ...part, text: part.text.slice(0, room) });
    cut ||= 'text' in part && part.text.length > room;
    // Each part is counted up to whole tokens by itself.
    if ('text' in part)
      room = Math.max(
        0,
        room - Math.ceil(part.text.length / charactersPerToken) * charactersPerToken,
      );
  }
  return { parts: kept, cut };
}

function textOf(message: Message | undefined): string {
  const texts = (message?.parts ?? []).map((part) =>
    part.kind === 'text' ? part.text : part.kind === 'media' ? `[${part.media}]` : '',
  );
  return texts
    .filter((text) => text !== '')
    .join(' ')
    .slice(0, 2_000);
}

function resultTexts(message: Message): readonly string[] {
  return message.parts.flatMap((part) =>
    part.kind === 'tool-result'
      ? [
          part.parts
            .map((inner) => (inner.kind === 'text' ? inner.text : `[${inner.media}]`))
            .join(' '),
        ]
      : [],
  );
}

/** A forced tool, or one that the question asks for by name or by its words. */
function toolToCall(request: ChatRequest, question: string): FunctionTool | undefined {
  const tools = request.tools.filter((tool) => tool.kind === 'function');
  const { toolChoice } = request;
  if (toolChoice?.kind === 'none') return undefined;
  if (toolChoice?.kind === 'tool') return tools.find((tool) => tool.name === toolChoice.name);
  const asked = tools.find(
    (tool) =>
      question.toLowerCase().includes(tool.name.toLowerCase()) || sharesWord(tool.name, question),
  );
  return (
    asked ??
    (toolChoice?.kind === 'required' ||
    (toolChoice?.kind === 'allowed' && toolChoice.mode === 'required')
      ? tools[0]
      : undefined)
  );
}

function sharesWord(name: string, question: string): boolean {
  const words = name
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word.length > 3);
  const asked = question.toLowerCase();
  return words.some((word) => asked.includes(word));
}

const exampleDepthMax = 8;

/** The smallest value that a JSON Schema describes; texts take words of the question. */
function exampleOf(schema: JsonObject, question: string, depth = 0): JsonValue {
  if (depth > exampleDepthMax) return null;
  const [first] = asArray(schema['enum']) ?? [];
  if (first !== undefined) return first;
  if (schema['const'] !== undefined) return schema['const'];
  const type = asString(schema['type']) ?? asString(asArray(schema['type'])?.[0]);
  switch (type?.toLowerCase()) {
    case 'string':
      return (
        question
          .split(/\s+/)
          .at(-1)
          ?.replace(/[^\p{L}\p{N}-]/gu, '') || 'text'
      );
    case 'integer':
    case 'number':
      return 1;
    case 'boolean':
      return true;
    case 'array':
      return [exampleOf(asObject(schema['items']) ?? {}, question, depth + 1)];
    case 'null':
      return null;
    default:
      return exampleObject(schema, question, depth);
  }
}

function exampleObject(schema: JsonObject, question: string, depth: number): JsonValue {
  const value: Record<string, JsonValue> = {};
  for (const [name, property] of Object.entries(asObject(schema['properties']) ?? {})) {
    value[name] = exampleOf(asObject(property) ?? {}, question, depth + 1);
  }
  return value;
}

/** A token for every four characters: simple enough to check a bill by hand. */
function usageOf(request: ChatRequest, parts: readonly Part[]): Usage {
  const asked = request.messages.reduce((sum, message) => sum + textOf(message).length, 0);
  const count = (part: Part): number =>
    'text' in part
      ? part.text.length
      : part.kind === 'tool-call'
        ? part.name.length + part.input.length
        : 0;
  const reasoning = parts
    .filter((part) => part.kind === 'reasoning')
    .reduce((sum, part) => sum + count(part), 0);
  const visible = parts
    .filter((part) => part.kind !== 'reasoning')
    .reduce((sum, part) => sum + count(part), 0);
  return {
    inputTokens: Math.ceil(asked / charactersPerToken) + 4,
    cacheReadTokens: 0,
    outputTokens: Math.min(
      Math.ceil(visible / charactersPerToken) + 1,
      request.outputTokensMax ?? Number.MAX_SAFE_INTEGER,
    ),
    reasoningTokens: Math.ceil(reasoning / charactersPerToken),
  };
}

/** A vector that depends on the text alone, of length 1. */
export function embed(text: string, dimensions: number): readonly number[] {
  let state = 2_166_136_261;
  for (let index = 0; index < text.length; index += 1)
    state = Math.imul(state ^ text.charCodeAt(index), 16_777_619);
  const vector: number[] = [];
  for (let index = 0; index < dimensions; index += 1) {
    state = Math.imul(state ^ index, 16_777_619);
    vector.push(((state >>> 0) / 4_294_967_296) * 2 - 1);
  }
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
