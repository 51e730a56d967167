import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unwrapState, wrapState, type ChatRequest, type Message, type Part } from '#canonical';
import { asArray, asObject, ReadError, type JsonObject } from '#std';
import { anthropicMessages, geminiGenerate, openaiChat, openaiResponses } from '../index.ts';

const { request: codec } = geminiGenerate;

function read(wire: JsonObject): ChatRequest {
  return codec.decode(wire, { model: 'm', stream: false });
}

/** A request as the chat dialect would have read it. */
function foreign(messages: readonly Message[], fields: Partial<ChatRequest> = {}): ChatRequest {
  return {
    dialect: 'openai-chat',
    model: 'm',
    messages,
    tools: [],
    stream: false,
    streamUsage: true,
    extensions: {},
    ...fields,
  };
}

function contents(request: ChatRequest, quirks: JsonObject = {}): unknown {
  return codec.encode(request, quirks).value['contents'];
}

const call = (id: string, fields: Partial<Extract<Part, { kind: 'tool-call' }>> = {}): Part => ({
  kind: 'tool-call',
  id,
  name: 'add',
  input: '{"a":1}',
  ...fields,
});
const result = (id: string, text: string): Part => ({
  kind: 'tool-result',
  id,
  parts: [{ kind: 'text', text }],
});

test('snake_case and camelCase read alike', () => {
  const snake = {
    system_instruction: { parts: { text: 's' } },
    contents: [{ parts: [{ inline_data: { mime_type: 'image/png', data: 'AA==' } }] }],
    generation_config: {
      max_output_tokens: 5,
      thinking_config: { thinking_budget: 0, include_thoughts: true },
    },
    tool_config: { function_calling_config: { mode: 'any', allowed_function_names: ['f'] } },
  };
  const camel = {
    systemInstruction: { parts: [{ text: 's' }] },
    contents: [{ parts: [{ inlineData: { mimeType: 'image/png', data: 'AA==' } }] }],
    generationConfig: {
      maxOutputTokens: 5,
      thinkingConfig: { thinkingBudget: 0, includeThoughts: true },
    },
    toolConfig: { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['f'] } },
  };
  assert.deepEqual(read(snake), read(camel));
  assert.deepEqual(read(camel).toolChoice, { kind: 'tool', name: 'f' });
});

test('fields only Gemini knows survive, at their place', () => {
  const wire = {
    contents: [{ role: 'user', parts: [{ text: 'a', partMetadata: { x: 1 } }] }],
    safetySettings: [{ category: 1, threshold: 2 }],
    cachedContent: 'cachedContents/1',
    generationConfig: { temperature: 1, imageConfig: { aspectRatio: '1:1' } },
    toolConfig: { retrievalConfig: { languageCode: 'de' } },
    tools: [{ codeExecution: {} }, { googleSearch: { excludeDomains: ['x'] } }],
  };
  assert.deepEqual(codec.encode(read(wire), {}), { value: wire, losses: [] });
});

test('a stored beginning of the conversation is nothing that another vendor may drop', () => {
  const request = read({ contents: [], cachedContent: 'cachedContents/1' });
  assert.deepEqual(request.tools, [
    {
      kind: 'native',
      dialect: 'gemini-generate',
      type: 'cachedContent',
      value: { cachedContent: 'cachedContents/1' },
    },
  ]);
});

test('wrong types are refused with the path of the field', () => {
  const cases: readonly (readonly [JsonObject, string])[] = [
    [{}, 'contents'],
    [{ contents: [{ role: 'robot', parts: [] }] }, 'contents[0].role'],
    [{ contents: [{ parts: [{ text: 1 }] }] }, 'contents[0].parts[0].text'],
    [{ contents: [{ parts: [{}] }] }, 'contents[0].parts[0]'],
    [{ contents: [], generationConfig: { temperature: 3 } }, 'generationConfig.temperature'],
    [
      { contents: [], generationConfig: { thinkingConfig: { thinkingLevel: 'HUGE' } } },
      'generationConfig.thinkingConfig.thinkingLevel',
    ],
    [
      { contents: [], tools: [{ functionDeclarations: [{}] }] },
      'tools[0].functionDeclarations[0].name',
    ],
  ];
  for (const [wire, path] of cases) {
    assert.throws(
      () => read(wire),
      (error) => error instanceof ReadError && error.path === path,
      path,
    );
  }
});

