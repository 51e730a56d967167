/**
 * What the measured upstream says, made once before the run. Every piece of content holds one mark,
 * so that the generator can count what arrives.
 */

/** Stands once in every content chunk and nowhere else. */
export const contentMark = '#w';

export const answerModel = 'bench-upstream';

/** How the content of a stream goes onto the wire. */
export type Delivery = 'whole' | 'bytes' | 'packed' | 'large';

/** What the upstream shall do; the name of the model says it. */
export type Shape = {
  /** No chunks: an answer in one piece. */
  readonly chunks: number;
  /** 0 sends all at once. */
  readonly paceMs: number;
  /** `bytes`: every byte in a write of its own; `packed`: three events in one; `large`: 64 KB each. */
  readonly delivery?: Delivery;
};

export function modelName({ chunks, paceMs, delivery = 'whole' }: Shape): string {
  return chunks === 0 ? 'bench-whole' : `bench-stream-${chunks}-${paceMs}-${delivery}`;
}

export function shapeOf(model: string): Shape {
  const found = /^bench-stream-(\d+)-(\d+)-(whole|bytes|packed|large)$/.exec(model);
  if (found === null) return { chunks: 0, paceMs: 0 };
  const [, chunks, paceMs, delivery] = found;
  return { chunks: Number(chunks), paceMs: Number(paceMs), delivery: delivery as Delivery };
}

const words = 'several ordinary words that a model might have said at this place';

/** The text of one chunk. */
function textOf({ delivery }: Shape): string {
  const text = ` ${contentMark} ${words.slice(0, 24)}`;
  return delivery === 'large' ? text + ' lorem'.repeat(10_900) : text;
}

/** All that a right answer to a stream says. */
export function wholeText(shape: Shape): string {
  return textOf(shape).repeat(shape.chunks);
}

function framed(text: string): Buffer {
  const body = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]);
}

const streamHead = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n',
);
const lastChunk = Buffer.from('0\r\n\r\n');

/** A small answer in one piece, about 700 bytes. */
export function chatWhole(): Buffer {
  const body = JSON.stringify({
    id: 'chatcmpl-bench0000000000000000000000',
    object: 'chat.completion',
    created: 1_790_000_000,
    model: answerModel,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: `${contentMark} ${`${words}. `.repeat(4)}`,
          refusal: null,
        },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: { prompt_tokens: 57, completion_tokens: 61, total_tokens: 118 },
    system_fingerprint: 'fp_bench',
  });
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

export type StreamAnswer = {
  /** Head and all that comes before the first content. */
  readonly opening: Buffer;
  readonly content: Buffer;
  /** Finish, usage, terminal mark and the end of the body. */
  readonly closing: Buffer;
};

export function chatStream(shape: Shape): StreamAnswer {
  const { chunks } = shape;
  const event = (choices: readonly unknown[], rest: object = {}): string =>
    `data: ${JSON.stringify({ id: 'chatcmpl-bench0000000000000000000000', object: 'chat.completion.chunk', created: 1_790_000_000, model: answerModel, system_fingerprint: 'fp_bench', choices, ...rest })}\n\n`;
  const delta = (value: object, reason: string | null = null) => [
    { index: 0, delta: value, logprobs: null, finish_reason: reason },
  ];
  const usage = { prompt_tokens: 57, completion_tokens: chunks, total_tokens: 57 + chunks };
  return {
    opening: Buffer.concat([streamHead, framed(event(delta({ role: 'assistant', content: '' })))]),
    content: framed(event(delta({ content: textOf(shape) }))),
    closing: Buffer.concat([
      framed(event(delta({}, 'stop'))),
      framed(event([], { usage })),
      framed('data: [DONE]\n\n'),
      lastChunk,
    ]),
  };
}

export function anthropicStream(shape: Shape): StreamAnswer {
  const event = (type: string, rest: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`;
  const message = {
    id: 'msg_bench000000000000000000',
    type: 'message',
    role: 'assistant',
    model: answerModel,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: 57, output_tokens: 1 },
  };
  return {
    opening: Buffer.concat([
      streamHead,
      framed(event('message_start', { message })),
      framed(event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } })),
    ]),
    content: framed(
      event('content_block_delta', {
        index: 0,
        delta: { type: 'text_delta', text: textOf(shape) },
      }),
    ),
    closing: Buffer.concat([
      framed(event('content_block_stop', { index: 0 })),
      framed(
        event('message_delta', {
          delta: { stop_reason: 'end_turn', stop_sequence: null },
          usage: { output_tokens: shape.chunks },
        }),
      ),
      framed(event('message_stop', {})),
      lastChunk,
    ]),
  };
}

export function geminiStream(shape: Shape): StreamAnswer {
  const { chunks } = shape;
  const event = (text: string, rest: object = {}, last: object = {}): string =>
    `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }], role: 'model' }, index: 0, ...last }], ...rest, modelVersion: answerModel, responseId: 'bench000000000000' })}\r\n\r\n`;
  const usageMetadata = {
    promptTokenCount: 57,
    candidatesTokenCount: chunks,
    totalTokenCount: 57 + chunks,
  };
  return {
    opening: streamHead,
    content: framed(event(textOf(shape))),
    closing: Buffer.concat([
      framed(event('', { usageMetadata }, { finishReason: 'STOP' })),
      lastChunk,
    ]),
  };
}
