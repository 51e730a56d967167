import type { Citation, DialectId } from '#canonical';
import { asCount, asObjects, asString, type JsonObject, type JsonValue } from '#std';

const dialect: DialectId = 'openai-responses';

/** Annotations of an `output_text`: tolerant, since clients send back what a vendor wrote. */
export function decodeAnnotations(value: JsonValue | undefined): Citation[] {
  return asObjects(value).map(decodeAnnotation);
}

export function decodeAnnotation(annotation: JsonObject): Citation {
  const native = { dialect, value: annotation };
  if (annotation['type'] === 'url_citation') {
    return {
      url: asString(annotation['url']),
      title: asString(annotation['title']),
      start: asCount(annotation['start_index']),
      end: asCount(annotation['end_index']),
      native,
    };
  }
  return {
    title: asString(annotation['filename']),
    start: asCount(annotation['start_index']) ?? asCount(annotation['index']),
    end: asCount(annotation['end_index']),
    native,
  };
}

/** `onLoss` hears the index of a citation this dialect has no form for. */
export function encodeAnnotations(
  citations: readonly Citation[],
  text: string,
  onLoss: (index: number) => void,
): JsonObject[] {
  const annotations: JsonObject[] = [];
  for (const [index, citation] of citations.entries()) {
    const annotation = encodeAnnotation(citation, text);
    if (annotation) annotations.push(annotation);
    else onLoss(index);
  }
  return annotations;
}

export function encodeAnnotation(citation: Citation, text: string): JsonObject | undefined {
  if (citation.native?.dialect === dialect) return citation.native.value;
  if (citation.url === undefined) return undefined;
  return {
    type: 'url_citation',
    url: citation.url,
    title: citation.title ?? citation.url,
    start_index: citation.start ?? 0,
    end_index: citation.end ?? text.length,
  };
}
