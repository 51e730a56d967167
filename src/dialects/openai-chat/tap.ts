import type { Bill, ChatRequest } from '#canonical';
import { asArray, asCount, asObject, asObjects, asString, formatSse, parseJson, type JsonObject, type JsonValue } from '#std';
import type { Frame, FrameFacts, Quirks, StreamTap } from '../dialect.ts';
import { annotateUsage } from './annotate.ts';
import { findError } from './stream-decode.ts';
import { usageOf } from './response.ts';

/** String fields that hold generated words, as they stand in compact JSON. */
const chatMarks: readonly string[] = ['"content":"', '"reasoning_content":"', '"reasoning":"', '"arguments":"', '"refusal":"'];
const completionMarks: readonly string[] = ['"text":"'];

/** Once one of these stands in a frame with another value than null, the frame is parsed. */
const telling = ['"finish_reason"', '"usage"', '"tool_calls"', '"function_call"', '"audio"'] as const;
/** These make a frame parsed whatever their value. */
const rare = ['"error"', '"reasoning_details"', '"images"', '"annotations"', '"content":['] as const;

/**
 * Looks at the frames of a chat stream that passes through. Frames that only hold words, most of
 * them, are searched and not parsed: inside a JSON string every quote is escaped, so that a mark
 * with its quotes cannot be part of somebody's text.
 */
export function createTap(request: ChatRequest, quirks: Quirks, form: 'chat' | 'completions' = 'chat'): StreamTap {
  const marks = form === 'chat' ? chatMarks : completionMarks;
  const choicesWanted = request.choiceCount ?? 1;
  const finished = new Set<number>();
  let closing = false;

  function inspectParsed(wire: JsonObject, frame: Frame): FrameFacts {
    const choices = asObjects(wire['choices']);
    const usage = usageOf(wire, quirks);
    const characters = choices.reduce((sum, choice) => sum + generatedCharacters(choice), 0);
    for (const [position, choice] of choices.entries()) {
      if ((asString(choice['finish_reason']) ?? '') !== '') finished.add(asCount(choice['index']) ?? position);
    }
    const error = findError(wire, frame.event);
    const usageOnly = usage !== undefined && choices.length === 0;
    closing ||= error !== undefined || usageOnly || finished.size >= choicesWanted;
    return {
      content: characters > 0,
      characters,
      ...(usage ? { usage } : {}),
      closing,
      complete: false,
      unasked: usageOnly && !request.streamUsage,
      ...(error ? { error } : {}),
    };
  }

  return {
    inspect(frame) {
      const { data } = frame;
      if (frame.event !== 'error') {
        const characters = plainCharacters(data, marks);
        if (characters >= 0) return { content: characters > 0, characters, closing, complete: false, unasked: false };
      }
      if (data.trim() === '[DONE]') {
        closing = true;
        return { content: false, characters: 0, closing, complete: true, unasked: false };
      }
      const parsed = parseJson(data);
      const wire = parsed.ok ? asObject(parsed.value) : undefined;
      return wire ? inspectParsed(wire, frame) : { content: false, characters: 0, closing, complete: false, unasked: false };
    },
    annotate: (frame, bill) => annotateFrame(frame, bill),
  };
}

function annotateFrame(frame: Frame, bill: Bill): string | undefined {
  if (!frame.data.includes('"usage"')) return undefined;
  const data = annotateUsage(frame.data, bill);
  return data === undefined ? undefined : formatSse({ event: frame.event, data });
}

/** Characters generated in a frame that holds nothing but words; -1 when the frame must be parsed. */
function plainCharacters(data: string, marks: readonly string[]): number {
  if (!data.startsWith('{') || !data.includes('"choices":[{')) return -1;
  for (const mark of rare) if (data.includes(mark)) return -1;
  for (const mark of telling) if (!onlyNull(data, mark)) return -1;
  let characters = 0;
  for (const mark of marks) {
    const start = data.indexOf(mark);
    if (start < 0) {
      if (data.includes(`${mark.slice(0, -1)} `)) return -1;
      continue;
    }
    if (data.includes(mark, start + mark.length)) return -1;
    const length = stringLength(data, start + mark.length);
    if (length < 0) return -1;
    characters += length;
  }
  return characters;
}

function onlyNull(data: string, mark: string): boolean {
  for (let at = data.indexOf(mark); at >= 0; at = data.indexOf(mark, at + mark.length)) {
    if (!data.startsWith(':null', at + mark.length)) return false;
  }
  return true;
}

/** Length of the JSON string that begins at `start`; -1 when it holds escapes, which a parse counts right. */
function stringLength(data: string, start: number): number {
  const end = data.indexOf('"', start);
  if (end < 0) return -1;
  const escape = data.indexOf('\\', start);
  return escape >= 0 && escape < end ? -1 : end - start;
}

function generatedCharacters(choice: JsonObject): number {
  const delta = asObject(choice['delta']);
  if (!delta) return textLength(choice['text']);
  let characters = contentLength(delta['content']) + textLength(delta['refusal']) + textLength(choice['text']);
  characters += Math.max(
    textLength(delta['reasoning_content']),
    textLength(delta['reasoning']),
    asObjects(delta['reasoning_details']).reduce((sum, detail) => sum + detailLength(detail), 0),
  );
  for (const call of [...asObjects(delta['tool_calls']), delta]) {
    const inner = asObject(call['function']) ?? asObject(call['custom']) ?? asObject(call['function_call']);
    characters += textLength(inner?.['name']) + textLength(inner?.['input']) + argumentsLength(inner?.['arguments']);
  }
  const audio = asObject(delta['audio']);
  return characters + textLength(audio?.['data']) + textLength(audio?.['transcript']) + asObjects(delta['images']).length;
}

function detailLength(detail: JsonObject): number {
  return textLength(detail['text']) + textLength(detail['summary']) + textLength(detail['data']);
}

function contentLength(content: JsonValue | undefined): number {
  const pieces = asArray(content);
  if (!pieces) return textLength(content);
  return asObjects(pieces).reduce((sum, piece) => {
    const thinking = contentLength(piece['thinking']);
    return sum + textLength(piece['text']) + thinking;
  }, 0);
}

function argumentsLength(value: JsonValue | undefined): number {
  return typeof value === 'object' && value !== null ? JSON.stringify(value).length : textLength(value);
}

function textLength(value: JsonValue | undefined): number {
  return typeof value === 'string' ? value.length : 0;
}
