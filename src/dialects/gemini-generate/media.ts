import type { MediaPart, MediaType } from '#canonical';
import { compact, type JsonObject } from '#std';
import { geminiId } from './fields.ts';

/** The kind of media that an IANA type names; what is not picture, sound or film is a document. */
export function mediaTypeOf(mimeType: string | undefined): MediaType {
  const main = mimeType?.split('/', 1)[0]?.toLowerCase();
  if (main === 'image' || main === 'audio' || main === 'video') return main;
  return 'document';
}

/** Google's own places of files; everything else behind http(s) is a page of the web. */
export function isGoogleFile(uri: string): boolean {
  if (uri.startsWith('gs://')) return true;
  return /^(?:https:\/\/generativelanguage\.googleapis\.com\/v1[a-z0-9]*\/)?files\//.test(uri);
}

/** YouTube addresses are fetched by Gemini itself on every model with video input. */
export function isYouTube(url: string): boolean {
  return /^https?:\/\/(?:www\.|m\.)?(?:youtube\.com|youtu\.be)\//.test(url);
}

export function inlinePart(
  data: string,
  mimeType: string | undefined,
  filename: string | undefined,
): MediaPart {
  return {
    kind: 'media',
    media: mediaTypeOf(mimeType),
    source: { kind: 'data', data },
    ...(mimeType === undefined ? {} : { mimeType }),
    ...(filename === undefined ? {} : { filename }),
  };
}

export function filePart(
  uri: string,
  mimeType: string | undefined,
  filename: string | undefined,
): MediaPart {
  const media = mimeType === undefined && isYouTube(uri) ? 'video' : mediaTypeOf(mimeType);
  return {
    kind: 'media',
    media,
    source: isGoogleFile(uri)
      ? { kind: 'file', fileId: uri, dialect: geminiId }
      : { kind: 'url', url: uri },
    ...(mimeType === undefined ? {} : { mimeType }),
    ...(filename === undefined ? {} : { filename }),
  };
}

const typesByExtension: { readonly [extension: string]: string } = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  heic: 'image/heic',
  pdf: 'application/pdf',
  txt: 'text/plain',
  mp3: 'audio/mp3',
  wav: 'audio/wav',
  ogg: 'audio/ogg',
  flac: 'audio/flac',
  mp4: 'video/mp4',
  webm: 'video/webm',
  mov: 'video/quicktime',
};

const typesByMedia: { readonly [media in MediaType]: string } = {
  image: 'image/jpeg',
  audio: 'audio/wav',
  video: 'video/mp4',
  document: 'application/pdf',
};

/** Gemini needs a media type on inline data: the given one, that of the name, or the usual one. */
export function mimeTypeOf(part: MediaPart): string {
  if (part.mimeType !== undefined) return part.mimeType;
  const name = part.filename ?? (part.source.kind === 'url' ? part.source.url : '');
  const extension = /\.([a-z0-9]+)(?:[?#].*)?$/i.exec(name)?.[1]?.toLowerCase();
  return (
    (extension === undefined ? undefined : typesByExtension[extension]) ?? typesByMedia[part.media]
  );
}

/**
 * The wire part of a medium, without signature; `undefined` for a file that another vendor keeps.
 * Plain text documents become inline text files.
 */
export function mediaWire(part: MediaPart, named: boolean): JsonObject | undefined {
  const { source } = part;
  const displayName = named ? part.filename : undefined;
  switch (source.kind) {
    case 'data':
      return {
        inlineData: compact({ mimeType: mimeTypeOf(part), data: source.data, displayName }),
      };
    case 'text': {
      const data = Buffer.from(source.text, 'utf8').toString('base64');
      return { inlineData: compact({ mimeType: 'text/plain', data, displayName }) };
    }
    case 'url': {
      const mimeType = isYouTube(source.url) ? part.mimeType : mimeTypeOf(part);
      return { fileData: compact({ mimeType, fileUri: source.url, displayName }) };
    }
    case 'file':
      if (source.dialect !== geminiId) return undefined;
      return {
        fileData: compact({ mimeType: part.mimeType, fileUri: source.fileId, displayName }),
      };
  }
}
