import {
  fail,
  GatewayFailure,
  type ChatRequest,
  type ChatResponse,
  type Choice,
  type Citation,
  type Encoded,
  type Finish,
  type Loss,
  type MediaPart,
  type Part,
  type TextPart,
  type ToolCallPart,
  type Usage,
} from '#canonical';
import {
  asArray,
  asCount,
  asObject,
  asObjects,
  asString,
  compact,
  fieldPath,
  unknownFields,
  type JsonObject,
} from '#std';
import { dataUrlOf } from '../data-url.ts';
import { foreignDetails } from '../finish-details.ts';
import type { Quirks } from '../dialect.ts';
import {
  choiceDetails,
  createdAtOf,
  decodeAnswer,
  decodeFinish,
  decodeLogprobTokens,
  decodeUrlCitations,
  encodeLogprobTokens,
  scopeOf,
  withCitations,
  withoutNulls,
} from './answer.ts';
import {
  encodeDetail,
  encodeToolState,
  isReasoning,
  needsDetail,
  textStateDetail,
} from './details.ts';
import { findError } from './find-error.ts';
import { audioFormat } from './media.ts';
import { loseFields, loseNames } from './tools.ts';
import { readChatQuirks } from './quirks.ts';
import { decodeUsage, encodeUsage } from './usage.ts';

/** Of an answer, in chats and in completions. */
export const knownFields = new Set([
  'id',
  'object',
  'created',
  'model',
  'choices',
  'usage',
  'service_tier',
  'error',
]);

/** Reads a whole answer tolerantly. Throws GatewayFailure when it is an error, or no answer at all. */
export function decodeResponse(wire: JsonObject, quirks: Quirks): ChatResponse {
  const choices = asObjects(wire['choices']);
  const failure = findError(wire, undefined, quirks);
  if (failure) throw new GatewayFailure(failure);
  if (choices.length === 0) fail('upstream_invalid', 'The upstream provider sent no answer.');
  const id = asString(wire['id']) ?? '';
  const serviceTier = asString(wire['service_tier']);
  const beside = decodeUrlCitations(wire);
  return {
    dialect: 'openai-chat',
    id,
    model: asString(wire['model']) ?? '',
    ...optional('createdAt', createdAtOf(wire)),
    choices: choices.map((choice, position) =>
      decodeChoice(choice, position, scopeOf(wire), beside),
    ),
    ...optional('usage', usageOf(wire, quirks)),
    ...optional('serviceTier', serviceTier),
    extensions: withoutNulls(unknownFields(wire, knownFields)),
  };
}

/** One choice with words or calls that ended as answers do. */
export function isPlainAnswer(wire: JsonObject): boolean {
  const choice = asObject(asArray(wire['choices'])?.[0]);
  const message = asObject(choice?.['message']);
  const finish = choice?.['finish_reason'];
  if (!message || (finish !== 'stop' && finish !== 'length' && finish !== 'tool_calls'))
    return false;
  const { content, tool_calls: calls } = message;
  const says = (typeof content === 'string' && content !== '') || (asArray(calls)?.length ?? 0) > 0;
  return says && findError(wire, undefined, {}) === undefined;
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
}

function decodeChoice(
  wire: JsonObject,
  position: number,
  id: string,
  beside: readonly Citation[],
): Choice {
  const message = asObject(wire['message']) ?? asObject(wire['delta']) ?? {};
  const index = asCount(wire['index']) ?? position;
  const parts = decodeAnswer(message, id, index);
  const cited = parts.some((part) => part.kind === 'text' && part.citations !== undefined);
  const calling = parts.some((part) => part.kind === 'tool-call');
  const logprobs = decodeLogprobTokens(wire['logprobs']);
  return {
    index,
    parts: cited ? parts : withCitations(parts, beside),
    finish: decodeFinish(
      asString(wire['finish_reason']) ?? '',
      calling,
      choiceDetails(wire, message),
    ),
    ...(logprobs.length > 0 ? { logprobs } : {}),
  };
}

