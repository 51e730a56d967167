/** Whatever another dialect's client says, what goes upstream keeps the rules of the Messages API. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ChatRequest, Loss } from '#canonical';
import { asObject, asObjects, type JsonObject, type JsonValue } from '#std';
import { chatRequests } from '../../../test/contract/arbitrary-chat.ts';
import type { Quirks } from '../dialect.ts';
import { anthropicMessages } from './index.ts';

const seed = Number(process.env['MANIFOLD_SEED'] ?? Date.now() % 2_147_483_647);

const anyQuirks: fc.Arbitrary<Quirks> = fc.record(
  {
    samplingRefused: fc.boolean(),
    temperatureOrTopP: fc.boolean(),
    thinking: fc.constantFrom('budget', 'adaptive', 'none'),
    thinkingCanDisable: fc.boolean(),
    efforts: fc.subarray(['low', 'medium', 'high', 'xhigh', 'max']),
    forcedToolUse: fc.boolean(),
    structuredOutput: fc.constantFrom('native', 'tool'),
    outputTokensDefault: fc.constantFrom(4096, 64_000),
    systemRoleMidConversation: fc.boolean(),
    prefillAllowed: fc.boolean(),
  },
  { requiredKeys: [] },
);

const foreignRequests = fc.oneof(
  chatRequests('openai-chat', { foreign: true }),
  chatRequests('openai-responses', { foreign: true }),
  chatRequests('gemini-generate', { foreign: true }),
);

/** Histories that no vendor would take as they are: turns left out, doubled, out of order. */
const disordered = fc
  .tuple(foreignRequests, fc.array(fc.nat({ max: 20 }), { maxLength: 8 }))
  .map(([request, picks]): ChatRequest => {
    const { messages } = request;
    return {
      ...request,
      messages: picks.flatMap((pick) => messages[pick % messages.length] ?? []),
    };
  });

test('requests of other dialects become legal requests', (context) => {
  context.diagnostic(`seed ${seed}`);
  fc.assert(
    fc.property(foreignRequests, anyQuirks, (request, quirks) => {
      const { value, losses } = anthropicMessages.request.encode(request, quirks);
      assertTurns(value, quirks, []);
      assertFields(value, quirks);
      assert.deepEqual(
        losses.filter(({ changesMeaning }) => changesMeaning),
        [],
      );
    }),
    { seed, numRuns: 400 },
  );
});

test('disordered histories become legal turns or are refused', (context) => {
  context.diagnostic(`seed ${seed}`);
  fc.assert(
    fc.property(disordered, anyQuirks, (request, quirks) => {
      const { value, losses } = anthropicMessages.request.encode(request, quirks);
      assertTurns(value, quirks, losses);
    }),
    { seed, numRuns: 400 },
  );
});

const blocksOf = (message: JsonObject | undefined): readonly JsonObject[] =>
  asObjects(message?.['content']);

function assertTurns(value: JsonObject, quirks: Quirks, losses: readonly Loss[]): void {
  const messages = asObjects(value['messages']);
  const turns = messages.filter(({ role }) => role !== 'system');
  if (turns.length > 0) assert.equal(turns[0]?.['role'], 'user', 'the first turn is the user');
  for (const [index, message] of messages.entries()) {
    if (message['role'] !== 'system')
      assert.notEqual(message['role'], messages[index + 1]?.['role'], 'turns alternate');
    const blocks = blocksOf(message);
    assert.ok(blocks.length > 0, 'no empty turn');
    const firstOther = blocks.findIndex(({ type }) => type !== 'tool_result');
    assert.ok(
      firstOther === -1 || !blocks.slice(firstOther).some(({ type }) => type === 'tool_result'),
      'results stand first',
    );
    for (const block of blocks) {
      if (block['type'] === 'text') assert.notEqual(String(block['text']).trim(), '');
      if (block['type'] === 'tool_use') assert.match(String(block['id']), /^[a-zA-Z0-9_-]+$/);
    }
  }
  if (turns.at(-1)?.['role'] === 'assistant') assert.notEqual(quirks['prefillAllowed'], false);
  if (!losses.some(({ changesMeaning }) => changesMeaning)) assertAnswered(messages);
}

/** Every call is answered in the next turn, and nothing else is answered there. */
function assertAnswered(turns: readonly JsonObject[]): void {
  for (const [index, turn] of turns.entries()) {
    const called = blocksOf(turn).flatMap(({ type, id }) => (type === 'tool_use' ? [id] : []));
    const answered = blocksOf(turns[index + 1]).flatMap((block) =>
      block['type'] === 'tool_result' ? [block['tool_use_id']] : [],
    );
    assert.deepEqual(answered.toSorted(), called.toSorted());
  }
}

function assertFields(value: JsonObject, quirks: Quirks): void {
  const thinking = asObject(value['thinking']);
  const maximum = Number(value['max_tokens']);
  assert.ok(Number.isSafeInteger(maximum) && maximum > 0);
  const choice = asObject(value['tool_choice'])?.['type'];
  const forced = choice === 'any' || choice === 'tool';
  if (forced) assert.notEqual(quirks['forcedToolUse'], false);
  const thinks = thinking !== undefined && thinking['type'] !== 'disabled';
  if (thinks) {
    assert.ok(!forced, 'no forced tool while thinking');
    assert.ok(value['temperature'] === undefined || value['temperature'] === 1);
    assert.equal(value['top_k'], undefined);
  }
  if (thinking?.['type'] === 'enabled') {
    const budget = Number(thinking['budget_tokens']);
    assert.ok(budget >= 1024 && budget < maximum, `budget ${budget} of ${maximum}`);
  }
  if (quirks['samplingRefused'] === true) {
    for (const key of ['temperature', 'top_p', 'top_k']) assert.equal(value[key], undefined);
  }
  for (const tool of asObjects(value['tools']))
    assert.equal(asObject(tool['input_schema'])?.['type'], 'object');
  const effort = asObject(value['output_config'])?.['effort'];
  const efforts = quirks['efforts'] as readonly JsonValue[] | undefined;
  if (effort !== undefined && efforts) assert.ok(efforts.includes(effort));
}
