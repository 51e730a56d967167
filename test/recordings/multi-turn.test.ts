/**
 * Recorded conversations: each request goes back to its own vendor as it was recorded, also when a
 * client of another dialect holds it between the turns. Roles, words, tool ids, arguments and opaque
 * state are what the vendor once sent.
 */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { ChatRequest } from '#canonical';
import { openaiResponses, withHistory, type Dialect, type Quirks } from '#dialects';
import type { JsonObject } from '#std';
import { clientDialects } from './cross-sdk.ts';
import { dialectOf, dialectsById } from './cross.ts';
import { listCases, type RecordingCase } from './load.ts';
import { heldBy, skeleton } from './multi-turn.ts';

/** Requests that a client cannot hold as they were, and why. */
const known: { readonly [name: string]: string } = {
  'anthropic/messages/rl-chat-citations-with-anthropic-claude-haiku-4-5-cites-tool-results-returned-a-3f051c-02':
    'a text document inside a tool result is plain text in the dialects of OpenAI',
};

const count = { own: 0, foreign: 0, refused: 0, failed: 0 };

after(() => {
  process.stdout.write(
    `# multi-turn: ${count.own} requests to their own vendor, ${count.foreign} (request x foreign client) of which ${count.refused} cannot be said there, ${count.failed} failed\n`,
  );
});

function decode(dialect: Dialect, recorded: RecordingCase, wire: JsonObject): ChatRequest {
  const context =
    'model' in wire && recorded.meta.kind !== 'generate'
      ? {}
      : { model: recorded.meta.request_model ?? 'm', stream: recorded.meta.stream };
  if (dialect !== openaiResponses) return dialect.request.decode(wire, context);
  // Conversations kept at the vendor are the gateway's to resolve.
  const { background: _, conversation: _conversation, ...rest } = withHistory(wire, []);
  return dialect.request.decode(rest, context);
}

function isConversation({ messages }: ChatRequest): boolean {
  return messages.some(({ role }) => role === 'assistant');
}

/** The request as its vendor gets it when it comes from a client of its own dialect. */
function sentBySelf(
  source: Dialect,
  request: ChatRequest,
  recorded: RecordingCase,
  quirks: Quirks,
): readonly string[] {
  return skeleton(
    decode(source, recorded, { ...source.request.encode(request, quirks).value }).messages,
  );
}

/** The same after a client of `target` has held it; `undefined` when such a client cannot say it. */
async function sentByForeign(
  source: Dialect,
  target: Dialect,
  request: ChatRequest,
  recorded: RecordingCase,
  quirks: Quirks,
): Promise<readonly string[] | undefined> {
  const { wire: held, refusals } = await heldBy(target, source, request);
  if (refusals.length > 0) return undefined;
  const { messages } = target.request.decode(
    JSON.parse(JSON.stringify(held)) as JsonObject,
    target.id === 'gemini-generate' ? { model: 'm' } : {},
  );
  const { tools, reasoning, outputTokensMax } = request;
  const again: ChatRequest = {
    ...request,
    dialect: target.id,
    messages,
    tools,
    reasoning,
    outputTokensMax,
    extensions: {},
  };
  return skeleton(
    decode(source, recorded, { ...source.request.encode(again, quirks).value }).messages,
  );
}

function firstDifference(
  actual: readonly string[],
  expected: readonly string[],
): string | undefined {
  const length = Math.max(actual.length, expected.length);
  for (let index = 0; index < length; index += 1) {
    if (actual[index] !== expected[index])
      return `[${index}] ${(actual[index] ?? 'nothing').slice(0, 200)} | recorded: ${(expected[index] ?? 'nothing').slice(0, 200)}`;
  }
  return undefined;
}

for (const kind of ['chat', 'responses', 'messages', 'generate']) {
  const source = dialectOf(kind);
  if (!source) continue;
  const conversations: {
    readonly recorded: RecordingCase;
    readonly wire: JsonObject;
    readonly request: ChatRequest;
  }[] = [];
  for (const recorded of listCases({ kinds: [kind] })) {
    if (!recorded.request || recorded.meta.status >= 400) continue;
    const request = decode(source, recorded, recorded.request);
    if (isConversation(request)) conversations.push({ recorded, wire: recorded.request, request });
  }
  if (conversations.length === 0) continue;
  test(`${conversations.length} recorded conversations of kind ${kind} go back to their vendor unchanged`, () => {
    const failures: string[] = [];
    for (const { recorded, request } of conversations) {
      count.own += 1;
      const difference = firstDifference(
        sentBySelf(source, request, recorded, {}),
        skeleton(request.messages),
      );
      if (difference !== undefined) failures.push(`${recorded.name}: ${difference}`);
    }
    count.failed += failures.length;
    assert.deepEqual(failures, []);
  });
  for (const target of clientDialects) {
    if (target === source.id) continue;
    test(`${conversations.length} recorded conversations of kind ${kind} survive a client of ${target}`, async () => {
      const failures: string[] = [];
      for (const { recorded, request } of conversations) {
        count.foreign += 1;
        try {
          const sent = await sentByForeign(source, dialectsById[target], request, recorded, {});
          if (!sent) count.refused += 1;
          const difference =
            sent && !(recorded.name in known) && firstDifference(sent, skeleton(request.messages));
          if (difference) failures.push(`${recorded.name}: ${difference}`);
        } catch (error) {
          failures.push(
            `${recorded.name}: ${error instanceof Error ? `${error.name} ${'path' in error ? String(error.path) : ''} ${error.message}` : 'unknown'}`,
          );
        }
      }
      count.failed += failures.length;
      assert.deepEqual(failures, []);
    });
  }
}
