import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ChatRequest, Part } from '#canonical';
import { StateMemory } from './state-memory.ts';

const state = { issuer: 'anthropic-messages', value: 'sig', form: 'signature' } as const;
const answer: readonly Part[] = [
  { kind: 'reasoning', text: 'hmm', form: 'full', state },
  { kind: 'tool-call', id: 'call_1', name: 'look', input: '{}' },
  { kind: 'tool-call', id: 'call_2', name: 'look', input: '{}' },
];

function request(parts: readonly Part[]): ChatRequest {
  return {
    dialect: 'openai-chat',
    model: 'm',
    messages: [{ role: 'assistant', parts }],
    tools: [],
    stream: false,
    streamUsage: false,
    extensions: {},
  };
}

const calls = answer.slice(1);

describe('the memory of opaque state', () => {
  it('puts the thinking back before the call that it came with', () => {
    const memory = new StateMemory();
    memory.remember('w', answer);
    assert.deepEqual(
      memory.recall('w', request(calls), 'anthropic-messages').messages[0]?.parts,
      answer,
    );
  });

  it('changes nothing when the client has kept the state, and nothing for another issuer or owner', () => {
    const memory = new StateMemory();
    memory.remember('w', answer);
    const whole = request(answer);
    assert.equal(memory.recall('w', whole, 'anthropic-messages'), whole);
    const without = request(calls);
    assert.equal(memory.recall('w', without, 'gemini-generate'), without);
    assert.equal(memory.recall('other', without, 'anthropic-messages'), without);
  });

  it('replaces words of thinking that came back without their signature', () => {
    const memory = new StateMemory();
    memory.remember('w', answer);
    const unsigned: Part[] = [{ kind: 'reasoning', text: 'hmm', form: 'full' }, ...calls];
    assert.deepEqual(
      memory.recall('w', request(unsigned), 'anthropic-messages').messages[0]?.parts,
      answer,
    );
  });

  it('opens the message with the thinking, before the words that were said with the call', () => {
    const memory = new StateMemory();
    memory.remember('w', answer);
    const said: Part = { kind: 'text', text: 'I look.' };
    assert.deepEqual(
      memory.recall('w', request([said, ...calls]), 'anthropic-messages').messages[0]?.parts,
      [answer[0], said, ...calls],
    );
  });

  it('mends thinking of which the client kept the signature and the last words only', () => {
    const memory = new StateMemory();
    memory.remember('w', answer);
    const cut: Part[] = [
      { kind: 'reasoning', text: 'm', form: 'full' },
      { kind: 'reasoning', text: '', form: 'full', state },
      ...calls,
    ];
    assert.deepEqual(
      memory.recall('w', request(cut), 'anthropic-messages').messages[0]?.parts,
      answer,
    );
  });

  it('forgets the longest unused when its bytes are spent', () => {
    const memory = new StateMemory(400);
    for (let index = 0; index < 50; index += 1)
      memory.remember('w', [
        { kind: 'tool-call', id: `call_${index}`, name: 'x', input: '', state },
      ]);
    const recalled = (index: number): Part | undefined =>
      memory.recall(
        'w',
        request([{ kind: 'tool-call', id: `call_${index}`, name: 'x', input: '' }]),
        'anthropic-messages',
      ).messages[0]?.parts[0];
    assert.equal(recalled(0)?.state, undefined);
    assert.deepEqual(recalled(49)?.state, state);
  });
});
