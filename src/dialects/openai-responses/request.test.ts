/** Requests: what clients send, and what a Responses-only upstream gets from clients of other dialects. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatRequest } from '#canonical';
import { asObjects, ReadError, type JsonObject, type JsonValue } from '#std';
import { openaiResponses } from './index.ts';
import { isStrictSchema } from './tools.ts';

const { decode, encode } = openaiResponses.request;

const codexQuirks = {
  encryptedReasoning: true,
  reasoningSummary: 'auto',
  temperatureRefused: true,
  outputTokensMin: 16,
  efforts: ['low', 'medium', 'high', 'xhigh'],
};

const chat: ChatRequest = {
  dialect: 'openai-chat',
  model: 'gpt-5.3-codex',
  messages: [
    { role: 'system', parts: [{ kind: 'text', text: 'You code.' }] },
    {
      role: 'user',
      parts: [
        { kind: 'text', text: 'What is on it?' },
        {
          kind: 'media',
          media: 'image',
          mimeType: 'image/png',
          source: { kind: 'data', data: 'iVBORw0KGgo=' },
          detail: 'low',
        },
        {
          kind: 'media',
          media: 'document',
          filename: 'a.pdf',
          mimeType: 'application/pdf',
          source: { kind: 'data', data: 'JVBERi0=' },
        },
      ],
    },
    {
      role: 'assistant',
      parts: [
        {
          kind: 'reasoning',
          form: 'summary',
          text: 'Look.',
          state: {
            issuer: 'openai-responses',
            form: 'encrypted_content',
            value: 'gAAAA',
            itemId: 'rs_1',
          },
        },
        { kind: 'tool-call', id: 'call_a', name: 'read', input: '{"path": "a"}' },
        { kind: 'tool-call', id: 'call_b', name: 'read', input: '' },
      ],
    },
    {
      role: 'tool',
      parts: [{ kind: 'tool-result', id: 'call_a', parts: [{ kind: 'text', text: 'A' }] }],
    },
    {
      role: 'tool',
      parts: [{ kind: 'tool-result', id: 'call_b', parts: [{ kind: 'text', text: 'B' }] }],
    },
  ],
  tools: [
    {
      kind: 'function',
      name: 'read',
      parameters: { type: 'object', properties: { path: { type: 'string' } } },
    },
  ],
  toolChoice: { kind: 'tool', name: 'read' },
  parallelToolCalls: true,
  outputTokensMax: 8,
  temperature: 0.2,
  responseFormat: { kind: 'json-schema', schema: { type: 'object' }, name: 'out', strict: true },
  reasoning: { effort: 'minimal' },
  stream: true,
  streamUsage: true,
  extensions: {},
};

test('a chat request becomes a stateless Responses request with everything in it', () => {
  const { value, losses } = encode(chat, codexQuirks);
  assert.deepEqual(value, {
    model: 'gpt-5.3-codex',
    input: [
      { role: 'system', content: 'You code.' },
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'What is on it?' },
          { type: 'input_image', image_url: 'data:image/png;base64,iVBORw0KGgo=', detail: 'low' },
          {
            type: 'input_file',
            filename: 'a.pdf',
            file_data: 'data:application/pdf;base64,JVBERi0=',
          },
        ],
      },
      {
        type: 'reasoning',
        summary: [{ type: 'summary_text', text: 'Look.' }],
        encrypted_content: 'gAAAA',
      },
      { type: 'function_call', call_id: 'call_a', name: 'read', arguments: '{"path": "a"}' },
      { type: 'function_call', call_id: 'call_b', name: 'read', arguments: '{}' },
      { type: 'function_call_output', call_id: 'call_a', output: 'A' },
      { type: 'function_call_output', call_id: 'call_b', output: 'B' },
    ],
    tools: [
      {
        type: 'function',
        name: 'read',
        parameters: { type: 'object', properties: { path: { type: 'string' } } },
        strict: false,
      },
    ],
    tool_choice: { type: 'function', name: 'read' },
    parallel_tool_calls: true,
    max_output_tokens: 16,
    text: {
      format: { type: 'json_schema', name: 'out', schema: { type: 'object' }, strict: true },
    },
    reasoning: { effort: 'low', summary: 'auto' },
    include: ['reasoning.encrypted_content'],
    store: false,
    stream: true,
  });
  assert.deepEqual(
    losses.map((loss) => [loss.path, loss.changesMeaning]),
    [
      ['reasoning.effort', false],
      ['outputTokensMax', false],
      ['temperature', false],
    ],
  );
});

test('what the Responses API cannot say is a loss, and one with meaning where it changes the answer', () => {
  const { losses } = encode(
    { ...chat, stop: ['END'], choiceCount: 2, seed: 1, modalities: ['audio'], topK: 5 },
    {},
  );
  const meaning = new Map(losses.map((loss) => [loss.path, loss.changesMeaning]));
  assert.deepEqual(
    ['stop', 'choiceCount', 'modalities', 'seed', 'topK'].map((path) => meaning.get(path)),
    [true, true, true, false, false],
  );
});

test('state of another vendor is never sent, and its thinking without state is dropped', () => {
  const state = { issuer: 'anthropic-messages', form: 'signature', value: 'c2ln' } as const;
  const messages = [
    { role: 'user', parts: [{ kind: 'text', text: 'x' }] },
    {
      role: 'assistant',
      parts: [
        { kind: 'reasoning', form: 'full', text: 'hm', state },
        { kind: 'tool-call', id: 'a', name: 'f', input: '{}', state },
      ],
    },
  ] as const;
  const { value, losses } = encode({ ...chat, messages, temperature: undefined }, {});
  assert.ok(!JSON.stringify(value).includes('c2ln'));
  assert.deepEqual(
    asObjects(value['input']).map((item) => item['type'] ?? 'message'),
    ['message', 'function_call'],
  );
  assert.ok(
    losses.some((loss) => loss.path === 'messages[1].parts[0].state' && !loss.changesMeaning),
  );
});

test('reasoning without the item that followed it is not sent', () => {
  const state = { issuer: 'openai-responses', form: 'encrypted_content', value: 'gA' } as const;
  const reasoning = { kind: 'reasoning', form: 'redacted', text: '', state } as const;
  const messages = [
    { role: 'assistant', parts: [reasoning, reasoning] },
    { role: 'user', parts: [{ kind: 'text', text: 'go on' }] },
    { role: 'assistant', parts: [reasoning] },
  ] as const;
  const { value, losses } = encode({ ...chat, messages }, {});
  assert.deepEqual(
    asObjects(value['input']).map((item) => item['type'] ?? item['role']),
    ['user'],
  );
  assert.equal(losses.filter((loss) => loss.reason.includes('without the answer')).length, 3);
});

test('call ids that are too long are mapped alike on call and result', () => {
  const long = 'x'.repeat(65);
  const messages = [
    { role: 'assistant', parts: [{ kind: 'tool-call', id: long, name: 'f', input: '{}' }] },
    { role: 'tool', parts: [{ kind: 'tool-result', id: long, parts: [] }] },
  ] as const;
  const items = asObjects(encode({ ...chat, messages }, {}).value['input']);
  assert.equal(items[0]?.['call_id'], items[1]?.['call_id']);
  assert.ok(String(items[0]?.['call_id']).length <= 64);
});

test('media of a tool result move into a user message where the vendor takes only text', () => {
  const image = {
    kind: 'media',
    media: 'image',
    mimeType: 'image/png',
    source: { kind: 'data', data: 'iVBORw0KGgo=' },
  } as const;
  const messages = [
    {
      role: 'tool',
      parts: [{ kind: 'tool-result', id: 'a', parts: [{ kind: 'text', text: 'see' }, image] }],
    },
  ] as const;
  const list = asObjects(encode({ ...chat, messages }, {}).value['input']);
  assert.equal(asObjects(list[0]?.['output'])[1]?.['type'], 'input_image');
  const moved = asObjects(
    encode({ ...chat, messages }, { toolResultMedia: 'user' }).value['input'],
  );
  assert.equal(moved[0]?.['output'], 'see');
  assert.equal(asObjects(moved[1]?.['content'])[0]?.['type'], 'input_image');
});

test('web search of other dialects becomes the target’s own', () => {
  const value = {
    type: 'web_search_20250305',
    name: 'web_search',
    allowed_domains: ['example.org'],
    max_uses: 3,
  };
  const tools = [{ kind: 'web-search', native: { dialect: 'anthropic-messages', value } }] as const;
  const { value: wire, losses } = encode({ ...chat, tools, toolChoice: undefined }, {});
  assert.deepEqual(wire['tools'], [
    { type: 'web_search', filters: { allowed_domains: ['example.org'] } },
  ]);
  assert.ok(losses.some((loss) => loss.path === 'tools[0].max_uses'));
});

test('an absent strict is the default only where the schema can be strict', () => {
  const closed = {
    type: 'object',
    properties: { a: { type: 'string' } },
    required: ['a'],
    additionalProperties: false,
  };
  const open = { type: 'object', properties: { a: { type: 'string' } } };
  const { tools } = decode(
    {
      model: 'm',
      input: 'x',
      tools: [
        { type: 'function', name: 'c', parameters: closed },
        { type: 'function', name: 'o', parameters: open },
      ],
    },
    {},
  );
  assert.deepEqual(
    tools.map((tool) => (tool.kind === 'function' ? tool.strict : 'no function')),
    [true, undefined],
  );
  assert.ok(!isStrictSchema({ ...closed, properties: { a: open }, required: ['a'] }));
});

test('state that only a vendor could hold is refused with the remedy', () => {
  const refusal = (wire: JsonObject): ReadError => {
    try {
      decode({ model: 'm', input: 'x', ...wire }, {});
    } catch (error) {
      if (error instanceof ReadError) return error;
    }
    return assert.fail('expected a ReadError');
  };
  assert.match(refusal({ background: true }).message, /stream/);
  assert.match(refusal({ conversation: 'conv_1' }).message, /previous_response_id/);
  assert.match(refusal({ previous_response_id: 'resp_9' }).message, /resp_9/);
  assert.match(refusal({ input: [{ type: 'item_reference', id: 'msg_7' }] }).message, /msg_7/);
  assert.equal(
    refusal({ input: [{ role: 'user', content: [{ type: 'input_text', text: 5 }] }] }).path,
    'input[0].content[0].text',
  );
});

test('items of one answer are one turn, and phase and unknown fields come back', () => {
  const input: JsonValue = [
    { role: 'user', content: 'x' },
    { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'gA' },
    {
      type: 'message',
      id: 'msg_1',
      role: 'assistant',
      status: 'completed',
      phase: 'commentary',
      content: [{ type: 'output_text', text: 'I look.', annotations: [] }],
    },
    {
      type: 'web_search_call',
      id: 'ws_1',
      status: 'completed',
      action: { type: 'search', query: 'q' },
    },
    {
      type: 'function_call',
      id: 'fc_1',
      call_id: 'c1',
      name: 'f',
      arguments: '{}',
      namespace: 'n',
    },
    { type: 'function_call_output', call_id: 'c1', output: [{ type: 'input_text', text: 'r' }] },
    { type: 'custom_tool_call', id: 'ctc_1', call_id: 'c2', name: 'g', input: 'free text' },
    { type: 'custom_tool_call_output', call_id: 'c2', output: 'ok' },
  ];
  const request = decode(
    { model: 'm', input, include: ['web_search_call.action.sources'], truncation: 'auto' },
    {},
  );
  assert.deepEqual(
    request.messages.map((message) => [message.role, message.parts.map((part) => part.kind)]),
    [
      ['user', ['text']],
      ['assistant', ['reasoning', 'text', 'native', 'tool-call']],
      ['tool', ['tool-result']],
      ['assistant', ['tool-call']],
      ['tool', ['tool-result']],
    ],
  );
  const { value, losses } = encode(request, {});
  assert.deepEqual(losses, []);
  assert.deepEqual(value['input'], [
    { role: 'user', content: 'x' },
    { type: 'reasoning', summary: [], encrypted_content: 'gA' },
    {
      type: 'message',
      role: 'assistant',
      content: [{ type: 'output_text', text: 'I look.' }],
      phase: 'commentary',
    },
    {
      type: 'web_search_call',
      id: 'ws_1',
      status: 'completed',
      action: { type: 'search', query: 'q' },
    },
    { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}', namespace: 'n' },
    { type: 'function_call_output', call_id: 'c1', output: 'r' },
    { type: 'custom_tool_call', call_id: 'c2', name: 'g', input: 'free text' },
    { type: 'custom_tool_call_output', call_id: 'c2', output: 'ok' },
  ]);
  assert.deepEqual(value['include'], ['web_search_call.action.sources']);
  assert.equal(value['truncation'], 'auto');
});

test('allowed tools and named custom tools keep their types', () => {
  const tools = [
    { type: 'function', name: 'f', parameters: {} },
    { type: 'custom', name: 'g', format: { type: 'text' } },
  ];
  const choice = {
    type: 'allowed_tools',
    mode: 'required',
    tools: [
      { type: 'function', name: 'f' },
      { type: 'custom', name: 'g' },
    ],
  };
  const request = decode({ model: 'm', input: 'x', tools, tool_choice: choice }, {});
  assert.deepEqual(request.toolChoice, { kind: 'allowed', mode: 'required', names: ['f', 'g'] });
  assert.deepEqual(encode(request, {}).value['tool_choice'], choice);
  const named = decode(
    { model: 'm', input: 'x', tools, tool_choice: { type: 'custom', name: 'g' } },
    {},
  );
  assert.deepEqual(encode(named, {}).value['tool_choice'], { type: 'custom', name: 'g' });
});

test('quirks: refused fields, a system role, no reasoning, an upstream that cannot fetch', () => {
  const request = decode(
    {
      model: 'm',
      input: [
        { role: 'developer', content: 'd' },
        {
          role: 'user',
          content: [{ type: 'input_image', image_url: 'https://example.org/a.png' }],
        },
      ],
      metadata: { a: 'b' },
      text: { verbosity: 'low' },
      reasoning: { effort: 'high' },
    },
    {},
  );
  const { value, losses } = encode(request, {
    refusedFields: ['metadata', 'text.verbosity', 'store'],
    systemRole: 'system',
    reasoningRefused: true,
  });
  assert.equal(asObjects(value['input'])[0]?.['role'], 'system');
  assert.deepEqual(
    [value['metadata'], value['text'], value['reasoning'], value['store']],
    [undefined, undefined, undefined, undefined],
  );
  assert.deepEqual(losses.map((loss) => loss.path).toSorted(), [
    'metadata',
    'reasoning',
    'text.verbosity',
  ]);
  assert.deepEqual(openaiResponses.request.urlsToInline(request, { fetchesUrls: false }), [
    'https://example.org/a.png',
  ]);
  assert.deepEqual(openaiResponses.request.urlsToInline(request, {}), []);
  const folded = encode(request, { systemRole: 'instructions' }).value;
  assert.equal(folded['instructions'], 'd');
});
