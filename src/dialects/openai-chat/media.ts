import type { MediaPart, MediaSource } from '#canonical';
import {
  asObject,
  asString,
  compact,
  requireObject,
  requireString,
  unknownFields,
  fieldPath,
  type JsonObject,
} from '#std';
import { dataSource, dataUrlOf } from '../data-url.ts';

/** `data:image/png;base64,…` split; `undefined` for any other URL. The data is not looked at. */
export function splitDataUrl(
  url: string,
): { readonly mimeType: string; readonly source: MediaSource & { kind: 'data' } } | undefined {
  if (!url.startsWith('data:')) return undefined;
  const comma = url.indexOf(',');
  if (comma < 0 || comma > 200) return undefined;
  const [mimeType = '', ...parameters] = url.slice(5, comma).split(';');
  if (!parameters.includes('base64')) return undefined;
  return { mimeType, source: dataSource(url, comma) };
}

function sourceOf(url: string): Pick<MediaPart, 'source' | 'mimeType'> {
  const inline = splitDataUrl(url);
  if (!inline) return { source: { kind: 'url', url } };
  return {
    source: inline.source,
    ...(inline.mimeType === '' ? {} : { mimeType: inline.mimeType }),
  };
}

/** `{type: "image_url" | "video_url", …}`; the URL may stand there bare (Mistral). */
export function decodeUrlPart(
  part: JsonObject,
  key: 'image_url' | 'video_url',
  path: string,
): MediaPart {
  const bare = asString(part[key]);
  const inner = bare === undefined ? requireObject(part[key], fieldPath(path, key)) : {};
  const url = bare ?? requireString(inner['url'], fieldPath(fieldPath(path, key), 'url'));
  const detail = asString(inner['detail']);
  return {
    kind: 'media',
    media: key === 'image_url' ? 'image' : 'video',
    ...sourceOf(url),
    ...(detail === undefined ? {} : { detail }),
    ...nestedExtensions(part, key, inner, ['url', 'detail']),
  };
}

/** `{type: "input_audio", input_audio: {data, format}}`. */
export function decodeAudioPart(part: JsonObject, path: string): MediaPart {
  const at = fieldPath(path, 'input_audio');
  const inner = requireObject(part['input_audio'], at);
  const format = asString(inner['format']);
  return {
    kind: 'media',
    media: 'audio',
    source: { kind: 'data', data: requireString(inner['data'], fieldPath(at, 'data')) },
    ...(format === undefined ? {} : { mimeType: audioMimeType(format) }),
    ...nestedExtensions(part, 'input_audio', inner, ['data', 'format']),
  };
}

/** `{type: "file", file: {file_id} | {file_data, filename}}`. */
export function decodeFilePart(part: JsonObject, path: string): MediaPart {
  const at = fieldPath(path, 'file');
  const inner = requireObject(part['file'], at);
  const filename = asString(inner['filename']);
  const fileId = asString(inner['file_id']);
  const where: Pick<MediaPart, 'source' | 'mimeType'> =
    fileId === undefined
      ? fileSource(requireString(inner['file_data'], fieldPath(at, 'file_data')))
      : { source: { kind: 'file', fileId, dialect: 'openai-chat' } };
  return {
    kind: 'media',
    media: mediaOf(where.mimeType),
    ...where,
    ...(filename === undefined ? {} : { filename }),
    ...nestedExtensions(part, 'file', inner, ['file_id', 'file_data', 'filename']),
  };
}

/** A file's data is a data URL, a plain URL (OpenRouter), or bare base64 of a PDF. */
function fileSource(data: string): Pick<MediaPart, 'source' | 'mimeType'> {
  if (data.startsWith('data:') || /^https?:/.test(data)) return sourceOf(data);
  return { source: { kind: 'data', data }, mimeType: 'application/pdf' };
}

function mediaOf(mimeType: string | undefined): MediaPart['media'] {
  const family = mimeType?.split('/')[0];
  return family === 'image' || family === 'audio' || family === 'video' ? family : 'document';
}

function nestedExtensions(
  part: JsonObject,
  key: string,
  inner: JsonObject,
  known: readonly string[],
): Pick<MediaPart, 'extensions'> {
  const outerRest = unknownFields(part, new Set(['type', 'cache_control', key]));
  const innerRest = unknownFields(inner, new Set(known));
  const extensions =
    Object.keys(innerRest).length > 0 ? { ...outerRest, [key]: innerRest } : outerRest;
  return Object.keys(extensions).length > 0 ? { extensions } : {};
}

/** The part on the wire; `undefined` where chat has no form for it (a foreign file, a text source). */
export function encodeMediaPart(part: MediaPart, own: JsonObject): JsonObject | undefined {
  const { source } = part;
  if (source.kind === 'text')
    return {
      type: 'text',
      text: part.title === undefined ? source.text : `${part.title}\n\n${source.text}`,
    };
  if (source.kind === 'file') {
    if (source.dialect !== 'openai-chat' && source.dialect !== 'openai-responses') return undefined;
    return nested(own, 'file', { file_id: source.fileId, filename: part.filename });
  }
  const url =
    source.kind === 'url'
      ? source.url
      : dataUrlOf(source, part.mimeType ?? defaultMimeType[part.media]);
  switch (part.media) {
    case 'image':
      return nested(own, 'image_url', { url, detail: part.detail });
    case 'video':
      return nested(own, 'video_url', { url });
    case 'audio':
      if (source.kind === 'url') return undefined;
      return nested(own, 'input_audio', { data: source.data, format: audioFormat(part.mimeType) });
    case 'document':
      return nested(own, 'file', {
        filename: part.filename ?? part.title ?? 'document.pdf',
        file_data: url,
      });
  }
}

function nested(
  own: JsonObject,
  key: string,
  value: { readonly [key: string]: string | undefined },
): JsonObject {
  const outer = unknownFields(own, new Set([key]));
  return { type: key, [key]: { ...compact(value), ...asObject(own[key]) }, ...outer };
}

const defaultMimeType = {
  image: 'image/png',
  audio: 'audio/wav',
  video: 'video/mp4',
  document: 'application/pdf',
} as const;

export function audioMimeType(format: string): string {
  return format === 'mp3' ? 'audio/mpeg' : `audio/${format}`;
}

/** OpenAI's word for an audio media type. */
export function audioFormat(mimeType: string | undefined): string {
  const subtype = mimeType?.split('/')[1]?.split(';')[0] ?? 'wav';
  if (subtype === 'mpeg') return 'mp3';
  return subtype.startsWith('x-') ? subtype.slice(2) : subtype;
}
