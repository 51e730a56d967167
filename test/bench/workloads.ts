/** The questions that are asked, and at what rate. Sizes and shapes are what clients send. */

import { modelName, type Shape } from './answers.ts';

export type Workload = {
  readonly id: string;
  readonly title: string;
  readonly shape: Shape;
  /** Requests a second, below what the slowest Node leg can bear. */
  readonly rate: number;
  /** The dialect behind the gateway; proxies pass the same question to the chat upstream. */
  readonly upstream: 'chat' | 'anthropic';
  readonly body: () => string;
  /** Requests before the first round, so that the compiler has seen the path. */
  readonly warmUp: { readonly count: number; readonly rate: number };
  /** What the cost is divided by: the request or the content chunk. */
  readonly per: 'request' | 'chunk';
};

const question =
  'You are a careful assistant. Answer in one sentence: what should a traveller pack for three days of walking in the hills in late autumn?';

function chatBody(shape: Shape, prefix: string, content: unknown = question): string {
  return JSON.stringify({
    model: prefix + modelName(shape),
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content },
    ],
    max_tokens: 256,
    temperature: 0.7,
    ...(shape.chunks > 0 ? { stream: true } : {}),
  });
}

function visionBody(): string {
  const bytes = Buffer.alloc(768 * 1024, 'manifold bench picture bytes, not a real picture ');
  return chatBody({ chunks: 0, paceMs: 0 }, '', [
    { type: 'text', text: 'What is in this picture?' },
    { type: 'image_url', image_url: { url: `data:image/png;base64,${bytes.toString('base64')}` } },
  ]);
}

function longBody(): string {
  const sentence = 'The quick brown fox jumps over the lazy dog while 42 birds look on, quietly. ';
  return chatBody(
    { chunks: 0, paceMs: 0 },
    '',
    sentence.repeat(Math.floor(4_000_000 / sentence.length)),
  );
}

const plain: Shape = { chunks: 0, paceMs: 0 };
const stream: Shape = { chunks: 200, paceMs: 5 };
const slow: Shape = { chunks: 40, paceMs: 500 };

export const workloads: readonly Workload[] = [
  {
    id: 'W1',
    title: 'small chat, whole answer',
    shape: plain,
    rate: 400,
    upstream: 'chat',
    body: () => chatBody(plain, ''),
    warmUp: { count: 8_000, rate: 1_000 },
    per: 'request',
  },
  {
    id: 'W2',
    title: 'stream of 200 chunks, same dialect',
    shape: stream,
    rate: 20,
    upstream: 'chat',
    body: () => chatBody(stream, ''),
    warmUp: { count: 150, rate: 40 },
    per: 'chunk',
  },
  {
    id: 'W3',
    title: '1 MB vision body, whole answer',
    shape: plain,
    rate: 15,
    upstream: 'chat',
    body: visionBody,
    warmUp: { count: 60, rate: 20 },
    per: 'request',
  },
  {
    id: 'W4',
    title: 'prompt of 4 MB text (about a million tokens), whole answer',
    shape: plain,
    rate: 4,
    upstream: 'chat',
    body: longBody,
    warmUp: { count: 20, rate: 5 },
    per: 'request',
  },
  {
    id: 'W5',
    title: 'stream of 200 chunks, Anthropic upstream, OpenAI client',
    shape: stream,
    rate: 20,
    upstream: 'anthropic',
    body: () => chatBody(stream, ''),
    warmUp: { count: 150, rate: 40 },
    per: 'chunk',
  },
  {
    id: 'W6',
    title: 'many slow streams at once, two chunks a second each',
    shape: slow,
    rate: 250,
    upstream: 'chat',
    body: () => chatBody(slow, ''),
    warmUp: { count: 50, rate: 50 },
    per: 'chunk',
  },
];

/** The request of a workload as one leg wants it, head and body in one piece. */
export function requestBytes(
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Buffer {
  const bytes = Buffer.from(body);
  const all = {
    host: '127.0.0.1',
    'content-type': 'application/json',
    'content-length': String(bytes.length),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return Buffer.concat([
    Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`),
    bytes,
  ]);
}