test('calls without ids get ids of their place, and results find them by name and order', () => {
  const functionCall = { name: 'add', args: {} };
  const functionResponse = { name: 'add', response: { result: '1' } };
  const wire = {
    contents: [
      {
        role: 'model',
        parts: [{ functionCall }, { functionCall: { name: 'mul', args: {} } }, { functionCall }],
      },
      {
        role: 'user',
        parts: [
          { functionResponse: { ...functionResponse, name: 'mul' } },
          { functionResponse },
          { functionResponse },
          { text: 'go on' },
        ],
      },
    ],
  };
  const request = read(wire);
  const ids = request.messages.map(({ parts }) =>
    parts.map((part) => ('id' in part ? part.id : '')),
  );
  assert.deepEqual(ids, [
    ['call_gm0_0', 'call_gm0_1', 'call_gm0_2'],
    ['call_gm0_1', 'call_gm0_0', 'call_gm0_2'],
    [''],
  ]);
  assert.deepEqual(codec.encode(request, {}).value, wire);
});

test('ids of the client are sent, unless the model takes none', () => {
  const request = foreign([
    { role: 'assistant', parts: [call('call_1')] },
    { role: 'tool', parts: [result('call_1', '2')] },
  ]);
  assert.deepEqual(contents(request), [
    { role: 'model', parts: [{ functionCall: { id: 'call_1', name: 'add', args: { a: 1 } } }] },
    {
      role: 'user',
      parts: [{ functionResponse: { id: 'call_1', name: 'add', response: { result: '2' } } }],
    },
  ]);
  assert.ok(!JSON.stringify(contents(request, { toolIdsInParts: false })).includes('call_1'));
});

test('parallel results are one turn, before the words of the user, with media after them', () => {
  const picture: Part = {
    kind: 'media',
    media: 'image',
    mimeType: 'image/png',
    source: { kind: 'data', data: 'AA==' },
  };
  const withPicture: Part = {
    kind: 'tool-result',
    id: 'b',
    parts: [{ kind: 'text', text: 'see' }, picture],
  };
  const request = foreign([
    { role: 'assistant', parts: [call('a'), call('b')] },
    { role: 'tool', parts: [result('a', '1')] },
    { role: 'tool', parts: [withPicture] },
    { role: 'user', parts: [{ kind: 'text', text: 'well?' }] },
  ]);
  const turn = asObject(asArray(codec.encode(request, {}).value['contents'])?.[1]);
  assert.deepEqual(
    asArray(turn?.['parts'])?.map((part) => Object.keys(asObject(part) ?? {})[0]),
    ['functionResponse', 'functionResponse', 'inlineData', 'text'],
  );
  const inside = JSON.stringify(contents(request, { functionResponseParts: true }));
  assert.ok(inside.includes('"parts":[{"inlineData"'));
});

test('errors of tools and objects keep their form', () => {
  const failed: Part = {
    kind: 'tool-result',
    id: 'a',
    name: 'add',
    isError: true,
    parts: [{ kind: 'text', text: 'no' }],
  };
  const text = JSON.stringify(contents(foreign([{ role: 'tool', parts: [failed] }])));
  assert.ok(text.includes('"response":{"error":"no"}'));
  const wire = {
    contents: [
      {
        role: 'user',
        parts: [
          { functionResponse: { name: 'f', response: { output: { deep: [1, 2] }, other: null } } },
        ],
      },
    ],
  };
  assert.deepEqual(codec.encode(read(wire), {}).value, wire);
});

test('instructions are one: joined by a blank line, and a prompt when nothing else is said', () => {
  const system = (text: string): Message => ({ role: 'system', parts: [{ kind: 'text', text }] });
  const user: Message = { role: 'user', parts: [{ kind: 'text', text: 'hi' }] };
  const { value, losses } = codec.encode(
    foreign([system('a'), user, { ...system('b'), role: 'developer' }]),
    {},
  );
  assert.deepEqual(value['systemInstruction'], { parts: [{ text: 'a\n\nb' }] });
  assert.equal(losses.length, 1);
  assert.deepEqual(contents(foreign([system('only')])), [
    { role: 'user', parts: [{ text: 'only' }] },
  ]);
});

