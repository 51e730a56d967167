import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wrapState, type ChatRequest, type Encoded, type Message, type Part } from '#canonical';
import { asObject, asObjects, ReadError, type JsonObject, type JsonValue } from '#std';
import type { Quirks } from '../dialect.ts';
import { anthropicMessages } from './index.ts';

const { decode, encode, urlsToInline } = anthropicMessages.request;

const user = (...parts: readonly Part[]): Message => ({ role: 'user', parts });
const text = (value: string): Part => ({ kind: 'text', text: value });
const call = (id: string, input = '{}'): Part => ({ kind: 'tool-call', id, name: 'look_up', input });
const result = (id: string, value: string): Part => ({ kind: 'tool-result', id, parts: [{ kind: 'text', text: value }] });

/** A request as a chat client states it. */
function foreign(fields: Partial<ChatRequest>): ChatRequest {
  return {
    dialect: 'openai-chat',
    model: 'claude',
    messages: [user(text('Hello.'))],
    tools: [],
    stream: false,
    streamUsage: false,
    extensions: {},
    ...fields,
  };
}

function own(fields: JsonObject): ChatRequest {
  return decode({ model: 'claude', max_tokens: 100, messages: [{ role: 'user', content: 'Hello.' }], ...fields }, {});
}

function encoded(request: ChatRequest, quirks: Quirks = {}): Encoded<JsonObject> {
  return encode(request, quirks);
}

const lostPaths = (result: Encoded<JsonObject>): readonly string[] => result.losses.map(({ path }) => path);

const roundTrip = (wire: JsonObject): JsonObject => encode(decode(wire, {}), {}).value;

function contents(result: Encoded<JsonObject>): readonly JsonValue[] {
  return asObjects(result.value['messages']).map((message) => [message['role'] ?? null, message['content'] ?? null]);
}

const lookUp = { kind: 'function', name: 'look_up', parameters: { type: 'object' } } as const;

// ---- equal dialect ----------------------------------------------------------------------------

test('unknown fields at every level come back where they were', () => {
  const wire: JsonObject = {
    model: 'claude',
    max_tokens: 100,
    container: 'c_1',
    mcp_servers: [{ type: 'url', url: 'https://mcp.test', name: 'm' }],
    metadata: { user_id: 'u1', other: 1 },
    output_config: { effort: 'high', task_budget: { type: 'tokens', total: 5 }, format: { type: 'json_schema', schema: { minimum: 1 } } },
    thinking: { type: 'adaptive', display: 'summarized', later: true },
    system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral', ttl: '1h' }, mood: 'calm' }],
    tools: [
      { name: 'look_up', input_schema: { type: 'object' }, defer_loading: true, input_examples: [{}] },
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
          { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1', content: [{ type: 'web_search_result', url: 'https://a.test' }] },
          { type: 'text', text: 'So.', citations: [{ type: 'web_search_result_location', url: 'https://a.test', encrypted_index: 'E' }] },
          { type: 'tool_use', id: 'toolu_1', name: 'look_up', input: { a: 1 }, caller: { type: 'direct' } },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'toolu_1', content: [{ type: 'tool_reference', tool_name: 'x' }], is_error: true },
          { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'Doc.' }] }, citations: { enabled: true }, context: 'c' },
          { type: 'search_result', source: 'https://s.test', title: 'T', content: [{ type: 'text', text: 'Found.' }] },
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
    { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'JVBE' }, title: 'Paper' },
    { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'Plain.' } },
    { type: 'document', source: { type: 'url', url: 'https://a.test/c.pdf' } },
    { type: 'document', source: { type: 'content', content: [{ type: 'image', source: { type: 'url', url: 'https://a.test' } }] } },
  ];
  const wire = { model: 'claude', max_tokens: 1, messages: [{ role: 'user', content }] };
  assert.deepEqual(roundTrip(wire), wire);
});

test('a document given as content blocks is text to other dialects', () => {
  const source = { type: 'content', content: [{ type: 'text', text: 'One.' }, { type: 'text', text: 'Two.' }] };
  const { messages } = own({ messages: [{ role: 'user', content: [{ type: 'document', source }] }] });
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
  assert.deepEqual(request.messages.map(({ role }) => role), ['tool', 'user']);
  assert.deepEqual(contents(encoded(request)), [['user', content]]);
});

