import type { MediaPart } from '#canonical';
import { compact, type JsonObject } from '#std';
import { lose, type Encoding } from './encoding.ts';

/** An image or document block; `undefined` when Anthropic has no block for such media (a reported loss). */
export function encodeMedia(
  part: MediaPart,
  path: string,
  encoding: Encoding,
): JsonObject | undefined {
  if (part.media === 'audio' || part.media === 'video') {
    lose(encoding, path, `${part.media} input is not known to Anthropic`, true);
    return undefined;
  }
  if (part.detail !== undefined && part.detail !== 'auto')
    lose(encoding, `${path}.detail`, 'image detail is not known to Anthropic');
  return part.media === 'image'
    ? encodeImage(part, path, encoding)
    : encodeDocument(part, path, encoding);
}

const imageTypes = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp']);

function encodeImage(part: MediaPart, path: string, encoding: Encoding): JsonObject | undefined {
  const { source } = part;
  if (source.kind === 'url') return { type: 'image', source: { type: 'url', url: source.url } };
  if (source.kind === 'file') return encodeFile('image', source, path, encoding);
  if (source.kind === 'text') {
    lose(encoding, path, 'an image cannot be given as text', true);
    return undefined;
  }
  const mediaType =
    (encoding.own ? undefined : sniffImage(source.data)) ??
    part.mimeType ??
    sniffImage(source.data);
  if (mediaType === undefined || (!encoding.own && !imageTypes.has(mediaType))) {
    lose(
      encoding,
      path,
      `images of type ${mediaType ?? 'unknown'} are not accepted by Anthropic`,
      true,
    );
    return undefined;
  }
  return { type: 'image', source: { type: 'base64', media_type: mediaType, data: source.data } };
}

/** The true type by the first bytes, since Anthropic refuses a type that does not match them. */
export function sniffImage(base64: string): string | undefined {
  if (base64.startsWith('iVBORw0KGgo')) return 'image/png';
  if (base64.startsWith('/9j/')) return 'image/jpeg';
  if (base64.startsWith('R0lGOD')) return 'image/gif';
  if (base64.startsWith('UklGR') && base64.slice(10, 16).includes('V0VC')) return 'image/webp';
  return undefined;
}

function encodeDocument(part: MediaPart, path: string, encoding: Encoding): JsonObject | undefined {
  const { source } = part;
  const title = part.title ?? (encoding.own ? undefined : part.filename);
  const document = (value: JsonObject): JsonObject =>
    compact({ type: 'document', source: value, title });
  switch (source.kind) {
    case 'url':
      return document({ type: 'url', url: source.url });
    case 'file':
      return encodeFile('document', source, path, encoding);
    case 'text':
      return document({ type: 'text', media_type: 'text/plain', data: source.text });
    case 'data': {
      const mediaType = part.mimeType ?? 'application/pdf';
      if (mediaType === 'application/pdf' || encoding.own) {
        return document({ type: 'base64', media_type: mediaType, data: source.data });
      }
      if (isText(mediaType)) {
        const text = Buffer.from(source.data, 'base64').toString('utf8');
        return document({ type: 'text', media_type: 'text/plain', data: text });
      }
      lose(encoding, path, `documents of type ${mediaType} are not accepted by Anthropic`, true);
      return undefined;
    }
  }
}

function isText(mediaType: string): boolean {
  return (
    mediaType.startsWith('text/') ||
    /^application\/(json|xml|yaml|x-yaml|javascript)\b/.test(mediaType)
  );
}

function encodeFile(
  type: 'image' | 'document',
  source: { readonly fileId: string; readonly dialect: string },
  path: string,
  encoding: Encoding,
): JsonObject | undefined {
  if (source.dialect !== 'anthropic-messages') {
    lose(encoding, path, 'the file is stored at another vendor', true);
    return undefined;
  }
  return { type, source: { type: 'file', file_id: source.fileId } };
}