/** Usage of a whole answer or of a stream's chunk, wherever the vendor puts it. */
export function usageOf(wire: JsonObject, quirks: Quirks): Usage | undefined {
  const raw =
    asObject(wire['usage']) ??
    asObject(asObject(wire['x_groq'])?.['usage']) ??
    asObject(asObject(asArray(wire['choices'])?.[0])?.['usage']);
  return decodeUsage(raw, readChatQuirks(quirks), asString(wire['service_tier']));
}

// ---- to a client ----------------------------------------------------------------------------

/** Writes an answer for a chat client. */
export function encodeResponse(response: ChatResponse, request: ChatRequest): Encoded<JsonObject> {
  const losses: Loss[] = [];
  const own = response.dialect === 'openai-chat';
  const legacy = request.legacyFunctions === true;
  const choices = response.choices.map((choice, position) =>
    encodeChoice(choice, position, own, legacy, losses),
  );
  if (!own) loseFields(response.extensions, '', losses);
  const value = compact({
    id: response.id,
    object: 'chat.completion',
    created: Math.floor(response.createdAt ?? 0),
    model: response.model,
    choices,
    usage: response.usage && encodeUsage(response.usage, response.bill),
    service_tier: response.serviceTier,
    ...(own ? response.extensions : {}),
  });
  return { value, losses };
}

function encodeChoice(
  choice: Choice,
  position: number,
  own: boolean,
  legacy: boolean,
  losses: Loss[],
): JsonObject {
  const details = own ? choice.finish.details : undefined;
  if (!own) loseNames(foreignDetails(choice.finish), fieldPath('choices', position), losses);
  return {
    index: choice.index,
    message: {
      ...encodeAnswer(
        choice.parts,
        fieldPath(fieldPath('choices', position), 'message'),
        own,
        legacy,
        losses,
      ),
      ...asObject(details?.['message']),
    },
    logprobs: choice.logprobs ? encodeLogprobTokens(choice.logprobs) : null,
    finish_reason: finishWord(choice.finish, legacy),
    ...nativeFinish(choice.finish, own),
    ...(details ? unknownFields(details, new Set(['message'])) : {}),
  };
}

const finishWords: { readonly [reason in Finish['reason']]: string } = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
  refusal: 'content_filter',
  pause: 'stop',
  error: 'error',
  other: 'stop',
};

/** One of the words that official SDKs know. */
export function finishWord(finish: Finish, legacy: boolean): string {
  return legacy && finish.reason === 'tool-calls' ? 'function_call' : finishWords[finish.reason];
}

/** Another dialect's own word, and the sequence that stopped the answer, in the fields vendors use for them. */
export function nativeFinish(finish: Finish, own: boolean): JsonObject {
  const told = !own && finish.raw !== '' && finish.raw !== finishWords[finish.reason];
  return {
    ...(told ? { native_finish_reason: finish.raw } : {}),
    ...(finish.stopSequence === undefined ? {} : { stop_reason: finish.stopSequence }),
  };
}

function encodeAnswer(
  parts: readonly Part[],
  path: string,
  own: boolean,
  legacy: boolean,
  losses: Loss[],
): JsonObject {
  const texts = parts.filter((part): part is TextPart => part.kind === 'text');
  const refusals = parts.filter((part) => part.kind === 'refusal');
  const calls = parts.filter((part): part is ToolCallPart => part.kind === 'tool-call');
  const thinking = parts.filter(isReasoning);
  const media = parts.filter((part): part is MediaPart => part.kind === 'media');
  for (const part of parts) {
    if (!own) loseFields(partExtras(part), path, losses);
    if (part.kind === 'native' && !(own && part.dialect === 'openai-chat')) {
      losses.push({ path, reason: `an item only ${part.dialect} knows`, changesMeaning: false });
    }
  }
  const reasoning = thinking.map((part) => part.text).join('');
  const details = [...thinking, ...texts.flatMap((part) => textStateDetail(part) ?? [])];
  const annotations = encodeAnnotations(texts, losses, path);
  return compact({
    role: 'assistant',
    content: texts.length > 0 ? texts.map((part) => part.text).join('') : emptyContent(parts),
    refusal: refusals.length > 0 ? refusals.map((part) => part.text).join('') : null,
    reasoning_content: reasoning === '' ? undefined : reasoning,
    reasoning_details: details.some(needsDetail)
      ? details.map((part, index) => encodeDetail(part, index))
      : undefined,
    annotations: annotations.length > 0 ? annotations : undefined,
    ...encodeMediaAnswer(media),
    ...encodeCalls(calls, legacy),
  });
}

