import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wrapState, type ChatRequest, type Loss, type Message } from '#canonical';
import { ReadError, type JsonObject } from '#std';
import type { Quirks } from '../dialect.ts';
import { openaiChat } from './index.ts';

const user = { role: 'user', content: 'hi' };

function decode(wire: JsonObject): ChatRequest {
  return openaiChat.request.decode({ model: 'm', messages: [user], ...wire }, {});
}

function encode(
  request: ChatRequest,
  quirks: Quirks = {},
): { readonly value: JsonObject; readonly losses: readonly Loss[] } {
  return openaiChat.request.encode(request, quirks);
}

/** What is sent for a chat client's request, without model and messages. */
function fields(wire: JsonObject, quirks: Quirks = {}): JsonObject {
  const { model: _model, messages: _messages, ...rest } = encode(decode(wire), quirks).value;
  return rest;
}

function foreign(messages: readonly Message[], rest: Partial<ChatRequest> = {}): ChatRequest {
  return {
    dialect: 'anthropic-messages',
    model: 'm',
    messages,
    tools: [],
    stream: false,
    streamUsage: true,
    extensions: {},
    ...rest,
  };
}

test('a wrong field is named by its path', () => {
  const wrong: readonly (readonly [JsonObject, string])[] = [
    [{ messages: [] }, 'messages'],
    [{ messages: 'hi' }, 'messages'],
    [{ messages: [{ role: 'king', content: 'x' }] }, 'messages[0].role'],
    [
      { messages: [user, { role: 'user', content: [{ type: 'text', text: 5 }] }] },
      'messages[1].content[0].text',
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      'messages[0].content[0].image_url.url',
    ],
    [
      { messages: [{ role: 'assistant', tool_calls: [{ id: 'a', function: { name: 1 } }] }] },
      'messages[0].tool_calls[0].function.name',
    ],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].tool_call_id'],
    [{ temperature: 3 }, 'temperature'],
    [{ temperature: 'hot' }, 'temperature'],
    [{ n: 0 }, 'n'],
    [{ n: 1.5 }, 'n'],
    [{ max_tokens: -1 }, 'max_tokens'],
    [{ stop: [1] }, 'stop[0]'],
    [{ tools: [{ type: 'function', function: {} }] }, 'tools[0].function.name'],
    [{ tools: {} }, 'tools'],
    [{ tool_choice: 5 }, 'tool_choice'],
    [
      { response_format: { type: 'json_schema', json_schema: { schema: 1 } } },
      'response_format.json_schema.schema',
    ],
    [{ stream: 'yes' }, 'stream'],
    [{ modalities: ['smell'] }, 'modalities[0]'],
  ];
  for (const [wire, path] of wrong) {
    assert.throws(
      () => decode(wire),
      (error: unknown) => error instanceof ReadError && error.path === path,
      `${JSON.stringify(wire)} at ${path}`,
    );
  }
  assert.throws(() => openaiChat.request.decode({ messages: [user] }, {}), /./);
});

test('unknown fields of request, message, part, tool and call come back', () => {
  const wire = {
    model: 'm',
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a', odd: 1 },
          {
            type: 'image_url',
            image_url: { url: 'https://x/i.png', detail: 'low', format: 'png' },
            cache_control: { type: 'ephemeral', ttl: '1h' },
          },
          { type: 'hologram', depth: 3 },
        ],
        weight: 1,
      },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: 'a',
            type: 'function',
            function: { name: 'f', arguments: '{}' },
            extra_content: { google: { thought_signature: 's', kind: 1 } },
          },
        ],
        annotations: [],
      },
      { role: 'tool', tool_call_id: 'a', content: 'r', name: 'f' },
    ],
    tools: [
      {
        type: 'function',
        function: { name: 'f', parameters: { type: 'object' }, examples: [1] },
        cache_control: { type: 'ephemeral' },
      },
      { type: 'code_interpreter', container: { a: 1 } },
    ],
    provider: { order: ['x'] },
    safety_identifier: 'u',
    stream_options: { include_obfuscation: false, include_usage: true },
    stream: true,
  };
  const { value, losses } = encode(decode(wire));
  assert.deepEqual(value, wire);
  assert.deepEqual(losses, []);
});

