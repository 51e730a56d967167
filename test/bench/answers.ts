/**
 * What the measured upstream says, made once before the run. Every piece of content holds one mark,
 * so that the generator can count what arrives without decoding it.
 */

/** Stands once in every content chunk and nowhere else. */
export const contentMark = '#w';

export const answerModel = 'bench-upstream';

/** `bench-whole`, or `bench-stream-CHUNKS-PACE_MS`: the name says what the upstream shall do. */
export type Shape = { readonly chunks: number; readonly paceMs: number };

export function modelName(shape: Shape): string {
  return shape.chunks === 0 ? 'bench-whole' : `bench-stream-${shape.chunks}-${shape.paceMs}`;
}

export function shapeOf(model: string): Shape {
  const [, chunks, paceMs] = /^bench-stream-(\d+)-(\d+)$/.exec(model) ?? [];
  return { chunks: Number(chunks ?? 0), paceMs: Number(paceMs ?? 0) };
}

const words = 'several ordinary words that a model might have said at this place';

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

export function chatStream(chunks: number): StreamAnswer {
  const event = (choices: readonly unknown[], rest: object = {}): string =>
    `data: ${JSON.stringify({ id: 'chatcmpl-bench0000000000000000000000', object: 'chat.completion.chunk', created: 1_790_000_000, model: answerModel, system_fingerprint: 'fp_bench', choices, ...rest })}\n\n`;
  const delta = (value: object, reason: string | null = null) => [
    { index: 0, delta: value, logprobs: null, finish_reason: reason },
  ];
  const usage = { prompt_tokens: 57, completion_tokens: chunks, total_tokens: 57 + chunks };
  return {
    opening: Buffer.concat([streamHead, framed(event(delta({ role: 'assistant', content: '' })))]),
    content: framed(event(delta({ content: ` ${contentMark} ${words.slice(0, 24)}` }))),
    closing: Buffer.concat([
      framed(event(delta({}, 'stop'))),
      framed(event([], { usage })),
      framed('data: [DONE]\n\n'),
      lastChunk,
    ]),
  };
}

export function anthropicStream(chunks: number): StreamAnswer {
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
  const text = ` ${contentMark} ${words.slice(0, 24)}`;
  return {
    opening: Buffer.concat([
      streamHead,
      framed(event('message_start', { message })),
      framed(event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } })),
    ]),
    content: framed(
      event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
    ),
    closing: Buffer.concat([
      framed(event('content_block_stop', { index: 0 })),
      framed(
        event('message_delta', {
          delta: { stop_reason: 'end_turn', stop_sequence: null },
          usage: { output_tokens: chunks },
        }),
      ),
      framed(event('message_stop', {})),
      lastChunk,
    ]),
  };
}
