import type {
  Citation,
  Finish,
  FinishReason,
  MediaPart,
  Part,
  TextPart,
  TokenLogprob,
  ToolCallPart,
} from '#canonical';
import {
  asArray,
  asCount,
  asNumber,
  asObject,
  asObjects,
  asString,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import {
  decodeReasoningFields,
  decodeThinkingPart,
  decodeToolState,
  nativePart,
} from './details.ts';
import { audioMimeType, splitDataUrl } from './media.ts';
import { shortDigest } from './tool-ids.ts';

/** Reading what chat vendors answer, for whole answers and streams alike. Never throws. */

const finishReasons: { readonly [raw: string]: FinishReason } = {
  stop: 'stop',
  eos: 'stop',
  eos_token: 'stop',
  end_turn: 'stop',
  stop_sequence: 'stop',
  complete: 'stop',
  length: 'length',
  max_tokens: 'length',
  max_output_tokens: 'length',
  max_completion_tokens: 'length',
  token_limit: 'length',
  model_length: 'length',
  model_context_window_exceeded: 'length',
  tool_calls: 'tool-calls',
  tool_use: 'tool-calls',
  tool_call: 'tool-calls',
  function_call: 'tool-calls',
  content_filter: 'content-filter',
  safety: 'content-filter',
  sensitive: 'content-filter',
  error_toxic: 'content-filter',
  recitation: 'content-filter',
  blocklist: 'content-filter',
  prohibited_content: 'content-filter',
  spii: 'content-filter',
  refusal: 'refusal',
  pause_turn: 'pause',
  error: 'error',
  function_call_filter: 'error',
  malformed_function_call: 'error',
  network_error: 'error',
  // SGLang and vLLM, when their server gave the answer up.
  abort: 'error',
  cancelled: 'error',
  insufficient_system_resource: 'error',
};

/** `stop` with tool calls means that they are to be run, whatever the vendor called it. */
export function decodeFinish(raw: string, calling: boolean, details: JsonObject = {}): Finish {
  // Gemini's own endpoint says why after a colon: `content_filter: RECITATION`.
  const [word = ''] = raw.toLowerCase().split(':');
  const known =
    raw === '' ? 'stop' : Object.hasOwn(finishReasons, word) ? finishReasons[word] : undefined;
  const reason = calling && (known ?? 'stop') === 'stop' ? 'tool-calls' : (known ?? 'other');
  return { reason, raw, ...(Object.keys(details).length > 0 ? { details } : {}) };
}

const knownChoiceFields = new Set([
  'index',
  'message',
  'delta',
  'finish_reason',
  'logprobs',
  'usage',
  'text',
]);
export const knownMessageFields: ReadonlySet<string> = new Set([
  'role',
  'content',
  'refusal',
  'tool_calls',
  'function_call',
  'annotations',
  'audio',
  'images',
  'reasoning_content',
  'reasoning',
  'reasoning_details',
]);

/** Fields of a choice and of its message that the model has no place for; `message` holds the latter. */
export function choiceDetails(choice: JsonObject, message: JsonObject): JsonObject {
  const details = withoutNulls(unknownFields(choice, knownChoiceFields));
  const inner = withoutNulls(unknownFields(message, knownMessageFields));
  return Object.keys(inner).length > 0 ? { ...details, message: inner } : details;
}

export function withoutNulls(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}

/** The parts of a whole message. */
export function decodeAnswer(
  message: JsonObject,
  responseId: string,
  choice: number,
): readonly Part[] {
  const parts: Part[] = [
    ...decodeReasoningFields(message),
    ...decodeAnswerContent(message['content']),
  ];
  const refusal = asString(message['refusal']) ?? '';
  if (refusal !== '') parts.push({ kind: 'refusal', text: refusal });
  for (const image of asObjects(message['images'])) parts.push(decodeImage(image));
  const audio = asObject(message['audio']);
  if (audio && Object.keys(withoutNulls(audio)).length > 0) parts.push(decodeAudio(audio));
  for (const [position, call] of callsOf(message).entries()) {
    parts.push(decodeAnswerCall(call, responseId, choice, position));
  }
  return withCitations(parts, decodeAnnotations(message['annotations']));
}

/**
 * The calls of a message, without those that say nothing: some servers write out every field they know.
 * The legacy `function_call` beside `tool_calls` says the same a second time.
 */
function callsOf(message: JsonObject): readonly JsonObject[] {
  const calls = asObjects(message['tool_calls']).filter(saysCall);
  const legacy = asObject(message['function_call']);
  return calls.length > 0 || !legacy ? calls : [{ function: legacy }].filter(saysCall);
}

function saysCall(call: JsonObject): boolean {
  const inner = asObject(call['function']) ?? asObject(call['custom']) ?? {};
  const told = [call['id'], inner['name'], inner['arguments'], inner['input']];
  return told.some((value) => value !== undefined && value !== null && value !== '');
}

/** A string, or an array of texts, `thinking` and vendors' own parts (Mistral); or the one part itself. */
export function decodeAnswerContent(content: JsonValue | undefined): Part[] {
  if (typeof content === 'string') return content === '' ? [] : [{ kind: 'text', text: content }];
  const parts: Part[] = [];
  for (const piece of asArray(content) ?? [content]) {
    const part = typeof piece === 'string' ? textPart(piece) : decodeAnswerPiece(asObject(piece));
    const last = parts.at(-1);
    if (!part) continue;
    if (last && part.kind === 'text' && last.kind === 'text')
      parts[parts.length - 1] = { ...last, text: last.text + part.text };
    else if (last && part.kind === 'reasoning' && last.kind === 'reasoning')
      parts[parts.length - 1] = { ...last, text: last.text + part.text };
    else parts.push(part);
  }
  return parts;
}

function textPart(text: string): Part | undefined {
  return text === '' ? undefined : { kind: 'text', text };
}

function decodeAnswerPiece(piece: JsonObject | undefined): Part | undefined {
  if (!piece) return undefined;
  switch (piece['type'] ?? (typeof piece['text'] === 'string' ? 'text' : undefined)) {
    case 'text':
    case 'output_text':
      return textPart(asString(piece['text']) ?? '');
    case 'thinking': {
      const part = decodeThinkingPart(piece);
      return part.text === '' ? undefined : part;
    }
    case 'refusal': {
      const text = asString(piece['refusal']) ?? '';
      return text === '' ? undefined : { kind: 'refusal', text };
    }
    case 'image_url':
      return decodeImage(piece);
    default:
      return nativePart(piece);
  }
}

export function decodeImage(image: JsonObject): MediaPart {
  const url =
    asString(asObject(image['image_url'])?.['url']) ??
    asString(image['image_url']) ??
    asString(image['url']) ??
    '';
  const inline = splitDataUrl(url);
  return {
    kind: 'media',
    media: 'image',
    source: inline ? inline.source : { kind: 'url', url },
    ...(inline && inline.mimeType !== '' ? { mimeType: inline.mimeType } : {}),
  };
}

export function decodeAudio(audio: JsonObject): MediaPart {
  const transcript = asString(audio['transcript']);
  const id = asString(audio['id']);
  const format = asString(audio['format']);
  const extensions = unknownFields(audio, new Set(['id', 'data', 'transcript', 'format']));
  return {
    kind: 'media',
    media: 'audio',
    source: { kind: 'data', data: asString(audio['data']) ?? '' },
    ...(format === undefined ? {} : { mimeType: audioMimeType(format) }),
    ...(id === undefined ? {} : { id }),
    ...(transcript === undefined ? {} : { transcript }),
    ...(Object.keys(extensions).length > 0 ? { extensions } : {}),
  };
}

/** A call of a whole answer. Ids that are missing are made; arguments may be an object; none means `{}`. */
export function decodeAnswerCall(
  call: JsonObject,
  responseId: string,
  choice: number,
  position: number,
): ToolCallPart {
  const custom = asObject(call['custom']);
  const inner = asObject(call['function']) ?? custom ?? {};
  const name = asString(inner['name']) ?? '';
  const input = custom ? (asString(inner['input']) ?? '') : argumentsText(inner['arguments']);
  const said = asString(call['id']) ?? '';
  // Servers that print a missing object as text write `null` for a call without arguments.
  const none = !custom && (input === '' || input.trim() === 'null');
  const { state, extraContent } = decodeToolState(call);
  return {
    kind: 'tool-call',
    id: said === '' ? madeToolId(responseId, choice, position, name) : said,
    name,
    input: none ? '{}' : input,
    ...(custom ? { custom: true } : {}),
    ...(state ? { state } : {}),
    ...(extraContent ? { extensions: { extra_content: extraContent } } : {}),
  };
}

export function argumentsText(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? '' : JSON.stringify(value);
}

/** `created` in whole seconds; some servers write fractions of them. */
export function createdAtOf(wire: JsonObject): number | undefined {
  return asCount(wire['created']) ?? asCount(Math.floor(asNumber(wire['created']) ?? -1));
}

/** What tells an answer from the next one, for ids that are made: its id, or its time where it has none. */
export function scopeOf(wire: JsonObject): string {
  const id = asString(wire['id']) ?? '';
  return id === '' ? String(createdAtOf(wire) ?? '') : id;
}

/** An id for a call that came without: the same in every reading of the same answer. */
export function madeToolId(
  responseId: string,
  choice: number,
  position: number,
  name: string,
): string {
  return `call_${shortDigest(`${responseId}/${choice}/${position}/${name}`)}`;
}

// ---- citations ------------------------------------------------------------------------------

export function decodeAnnotations(value: JsonValue | undefined): readonly Citation[] {
  return asObjects(value).map((annotation) => {
    const url = asObject(annotation['url_citation']);
    return {
      url: asString(url?.['url']),
      title: asString(url?.['title']),
      citedText: asString(url?.['content']),
      start: asCount(url?.['start_index']),
      end: asCount(url?.['end_index']),
      native: { dialect: 'openai-chat', value: annotation },
    };
  });
}

const noCitations: readonly Citation[] = [];

/**
 * Sources beside the answer: Perplexity's and xAI's `citations`, a list of URLs whose titles stand in
 * `search_results`; that list itself, which Perplexity is to keep; Z.ai's `web_search`.
 */
export function decodeUrlCitations(wire: JsonObject): readonly Citation[] {
  const { citations, search_results: found, web_search: searched } = wire;
  // Nearly all chunks of a stream have none.
  if (!citations && !found && !searched) return noCitations;
  const listed = asArray(citations);
  if (!listed) return [...asObjects(found), ...asObjects(searched)].flatMap(sourceOf);
  const results = asObjects(found);
  return listed.flatMap((element): readonly Citation[] => {
    const url = asString(element);
    if (url === undefined) return sourceOf(asObject(element) ?? {});
    const title = asString(results.find((result) => result['url'] === url)?.['title']);
    return [{ url, ...(title === undefined ? {} : { title }) }];
  });
}

function sourceOf(source: JsonObject): readonly Citation[] {
  const url = asString(source['url']) ?? asString(source['link']) ?? '';
  const title = asString(source['title']);
  return url === '' ? [] : [{ url, ...(title === undefined ? {} : { title }) }];
}

/** Citations belong to the last text, where vendors' offsets count from. */
export function withCitations(
  parts: readonly Part[],
  citations: readonly Citation[],
): readonly Part[] {
  if (citations.length === 0) return parts;
  const place = parts.findLastIndex((part) => part.kind === 'text');
  if (place < 0) return [...parts, { kind: 'text', text: '', citations }];
  return parts.map((part, index) =>
    index === place ? { ...(part as TextPart), citations } : part,
  );
}

// ---- log probabilities ----------------------------------------------------------------------

export function decodeLogprobTokens(value: JsonValue | undefined): readonly TokenLogprob[] {
  const object = asObject(value);
  const refusal = { refusal: true };
  return [
    ...asObjects(object?.['content']).flatMap((entry) => decodeEntry(entry, {})),
    ...asObjects(object?.['refusal']).flatMap((entry) => decodeEntry(entry, refusal)),
  ];
}

function decodeEntry(entry: JsonObject, rest: { refusal?: boolean }): readonly TokenLogprob[] {
  const token = decodeToken(entry);
  if (!token) return [];
  const top = asObjects(entry['top_logprobs']).flatMap((other) => decodeToken(other) ?? []);
  return [{ ...token, top, ...rest }];
}

function decodeToken(entry: JsonObject): Omit<TokenLogprob, 'top'> | undefined {
  const token = asString(entry['token']);
  const logprob = asNumber(entry['logprob']);
  if (token === undefined || logprob === undefined) return undefined;
  const bytes = asArray(entry['bytes'])?.filter((byte) => typeof byte === 'number');
  return { token, logprob, bytes: bytes ?? null };
}

export function encodeLogprobTokens(tokens: readonly TokenLogprob[]): JsonObject {
  const refused = tokens.filter(({ refusal }) => refusal === true);
  const said = tokens.filter(({ refusal }) => refusal !== true);
  return {
    content: said.length > 0 || refused.length === 0 ? said.map(encodeEntry) : null,
    refusal: refused.length > 0 ? refused.map(encodeEntry) : null,
  };
}

function encodeEntry({ token, logprob, bytes, top }: TokenLogprob): JsonObject {
  return {
    token,
    logprob,
    bytes: bytes ?? null,
    top_logprobs: (top ?? []).map((other) => ({
      token: other.token,
      logprob: other.logprob,
      bytes: other.bytes ?? null,
    })),
  };
}
