/** Pictures in streams: one frame of several megabytes, in each dialect that has such. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startOddVendor, type OddVendor } from './odd-vendor.ts';
import { startRig, type Rig } from './rig.ts';

/** A picture of four megapixels, as base64. */
const picture = Buffer.alloc(6 * 2 ** 20, 'not really a picture ').toString('base64');

const event = (data: object, name?: string): string =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;

const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 1290, totalTokenCount: 1300 };
const candidate = (parts: readonly object[], finishReason?: string) => ({
  candidates: [
    { index: 0, content: { role: 'model', parts }, ...(finishReason && { finishReason }) },
  ],
  usageMetadata,
  modelVersion: 'm',
});
const inline = { inlineData: { mimeType: 'image/png', data: picture } };

const chatChunk = (delta: object, finish: string | null) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices: [{ index: 0, delta, finish_reason: finish }],
});
const image = {
  type: 'image_url',
  image_url: { url: `data:image/png;base64,${picture}` },
  index: 0,
};

const response = (status: string, output: readonly object[]) => ({
  id: 'resp_1',
  object: 'response',
  created_at: 1,
  status,
  model: 'm',
  output,
  usage: status === 'completed' ? { input_tokens: 10, output_tokens: 20, total_tokens: 30 } : null,
});
const call = (status: string, result: string | null) => ({
  id: 'ig_1',
  type: 'image_generation_call',
  status,
  result,
});

const streams: { readonly [dialect: string]: string } = {
  'gemini-generate': event(candidate([{ text: 'Here: ' }])) + event(candidate([inline], 'STOP')),
  'openai-chat':
    event(chatChunk({ role: 'assistant', content: 'Here: ' }, null)) +
    event(chatChunk({ images: [image] }, null)) +
    event(chatChunk({}, 'stop')) +
    event({
      ...chatChunk({}, null),
      choices: [],
      usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 },
    }) +
    'data: [DONE]\n\n',
  'openai-responses': [
    { type: 'response.created', response: response('in_progress', []) },
    { type: 'response.output_item.added', output_index: 0, item: call('in_progress', null) },
    {
      type: 'response.image_generation_call.partial_image',
      output_index: 0,
      item_id: 'ig_1',
      partial_image_index: 0,
      partial_image_b64: picture,
    },
    { type: 'response.output_item.done', output_index: 0, item: call('completed', picture) },
    { type: 'response.completed', response: response('completed', [call('completed', picture)]) },
  ]
    .map((data, index) => event({ ...data, sequence_number: index }, data.type))
    .join(''),
};

describe('a stream with a picture of several megabytes', () => {
  let rig: Rig;
  let vendor: OddVendor;
  before(async () => {
    vendor = await startOddVendor((request, reply) => {
      request.resume();
      const dialect = request.url?.split('/')[1] ?? '';
      reply.writeHead(200, { 'content-type': 'text/event-stream' });
      reply.end(streams[dialect]);
    });
    const channels = Object.keys(streams).map((dialect) => {
      const models = { [dialect]: { prices: { input: '1', output: '2' }, output_tokens: 4_000 } };
      return vendor.channel({ id: dialect, dialect, models }, `/${dialect}`);
    });
    rig = await startRig({ vendors: [], channels });
  });
  after(async () => {
    await rig.close();
    vendor.close();
  });

  const asks: { readonly [client: string]: (model: string) => Promise<Response> } = {
    'openai-chat': (model) =>
      rig.post('/v1/chat/completions', {
        model,
        stream: true,
        messages: [{ role: 'user', content: 'Draw.' }],
      }),
    'openai-responses': (model) =>
      rig.post('/v1/responses', { model, stream: true, store: false, input: 'Draw.' }),
    'gemini-generate': (model) =>
      rig.post(`/v1beta/models/${model}:streamGenerateContent?alt=sse`, {
        contents: [{ role: 'user', parts: [{ text: 'Draw.' }] }],
      }),
  };

  for (const dialect of Object.keys(streams)) {
    for (const [client, ask] of Object.entries(asks)) {
      it(`reaches a client of ${client} from ${dialect}`, async () => {
        const text = await (await ask(dialect)).text();
        assert.ok(text.includes(picture), `${text.slice(0, 300)} … ${text.slice(-300)}`);
        assert.ok(!/"error":\s*\{/.test(text), text.slice(-300));
      });
    }
  }
});
