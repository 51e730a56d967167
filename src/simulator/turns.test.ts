import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatRequest, Message } from '#canonical';
import { answer } from './answer.ts';
import { scripted, type Turn } from './turns.ts';

const turns: readonly Turn[] = [
  { said: 'sunny', by: 'tool', text: 'Take a hat.', usage: { inputTokens: 9, outputTokens: 3 } },
  {
    said: 'weather',
    by: 'user',
    reasoning: 'I should look.',
    state: 'sealed',
    calls: [
      { tool: 'look', input: { city: 'Oslo' } },
      { tool: 'patch', input: 'free text' },
    ],
  },
];

const asked: Message = { role: 'user', parts: [{ kind: 'text', text: 'How is the weather?' }] };
const called: Message = {
  role: 'assistant',
  parts: [{ kind: 'tool-call', id: 'a', name: 'look', input: '{}' }],
};
const result: Message = {
  role: 'tool',
  parts: [{ kind: 'tool-result', id: 'a', parts: [{ kind: 'text', text: 'sunny' }] }],
};

function request(messages: readonly Message[], overrides: Partial<ChatRequest> = {}): ChatRequest {
  return {
    dialect: 'anthropic-messages',
    model: 'sim-chat',
    messages,
    tools: [
      { kind: 'function', name: 'look' },
      { kind: 'custom', name: 'patch' },
    ],
    stream: true,
    streamUsage: true,
    extensions: {},
    ...overrides,
  };
}

test('the words of the user choose the calls, with the arguments as written', () => {
  const calls = scripted(request([asked]), turns, 'sim-1')?.parts.filter(
    (part) => part.kind === 'tool-call',
  );
  assert.deepEqual(
    calls?.map(({ id, name, input, custom }) => ({ id, name, input, custom })),
    [
      { id: 'call_sim-1_0', name: 'look', input: '{"city":"Oslo"}', custom: undefined },
      { id: 'call_sim-1_1', name: 'patch', input: 'free text', custom: true },
    ],
  );
});

test('state seals the thinking, at Gemini the first call', () => {
  const sealed = (dialect: ChatRequest['dialect']): readonly string[] => {
    return (
      scripted(request([asked], { dialect }), turns, 'sim-1')?.parts.flatMap((part) =>
        part.state ? [`${part.kind} ${part.state.form}`] : [],
      ) ?? []
    );
  };
  assert.deepEqual(sealed('anthropic-messages'), ['reasoning signature']);
  assert.deepEqual(sealed('gemini-generate'), ['tool-call thoughtSignature']);
});

test('a turn whose tools are not offered leaves the answer to the model', () => {
  const without = request([asked], { tools: [{ kind: 'function', name: 'look' }] });
  assert.equal(scripted(without, turns, 'sim-1'), undefined);
  assert.match(JSON.stringify(answer(without, 'sim-1', 0, turns).choices), /simulator speaking/);
});

test('a result counts also when a reminder of the client stands behind it, and old words do not', () => {
  const reminder: Message = {
    role: 'user',
    parts: [{ kind: 'text', text: 'Remember the rules.' }],
  };
  const said = answer(request([asked, called, result, reminder]), 'sim-2', 0, turns);
  assert.deepEqual(said.choices[0]?.parts, [{ kind: 'text', text: 'Take a hat.' }]);
  assert.deepEqual(said.usage, { inputTokens: 9, outputTokens: 3 });
});