test('errors name the field', () => {
  const fails = (fields: JsonObject, path: string): void => {
    assert.throws(() => own(fields), (error) => error instanceof ReadError && error.path === path, path);
  };
  fails({ messages: 'x' }, 'messages');
  fails({ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].role');
  fails({ messages: [{ content: 'x' }] }, 'messages[0].role');
  fails({ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0].text');
  fails({ messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 1 }] }] }, 'messages[0].content[0].tool_use_id');
  fails({ messages: [{ role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'b', input: '{}' }] }] }, 'messages[0].content[0].input');
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

// ---- turns --------------------------------------------------------------------------------------

test('parallel results stand first in one user turn, ids are made legal alike', () => {
  const messages: readonly Message[] = [
    user(text('Add.')),
    { role: 'assistant', parts: [call('functions.add:0'), call('functions.add_0')] },
    { role: 'tool', parts: [result('functions.add:0', '1')] },
    { role: 'tool', parts: [result('functions.add_0', '2')] },
    user(text('Thanks.')),
  ];
  const [, assistant, answer] = contents(encoded(foreign({ messages, tools: [lookUp] })));
  const idsOf = (turn: JsonValue | undefined, key: string): readonly unknown[] => asObjects((turn as JsonValue[])[1]).map((block) => block[key]);
  assert.deepEqual(idsOf(assistant, 'id'), ['functions_add_0', 'functions_add_0_2']);
  assert.deepEqual(idsOf(answer, 'tool_use_id'), ['functions_add_0', 'functions_add_0_2', undefined]);
});

test('ids that a vendor repeats or leaves empty are told apart', () => {
  const turn = (value: string): readonly Message[] => [
    { role: 'assistant', parts: [call(value), call(value)] },
    { role: 'tool', parts: [result(value, '1'), result(value, '2')] },
  ];
  const { value, losses } = encoded(foreign({ messages: [user(text('x')), ...turn('call_0'), ...turn(''), ...turn('call_0')], tools: [lookUp] }));
  assert.deepEqual(losses, []);
  const blocks = asObjects(value['messages']).flatMap((message) => asObjects(message['content']));
  const called = blocks.flatMap(({ type, id }) => (type === 'tool_use' ? [id] : []));
  assert.deepEqual(called, ['call_0', 'call_0_2', 'call', 'call_2', 'call_0_3', 'call_0_4']);
  assert.deepEqual(blocks.flatMap((block) => (block['type'] === 'tool_result' ? [block['tool_use_id']] : [])), called);
});

test('a call without a result refuses the request and names the id', () => {
  const messages: readonly Message[] = [user(text('Add.')), { role: 'assistant', parts: [call('a'), call('b')] }, { role: 'tool', parts: [result('a', '1')] }];
  const { losses } = encoded(foreign({ messages, tools: [lookUp] }));
  assert.ok(losses.some(({ changesMeaning, reason, path }) => changesMeaning && reason.includes('"b"') && path === 'messages[1].parts[1]'));
  const orphan = encoded(foreign({ messages: [user(text('x')), { role: 'tool', parts: [result('z', '1')] }] }));
  assert.ok(orphan.losses.some(({ changesMeaning, reason }) => changesMeaning && reason.includes('"z"')));
});

test('system messages: the first ones at the top, later ones where the model takes them', () => {
  const messages: readonly Message[] = [
    { role: 'system', parts: [text('A')] },
    { role: 'developer', parts: [text('B')] },
    user(text('Hello.')),
    { role: 'system', parts: [text('C')] },
  ];
  const merged = encoded(foreign({ messages }));
  assert.deepEqual(merged.value['system'], [{ type: 'text', text: 'A' }, { type: 'text', text: 'B' }]);
  assert.deepEqual(contents(merged), [['user', [{ type: 'text', text: 'Hello.' }, { type: 'text', text: '<system>\nC\n</system>' }]]]);
  assert.deepEqual(lostPaths(merged), ['messages[3]']);
  const kept = encoded(foreign({ messages }), { systemRoleMidConversation: true });
  assert.deepEqual(contents(kept).at(-1), ['system', [{ type: 'text', text: 'C' }]]);
  assert.deepEqual(kept.losses, []);
});

