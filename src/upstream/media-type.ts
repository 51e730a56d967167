/** Kinds of media that clients may name by URL. */
export type MediaKind = 'image' | 'audio' | 'video' | 'document';

type Signature = { readonly mimeType: string; readonly offset: number; readonly text: string };

const signatures: readonly Signature[] = [
  { mimeType: 'image/png', offset: 0, text: '\x89PNG\r\n\x1a\n' },
  { mimeType: 'image/jpeg', offset: 0, text: '\xff\xd8\xff' },
  { mimeType: 'image/gif', offset: 0, text: 'GIF87a' },
  { mimeType: 'image/gif', offset: 0, text: 'GIF89a' },
  { mimeType: 'image/bmp', offset: 0, text: 'BM' },
  { mimeType: 'image/tiff', offset: 0, text: 'II*\0' },
  { mimeType: 'image/tiff', offset: 0, text: 'MM\0*' },
  { mimeType: 'application/pdf', offset: 0, text: '%PDF-' },
  { mimeType: 'audio/mpeg', offset: 0, text: 'ID3' },
  { mimeType: 'audio/flac', offset: 0, text: 'fLaC' },
  { mimeType: 'audio/ogg', offset: 0, text: 'OggS' },
  { mimeType: 'video/webm', offset: 0, text: '\x1aE\xdf\xa3' },
];

/** Brands of the ISO base media format at offset 8, behind `ftyp` (ISO/IEC 14496-12). */
const brands: Readonly<Record<string, string>> = {
  avif: 'image/avif',
  avis: 'image/avif',
  heic: 'image/heic',
  heix: 'image/heic',
  mif1: 'image/heif',
  'M4A ': 'audio/mp4',
  'qt  ': 'video/quicktime',
};

const riffForms: Readonly<Record<string, string>> = {
  WEBP: 'image/webp',
  WAVE: 'audio/wav',
  'AVI ': 'video/x-msvideo',
};

/** The media type that the first bytes show, whatever a server claims; undefined when unknown. */
export function sniffMediaType(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 16)).toString(
    'latin1',
  );
  if (start.startsWith('RIFF')) return riffForms[start.slice(8, 12)];
  if (start.slice(4, 8) === 'ftyp') return brands[start.slice(8, 12)] ?? 'video/mp4';
  for (const { mimeType, offset, text } of signatures)
    if (start.startsWith(text, offset)) return mimeType;
  return isMpegAudio(bytes) ? mpegAudio(bytes) : undefined;
}

/** A frame header of MPEG audio or ADTS begins with eleven or twelve set bits. */
function isMpegAudio(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && ((bytes[1] ?? 0) & 0xe0) === 0xe0;
}

function mpegAudio(bytes: Uint8Array): string {
  return ((bytes[1] ?? 0) & 0x06) === 0 ? 'audio/aac' : 'audio/mpeg';
}

/** The kind that a media type belongs to. */
export function mediaKind(mimeType: string): MediaKind | undefined {
  if (mimeType === 'application/pdf') return 'document';
  const [family] = mimeType.split('/');
  return family === 'image' || family === 'audio' || family === 'video' ? family : undefined;
}