function emptyContent(parts: readonly Part[]): string | null {
  return parts.some(
    (part) => part.kind === 'tool-call' || part.kind === 'refusal' || part.kind === 'media',
  )
    ? null
    : '';
}

function encodeCalls(calls: readonly ToolCallPart[], legacy: boolean): JsonObject {
  const [first] = calls;
  if (!first) return {};
  if (legacy) return { function_call: { name: first.name, arguments: first.input } };
  return {
    tool_calls: calls.map((call) => ({ ...encodeCallHead(call, call.input), ...callExtras(call) })),
  };
}

/** `{id, type, function}` of a call, or its custom form. */
export function encodeCallHead(call: ToolCallPart, input: string): JsonObject {
  if (call.custom) return { id: call.id, type: 'custom', custom: { name: call.name, input } };
  return { id: call.id, type: 'function', function: { name: call.name, arguments: input } };
}

/** State bound to a call, where Gemini's own OpenAI-compatible endpoint puts it. */
export function callExtras(call: Pick<ToolCallPart, 'state' | 'extensions'>): JsonObject {
  const extra = asObject(call.extensions?.['extra_content']);
  if (call.state) return { extra_content: encodeToolState(call.state, extra) };
  return extra ? { extra_content: extra } : {};
}

/** What a foreign part says that chat has no field for. */
export function partExtras({ kind, extensions }: Part): JsonObject {
  return unknownFields(extensions ?? {}, kind === 'tool-call' ? callExtraFields : itemFields);
}

/** The Responses API's own items, of which the parts tell all that chat can say. */
const itemFields = new Set(['item']);
const callExtraFields = new Set(['extra_content', 'item']);

/** Offsets of later texts move by the length of the texts before, because chat has one text only. */
function encodeAnnotations(
  texts: readonly TextPart[],
  losses: Loss[],
  path: string,
): readonly JsonObject[] {
  const annotations: JsonObject[] = [];
  let offset = 0;
  for (const text of texts) {
    for (const citation of text.citations ?? []) {
      const annotation = encodeCitation(citation, offset);
      if (annotation) annotations.push(annotation);
      else
        losses.push({
          path: fieldPath(path, 'annotations'),
          reason: 'chat cites by URL only',
          changesMeaning: false,
        });
    }
    offset += text.text.length;
  }
  return annotations;
}

export function encodeCitation(citation: Citation, offset: number): JsonObject | undefined {
  if (citation.native?.dialect === 'openai-chat') return citation.native.value;
  if (citation.url === undefined) return undefined;
  const { url, title = '', start = 0, end = 0 } = citation;
  return {
    type: 'url_citation',
    url_citation: { url, title, start_index: start + offset, end_index: end + offset },
  };
}

/** Generated audio in OpenAI's field, generated images in the field that OpenRouter made common. */
function encodeMediaAnswer(media: readonly MediaPart[]): JsonObject {
  const audio = media.find((part) => part.media === 'audio');
  const images = media.filter((part) => part.media === 'image').map(encodeImage);
  return {
    ...(audio
      ? { audio: encodeAudio(audio, audio.source.kind === 'data' ? audio.source.data : '') }
      : {}),
    ...(images.length > 0 ? { images } : {}),
  };
}

export function encodeAudio(part: MediaPart, data: string): JsonObject {
  return compact({
    id: part.id ?? '',
    data,
    transcript: part.transcript ?? '',
    expires_at: 0,
    format: part.mimeType === undefined ? undefined : audioFormat(part.mimeType),
    ...part.extensions,
  });
}

export function encodeImage(part: MediaPart): JsonObject {
  const { source } = part;
  const url =
    source.kind === 'url'
      ? source.url
      : source.kind === 'data'
        ? dataUrlOf(source, part.mimeType ?? 'image/png')
        : '';
  return { type: 'image_url', image_url: { url } };
}
