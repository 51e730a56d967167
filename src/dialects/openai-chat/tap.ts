import type { Bill, ChatRequest, Usage } from '#canonical';
import {
  asArray,
  asCount,
  asObject,
  asObjects,
  asString,
  formatSse,
  jsonStringSize,
  parseJsonObject,
  textSize,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Frame, FrameFacts, Quirks, StreamTap } from '../dialect.ts';
import { annotateUsage, withoutMetadataCosts } from '../bill.ts';
import { ChoiceEnds } from '../choice-ends.ts';
import { isHalfFrame, strayFrameError } from '../half-frame.ts';
import { findError } from './find-error.ts';
import { usageOf } from './response.ts';
import { laterUsage, tellsTokens } from './usage.ts';

/** Fields that hold generated words, up to the quote that opens them, in compact JSON. */
const chatWords = /"(?:content|reasoning_content|reasoning|refusal)":"/g;
const completionWords = /"text":"/g;

/** What makes a frame worth a parse: these fields with a value, and JSON that is not compact. */
const telling =
  /"(?:error|reasoning_details|images|annotations|finish_reason|usage|tool_calls|function_call|audio)":(?!null[,}])|"content":\[|"\s+:|":\s/;

/**
 * The frame of a stream without its words. Frames differ in little else, so that comparing two ends
 * tells most of them apart from those that must be looked into.
 */
type Template = {
  readonly head: string;
  /** From the quote that closes the words, up to OpenAI's padding when there is one. */
  readonly tail: string;
  readonly padded: boolean;
};

const padding = '"obfuscation":"';

/**
 * Looks at the frames of a chat stream that passes through. Frames that only hold words, most of
 * them, are searched and not parsed: inside a JSON string every quote is escaped, so that a mark
 * with its quotes cannot be part of somebody's text.
 */
export function createTap(
  request: ChatRequest,
  quirks: Quirks,
  form: 'chat' | 'completions' = 'chat',
): StreamTap {
  const words = form === 'chat' ? chatWords : completionWords;
  let template: Template | undefined;
  const choicesWanted = request.choiceCount ?? 1;
  const ends = new ChoiceEnds();
  let closing = false;
  let begun = false;
  let known: Usage | undefined;

  function inspectParsed(wire: JsonObject, frame: Frame): FrameFacts {
    const choices = asObjects(wire['choices']);
    const usage = usageOf(wire, quirks);
    if (usage) known = laterUsage(known, usage);
    const generatedSize = choices.reduce((sum, choice) => sum + choiceSize(choice, !begun), 0);
    begun ||= generatedSize > 0;
    for (const [position, choice] of choices.entries())
      ends.note(
        asCount(choice['index']) ?? position,
        (asString(choice['finish_reason']) ?? '') !== '',
      );
    const error = findError(wire, frame.event, quirks);
    const usageOnly = usage !== undefined && choices.length === 0;
    closing ||= error !== undefined || usageOnly || ends.count >= choicesWanted;
    return {
      content: generatedSize > 0,
      generatedSize,
      ...(usage && usage === known && tellsTokens(usage) ? { usage } : {}),
      closing,
      complete: false,
      unasked: usageOnly && !request.streamUsage,
      ...(error ? { error } : {}),
    };
  }

  function said(generatedSize: number, complete = false): FrameFacts {
    return { content: generatedSize > 0, generatedSize, closing, complete, unasked: false };
  }

  return {
    inspect(frame) {
      const { data } = frame;
      const alike = template && frame.event === undefined ? templateSize(data, template) : -1;
      if (alike >= 0) return said(alike);
      // Of several choices each frame is read: it says which of them it goes on with.
      const isPlain = frame.event !== 'error' && choicesWanted === 1;
      const plain = isPlain ? plainSize(data, words) : undefined;
      // What frames have around their words is parsed once: it may be broken.
      if (plain && !isHalfFrame(data)) {
        template = plain.template ?? template;
        begun ||= plain.size > 0;
        return said(plain.size);
      }
      if (data.trim() === '[DONE]') {
        closing = true;
        return said(0, true);
      }
      const wire = parseJsonObject(data);
      if (wire) return inspectParsed(wire, frame);
      return { ...said(0), error: strayFrameError(frame) };
    },
    get mayEnd() {
      return ends.mayEnd;
    },
    annotate: (frame, bill) => annotateFrame(frame, bill),
  };
}

function annotateFrame(frame: Frame, bill: Bill | undefined): string | undefined {
  if (!frame.data.includes('"usage"')) return undefined;
  const annotated = annotateUsage(frame.data, bill);
  // With a bill, `undefined` says that it has no place here.
  if (annotated === undefined && bill) return undefined;
  const data = withoutMetadataCosts(annotated ?? frame.data);
  return data === frame.data ? undefined : formatSse({ event: frame.event, data });
}

/**
 * Size of the words in a frame like the last one; -1 when it is not like it. Slices are compared
 * because `startsWith` walks through the characters one by one, several times slower.
 */
function templateSize(data: string, template: Template): number {
  const { head, tail, padded } = template;
  if (data.slice(0, head.length) !== head) return -1;
  const { end, size } = jsonStringSize(data, head.length);
  const tailEnd = end + tail.length;
  if (data.slice(end, tailEnd) !== tail) return -1;
  if (!padded) return tailEnd === data.length ? size : -1;
  return data.indexOf('"', tailEnd) === data.length - 2 && data.charCodeAt(data.length - 1) === 0x7d
    ? size
    : -1;
}

/** Size of what was generated in a frame that holds nothing but words; `undefined` when it must be parsed. */
function plainSize(
  data: string,
  words: RegExp,
): { readonly size: number; readonly template: Template | undefined } | undefined {
  if (!data.startsWith('{') || !data.includes('"choices":[{') || telling.test(data))
    return undefined;
  let known: { readonly size: number; readonly template: Template | undefined } = {
    size: 0,
    template: undefined,
  };
  for (const match of data.matchAll(words)) {
    const start = match.index + match[0].length;
    const { end, size } = jsonStringSize(data, start);
    if (data[end] !== '"') return undefined;
    if (size === 0) continue;
    // Words in two fields at once: a parse knows which of them are the same words said twice.
    if (known.size > 0) return undefined;
    known = { size, template: templateOf(data, start, end) };
  }
  return known;
}

function templateOf(data: string, start: number, end: number): Template {
  const rest = data.slice(end);
  const at = rest.indexOf(padding);
  const padded = at >= 0;
  return {
    head: data.slice(0, start),
    tail: padded ? rest.slice(0, at + padding.length) : rest,
    padded,
  };
}

/** `first`: nothing was said yet, so that an answer may stand whole in `message`. */
function choiceSize(choice: JsonObject, first: boolean): number {
  const delta = asObject(choice['delta']) ?? (first ? asObject(choice['message']) : undefined);
  if (!delta) return valueSize(choice['text']);
  let size =
    contentSize(delta['content']) + valueSize(delta['refusal']) + valueSize(choice['text']);
  size += Math.max(
    valueSize(delta['reasoning_content']),
    valueSize(delta['reasoning']),
    asObjects(delta['reasoning_details']).reduce((sum, detail) => sum + detailSize(detail), 0),
  );
  for (const call of [...asObjects(delta['tool_calls']), delta]) {
    const inner =
      asObject(call['function']) ?? asObject(call['custom']) ?? asObject(call['function_call']);
    size +=
      valueSize(inner?.['name']) +
      valueSize(inner?.['input']) +
      argumentsSize(inner?.['arguments']);
  }
  const audio = asObject(delta['audio']);
  return (
    size +
    Math.min(1, valueSize(audio?.['data'])) +
    valueSize(audio?.['transcript']) +
    asObjects(delta['images']).length
  );
}

function detailSize(detail: JsonObject): number {
  return valueSize(detail['text']) + valueSize(detail['summary']) + valueSize(detail['data']);
}

function contentSize(content: JsonValue | undefined): number {
  const pieces = asArray(content);
  if (!pieces) return valueSize(content);
  return asObjects(pieces).reduce((sum, piece) => {
    const thinking = contentSize(piece['thinking']);
    return sum + valueSize(piece['text']) + thinking;
  }, 0);
}

function argumentsSize(value: JsonValue | undefined): number {
  return typeof value === 'object' && value !== null
    ? textSize(JSON.stringify(value))
    : valueSize(value);
}

function valueSize(value: JsonValue | undefined): number {
  return typeof value === 'string' ? textSize(value) : 0;
}
