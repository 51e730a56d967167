import type { Bill, ChatRequest } from '#canonical';
import {
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
import { annotateUsage } from '../bill.ts';
import { halfFrameError, isHalfFrame, strayFrameError } from '../half-frame.ts';
import { vendorError } from './error.ts';
import { decodeUsage, isSearch } from './usage.ts';

const quiet: FrameFacts = {
  content: false,
  generatedSize: 0,
  closing: false,
  complete: false,
  unasked: false,
};
/** A `[DONE]` that some vendors add after the terminal event. */
const trailing: FrameFacts = { ...quiet, closing: true };

/** Looks at the frames of a stream that passes through. Of a delta, which most are, only the size is read. */
class ResponsesTap implements StreamTap {
  /** What came since the last item was done: an item whose deltas never came is counted at its end. */
  #sizeOfItem = 0;
  #sizeTotal = 0;
  #complete = false;
  #searches = 0;

  inspect(frame: Frame): FrameFacts {
    const { data } = frame;
    if (data === '[DONE]') return this.#complete ? { ...trailing, complete: true } : trailing;
    const type = typeOf(frame);
    if (type.endsWith('.delta')) return this.#delta(data);
    const event = parseJsonObject(data);
    if (!event) {
      const error = terminals.has(type) ? halfFrameError() : strayFrameError(frame);
      return error ? { ...quiet, error } : quiet;
    }
    switch (type) {
      case 'response.output_text.done':
      case 'response.refusal.done':
      case 'response.reasoning_text.done':
      case 'response.reasoning_summary_text.done':
      case 'response.function_call_arguments.done':
      case 'response.custom_tool_call_input.done':
      case 'response.content_part.done':
        return this.#sizeOfItem > 0 ? quiet : this.#content(wholeSize(event));
      case 'response.output_item.done':
        return this.#itemDone(event);
      case 'response.completed':
      case 'response.incomplete':
      case 'response.cancelled':
      case 'response.done':
      case 'response.failed':
        return this.#terminal(type, event);
      case 'error':
      case 'response.error':
        return this.#failure(event);
      case '':
        return asObject(event['error']) ? this.#failure(event) : quiet;
      default:
        return quiet;
    }
  }

  annotate(frame: Frame, bill: Bill | undefined): string | undefined {
    const { data } = frame;
    const type = typeOf(frame);
    if (!terminals.has(type)) return undefined;
    const spliced = annotateUsage(data, bill, ['response', 'usage']);
    return spliced === undefined ? undefined : formatSse({ event: frame.event, data: spliced });
  }

  #delta(data: string): FrameFacts {
    const size = deltaSize(data);
    if (size !== undefined) return this.#content(size);
    return isHalfFrame(data) ? { ...quiet, error: halfFrameError() } : quiet;
  }

  #content(generatedSize: number): FrameFacts {
    if (generatedSize === 0) return quiet;
    this.#sizeOfItem += generatedSize;
    this.#sizeTotal += generatedSize;
    return { content: true, generatedSize, closing: false, complete: false, unasked: false };
  }

  #itemDone(event: JsonObject): FrameFacts {
    const streamed = this.#sizeOfItem > 0;
    this.#sizeOfItem = 0;
    const item = asObject(event['item']);
    if (isSearch(item)) this.#searches += 1;
    if (streamed) return quiet;
    const generatedSize = itemSize(item);
    if (generatedSize === 0) return quiet;
    this.#sizeTotal += generatedSize;
    return { content: true, generatedSize, closing: false, complete: false, unasked: false };
  }

  #terminal(type: string, event: JsonObject): FrameFacts {
    const response = asObject(event['response']) ?? {};
    const usage = decodeUsage(response['usage'], response, this.#searches);
    const failed = type === 'response.failed' || response['status'] === 'failed';
    const error = failed ? { error: vendorError(asObject(response['error']) ?? {}) } : {};
    let generatedSize = 0;
    // An answer that only the terminal event tells.
    if (this.#sizeTotal === 0)
      for (const item of asObjects(response['output'])) generatedSize += itemSize(item);
    this.#complete = true;
    return {
      content: generatedSize > 0,
      generatedSize,
      ...(usage ? { usage } : {}),
      closing: true,
      complete: true,
      unasked: false,
      ...error,
    };
  }

  #failure(event: JsonObject): FrameFacts {
    this.#complete = true;
    return { ...trailing, complete: true, error: vendorError(event) };
  }
}

const terminals = new Set([
  'response.completed',
  'response.incomplete',
  'response.cancelled',
  'response.done',
  'response.failed',
]);

/**
 * The event's type: from its line, or from its data, for vendors that send no `event` line or the
 * framework's `message`. Quotes inside strings are escaped, so the key with its quotes can only be a key.
 */
function typeOf({ event, data }: Frame): string {
  if (event !== undefined && (event === 'error' || event.startsWith('response.'))) return event;
  const match = /"type"\s*:\s*"(response\.[a-z_.]+|error)"/.exec(data);
  return match?.[1] ?? (event === 'message' ? '' : (event ?? ''));
}

/** Size of the string `delta`; `undefined` where there is none, or its end is missing. */
function deltaSize(data: string): number | undefined {
  const key = data.indexOf('"delta"');
  if (key < 0) return undefined;
  let start = key + '"delta"'.length;
  while (data.charCodeAt(start) === 0x20 || data.charCodeAt(start) === 0x3a) start += 1;
  if (data.charCodeAt(start) !== 0x22) return undefined;
  const { end, size } = jsonStringSize(data, start + 1);
  return data.charCodeAt(end) === 0x22 ? size : undefined;
}

/** Size of what an event tells at the end of a text, or of a call's input, whose deltas never came. */
function wholeSize(event: JsonObject): number {
  const part = asObject(event['part']) ?? event;
  const said = part['text'] ?? part['refusal'] ?? part['arguments'] ?? part['input'];
  return textSize(asString(said) ?? '');
}

/** Size of what the model wrote in a whole item; built-in calls count as one, for they are content. */
function itemSize(item: JsonObject | undefined): number {
  if (!item) return 0;
  switch (item['type']) {
    case 'message':
      return textsSize(item['content']);
    case 'reasoning':
      return textsSize(item['content']) + textsSize(item['summary']);
    case 'function_call':
      return Math.max(1, textSize(asString(item['arguments']) ?? ''));
    case 'custom_tool_call':
      return Math.max(1, textSize(asString(item['input']) ?? ''));
    default:
      return 1;
  }
}

function textsSize(value: JsonValue | undefined): number {
  let size = 0;
  for (const part of asObjects(value))
    size += textSize(asString(part['text']) ?? asString(part['refusal']) ?? '');
  return size;
}

export function streamTap(_request: ChatRequest, _quirks: Quirks): StreamTap {
  return new ResponsesTap();
}