test('state goes back to its issuer only; elsewhere it is dropped and said, or wrapped for a client', () => {
  const own: Part = call('a', {
    state: { issuer: 'gemini-generate', value: 'sig', form: 'thoughtSignature' },
  });
  const other: Part = {
    kind: 'reasoning',
    text: 't',
    form: 'full',
    state: { issuer: 'anthropic-messages', value: 'x', form: 'signature' },
  };
  const request = foreign([{ role: 'assistant', parts: [other, own] }]);
  const { value, losses } = codec.encode(request, {});
  assert.deepEqual(JSON.stringify(value['contents']).match(/"thoughtSignature":"[^"]*"/g), [
    '"thoughtSignature":"sig"',
  ]);
  assert.deepEqual(
    losses.map(({ reason }) => reason),
    ['opaque state of anthropic-messages'],
  );
  const answer = {
    dialect: 'anthropic-messages' as const,
    id: 'r',
    model: 'm',
    choices: [{ index: 0, parts: [other], finish: { reason: 'stop' as const, raw: 'end_turn' } }],
    extensions: {},
  };
  const [candidate] =
    asArray(geminiGenerate.response.encode(answer, request).value['candidates']) ?? [];
  const carried = read({ contents: [asObject(candidate)?.['content'] ?? {}] });
  assert.deepEqual(JSON.parse(JSON.stringify(carried.messages[0]?.parts[0])), other);
});

test('state that ended a streamed thought goes back onto the thought', () => {
  const state = { issuer: 'anthropic-messages' as const, value: 'x', form: 'signature' };
  const wire = {
    contents: [
      { role: 'model', parts: [{ text: 'th', thought: true }] },
      { role: 'model', parts: [{ text: 'ink', thought: true }] },
      {
        role: 'model',
        parts: [{ text: '', thought: true, thoughtSignature: wrapState(state) }, { text: 'so' }],
      },
      { role: 'model', parts: [{ text: '' }] },
    ],
  };
  const [message] = read(wire).messages;
  assert.deepEqual(
    message?.parts.map((part) => [part.kind, 'text' in part ? part.text : '', part.state?.value]),
    [
      ['reasoning', 'think', 'x'],
      ['text', 'so', undefined],
    ],
  );
  assert.ok(unwrapState(wrapState(state)));
});

test('the sentinel stands on the first call of each step of the open turn that has no signature', () => {
  const user: Message = { role: 'user', parts: [{ kind: 'text', text: 'q' }] };
  const step = (id: string, signed: boolean): Message[] => [
    {
      role: 'assistant',
      parts: [
        call(
          id,
          signed
            ? { state: { issuer: 'gemini-generate', value: 'sig', form: 'thoughtSignature' } }
            : {},
        ),
        call(`${id}2`),
      ],
    },
    { role: 'tool', parts: [result(id, ''), result(`${id}2`, '')] },
  ];
  const request = foreign([
    user,
    ...step('old', false),
    user,
    ...step('a', true),
    ...step('b', false),
  ]);
  const signatures = JSON.stringify(contents(request, { signatureSentinel: true })).match(
    /"thoughtSignature":"[^"]*"/g,
  );
  assert.deepEqual(signatures, [
    '"thoughtSignature":"sig"',
    '"thoughtSignature":"skip_thought_signature_validator"',
  ]);
});

test('thinking is asked in the terms of the model', () => {
  const config = (reasoning: ChatRequest['reasoning'], quirks: JsonObject): unknown =>
    asObject(
      codec.encode(foreign([], reasoning ? { reasoning } : {}), quirks).value['generationConfig'],
    )?.['thinkingConfig'];
  assert.deepEqual(config({ effort: 'medium' }, {}), {
    includeThoughts: true,
    thinkingLevel: 'MEDIUM',
  });
  assert.deepEqual(config({ effort: 'medium' }, { thinkingLevels: ['LOW', 'HIGH'] }), {
    includeThoughts: true,
    thinkingLevel: 'LOW',
  });
  assert.deepEqual(config({ effort: 'high', summary: 'none' }, { thinking: 'budget' }), {
    includeThoughts: false,
    thinkingBudget: 16_384,
  });
  assert.deepEqual(config({ effort: 'none' }, { thinking: 'budget', thinkingBudgetMin: 128 }), {
    thinkingBudget: 128,
  });
  assert.deepEqual(config({ budgetTokens: 9_000 }, {}), {
    includeThoughts: true,
    thinkingLevel: 'HIGH',
  });
  assert.deepEqual(config({ mode: 'adaptive' }, { thinking: 'budget' }), {
    includeThoughts: true,
    thinkingBudget: -1,
  });
  assert.equal(config({ effort: 'high' }, { thinking: 'none' }), undefined);
});

test('addresses are inlined first, except where Google fetches itself', () => {
  const media = (url: string): Part => ({
    kind: 'media',
    media: 'image',
    source: { kind: 'url', url },
  });
  const request = foreign([
    {
      role: 'user',
      parts: [
        media('https://x.test/a.png'),
        media('https://youtu.be/1'),
        media('https://x.test/a.png'),
      ],
    },
  ]);
  assert.deepEqual(codec.urlsToInline(request, {}), ['https://x.test/a.png']);
  assert.deepEqual(codec.urlsToInline(request, { fetchesUrls: true }), []);
});

