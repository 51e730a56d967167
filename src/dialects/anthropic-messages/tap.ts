import type { Bill } from '#canonical';
import {
  asObject,
  asString,
  formatSse,
  jsonStringSize,
  parseJson,
  textSize,
  type JsonObject,
} from '#std';
import type { Frame, FrameFacts, StreamTap } from '../dialect.ts';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';
import { annotateUsage } from '../bill.ts';
import { halfFrameError, isHalfFrame } from '../half-frame.ts';
import { messageBlocks } from './response-blocks.ts';
import { decodeUsage, mergeRawUsage } from './usage.ts';

const nothing: FrameFacts = {
  content: false,
  generatedSize: 0,
  closing: false,
  complete: false,
  unasked: false,
};
const held: FrameFacts = { ...nothing, closing: true };

/** How Anthropic begins the frequent frames, and the fields that hold what was generated. */
const deltaStart = '{"type":"content_block_delta"';
const textKeys = ['"text":"', '"partial_json":"', '"thinking":"'];

/**
 * Facts of a stream that passes through. Deltas in Anthropic's own spelling are not parsed: the
 * generated text is found by its key and measured. Everything else is rare and parsed.
 */
export class MessagesStreamTap implements StreamTap {
  #usage: JsonObject | undefined;
  #closing = false;

  inspect(frame: Frame): FrameFacts {
    const { data } = frame;
    if (data.startsWith(deltaStart)) {
      for (const key of textKeys) {
        const at = data.indexOf(key);
        if (at >= 0) return this.#content(jsonStringSize(data, at + key.length).size);
      }
    }
    return this.#inspectParsed(frame);
  }

  annotate(frame: Frame, bill: Bill | undefined): string | undefined {
    const isEnd = isMessageDelta(frame);
    if (bill && !isEnd) return undefined;
    const data = isEnd
      ? annotateUsage(frame.data, bill)
      : (annotateUsage(frame.data, bill, ['message', 'usage']) ?? annotateUsage(frame.data, bill));
    return data === undefined ? undefined : formatSse({ event: frame.event, data });
  }

  #content(generatedSize: number): FrameFacts {
    if (generatedSize === 0) return this.#quiet();
    return {
      content: true,
      generatedSize,
      closing: this.#closing,
      complete: false,
      unasked: false,
    };
  }

  #quiet(): FrameFacts {
    return this.#closing ? held : nothing;
  }

  #inspectParsed(frame: Frame): FrameFacts {
    const parsed = parseJson(frame.data);
    const data = parsed.ok ? asObject(parsed.value) : undefined;
    if (!data)
      return isHalfFrame(frame.data)
        ? { ...this.#quiet(), error: halfFrameError() }
        : this.#quiet();
    switch (asString(data['type']) ?? frame.event) {
      case 'content_block_delta':
        return this.#content(textSize(generatedText(asObject(data['delta']))));
      case 'content_block_start':
        return this.#blockStart(asObject(data['content_block']) ?? {});
      case 'message_start':
        return this.#messageStart(asObject(data['message']) ?? {});
      case 'message':
        return { ...this.#messageStart(data), closing: true, complete: true, whole: true };
      case 'message_delta':
        this.#closing = true;
        return this.#withUsage(asObject(data['usage']));
      case 'message_stop':
        this.#closing = true;
        return { ...this.#withUsage(asObject(data['usage'])), complete: true };
      case 'error':
        return { ...this.#quiet(), error: decodeUpstreamErrorValue(200, data) };
      default:
        if (data['type'] !== undefined || !asObject(data['error'])) return this.#quiet();
        return { ...this.#quiet(), error: decodeUpstreamErrorValue(200, data) };
    }
  }

  /** Usually empty; what code of a container calls comes with the head. */
  #messageStart(message: JsonObject): FrameFacts {
    const facts = messageBlocks(message).map((block) => this.#blockStart(block));
    return {
      ...this.#withUsage(asObject(message['usage'])),
      content: facts.some(({ content }) => content),
      generatedSize: facts.reduce((sum, { generatedSize }) => sum + generatedSize, 0),
    };
  }

  /** Text and thinking open empty; all other blocks carry something the model made. */
  #blockStart(block: JsonObject): FrameFacts {
    const opensEmpty = block['type'] === 'text' || block['type'] === 'thinking';
    if (opensEmpty) return this.#content(textSize(generatedText(block)));
    return {
      content: true,
      generatedSize: nameSize(block),
      closing: this.#closing,
      complete: false,
      unasked: false,
    };
  }

  #withUsage(usage: JsonObject | undefined): FrameFacts {
    if (!usage) return this.#quiet();
    this.#usage = mergeRawUsage(this.#usage ?? {}, usage);
    return { ...this.#quiet(), usage: decodeUsage(this.#usage) };
  }
}

function isMessageDelta(frame: Frame): boolean {
  if (!frame.data.includes('message_delta') && frame.event !== 'message_delta') return false;
  const parsed = parseJson(frame.data);
  const data = parsed.ok ? asObject(parsed.value) : undefined;
  return (asString(data?.['type']) ?? frame.event) === 'message_delta';
}

function generatedText(source: JsonObject | undefined): string {
  return (
    asString(source?.['text']) ??
    asString(source?.['partial_json']) ??
    asString(source?.['thinking']) ??
    ''
  );
}

/** A call costs its name too. */
function nameSize(block: JsonObject): number {
  return textSize(asString(block['name']) ?? '');
}