test('state that a client brings back wrapped is known as its issuer’s, and never sent to a chat vendor', () => {
  const signature = wrapState({ issuer: 'anthropic-messages', value: 'sig', form: 'signature' });
  const thought = wrapState({ issuer: 'gemini-generate', value: 'ts', form: 'thought_signature' });
  const request = decode({
    messages: [
      user,
      {
        role: 'assistant',
        content: null,
        reasoning_details: [
          { type: 'reasoning.text', text: 'why', signature, index: 0 },
          {
            type: 'reasoning.encrypted',
            data: wrapState({
              issuer: 'openai-responses',
              value: 'enc',
              form: 'encrypted_content',
              toolCallId: 'a',
            }),
          },
        ],
        tool_calls: [
          { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } },
          {
            id: 'b',
            type: 'function',
            function: { name: 'f', arguments: '{}' },
            extra_content: { google: { thought_signature: thought } },
          },
        ],
      },
    ],
  });
  const [thinking, first, second] = request.messages[1]?.parts ?? [];
  assert.deepEqual(
    [thinking?.state?.issuer, first?.state?.issuer, second?.state?.issuer],
    ['anthropic-messages', 'openai-responses', 'gemini-generate'],
  );
  const { value, losses } = encode(request);
  assert.doesNotMatch(JSON.stringify(value), /bWZzMS57|sig|enc|extra_content/);
  assert.ok(losses.length >= 3 && losses.every((loss) => !loss.changesMeaning));
});

test('a turn of another dialect becomes plain chat', () => {
  const request = foreign(
    [
      {
        role: 'system',
        parts: [
          { kind: 'text', text: 'a', cache: {} },
          { kind: 'text', text: 'b' },
        ],
      },
      {
        role: 'user',
        parts: [
          { kind: 'text', text: 'look' },
          {
            kind: 'media',
            media: 'document',
            mimeType: 'application/pdf',
            source: { kind: 'data', data: 'UERG' },
          },
        ],
      },
      {
        role: 'assistant',
        parts: [
          {
            kind: 'reasoning',
            form: 'full',
            text: 'hm',
            state: { issuer: 'anthropic-messages', value: 's', form: 'signature' },
          },
          { kind: 'text', text: 'x' },
          { kind: 'text', text: 'y' },
          { kind: 'tool-call', id: 't', name: 'f', input: '{}' },
          { kind: 'native', dialect: 'anthropic-messages', value: { type: 'server_tool_use' } },
        ],
      },
      {
        role: 'tool',
        parts: [
          {
            kind: 'tool-result',
            id: 't',
            isError: true,
            parts: [
              { kind: 'text', text: 'bad' },
              {
                kind: 'media',
                media: 'image',
                mimeType: 'image/png',
                source: { kind: 'data', data: 'AAA' },
              },
            ],
          },
        ],
      },
    ],
    {
      tools: [
        {
          kind: 'web-search',
          native: { dialect: 'anthropic-messages', value: { type: 'web_search_20250305' } },
        },
        { kind: 'native', dialect: 'anthropic-messages', type: 'computer_20250124', value: {} },
      ],
      topK: 4,
      extensions: { container: 'c' },
    },
  );
  const { value, losses } = encode(request);
  assert.deepEqual(value, {
    model: 'm',
    messages: [
      { role: 'system', content: 'a\n\nb' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'look' },
          {
            type: 'file',
            file: { filename: 'document.pdf', file_data: 'data:application/pdf;base64,UERG' },
          },
        ],
      },
      {
        role: 'assistant',
        content: 'xy',
        reasoning_content: 'hm',
        tool_calls: [{ id: 't', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 't', content: 'bad' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Attachments of the result of tool call t:' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AAA' } },
        ],
      },
    ],
    web_search_options: {},
  });
  assert.deepEqual(
    losses.filter((loss) => loss.changesMeaning).map((loss) => loss.path),
    ['tools[1]'],
  );
  assert.deepEqual(
    new Set(losses.map((loss) => loss.path.replace(/\[.*/, ''))),
    new Set(['container', 'messages', 'tools', 'top_k']),
  );
});

