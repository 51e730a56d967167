/** The questions that are asked, and at what rate. Sizes and shapes are what clients send. */

import { modelName, type Delivery, type Shape } from './answers.ts';
import { numberPlace } from './load.ts';

export type ClientDialect = 'chat' | 'responses' | 'messages';

export type Workload = {
  readonly id: string;
  readonly title: string;
  readonly shape: Shape;
  /**
   * Requests a second, the wanted rate first. A leg is asked at the first one that it can bear, and
   * compared with the bare proxy at the same one.
   */
  readonly rates: readonly number[];
  /** What the client speaks to a leg that translates; the others pass a chat stream. */
  readonly client: ClientDialect;
  /** The dialect behind such a leg. */
  readonly upstream: 'chat' | 'anthropic' | 'gemini';
  /** The body as the client writes it for a model of this name. */
  readonly body: (model: string, client: ClientDialect) => string;
  /** Before the first round, so that the compiler has seen the path, so many at once. */
  readonly warmUp: { readonly count: number; readonly atOnce: number; readonly limitMs: number };
  /** What the cost is divided by: the request or the content chunk. */
  readonly per: 'request' | 'chunk';
};

export const clientPaths: { readonly [client in ClientDialect]: string } = {
  chat: '/v1/chat/completions',
  responses: '/v1/responses',
  messages: '/v1/messages',
};

/** A responses stream repeats the whole text at its end; only the deltas are counted. */
export const clientMarks: { readonly [client in ClientDialect]: string } = {
  chat: '#w',
  responses: '"delta":" #w',
  messages: '#w',
};

const question = `You are a careful assistant ${numberPlace}. Answer in one sentence: what should a traveller pack for three days of walking in the hills in late autumn?`;

type Ask = (model: string, client: ClientDialect) => string;

function ask(shape: Shape, content: unknown = question): Ask {
  const stream = shape.chunks > 0 ? { stream: true } : {};
  return (model, client) => {
    if (client === 'responses')
      return JSON.stringify({
        model,
        instructions: 'Be brief.',
        input: content,
        max_output_tokens: 256,
        ...stream,
      });
    const system = 'Be brief.';
    const messages = [{ role: 'user', content }];
    return JSON.stringify(
      client === 'messages'
        ? { model, system, messages, max_tokens: 256, ...stream }
        : {
            model,
            messages: [{ role: 'system', content: system }, ...messages],
            max_tokens: 256,
            temperature: 0.7,
            ...stream,
          },
    );
  };
}

const plain: Shape = { chunks: 0, paceMs: 0 };
const stream: Shape = { chunks: 200, paceMs: 5 };
const twenty: Shape = { chunks: 200, paceMs: 20 };

function visionBody(): Ask {
  const bytes = Buffer.alloc(768 * 1024, 'manifold bench picture bytes, not a real picture ');
  return ask(plain, [
    { type: 'text', text: 'What is in this picture?' },
    { type: 'image_url', image_url: { url: `data:image/png;base64,${bytes.toString('base64')}` } },
  ]);
}

const sentence = 'The quick brown fox jumps over the lazy dog while 42 birds look on, quietly. ';

function text(bytes: number): string {
  return sentence.repeat(Math.floor(bytes / sentence.length));
}

function conversation(messages: number, bytesEach: number): Ask {
  const piece = text(bytesEach).padEnd(bytesEach, '.');
  return (model) =>
    JSON.stringify({
      model,
      messages: Array.from({ length: messages }, (_, index) => ({
        role: index % 2 === 0 ? 'user' : 'assistant',
        content: piece,
      })),
      max_tokens: 256,
    });
}

/** What a coding agent sends after some hours: its tools, and files that it read, with their quotes and line ends. */
function agentBody(turns: number): Ask {
  const line = `    const answer = await request("/v1/items/7", { method: 'GET' }); // tries again – three times\n`;
  const tools = Array.from({ length: 20 }, (_, index) => ({
    type: 'function',
    function: {
      name: `tool_${index}`,
      description: sentence.repeat(12),
      parameters: {
        type: 'object',
        properties: Object.fromEntries(
          ['path', 'pattern', 'limit', 'offset'].map((name) => [
            name,
            { type: 'string', description: sentence.repeat(2) },
          ]),
        ),
        required: ['path'],
      },
    },
  }));
  return (model) =>
    JSON.stringify({
      model,
      messages: [
        { role: 'system', content: sentence.repeat(100) },
        { role: 'user', content: question },
        ...Array.from({ length: turns }, (_, index) => [
          {
            role: 'assistant',
            content: sentence.repeat(2),
            tool_calls: [
              {
                id: `call_${index}`,
                type: 'function',
                function: {
                  name: 'tool_1',
                  arguments: JSON.stringify({ path: `src/file-${index}.ts` }),
                },
              },
            ],
          },
          { role: 'tool', tool_call_id: `call_${index}`, content: line.repeat(20 + (index % 40)) },
        ]).flat(),
      ],
      tools,
      max_tokens: 256,
    });
}

