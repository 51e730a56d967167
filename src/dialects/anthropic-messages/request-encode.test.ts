import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatRequest, Part } from '#canonical';
import { asObject, asObjects, type JsonValue } from '#std';
import type { Quirks } from '../dialect.ts';
import { anthropicMessages } from './index.ts';
import { user, foreign, own, encoded, lostPaths, contents, lookUp } from './messages-rig.ts';

const { decode, urlsToInline } = anthropicMessages.request;

test('tool choice in all its forms', () => {
  const choose = (fields: Partial<ChatRequest>, quirks: Quirks = {}): JsonValue | undefined =>
    encoded(foreign({ tools: [lookUp], ...fields }), quirks).value['tool_choice'];
  assert.deepEqual(choose({ toolChoice: { kind: 'required' } }), { type: 'any' });
  assert.deepEqual(choose({ toolChoice: { kind: 'tool', name: 'look_up' } }), {
    type: 'tool',
    name: 'look_up',
  });
  assert.deepEqual(choose({ toolChoice: { kind: 'none' }, parallelToolCalls: false }), {
    type: 'none',
  });
  assert.deepEqual(choose({ parallelToolCalls: false }), {
    type: 'auto',
    disable_parallel_tool_use: true,
  });
  assert.equal(choose({ parallelToolCalls: true }), undefined);
  assert.deepEqual(choose({ toolChoice: { kind: 'required' } }, { forcedToolUse: false }), {
    type: 'auto',
  });
  assert.deepEqual(choose({ toolChoice: { kind: 'required' }, reasoning: { effort: 'low' } }), {
    type: 'auto',
  });
  assert.equal(choose({ toolChoice: { kind: 'auto' }, tools: [] }), undefined);
});

test('tools: custom ones take one text, foreign server tools refuse, web search is mapped', () => {
  const { value, losses } = encoded(
    foreign({
      tools: [
        {
          kind: 'custom',
          name: 'shell',
          format: { type: 'grammar', syntax: 'lark', definition: 'x' },
        },
        {
          kind: 'native',
          dialect: 'openai-responses',
          type: 'file_search',
          value: { type: 'file_search' },
        },
        {
          kind: 'web-search',
          native: { dialect: 'openai-responses', value: { type: 'web_search' } },
        },
        { kind: 'function', name: 'bare' },
      ],
    }),
  );
  const tools = asObjects(value['tools']);
  assert.deepEqual(
    tools.map(({ name }) => name),
    ['shell', 'web_search', 'bare'],
  );
  assert.deepEqual(tools[1], { type: 'web_search_20250305', name: 'web_search' });
  assert.deepEqual(tools[2]?.['input_schema'], { properties: {}, type: 'object' });
  assert.ok(
    losses.some(
      ({ path, changesMeaning, reason }) =>
        changesMeaning && path === 'tools[1]' && reason.includes('file_search'),
    ),
  );
});

const schema = {
  type: 'object',
  properties: {
    count: { type: 'integer', minimum: 1, description: 'How many.' },
    kind: { oneOf: [{ const: 'a' }, { type: 'object', properties: {} }] },
  },
  required: ['count'],
};

test('a JSON schema is closed, its refused constraints are spoken and reported', () => {
  const sent = encoded(
    foreign({ responseFormat: { kind: 'json-schema', name: 'Answer', schema } }),
  );
  const format = asObject(asObject(sent.value['output_config'])?.['format']);
  assert.deepEqual(format?.['schema'], {
    title: 'Answer',
    type: 'object',
    properties: {
      count: { type: 'integer', description: 'How many. (minimum: 1)' },
      kind: {
        anyOf: [{ const: 'a' }, { type: 'object', properties: {}, additionalProperties: false }],
      },
    },
    required: ['count'],
    additionalProperties: false,
  });
  assert.deepEqual(lostPaths(sent), ['responseFormat.schema.properties.count.minimum']);
});

test('a map of free names cannot be a structured answer and refuses the request', () => {
  const map = { type: 'object', additionalProperties: { type: 'string' } };
  const sent = encoded(foreign({ responseFormat: { kind: 'json-schema', schema: map } }));
  assert.ok(sent.losses.some(({ changesMeaning }) => changesMeaning));
});

test('a model without structured output gets a forced tool, whose call is text again in the answer', () => {
  const quirks = { structuredOutput: 'tool' };
  const { value } = encoded(foreign({ responseFormat: { kind: 'json-schema', schema } }), quirks);
  assert.equal(value['output_config'], undefined);
  assert.deepEqual(value['tool_choice'], { type: 'tool', name: 'json_answer' });
  assert.deepEqual(asObjects(value['tools'])[0]?.['input_schema'], schema);
  const answer = anthropicMessages.response.decode(
    {
      type: 'message',
      content: [{ type: 'tool_use', id: 't', name: 'json_answer', input: { count: 2 } }],
      stop_reason: 'tool_use',
    },
    quirks,
  );
  assert.deepEqual(answer.choices[0]?.parts, [{ kind: 'text', text: '{"count":2}' }]);
  assert.equal(answer.choices[0]?.finish.reason, 'stop');
  const other = encoded(
    foreign({ responseFormat: { kind: 'json-schema', schema }, tools: [lookUp] }),
    quirks,
  );
  assert.deepEqual(other.value['tool_choice'], { type: 'any' });
});

