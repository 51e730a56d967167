import type { ChatRequest, Encoded, Loss, Message, Part } from '#canonical';
import {
  asArray,
  asBoolean,
  asObject,
  compact,
  fieldPath,
  optionalBoolean,
  optionalObject,
  optionalString,
  ReadError,
  requireString,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Quirks, RequestContext } from '../dialect.ts';
import { readChatQuirks } from '../openai-chat/quirks.ts';
import { decodeSampling } from '../openai-chat/request-decode.ts';
import { loseFields } from '../openai-chat/tools.ts';

const knownFields = new Set([
  'model',
  'prompt',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'stop',
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'n',
  'user',
  'stream',
  'stream_options',
]);

/** Most prompts of one request, OpenAI's own bound. */
export const promptsMax = 2_048;

/**
 * Reads a legacy completion as a chat: each prompt is a user message. Several prompts are several
 * questions, and prompts of token ids mean nothing to other models: see native-only.ts.
 */
export function decodeRequest(wire: JsonObject, context: RequestContext): ChatRequest {
  const streamOptions = optionalObject(wire, 'stream_options', '');
  const otherOptions = streamOptions && unknownFields(streamOptions, new Set(['include_usage']));
  const extensions = unknownFields(wire, knownFields);
  return {
    dialect: 'openai-completions',
    model: context.model ?? requireString(wire['model'], 'model'),
    messages: decodePrompt(wire['prompt']),
    tools: [],
    ...decodeSampling(wire, 'max_tokens'),
    endUserId: optionalString(wire, 'user', ''),
    stream: context.stream ?? optionalBoolean(wire, 'stream', '') ?? false,
    streamUsage: asBoolean(streamOptions?.['include_usage']) ?? false,
    extensions:
      otherOptions && Object.keys(otherOptions).length > 0
        ? { ...extensions, stream_options: otherOptions }
        : extensions,
  };
}

function decodePrompt(value: JsonValue | undefined): readonly Message[] {
  if (value === undefined || value === null) return [promptMessage({ kind: 'text', text: '' })];
  if (typeof value === 'string') return [promptMessage({ kind: 'text', text: value })];
  const list = asArray(value);
  if (!list || list.length === 0)
    throw new ReadError('prompt', 'expected a string, an array of strings, or token ids');
  if (isTokens(list)) return [promptMessage(tokensPart(list))];
  if (list.length > promptsMax)
    throw new ReadError('prompt', `expected at most ${promptsMax} prompts`);
  return list.map((prompt, index) => {
    if (typeof prompt === 'string') return promptMessage({ kind: 'text', text: prompt });
    const tokens = asArray(prompt);
    if (!tokens || !isTokens(tokens))
      throw new ReadError(fieldPath('prompt', index), 'expected a string or an array of token ids');
    return promptMessage(tokensPart(tokens));
  });
}

function isTokens(list: readonly JsonValue[]): boolean {
  return list.every(
    (token) => typeof token === 'number' && Number.isSafeInteger(token) && token >= 0,
  );
}

function tokensPart(tokens: readonly JsonValue[]): Part {
  return { kind: 'native', dialect: 'openai-completions', value: { tokens } };
}

function promptMessage(part: Part): Message {
  return { role: 'user', parts: [part] };
}

/** Writes a legacy completion. A chat becomes one prompt; tools, media and schemas are losses. */
export function encodeRequest(request: ChatRequest, quirks: Quirks): Encoded<JsonObject> {
  const known = readChatQuirks(quirks);
  const losses: Loss[] = [];
  const own = request.dialect === 'openai-completions';
  if (!own) reportChatLosses(request, losses);
  const said = own ? asObject(request.extensions['stream_options']) : undefined;
  const streamOptions = { ...said, ...(known.streamUsage ? { include_usage: true } : {}) };
  const body = compact({
    model: request.model,
    prompt: own ? encodePrompt(request.messages) : transcript(request.messages, losses),
    max_tokens: request.outputTokensMax,
    temperature: request.temperature,
    top_p: request.topP,
    top_k: own ? request.topK : undefined,
    stop: request.stop?.slice(0, known.stopMax),
    seed: request.seed,
    presence_penalty: request.presencePenalty,
    frequency_penalty: request.frequencyPenalty,
    logit_bias: request.logitBias,
    logprobs: request.logprobs?.top,
    n: request.choiceCount,
    user: request.endUserId,
    ...(own ? unknownFields(request.extensions, new Set(['stream_options'])) : {}),
    stream: request.stream ? true : undefined,
    stream_options:
      request.stream && Object.keys(streamOptions).length > 0 ? streamOptions : undefined,
  });
  return { value: unknownFields(body, new Set(known.refused)), losses };
}

function encodePrompt(messages: readonly Message[]): JsonValue {
  const prompts = messages.map((message): JsonValue => {
    const [part] = message.parts;
    if (part?.kind === 'native') return part.value['tokens'] ?? [];
    return part?.kind === 'text' ? part.text : '';
  });
  return prompts.length === 1 ? (prompts[0] ?? '') : prompts;
}

const speakers = {
  system: 'System',
  developer: 'System',
  user: 'User',
  assistant: 'Assistant',
  tool: 'Tool',
} as const;

/** One message is the prompt itself; a conversation is written down as one, for the model to go on with. */
function transcript(messages: readonly Message[], losses: Loss[]): string {
  const lines = messages.map((message, index) => {
    const texts = message.parts.flatMap((part) => (part.kind === 'text' ? [part.text] : []));
    const dropped = message.parts.some((part) => part.kind !== 'text' && part.kind !== 'reasoning');
    if (dropped)
      losses.push({
        path: fieldPath('messages', index),
        reason: 'a completion prompt is text only',
        changesMeaning: true,
      });
    return { speaker: speakers[message.role], text: texts.join('\n\n') };
  });
  const [only] = lines;
  if (only && lines.length === 1) return only.text;
  losses.push({
    path: 'messages',
    reason: 'this model takes one prompt: the conversation is written down as text',
    changesMeaning: false,
  });
  return `${lines.map(({ speaker, text }) => `${speaker}: ${text}`).join('\n\n')}\n\nAssistant:`;
}

function reportChatLosses(request: ChatRequest, losses: Loss[]): void {
  const lose = (path: string, changesMeaning: boolean): void =>
    void losses.push({ path, reason: 'not known in legacy completions', changesMeaning });
  loseFields(request.extensions, '', losses);
  if (request.tools.length > 0) lose('tools', true);
  if (request.responseFormat && request.responseFormat.kind !== 'text')
    lose('response_format', true);
  if (request.modalities?.some((modality) => modality !== 'text')) lose('modalities', true);
  if (request.reasoning) lose('reasoning', false);
}