const chatToChat = { client: 'chat', upstream: 'chat' } as const;
const streamsWarm = { count: 200, atOnce: 48, limitMs: 10_000 };
const bigWarm = { count: 60, atOnce: 2, limitMs: 15_000 };

const streaming = (
  id: string,
  title: string,
  shape: Shape,
  rest: Partial<Workload> = {},
): Workload => ({
  id,
  title,
  shape,
  rates: [20, 10, 4, 1],
  ...chatToChat,
  body: ask(shape),
  warmUp: streamsWarm,
  per: 'chunk',
  ...rest,
});

const whole = (
  id: string,
  title: string,
  rest: Pick<Workload, 'rates' | 'body' | 'warmUp'>,
): Workload => ({ id, title, shape: plain, ...chatToChat, per: 'request', ...rest });

export const workloads: readonly Workload[] = [
  whole('W1', 'small chat, whole answer', {
    rates: [1_000, 500, 250, 100, 40, 10],
    body: ask(plain),
    warmUp: { count: 20_000, atOnce: 16, limitMs: 60_000 },
  }),
  streaming('W2', 'stream of 200 chunks every 5 ms, same dialect', stream),
  streaming('W2-200', '200 streams at once of 200 chunks every 20 ms, same dialect', twenty, {
    rates: [50, 25, 10, 2],
    warmUp: { count: 400, atOnce: 200, limitMs: 20_000 },
  }),
  streaming('W2-burst', 'stream of 200 chunks sent at once', { chunks: 200, paceMs: 0 }),
  streaming(
    'W2-bytes',
    'stream of 20 chunks every 20 ms, each byte in a write of its own',
    { chunks: 20, paceMs: 20, delivery: 'bytes' },
    { rates: [10, 4, 1], warmUp: { count: 100, atOnce: 16, limitMs: 20_000 } },
  ),
  streaming('W2-packed', 'stream of 198 chunks, three in a packet every 15 ms', {
    chunks: 198,
    paceMs: 15,
    delivery: 'packed',
  }),
  streaming(
    'W2-large',
    'stream of 20 chunks of 64 KB every 50 ms',
    { chunks: 20, paceMs: 50, delivery: 'large' },
    { rates: [10, 4, 1], warmUp: { count: 100, atOnce: 16, limitMs: 20_000 } },
  ),
  whole('W3', '1 MB vision body, whole answer', {
    rates: [15, 5, 2],
    body: visionBody(),
    warmUp: { count: 150, atOnce: 2, limitMs: 15_000 },
  }),
  whole('W4', 'prompt of 4 MB text (about a million tokens) in one string', {
    rates: [4, 1],
    body: ask(plain, text(4_000_000)),
    warmUp: bigWarm,
  }),
  whole('W4-messages', 'prompt of 400 KB as 400 messages', {
    rates: [15, 5, 2],
    body: conversation(400, 1_000),
    warmUp: { count: 300, atOnce: 2, limitMs: 15_000 },
  }),
  whole('W4-agent', 'an agent with 20 tools after 100 calls of them, 500 KB', {
    rates: [15, 5, 2],
    body: agentBody(100),
    warmUp: { count: 300, atOnce: 2, limitMs: 15_000 },
  }),
  whole('W4-string', 'prompt of 220 KB in one string', {
    rates: [40, 15, 5],
    body: ask(plain, text(220_000)),
    warmUp: { count: 300, atOnce: 2, limitMs: 15_000 },
  }),
  streaming('W5', 'stream of 200 chunks, chat client, Anthropic upstream', stream, {
    upstream: 'anthropic',
  }),
  streaming('W5-gemini', 'stream of 200 chunks, chat client, Gemini upstream', stream, {
    upstream: 'gemini',
  }),
  streaming('W5-responses', 'stream of 200 chunks, Responses client, chat upstream', stream, {
    client: 'responses',
  }),
  streaming('W5-messages', 'stream of 200 chunks, Anthropic client, chat upstream', stream, {
    client: 'messages',
  }),
];

export function workloadOf(id: string): Workload {
  const found = workloads.find((workload) => workload.id === id);
  if (!found) throw new RangeError(`there is no workload ${id}`);
  return found;
}

/** The name by which the upstream knows the model of a workload. */
export const modelOf = ({ shape }: Pick<Workload, 'shape'>): string => modelName(shape);

/** A stream of slow tokens, for many at once; not in the table of workloads. */
export function slowStream(chunks: number, paceMs: number, delivery: Delivery = 'whole'): Workload {
  return streaming(`slow-${chunks}-${paceMs}`, 'slow stream', { chunks, paceMs, delivery });
}

/** A request in one piece. */
export function requestBytes(
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  method: 'GET' | 'POST' = 'POST',
): Buffer {
  const bytes = Buffer.from(body);
  const all = {
    host: '127.0.0.1',
    ...(method === 'POST'
      ? { 'content-type': 'application/json', 'content-length': String(bytes.length) }
      : {}),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`),
    bytes,
  ]);
}