test('sampling parameters by model', () => {
  const sampling = { temperature: 1.5, topP: 0.5, topK: 3 };
  const kept = encoded(foreign(sampling));
  assert.equal(kept.value['temperature'], 1);
  assert.deepEqual(lostPaths(kept), ['temperature']);
  assert.deepEqual(lostPaths(encoded(foreign(sampling), { samplingRefused: true })), [
    'temperature',
    'topP',
    'topK',
  ]);
  assert.equal(encoded(foreign(sampling), { temperatureOrTopP: true }).value['top_p'], undefined);
  const thinking = encoded(foreign({ ...sampling, reasoning: { effort: 'low' } }));
  assert.deepEqual(
    [thinking.value['temperature'], thinking.value['top_p'], thinking.value['top_k']],
    [undefined, undefined, undefined],
  );
  const dropped = encoded(own({ temperature: 0.5 }), { samplingRefused: true });
  assert.equal(dropped.value['temperature'], undefined);
});

test('what Anthropic cannot say is reported, and refused where it alters the answer', () => {
  const { losses } = encoded(
    foreign({
      seed: 1,
      choiceCount: 2,
      logprobs: { top: 1 },
      modalities: ['text', 'audio'],
      stop: [' ', 'x'],
      logitBias: { '50256': -100 },
      presencePenalty: 0,
      store: false,
      serviceTier: 'flex',
      metadata: { a: 'b' },
      extensions: { web_search_options: {} },
    }),
  );
  const severe = losses.filter(({ changesMeaning }) => changesMeaning).map(({ path }) => path);
  assert.deepEqual(severe.sort(), ['choiceCount', 'logprobs', 'modalities', 'stop']);
  const mild = losses.filter(({ changesMeaning }) => !changesMeaning).map(({ path }) => path);
  assert.deepEqual(mild.sort(), [
    'logitBias',
    'metadata',
    'seed',
    'serviceTier',
    'web_search_options',
  ]);
});

test('media: true type of pictures, text of text files, refusal of sound and strange files', () => {
  const media = (fields: Partial<Extract<Part, { kind: 'media' }>>): Part => ({
    kind: 'media',
    media: 'image',
    source: { kind: 'data', data: '/9j/AAAA' },
    ...fields,
  });
  const sent = encoded(
    foreign({
      messages: [
        user(
          media({ mimeType: 'image/png' }),
          media({
            media: 'document',
            mimeType: 'text/markdown',
            source: { kind: 'data', data: Buffer.from('# Hé').toString('base64') },
            filename: 'a.md',
          }),
        ),
      ],
    }),
  );
  assert.deepEqual(contents(sent), [
    [
      'user',
      [
        { type: 'image', source: { type: 'base64', media_type: 'image/jpeg', data: '/9j/AAAA' } },
        {
          type: 'document',
          source: { type: 'text', media_type: 'text/plain', data: '# Hé' },
          title: 'a.md',
        },
      ],
    ],
  ]);
  for (const part of [
    media({ media: 'audio', mimeType: 'audio/wav' }),
    media({ media: 'video' }),
    media({ media: 'document', mimeType: 'application/msword' }),
    media({ source: { kind: 'file', fileId: 'f', dialect: 'openai-chat' } }),
    media({ mimeType: 'image/tiff', source: { kind: 'data', data: 'SUkq' } }),
  ]) {
    assert.ok(
      encoded(foreign({ messages: [user(part)] })).losses.some(
        ({ changesMeaning }) => changesMeaning,
      ),
    );
  }
});

test('URLs that the upstream cannot load are named', () => {
  const picture = (url: string): Part => ({
    kind: 'media',
    media: 'image',
    source: { kind: 'url', url },
  });
  const request = foreign({
    messages: [
      user(picture('http://a.test'), picture('https://b.test')),
      user(picture('https://b.test')),
    ],
  });
  assert.deepEqual(urlsToInline(request, {}), ['http://a.test']);
  assert.deepEqual(urlsToInline(request, { fetchesUrls: false }), [
    'http://a.test',
    'https://b.test',
  ]);
});

test('the envelope of Vertex and Bedrock', () => {
  const { value } = encoded(foreign({ stream: true }), {
    modelInBody: false,
    streamInBody: false,
    bodyVersion: 'bedrock-2023-05-31',
    outputTokensDefault: 64_000,
  });
  assert.deepEqual(Object.keys(value), ['anthropic_version', 'max_tokens', 'messages']);
  assert.equal(value['max_tokens'], 64_000);
  assert.deepEqual(decode({ ...value, anthropic_version: 'x' }, { model: 'm' }).extensions, {});
});
