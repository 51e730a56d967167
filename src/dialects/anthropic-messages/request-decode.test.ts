import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asObjects, ReadError, type JsonObject } from '#std';
import { openaiChat } from '../openai-chat/index.ts';
import { anthropicMessages } from './index.ts';
import { messagesMax, partsMax, toolsMax } from './limits.ts';
import { own, encoded, roundTrip, contents } from './messages-rig.ts';

const { decode, encode } = anthropicMessages.request;

test('unknown fields at every level come back where they were', () => {
  const wire: JsonObject = {
    model: 'claude',
    max_tokens: 100,
    container: 'c_1',
    mcp_servers: [{ type: 'url', url: 'https://mcp.test', name: 'm' }],
    metadata: { user_id: 'u1', other: 1 },
    output_config: {
      effort: 'high',
      task_budget: { type: 'tokens', total: 5 },
      format: { type: 'json_schema', schema: { minimum: 1 } },
    },
    thinking: { type: 'adaptive', display: 'summarized', later: true },
    system: [
      {
        type: 'text',
        text: 'Be brief.',
        cache_control: { type: 'ephemeral', ttl: '1h' },
        mood: 'calm',
      },
    ],
    tools: [
      {
        name: 'look_up',
        input_schema: { type: 'object' },
        defer_loading: true,
        input_examples: [{}],
      },
      { type: 'bash_20250124', name: 'bash' },
      { type: 'web_search_20260318', name: 'web_search', max_uses: 3 },
    ],
    tool_choice: { type: 'any', disable_parallel_tool_use: false },
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Hello.', trace: 1 }], note: 'n' },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Hm.', signature: 'sig' },
          { type: 'redacted_thinking', data: 'xyz' },
          { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: { query: 'q' } },
          {
            type: 'web_search_tool_result',
            tool_use_id: 'srvtoolu_1',
            content: [{ type: 'web_search_result', url: 'https://a.test' }],
          },
          {
            type: 'text',
            text: 'So.',
            citations: [
              { type: 'web_search_result_location', url: 'https://a.test', encrypted_index: 'E' },
            ],
          },
          {
            type: 'tool_use',
            id: 'toolu_1',
            name: 'look_up',
            input: { a: 1 },
            caller: { type: 'direct' },
          },
        ],
      },
      {
        role: 'user',
        content: [
          {
            type: 'tool_result',
            tool_use_id: 'toolu_1',
            content: [{ type: 'tool_reference', tool_name: 'x' }],
            is_error: true,
          },
          {
            type: 'document',
            source: { type: 'content', content: [{ type: 'text', text: 'Doc.' }] },
            citations: { enabled: true },
            context: 'c',
          },
          {
            type: 'search_result',
            source: 'https://s.test',
            title: 'T',
            content: [{ type: 'text', text: 'Found.' }],
          },
          { type: 'container_upload', file_id: 'file_1' },
        ],
      },
    ],
  };
  const { value, losses } = encode(decode(wire, {}), {});
  assert.deepEqual(losses, []);
  assert.deepEqual(value, wire);
});

test('all sources of images and documents survive', () => {
  const content = [
    { type: 'image', source: { type: 'base64', media_type: 'image/heic', data: 'AAAA' } },
    { type: 'image', source: { type: 'url', url: 'https://a.test/b.png' } },
    { type: 'image', source: { type: 'file', file_id: 'file_1' } },
    { type: 'image', source: { type: 'from_the_future', key: 1 } },
    {
      type: 'document',
      source: { type: 'base64', media_type: 'application/pdf', data: 'JVBE' },
      title: 'Paper',
    },
    { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'Plain.' } },
    { type: 'document', source: { type: 'url', url: 'https://a.test/c.pdf' } },
    {
      type: 'document',
      source: {
        type: 'content',
        content: [{ type: 'image', source: { type: 'url', url: 'https://a.test' } }],
      },
    },
  ];
  const wire = { model: 'claude', max_tokens: 1, messages: [{ role: 'user', content }] };
  assert.deepEqual(roundTrip(wire), wire);
});

