import type { Bill, ChatRequest, GatewayError, Usage } from '#canonical';
import {
  asArray,
  asCount,
  asObject,
  asObjects,
  asString,
  formatSse,
  jsonStringSize,
  parseJson,
  skipString,
  textSize,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Frame, FrameFacts, StreamTap } from '../dialect.ts';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';
import { annotateUsageMetadata, mayTellVendorCosts } from '../bill.ts';
import { ChoiceEnds } from '../choice-ends.ts';
import { halfFrameError } from '../half-frame.ts';
import { blockReason, endOf } from './response-decode.ts';
import { laterUsage } from './usage.ts';

/** Members whose frame is read in full: they decide, or hold more text than the answer's. */
const marker =
  /"(?:finishReason|error|promptFeedback|groundingMetadata|functionCall|function_call|inlineData|fileData|executableCode|codeExecutionResult|toolCall|toolResponse|logprobsResult)"/;

/** What frames of a pass-through stream mean. Plain text frames are scanned, not parsed. */
export class GeminiTap implements StreamTap {
  readonly #choiceCount: number;
  readonly #ends = new ChoiceEnds();
  #usage: Usage | undefined;

  constructor(request: ChatRequest) {
    this.#choiceCount = request.choiceCount ?? 1;
  }

  inspect(frame: Frame): FrameFacts {
    const { data } = frame;
    // Of several candidates each frame is read: it says which of them it goes on with.
    if (this.#choiceCount > 1 || marker.test(data)) return this.#read(data);
    const generatedSize = textMembersSize(data);
    return {
      content: generatedSize > 0,
      generatedSize,
      usage: this.#count(scanUsage(data)),
      closing: this.#isOver(),
      complete: false,
      unasked: false,
    };
  }

  annotate(frame: Frame, bill: Bill | undefined): string | undefined {
    if (!bill && !mayTellVendorCosts(frame.data)) return undefined;
    return annotateUsageMetadata(wireText(frame), bill);
  }

  get mayEnd(): boolean {
    return this.#ends.mayEnd;
  }

  #isOver(): boolean {
    return this.#ends.count >= this.#choiceCount;
  }

  /** Nothing where the frame counts nothing. */
  #count(metadata: JsonValue | undefined): Usage | undefined {
    if (metadata === undefined) return undefined;
    return (this.#usage = laterUsage(this.#usage, metadata));
  }

  #read(data: string): FrameFacts {
    const parsed = parseJson(data);
    const chunk = parsed.ok ? asObject(asArray(parsed.value)?.[0] ?? parsed.value) : undefined;
    if (!chunk)
      return {
        content: false,
        generatedSize: 0,
        closing: this.#isOver(),
        complete: false,
        unasked: false,
        ...(parsed.ok ? {} : { error: halfFrameError() }),
      };
    const error: GatewayError | undefined = asObject(chunk['error'])
      ? decodeUpstreamErrorValue(200, chunk)
      : undefined;
    let generatedSize = 0;
    let content = false;
    for (const [position, candidate] of asObjects(chunk['candidates']).entries()) {
      for (const part of asObjects(asObject(candidate['content'])?.['parts'])) {
        const size = partSize(part);
        generatedSize += size;
        content ||= size > 0 || asObject(part['functionCall']) !== undefined;
      }
      const index = asCount(candidate['index']) ?? position;
      this.#ends.note(index, endOf(candidate) !== undefined);
    }
    if (blockReason(chunk) !== undefined)
      for (let index = 0; index < this.#choiceCount; index += 1) this.#ends.note(index, true);
    return {
      content,
      generatedSize,
      usage: this.#count(chunk['usageMetadata']),
      closing: this.#isOver() || error !== undefined,
      complete: false,
      unasked: false,
      ...(error ? { error } : {}),
    };
  }
}

/** What a part adds to the size of the answer; opaque state and base64 are nothing. */
function partSize(part: JsonObject): number {
  const text = asString(part['text']);
  if (text !== undefined) return textSize(text);
  const call = asObject(part['functionCall'] ?? part['function_call']);
  if (call)
    return (
      textSize(asString(call['name']) ?? '') +
      valueSize(call['args']) +
      valueSize(call['partialArgs'])
    );
  const { thoughtSignature: _, ...rest } = part;
  return asObject(rest['inlineData'])
    ? 1
    : valueSize(Object.keys(rest).length > 0 ? rest : undefined);
}

function valueSize(value: unknown): number {
  return value === undefined ? 0 : textSize(JSON.stringify(value));
}

/** Sum of the sizes of all `"text": "…"` members. */
function textMembersSize(data: string): number {
  let total = 0;
  let at = data.indexOf('"text"');
  while (at >= 0) {
    let position = at + 6;
    while (data.charCodeAt(position) <= 0x20) position += 1;
    if (data[position] === ':') {
      position += 1;
      while (data.charCodeAt(position) <= 0x20) position += 1;
      if (data[position] === '"') {
        const { end, size } = jsonStringSize(data, position + 1);
        total += size;
        position = end + 1;
      }
    }
    at = data.indexOf('"text"', position);
  }
  return total;
}

const usageKey = /"usageMetadata"\s*:\s*(?=\{)/;

/** Parses only the usage out of a frame. */
function scanUsage(data: string): JsonValue | undefined {
  const match = usageKey.exec(data);
  if (!match) return undefined;
  const start = match.index + match[0].length;
  const end = endOfObject(data, start);
  const parsed = parseJson(data.slice(start, end));
  return parsed.ok ? parsed.value : undefined;
}

function endOfObject(text: string, start: number): number {
  let depth = 0;
  let position = start;
  while (position < text.length) {
    const character = text[position];
    if (character === '"') {
      position = skipString(text, position);
      continue;
    }
    position += 1;
    if (character === '{') depth += 1;
    else if (character === '}') {
      depth -= 1;
      if (depth === 0) return position;
    }
  }
  return text.length;
}

/** The frame as it stood on the wire where that is known, else as a server-sent event. */
function wireText(frame: Frame): string {
  const raw = (frame as { readonly raw?: unknown }).raw;
  if (raw instanceof Uint8Array)
    return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('utf8');
  return formatSse(frame);
}