test('the first turn is the user, neighbours are merged, empty text is left out', () => {
  const messages: readonly Message[] = [
    { role: 'assistant', parts: [text('Welcome. ')] },
    user(text('')),
    user(text('A')),
    user(text('B')),
    { role: 'assistant', parts: [text('Prefix:  \n')] },
  ];
  assert.deepEqual(contents(encoded(foreign({ messages }))), [
    ['user', [{ type: 'text', text: '…' }]],
    ['assistant', [{ type: 'text', text: 'Welcome. ' }]],
    ['user', [{ type: 'text', text: 'A' }, { type: 'text', text: 'B' }]],
    ['assistant', [{ type: 'text', text: 'Prefix:' }]],
  ]);
  const refused = encoded(foreign({ messages }), { prefillAllowed: false });
  assert.deepEqual(contents(refused).at(-1), ['user', [{ type: 'text', text: 'Continue.' }]]);
});

test('only the last four cache marks are kept', () => {
  const mark = { type: 'ephemeral' };
  const request = own({
    tools: [{ name: 'a', input_schema: { type: 'object' }, cache_control: mark }],
    system: [{ type: 'text', text: 'S', cache_control: mark }],
    messages: [{ role: 'user', content: ['1', '2', '3', '4'].map((value) => ({ type: 'text', text: value, cache_control: mark })) }],
  });
  const { value, losses } = encoded(request);
  assert.deepEqual(losses.map(({ path, changesMeaning }) => [path, changesMeaning]), [
    ['tools[0].cache_control', false],
    ['system[0].cache_control', false],
  ]);
  assert.equal(JSON.stringify(value).split('cache_control').length - 1, 4);
});

// ---- thinking -----------------------------------------------------------------------------------

test('state of other vendors is not sent, and the whole turn goes without thinking', () => {
  const thought = (issuer: 'anthropic-messages' | 'gemini-generate'): Part => ({
    kind: 'reasoning',
    form: 'full',
    text: 'Hm.',
    state: { issuer, value: 'v', form: 'signature' },
  });
  const messages: readonly Message[] = [
    user(text('One.')),
    { role: 'assistant', parts: [thought('anthropic-messages'), text('A')] },
    user(text('Two.')),
    { role: 'assistant', parts: [thought('anthropic-messages'), call('a')] },
    { role: 'tool', parts: [result('a', '1')] },
    { role: 'assistant', parts: [thought('gemini-generate'), call('b')] },
    { role: 'tool', parts: [result('b', '2')] },
  ];
  const sent = encoded(foreign({ messages, tools: [lookUp], reasoning: { effort: 'high' } }), { thinking: 'budget' });
  assert.deepEqual(lostPaths(sent), ['messages[3].parts[0]', 'messages[5].parts[0]', 'reasoning']);
  assert.equal(sent.value['thinking'], undefined);
  assert.equal(JSON.stringify(sent.value).split('"type":"thinking"').length - 1, 1);
});

test('wrapped state goes back onto the call that it belongs to', () => {
  const data = wrapState({ issuer: 'gemini-generate', value: 'sig', form: 'thoughtSignature', toolCallId: 'a' });
  const content = [
    { type: 'redacted_thinking', data },
    { type: 'tool_use', id: 'a', name: 'look_up', input: {} },
  ];
  const { messages } = own({ messages: [{ role: 'user', content: 'x' }, { role: 'assistant', content }] });
  const [part, ...others] = messages[1]?.parts ?? [];
  assert.deepEqual(others, []);
  assert.ok(part?.kind === 'tool-call');
  assert.equal(part.state?.issuer, 'gemini-generate');
  assert.equal(part.state?.value, 'sig');
});

test('effort becomes what the model takes', () => {
  const thinkingOf = (fields: Partial<ChatRequest>, quirks: Quirks): readonly unknown[] => {
    const { value } = encoded(foreign({ outputTokensMax: 20_000, ...fields }), quirks);
    return [value['thinking'], asObject(value['output_config'])?.['effort']];
  };
  const high = { reasoning: { effort: 'high' } } as const;
  assert.deepEqual(thinkingOf(high, {}), [{ type: 'adaptive' }, 'high']);
  assert.deepEqual(thinkingOf(high, { thinking: 'budget' }), [{ type: 'enabled', budget_tokens: 15_000 }, undefined]);
  assert.deepEqual(thinkingOf(high, { thinking: 'none' }), [undefined, undefined]);
  assert.deepEqual(thinkingOf({ reasoning: { effort: 'minimal' } }, {}), [{ type: 'adaptive' }, 'low']);
  assert.deepEqual(thinkingOf({ reasoning: { effort: 'xhigh' } }, { efforts: ['low', 'medium', 'high'] }), [{ type: 'adaptive' }, 'high']);
  assert.deepEqual(thinkingOf({ reasoning: { effort: 'none' } }, {}), [{ type: 'disabled' }, undefined]);
  assert.deepEqual(thinkingOf({ reasoning: { effort: 'none' } }, { thinking: 'adaptive', thinkingCanDisable: false }), [undefined, 'low']);
  assert.deepEqual(thinkingOf({ reasoning: { budgetTokens: 8000 } }, {}), [{ type: 'adaptive' }, 'medium']);
  assert.deepEqual(thinkingOf({ ...high, outputTokensMax: 1200 }, { thinking: 'budget' }), [undefined, undefined]);
});

