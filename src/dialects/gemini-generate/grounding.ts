import type { Citation } from '#canonical';
import {
  asArray,
  asCount,
  asObject,
  asObjects,
  asString,
  compact,
  type JsonObject,
  type JsonValue,
} from '#std';

/** One text of an answer, with its index among the wire's parts when it has one. */
export type CitableText = { readonly wireIndex?: number | undefined; readonly text: string };

type Source = { readonly url?: string; readonly title?: string; readonly citedText?: string };
type Place = { readonly at: number; readonly start: number; readonly end: number };

/**
 * Citations of `groundingMetadata` and `citationMetadata`, one list for each text. Google counts bytes
 * of UTF-8, of the part it names or (in streams) of all text so far; the quoted segment tells which.
 * A citation whose place cannot be found stands at the last text, without offsets.
 */
export function citationsOf(
  candidate: JsonObject,
  texts: readonly CitableText[],
): readonly (readonly Citation[])[] {
  const lists: Citation[][] = texts.map(() => []);
  if (texts.length === 0) return lists;
  const finder = createFinder(texts);
  const grounding = asObject(candidate['groundingMetadata']);
  if (grounding) addGrounding(lists, grounding, finder);
  for (const citation of asObjects(
    asObject(candidate['citationMetadata'])?.['citations'] ??
      asObject(candidate['citationMetadata'])?.['citationSources'],
  )) {
    const url = asString(citation['uri']);
    if (url === undefined) continue;
    const title = asString(citation['title']);
    const place = finder(
      asCount(citation['startIndex']) ?? 0,
      asCount(citation['endIndex']),
      undefined,
      undefined,
    );
    add(lists, place, { url, ...(title ? { title } : {}) });
  }
  return lists;
}

function addGrounding(lists: Citation[][], grounding: JsonObject, finder: Finder): void {
  const sources = (asArray(grounding['groundingChunks']) ?? []).map(readSource);
  const supports = asObjects(grounding['groundingSupports']);
  const cited = new Set<number>();
  for (const support of supports) {
    const segment = asObject(support['segment']) ?? {};
    const quoted = asString(segment['text']);
    const place = finder(
      asCount(segment['startIndex']) ?? 0,
      asCount(segment['endIndex']),
      quoted,
      asCount(segment['partIndex']),
    );
    for (const index of asArray(support['groundingChunkIndices']) ?? []) {
      const source = typeof index === 'number' ? sources[index] : undefined;
      if (!source || typeof index !== 'number') continue;
      cited.add(index);
      add(lists, place, source);
    }
  }
  for (const [index, source] of sources.entries()) {
    if (!cited.has(index) && source.url !== undefined) add(lists, undefined, source);
  }
}

function readSource(chunk: JsonValue): Source {
  const object = asObject(chunk);
  const retrieved = asObject(object?.['retrievedContext']);
  const place =
    asObject(object?.['web']) ??
    retrieved ??
    asObject(object?.['maps']) ??
    asObject(object?.['image']);
  const url = asString(place?.['uri']) ?? asString(place?.['sourceUri']);
  const title = asString(place?.['title']);
  const citedText = asString(retrieved?.['text']);
  return {
    ...(url === undefined ? {} : { url }),
    ...(title === undefined ? {} : { title }),
    ...(citedText === undefined ? {} : { citedText }),
  };
}

function add(lists: Citation[][], place: Place | undefined, citation: Citation): void {
  const at = place?.at ?? lists.length - 1;
  lists[at]?.push(place ? { ...citation, start: place.start, end: place.end } : citation);
}

type Finder = (
  start: number,
  end: number | undefined,
  quoted: string | undefined,
  partIndex: number | undefined,
) => Place | undefined;

function createFinder(texts: readonly CitableText[]): Finder {
  const bytes = texts.map(({ text }) => Buffer.from(text, 'utf8'));
  const all = Buffer.concat(bytes);
  return (start, end, quoted, partIndex) => {
    if (end === undefined) return quoted === undefined ? undefined : searchText(texts, quoted);
    const named = texts.findIndex(({ wireIndex }) => wireIndex === (partIndex ?? 0));
    const part = bytes[named];
    if (part && fits(part, start, end, quoted)) return placeIn(part, named, start, end);
    if (fits(all, start, end, quoted)) return placeInAll(bytes, start, end);
    return quoted === undefined ? undefined : searchText(texts, quoted);
  };
}

function fits(bytes: Buffer, start: number, end: number, quoted: string | undefined): boolean {
  if (start > end || end > bytes.length) return false;
  return quoted === undefined || bytes.toString('utf8', start, end) === quoted;
}

function placeIn(bytes: Buffer, at: number, start: number, end: number): Place {
  const from = bytes.toString('utf8', 0, start).length;
  return { at, start: from, end: from + bytes.toString('utf8', start, end).length };
}

/** The first text that the range begins in; what runs over into the next is cut. */
function placeInAll(bytes: readonly Buffer[], start: number, end: number): Place | undefined {
  let offset = 0;
  for (const [at, part] of bytes.entries()) {
    if (start < offset + part.length)
      return placeIn(part, at, start - offset, Math.min(end - offset, part.length));
    offset += part.length;
  }
  return undefined;
}

function searchText(texts: readonly CitableText[], quoted: string): Place | undefined {
  if (quoted === '') return undefined;
  for (const [at, { text }] of texts.entries()) {
    const start = text.indexOf(quoted);
    if (start >= 0) return { at, start, end: start + quoted.length };
  }
  return undefined;
}

/** Whether the vendor's own account of its sources is at hand: it says more than citations do. */
export function hasGrounding(candidate: JsonObject): boolean {
  return (
    candidate['groundingMetadata'] !== undefined || candidate['citationMetadata'] !== undefined
  );
}

/** One text of an answer and what it cites, with its index among the parts written. */
export type CitedText = {
  readonly partIndex: number;
  readonly text: string;
  readonly citations: readonly Citation[];
};

/** `groundingMetadata` of an answer that another dialect cited; `undefined` without citations. */
export function groundingOf(texts: readonly CitedText[]): JsonObject | undefined {
  const chunks: JsonObject[] = [];
  const indexByUrl = new Map<string, number>();
  const supports: JsonObject[] = [];
  for (const { partIndex, text, citations } of texts) {
    for (const citation of citations) {
      const index = chunkIndex(chunks, indexByUrl, citation);
      const { start, end } = citation;
      if (start === undefined || end === undefined) continue;
      const startIndex = Buffer.byteLength(text.slice(0, start), 'utf8');
      const quoted = text.slice(start, end);
      const endIndex = startIndex + Buffer.byteLength(quoted, 'utf8');
      const segment = compact({
        partIndex: partIndex === 0 ? undefined : partIndex,
        startIndex,
        endIndex,
        text: quoted,
      });
      supports.push({ segment, groundingChunkIndices: [index] });
    }
  }
  if (chunks.length === 0) return undefined;
  return { groundingChunks: chunks, groundingSupports: supports };
}

function chunkIndex(
  chunks: JsonObject[],
  indexByUrl: Map<string, number>,
  citation: Citation,
): number {
  const key = citation.url ?? `title:${citation.title ?? ''}`;
  const known = indexByUrl.get(key);
  if (known !== undefined) return known;
  indexByUrl.set(key, chunks.length);
  chunks.push(
    citation.url === undefined
      ? { retrievedContext: compact({ title: citation.title, text: citation.citedText }) }
      : { web: compact({ uri: citation.url, title: citation.title }) },
  );
  return chunks.length - 1;
}