test('what chat cannot say changes the meaning', () => {
  const video = foreign([
    {
      role: 'user',
      parts: [{ kind: 'media', media: 'video', source: { kind: 'url', url: 'https://x/v.mp4' } }],
    },
  ]);
  assert.ok(encode(video).losses.some((loss) => loss.changesMeaning));
  assert.ok(!encode(video, { media: ['video'] }).losses.some((loss) => loss.changesMeaning));
  const file = foreign([
    {
      role: 'user',
      parts: [
        {
          kind: 'media',
          media: 'document',
          source: { kind: 'file', fileId: 'f', dialect: 'anthropic-messages' },
        },
      ],
    },
  ]);
  assert.ok(encode(file).losses.some((loss) => loss.changesMeaning));
  const image = decode({
    messages: [
      { role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://x/i.png' } }] },
    ],
  });
  assert.ok(encode(image, { contentArrays: false }).losses.some((loss) => loss.changesMeaning));
});

test('URLs that the upstream does not fetch are named', () => {
  const request = foreign([
    {
      role: 'user',
      parts: [
        { kind: 'media', media: 'image', source: { kind: 'url', url: 'https://x/i.png' } },
        { kind: 'media', media: 'document', source: { kind: 'url', url: 'https://x/d.pdf' } },
      ],
    },
    {
      role: 'tool',
      parts: [
        {
          kind: 'tool-result',
          id: 'a',
          parts: [
            { kind: 'media', media: 'audio', source: { kind: 'url', url: 'https://x/a.wav' } },
          ],
        },
      ],
    },
  ]);
  assert.deepEqual(openaiChat.request.urlsToInline(request, {}), [
    'https://x/d.pdf',
    'https://x/a.wav',
  ]);
  assert.deepEqual(openaiChat.request.urlsToInline(request, { fetchesUrls: false }), [
    'https://x/i.png',
    'https://x/d.pdf',
    'https://x/a.wav',
  ]);
});

test('functions and function results of the time before tools are understood', () => {
  const wire = {
    model: 'm',
    messages: [
      user,
      { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
      { role: 'function', name: 'f', content: '4' },
    ],
    functions: [{ name: 'f', parameters: { type: 'object' } }],
    function_call: { name: 'f' },
  };
  const request = decode(wire);
  assert.equal(request.legacyFunctions, true);
  assert.deepEqual(encode(request, { legacyFunctions: true }).value, wire);
  const modern = encode(request).value;
  assert.deepEqual(modern['tool_choice'], { type: 'function', function: { name: 'f' } });
  assert.match(JSON.stringify(modern['messages']), /"tool_call_id":"call_function_1"/);
});

test('custom tools and allowed tools keep their form, or become functions', () => {
  const wire = {
    tools: [
      { type: 'custom', custom: { name: 'sh', description: 'd', format: { type: 'text' } } },
      { type: 'function', function: { name: 'f' } },
    ],
    tool_choice: {
      type: 'allowed_tools',
      allowed_tools: {
        mode: 'required',
        tools: [
          { type: 'custom', custom: { name: 'sh' } },
          { type: 'function', function: { name: 'f' } },
        ],
      },
    },
  };
  assert.deepEqual(fields(wire), wire);
  const { value } = encode(
    decode({
      ...wire,
      messages: [
        user,
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'a', type: 'custom', custom: { name: 'sh', input: 'ls' } }],
        },
      ],
    }),
    { customTools: false },
  );
  assert.match(JSON.stringify(value['messages']), /"arguments":"\{\\"input\\":\\"ls\\"\}"/);
});

test('a JSON object with a schema goes back as it came, and as a schema to others', () => {
  const response_format = { type: 'json_object', schema: { type: 'object' } };
  for (const jsonSchema of ['strict', 'json_object'])
    assert.deepEqual(fields({ response_format }, { jsonSchema }), { response_format });
  const { responseFormat } = decode({ response_format });
  assert.deepEqual(responseFormat, { kind: 'json-schema', schema: { type: 'object' } });
});

test('audio that is only an address is carried as it came', () => {
  const messages = [
    { role: 'user', content: [{ type: 'input_audio', input_audio: 'https://example.org/a.mp3' }] },
  ];
  assert.deepEqual(encode(decode({ messages })).value['messages'], messages);
});

test('a role by the name of what every object has is unknown', () => {
  for (const role of ['constructor', 'toString', '__proto__'])
    assert.throws(() => decode({ messages: [{ role, content: 'x' }] }), /unknown role/);
});