test('a model that refuses budgets gets an effort from a client that sends one', () => {
  const request = own({ max_tokens: 20_000, thinking: { type: 'enabled', budget_tokens: 16_000 } });
  assert.deepEqual(encoded(request).value['thinking'], { type: 'enabled', budget_tokens: 16_000 });
  const moved = encoded(request, { thinking: 'adaptive' });
  assert.deepEqual(moved.value['thinking'], { type: 'adaptive' });
  assert.deepEqual(moved.value['output_config'], { effort: 'high' });
  assert.deepEqual(lostPaths(moved), ['reasoning.budgetTokens']);
});

// ---- tools, formats, sampling -------------------------------------------------------------------

test('tool choice in all its forms', () => {
  const choose = (fields: Partial<ChatRequest>, quirks: Quirks = {}): JsonValue | undefined =>
    encoded(foreign({ tools: [lookUp], ...fields }), quirks).value['tool_choice'];
  assert.deepEqual(choose({ toolChoice: { kind: 'required' } }), { type: 'any' });
  assert.deepEqual(choose({ toolChoice: { kind: 'tool', name: 'look_up' } }), { type: 'tool', name: 'look_up' });
  assert.deepEqual(choose({ toolChoice: { kind: 'none' }, parallelToolCalls: false }), { type: 'none' });
  assert.deepEqual(choose({ parallelToolCalls: false }), { type: 'auto', disable_parallel_tool_use: true });
  assert.equal(choose({ parallelToolCalls: true }), undefined);
  assert.deepEqual(choose({ toolChoice: { kind: 'required' } }, { forcedToolUse: false }), { type: 'auto' });
  assert.deepEqual(choose({ toolChoice: { kind: 'required' }, reasoning: { effort: 'low' } }), { type: 'auto' });
  assert.equal(choose({ toolChoice: { kind: 'auto' }, tools: [] }), undefined);
});

test('tools: custom ones take one text, foreign server tools refuse, web search is mapped', () => {
  const { value, losses } = encoded(
    foreign({
      tools: [
        { kind: 'custom', name: 'shell', format: { type: 'grammar', syntax: 'lark', definition: 'x' } },
        { kind: 'native', dialect: 'openai-responses', type: 'file_search', value: { type: 'file_search' } },
        { kind: 'web-search', native: { dialect: 'openai-responses', value: { type: 'web_search' } } },
        { kind: 'function', name: 'bare' },
      ],
    }),
  );
  const tools = asObjects(value['tools']);
  assert.deepEqual(tools.map(({ name }) => name), ['shell', 'web_search', 'bare']);
  assert.deepEqual(tools[1], { type: 'web_search_20250305', name: 'web_search' });
  assert.deepEqual(tools[2]?.['input_schema'], { properties: {}, type: 'object' });
  assert.ok(losses.some(({ path, changesMeaning, reason }) => changesMeaning && path === 'tools[1]' && reason.includes('file_search')));
});

const schema = {
  type: 'object',
  properties: { count: { type: 'integer', minimum: 1, description: 'How many.' }, kind: { oneOf: [{ const: 'a' }, { type: 'object', properties: {} }] } },
  required: ['count'],
};

test('a JSON schema is closed, its refused constraints are spoken and reported', () => {
  const sent = encoded(foreign({ responseFormat: { kind: 'json-schema', name: 'Answer', schema } }));
  const format = asObject(asObject(sent.value['output_config'])?.['format']);
  assert.deepEqual(format?.['schema'], {
    title: 'Answer',
    type: 'object',
    properties: {
      count: { type: 'integer', description: 'How many. (minimum: 1)' },
      kind: { anyOf: [{ const: 'a' }, { type: 'object', properties: {}, additionalProperties: false }] },
    },
    required: ['count'],
    additionalProperties: false,
  });
  assert.deepEqual(lostPaths(sent), ['responseFormat.schema.properties.count.minimum']);
});

