/** Content parts of messages and of tool results: `input_text`, `input_image`, `input_file`, `output_text`, … */

import type {
  CacheMark,
  DialectId,
  Loss,
  MediaPart,
  MediaSource,
  Part,
  RefusalPart,
  TextPart,
} from '#canonical';
import {
  asString,
  compact,
  fieldPath,
  optionalObject,
  optionalString,
  ReadError,
  requireArray,
  requireObject,
  requireString,
  saidFields,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { dataSource, dataUrlOf } from '../data-url.ts';
import { documentText } from '../document-text.ts';
import { decodeAnnotations, encodeAnnotations } from './annotations.ts';
import type { ResponsesQuirks } from './quirks.ts';

const dialect: DialectId = 'openai-responses';

/** Largest number of parts one message may hold. */
const partsMax = 10_000;

export function present(extensions: JsonObject): { extensions?: JsonObject } {
  for (const key in extensions) if (extensions[key] !== undefined) return { extensions };
  return {};
}

/** Content of a message in a request: text, or a list of parts. */
export function decodeContent(value: JsonValue | undefined, path: string): Part[] {
  if (typeof value === 'string') return [{ kind: 'text', text: value }];
  const list = requireArray(value, path);
  if (list.length > partsMax)
    throw new ReadError(path, `expected at most ${partsMax} parts, got ${list.length}`);
  return list.map((element, index) =>
    decodeInputPart(requireObject(element, fieldPath(path, index)), fieldPath(path, index)),
  );
}

/** What a tool returned: text, or a list of text, images and files. */
export function decodeToolOutput(
  value: JsonValue | undefined,
  path: string,
): (TextPart | MediaPart)[] {
  const parts: (TextPart | MediaPart)[] = [];
  for (const [index, part] of decodeContent(value, path).entries()) {
    if (part.kind !== 'text' && part.kind !== 'media') {
      throw new ReadError(
        fieldPath(path, index),
        'a tool output holds input_text, input_image and input_file only',
      );
    }
    parts.push(part);
  }
  return parts;
}

function decodeInputPart(part: JsonObject, path: string): Part {
  const type = requireString(part['type'], fieldPath(path, 'type'));
  switch (type) {
    case 'input_text':
    case 'text':
    case 'output_text':
      return decodeText(part, path);
    case 'refusal':
      return { kind: 'refusal', text: requireString(part['refusal'], fieldPath(path, 'refusal')) };
    case 'input_image':
      return decodeImage(part, path);
    case 'input_file':
      return decodeFile(part, path);
    case 'input_audio':
      return decodeAudio(part, path);
    default:
      return { kind: 'native', dialect, value: part };
  }
}

const textFields = new Set(['type', 'text', 'annotations', 'logprobs', 'prompt_cache_breakpoint']);

function decodeText(part: JsonObject, path: string): TextPart {
  const text = requireString(part['text'], fieldPath(path, 'text'));
  const citations = decodeAnnotations(part['annotations']);
  return {
    kind: 'text',
    text,
    ...(citations.length > 0 ? { citations } : {}),
    ...cacheMark(part, path),
    ...present(unknownFields(part, textFields)),
  };
}

/** An explicit breakpoint has a mode besides its life; `explicit` is the only one and is implied. */
function cacheMark(part: JsonObject, path: string): { cache?: CacheMark } {
  const mark = optionalObject(part, 'prompt_cache_breakpoint', path);
  if (!mark) return {};
  const ttl = asString(mark['ttl']);
  return { cache: ttl === undefined ? {} : { ttl } };
}

const imageFields = new Set(['type', 'image_url', 'file_id', 'detail', 'prompt_cache_breakpoint']);

function decodeImage(part: JsonObject, path: string): MediaPart {
  const url = optionalString(part, 'image_url', path);
  const fileId = optionalString(part, 'file_id', path);
  const detail = optionalString(part, 'detail', path);
  if (url === undefined && fileId === undefined)
    throw new ReadError(path, 'an input_image needs image_url or file_id');
  return {
    kind: 'media',
    media: 'image',
    ...(url === undefined
      ? { source: fileSource(fileId ?? '') }
      : sourceOfUrl(url, fieldPath(path, 'image_url'))),
    ...(detail === undefined ? {} : { detail }),
    ...cacheMark(part, path),
    ...present(unknownFields(part, imageFields)),
  };
}

const fileFields = new Set([
  'type',
  'file_data',
  'file_url',
  'file_id',
  'filename',
  'prompt_cache_breakpoint',
]);

function decodeFile(part: JsonObject, path: string): MediaPart {
  const data = optionalString(part, 'file_data', path);
  const url = optionalString(part, 'file_url', path);
  const fileId = optionalString(part, 'file_id', path);
  const filename = optionalString(part, 'filename', path);
  const common = {
    kind: 'media' as const,
    media: 'document' as const,
    ...(filename === undefined ? {} : { filename }),
    ...cacheMark(part, path),
    ...present(unknownFields(part, fileFields)),
  };
  if (data !== undefined) {
    if (data.startsWith('data:'))
      return { ...common, ...sourceOfUrl(data, fieldPath(path, 'file_data')) };
    return {
      ...common,
      mimeType: mimeTypeOf(data, filename) ?? 'application/pdf',
      source: { kind: 'data', data },
    };
  }
  if (url !== undefined) return { ...common, ...sourceOfUrl(url, fieldPath(path, 'file_url')) };
  if (fileId !== undefined) return { ...common, source: fileSource(fileId) };
  throw new ReadError(path, 'an input_file needs file_data, file_url or file_id');
}

function decodeAudio(part: JsonObject, path: string): MediaPart {
  const audio = requireObject(part['input_audio'], fieldPath(path, 'input_audio'));
  const data = requireString(audio['data'], fieldPath(path, 'input_audio.data'));
  const format = requireString(audio['format'], fieldPath(path, 'input_audio.format'));
  const mimeType = format === 'mp3' ? 'audio/mpeg' : `audio/${format}`;
  return { kind: 'media', media: 'audio', mimeType, source: { kind: 'data', data } };
}

function fileSource(fileId: string): MediaSource {
  return { kind: 'file', fileId, dialect };
}

/** A `data:` URL becomes data; the base64 text is kept as it is. */
function sourceOfUrl(url: string, path: string): { source: MediaSource; mimeType?: string } {
  if (!url.startsWith('data:')) return { source: { kind: 'url', url } };
  const comma = url.indexOf(',');
  const head = comma < 0 ? '' : url.slice('data:'.length, comma);
  if (!head.endsWith(';base64'))
    throw new ReadError(path, 'expected a base64 data URL (data:<type>;base64,…)');
  const mimeType = head.slice(0, -';base64'.length);
  return {
    source: dataSource(url, comma),
    ...(mimeType === '' ? {} : { mimeType }),
  };
}

const magic: readonly (readonly [prefix: string, mimeType: string])[] = [
  ['iVBORw0KGgo', 'image/png'],
  ['/9j/', 'image/jpeg'],
  ['R0lGOD', 'image/gif'],
  ['UklGR', 'image/webp'],
  ['JVBERi0', 'application/pdf'],
];

/** The media type by the first bytes of base64 data, else by the name's ending. */
export function mimeTypeOf(data: string, filename: string | undefined): string | undefined {
  for (const [prefix, mimeType] of magic) if (data.startsWith(prefix)) return mimeType;
  if (filename?.toLowerCase().endsWith('.pdf')) return 'application/pdf';
  if (filename && /\.(txt|md|csv)$/i.test(filename)) return 'text/plain';
  return undefined;
}

// ---- encoding to an upstream -----------------------------------------------------------------

export type LossReport = (path: string, reason: string, changesMeaning: boolean) => void;

/** Collects losses in the order in which they are found. */
export function lossCollector(): { readonly losses: Loss[]; readonly report: LossReport } {
  const losses: Loss[] = [];
  return {
    losses,
    report: (path, reason, changesMeaning) => losses.push({ path, reason, changesMeaning }),
  };
}

export type EncodeContext = {
  readonly quirks: ResponsesQuirks;
  readonly report: LossReport;
  /** The dialect in which the request's extensions are said. */
  readonly dialect: DialectId;
};

/** Extensions of a part go back in their own dialect and are losses in another. */
export function ownExtensions(
  extensions: JsonObject | undefined,
  path: string,
  context: EncodeContext,
): JsonObject {
  if (!extensions) return {};
  if (context.dialect === dialect) return extensions;
  for (const key of saidFields(extensions)) {
    if (key !== 'json')
      context.report(
        fieldPath(path, key),
        `unknown to the Responses API (said in ${context.dialect})`,
        false,
      );
  }
  return {};
}

function breakpoint(part: Part, path: string, context: EncodeContext): JsonObject {
  if (!part.cache) return {};
  if (context.quirks.cacheBreakpoints || context.dialect === dialect) {
    const ttl = context.dialect === dialect ? part.cache.ttl : undefined;
    return { prompt_cache_breakpoint: compact({ mode: 'explicit', ttl }) };
  }
  context.report(fieldPath(path, 'cache'), 'this upstream caches prompts by itself', false);
  return {};
}

/** A part of a user, system or developer message, or of a tool result. `undefined`: it was lost and reported. */
export function encodeInputPart(
  part: Part,
  path: string,
  context: EncodeContext,
): JsonObject | undefined {
  switch (part.kind) {
    case 'text':
      return {
        type: 'input_text',
        text: part.text,
        ...breakpoint(part, path, context),
        ...ownExtensions(part.extensions, path, context),
      };
    case 'media':
      return encodeMedia(part, path, context);
    case 'native':
      if (part.dialect === dialect) return part.value;
      context.report(
        path,
        `a ${String(part.value['type'] ?? 'part')} part of ${part.dialect}`,
        true,
      );
      return undefined;
    case 'refusal':
      return { type: 'input_text', text: part.text };
    case 'reasoning':
    case 'tool-call':
    case 'tool-result':
      context.report(path, `a ${part.kind} has no place in this message`, true);
      return undefined;
  }
}

function encodeMedia(
  part: MediaPart,
  path: string,
  context: EncodeContext,
): JsonObject | undefined {
  const { source } = part;
  if (source.kind === 'text') {
    const text = { type: 'input_text', text: documentText(part, source.text) };
    const mark = breakpoint(part, path, context);
    return { ...text, ...mark, ...ownExtensions(part.extensions, path, context) };
  }
  if (source.kind === 'file' && source.dialect !== dialect && source.dialect !== 'openai-chat') {
    context.report(path, `the file ${source.fileId} is stored at another vendor`, true);
    return undefined;
  }
  const rest = {
    ...breakpoint(part, path, context),
    ...ownExtensions(part.extensions, path, context),
  };
  switch (part.media) {
    case 'image':
      return { ...encodeImageSource(part, source), ...compact({ detail: part.detail }), ...rest };
    case 'document':
      return { ...encodeFileSource(part, source), ...rest };
    case 'audio':
      if (context.quirks.audioInput && source.kind === 'data') {
        return {
          type: 'input_audio',
          input_audio: { data: source.data, format: audioFormat(part.mimeType) },
          ...rest,
        };
      }
      break;
    case 'video':
      break;
  }
  context.report(path, `the Responses API takes no ${part.media} input`, true);
  return undefined;
}

function audioFormat(mimeType: string | undefined): string {
  const format = mimeType?.slice('audio/'.length) ?? 'wav';
  return format === 'mpeg' ? 'mp3' : format.replace(/^x-/, '');
}

function encodeImageSource(
  part: MediaPart,
  source: Exclude<MediaSource, { kind: 'text' }>,
): JsonObject {
  if (source.kind === 'file') return { type: 'input_image', file_id: source.fileId };
  if (source.kind === 'url') return { type: 'input_image', image_url: source.url };
  const mimeType = part.mimeType ?? mimeTypeOf(source.data, part.filename) ?? 'image/png';
  return { type: 'input_image', image_url: dataUrlOf(source, mimeType) };
}

function encodeFileSource(
  part: MediaPart,
  source: Exclude<MediaSource, { kind: 'text' }>,
): JsonObject {
  const { filename } = part;
  if (source.kind === 'file')
    return compact({ type: 'input_file', file_id: source.fileId, filename });
  if (source.kind === 'url') return compact({ type: 'input_file', file_url: source.url, filename });
  const mimeType = part.mimeType ?? mimeTypeOf(source.data, filename) ?? 'application/pdf';
  // OpenAI refuses file_data without a name.
  const name =
    filename ?? part.title ?? (mimeType === 'application/pdf' ? 'document.pdf' : 'document');
  return {
    type: 'input_file',
    filename: name,
    file_data: dataUrlOf(source, mimeType),
  };
}

/** Content of an assistant message: what the model said before. */
export function encodeOutputPart(
  part: TextPart | RefusalPart,
  path: string,
  context: EncodeContext,
): JsonObject {
  if (part.kind === 'refusal') return { type: 'refusal', refusal: part.text };
  const { item: _item, ...extensions } = ownExtensions(part.extensions, path, context);
  const annotations = encodeAnnotations(part.citations ?? [], part.text, (index) =>
    context.report(`${path}.citations[${index}]`, 'a citation without a URL', false),
  );
  return compact({
    type: 'output_text',
    text: part.text,
    annotations: annotations.length > 0 ? annotations : undefined,
    ...breakpoint(part, path, context),
    ...extensions,
  });
}