test('a document given as content blocks is text to other dialects', () => {
  const source = {
    type: 'content',
    content: [
      { type: 'text', text: 'One.' },
      { type: 'text', text: 'Two.' },
    ],
  };
  const { messages } = own({
    messages: [{ role: 'user', content: [{ type: 'document', source }] }],
  });
  const [part] = messages[0]?.parts ?? [];
  assert.ok(part?.kind === 'media');
  assert.deepEqual(part.source, { kind: 'text', text: 'One.\nTwo.' });
});

test('a user turn is split into results and the rest, and joined again', () => {
  const content = [
    { type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text', text: '1' }] },
    { type: 'tool_result', tool_use_id: 'b', content: [{ type: 'text', text: '2' }] },
    { type: 'text', text: 'And now?' },
  ];
  const request = own({ messages: [{ role: 'user', content }] });
  assert.deepEqual(
    request.messages.map(({ role }) => role),
    ['tool', 'user'],
  );
  assert.deepEqual(contents(encoded(request)), [['user', content]]);
});

test('errors name the field', () => {
  const fails = (fields: JsonObject, path: string): void => {
    assert.throws(
      () => own(fields),
      (error) => error instanceof ReadError && error.path === path,
      path,
    );
  };
  fails({ messages: 'x' }, 'messages');
  fails({ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].role');
  fails({ messages: [{ content: 'x' }] }, 'messages[0].role');
  fails(
    { messages: [{ role: 'user', content: [{ type: 'text' }] }] },
    'messages[0].content[0].text',
  );
  fails(
    { messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 1 }] }] },
    'messages[0].content[0].tool_use_id',
  );
  fails(
    {
      messages: [
        { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'b', input: '{}' }] },
      ],
    },
    'messages[0].content[0].input',
  );
  fails({ system: [{ type: 'text', text: 3 }] }, 'system[0].text');
  fails({ max_tokens: 1.5 }, 'max_tokens');
  fails({ temperature: 1.5 }, 'temperature');
  fails({ thinking: { type: 'enabled' } }, 'thinking.budget_tokens');
  fails({ tools: [{ name: 'x' }] }, 'tools[0].input_schema');
  fails({ tool_choice: { type: 'tool' } }, 'tool_choice.name');
  fails({ model: undefined }, 'model');
});

test('count_tokens has no max_tokens, and the model may stand in the path', () => {
  const wire = { messages: [{ role: 'user', content: 'Hello.' }] };
  const request = decode(wire, { model: 'claude-in-the-path', stream: true });
  assert.equal(request.model, 'claude-in-the-path');
  assert.equal(request.outputTokensMax, undefined);
  assert.equal(request.stream, true);
});

test('the number of messages, blocks and tools is bounded', () => {
  const message = { role: 'user', content: 'x' };
  const fails = (fields: JsonObject, path: string): void => {
    assert.throws(
      () => own(fields),
      (error) => error instanceof ReadError && error.path === path,
    );
  };
  fails({ messages: Array.from({ length: messagesMax + 1 }, () => message) }, 'messages');
  const block = { type: 'text', text: 'x' };
  const content = Array.from({ length: partsMax + 1 }, () => block);
  fails({ messages: [{ role: 'user', content }] }, 'messages[0].content');
  const tool = { name: 'x', input_schema: {} };
  fails({ tools: Array.from({ length: toolsMax + 1 }, () => tool) }, 'tools');
});

test('the tools that a search of tools has found are named to other vendors, and sent to its own as they came', () => {
  const content = [{ type: 'tool_reference', tool_name: 'look_up' }];
  const messages = [
    { role: 'user', content: 'Find a tool.' },
    { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'search', input: {} }] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content }] },
  ];
  const request = own({ messages });
  const [, , sent] = asObjects(encoded(request).value['messages']);
  assert.deepEqual(asObjects(sent?.['content'])[0]?.['content'], content);
  const chat = asObjects(openaiChat.request.encode(request, {}).value['messages']);
  assert.equal(chat.at(-1)?.['content'], 'look_up');
});