test('a model without structured output gets a forced tool, whose call is text again in the answer', () => {
  const quirks = { structuredOutput: 'tool' };
  const { value } = encoded(foreign({ responseFormat: { kind: 'json-schema', schema } }), quirks);
  assert.equal(value['output_config'], undefined);
  assert.deepEqual(value['tool_choice'], { type: 'tool', name: 'json_answer' });
  assert.deepEqual(asObjects(value['tools'])[0]?.['input_schema'], schema);
  const answer = anthropicMessages.response.decode(
    { type: 'message', content: [{ type: 'tool_use', id: 't', name: 'json_answer', input: { count: 2 } }], stop_reason: 'tool_use' },
    quirks,
  );
  assert.deepEqual(answer.choices[0]?.parts, [{ kind: 'text', text: '{"count":2}' }]);
  assert.equal(answer.choices[0]?.finish.reason, 'stop');
  const other = encoded(foreign({ responseFormat: { kind: 'json-schema', schema }, tools: [lookUp] }), quirks);
  assert.deepEqual(other.value['tool_choice'], { type: 'any' });
});

test('sampling parameters by model', () => {
  const sampling = { temperature: 1.5, topP: 0.5, topK: 3 };
  const kept = encoded(foreign(sampling));
  assert.equal(kept.value['temperature'], 1);
  assert.deepEqual(lostPaths(kept), ['temperature']);
  assert.deepEqual(lostPaths(encoded(foreign(sampling), { samplingRefused: true })), ['temperature', 'topP', 'topK']);
  assert.equal(encoded(foreign(sampling), { temperatureOrTopP: true }).value['top_p'], undefined);
  const thinking = encoded(foreign({ ...sampling, reasoning: { effort: 'low' } }));
  assert.deepEqual([thinking.value['temperature'], thinking.value['top_p'], thinking.value['top_k']], [undefined, undefined, undefined]);
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
      logitBias: {},
      serviceTier: 'flex',
      metadata: { a: 'b' },
      extensions: { web_search_options: {} },
    }),
  );
  const severe = losses.filter(({ changesMeaning }) => changesMeaning).map(({ path }) => path);
  assert.deepEqual(severe.sort(), ['choiceCount', 'logprobs', 'modalities', 'stop']);
  const mild = losses.filter(({ changesMeaning }) => !changesMeaning).map(({ path }) => path);
  assert.deepEqual(mild.sort(), ['logitBias', 'metadata', 'seed', 'serviceTier', 'web_search_options']);
});

test('media: true type of pictures, text of text files, refusal of sound and strange files', () => {
  const media = (fields: Partial<Extract<Part, { kind: 'media' }>>): Part => ({ kind: 'media', media: 'image', source: { kind: 'data', data: '/9j/AAAA' }, ...fields });
  const sent = encoded(
    foreign({
      messages: [
        user(
          media({ mimeType: 'image/png' }),
          media({ media: 'document', mimeType: 'text/markdown', source: { kind: 'data', data: Buffer.from('# Hé').toString('base64') }, filename: 'a.md' }),
        ),
      ],
    }),
  );
  assert.deepEqual(contents(sent), [
    [
      'user',
      [
        { type: 'image', source: { type: 'base64', media_type: 'image/jpeg', data: '/9j/AAAA' } },
        { type: 'document', source: { type: 'text', media_type: 'text/plain', data: '# Hé' }, title: 'a.md' },
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
    assert.ok(encoded(foreign({ messages: [user(part)] })).losses.some(({ changesMeaning }) => changesMeaning));
  }
});

test('URLs that the upstream cannot load are named', () => {
  const picture = (url: string): Part => ({ kind: 'media', media: 'image', source: { kind: 'url', url } });
  const request = foreign({ messages: [user(picture('http://a.test'), picture('https://b.test')), user(picture('https://b.test'))] });
  assert.deepEqual(urlsToInline(request, {}), ['http://a.test']);
  assert.deepEqual(urlsToInline(request, { fetchesUrls: false }), ['http://a.test', 'https://b.test']);
});

test('the envelope of Vertex and Bedrock', () => {
  const { value } = encoded(foreign({ stream: true }), { modelInBody: false, streamInBody: false, bodyVersion: 'bedrock-2023-05-31', outputTokensDefault: 64_000 });
  assert.deepEqual(Object.keys(value), ['anthropic_version', 'max_tokens', 'messages']);
  assert.equal(value['max_tokens'], 64_000);
  assert.deepEqual(decode({ ...value, anthropic_version: 'x' }, { model: 'm' }).extensions, {});
});