test('what has no place is a loss; what would change the meaning says so', () => {
  const request = foreign([], {
    logitBias: { 1: 2 },
    stop: ['1', '2', '3', '4', '5', '6'],
    tools: [
      { kind: 'native', dialect: 'openai-responses', type: 'code_interpreter', value: {} },
      { kind: 'custom', name: 'c' },
    ],
    extensions: { moderation: true },
  });
  const { losses, value } = codec.encode(request, {});
  assert.deepEqual(
    losses.filter(({ changesMeaning }) => changesMeaning).map(({ path }) => path),
    ['tools[0]', 'stop'],
  );
  assert.deepEqual(
    losses.filter(({ changesMeaning }) => !changesMeaning).map(({ path }) => path),
    ['tools[1]', 'logit_bias', 'moderation'],
  );
  assert.ok(JSON.stringify(value['tools']).includes('"input"'));
});

test('a voluntary subset of tools is what is declared, a forced one is named', () => {
  const tools = ['a', 'b', 'c'].map((name) => ({ kind: 'function' as const, name }));
  const some = codec.encode(
    foreign([], { tools, toolChoice: { kind: 'allowed', mode: 'auto', names: ['b'] } }),
    {},
  ).value;
  assert.deepEqual(some, {
    contents: [],
    tools: [{ functionDeclarations: [{ name: 'b' }] }],
    toolConfig: { functionCallingConfig: { mode: 'AUTO' } },
  });
  const forced = codec.encode(
    foreign([], { tools, toolChoice: { kind: 'allowed', mode: 'required', names: ['a', 'b'] } }),
    {},
  ).value;
  assert.deepEqual(forced['toolConfig'], {
    functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['a', 'b'] },
  });
});

test('a service tier by the name of what every object has is a loss like any unknown one', () => {
  const asked = foreign([{ role: 'user', parts: [{ kind: 'text', text: 'hi' }] }], {
    serviceTier: 'constructor',
  });
  const { value, losses } = codec.encode(asked, {});
  assert.equal('serviceTier' in value, false);
  assert.deepEqual(
    losses.map(({ path }) => path),
    ['service_tier'],
  );
});

test('a limit that stands in both spellings, or beside a request within the request, is refused', () => {
  const contents = [{ parts: [{ text: 'hi' }] }];
  for (const [wire, path] of [
    [{ generationConfig: { maxOutputTokens: 1 }, generation_config: {} }, 'generation_config'],
    [
      { generationConfig: { maxOutputTokens: 1, max_output_tokens: 5_000 } },
      'generationConfig.max_output_tokens',
    ],
    [{ generateContentRequest: { contents } }, 'generateContentRequest'],
  ] as const)
    assert.throws(
      () => read({ contents, ...wire }),
      (error: unknown) => error instanceof ReadError && error.path === path,
    );
});

test('validated calls are voluntary ones elsewhere, and themselves at Gemini', () => {
  const declarations = ['f', 'g'].map((name) => ({ name, description: 'd' }));
  for (const names of [undefined, ['f']]) {
    const functionCallingConfig = {
      mode: 'VALIDATED',
      ...(names ? { allowedFunctionNames: names } : {}),
    };
    const request = geminiGenerate.request.decode(
      {
        contents: [{ role: 'user', parts: [{ text: 'q' }] }],
        tools: [{ functionDeclarations: declarations }],
        toolConfig: { functionCallingConfig },
      },
      { model: 'm' },
    );
    const own = geminiGenerate.request.encode(request, {});
    assert.deepEqual(own.losses, []);
    assert.deepEqual(own.value['toolConfig'], { functionCallingConfig });
    assert.deepEqual(own.value['tools'], [{ functionDeclarations: declarations }]);
    for (const dialect of [openaiChat, openaiResponses, anthropicMessages]) {
      const { value, losses } = dialect.request.encode(request, {});
      const said = JSON.stringify(value['tool_choice'] ?? 'auto');
      assert.match(said, /"auto"/);
      assert.equal(
        JSON.stringify([value['tools'], said]).includes('"g"'),
        !names || said.includes('allowed'),
      );
      assert.ok(losses.some(({ path }) => path.startsWith('toolConfig')));
      assert.ok(losses.every(({ changesMeaning }) => !changesMeaning));
    }
  }
});
