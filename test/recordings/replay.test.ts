/**
 * Every recorded answer goes to a client of another dialect, whole and streamed, and comes back with
 * the client's next turn: the vendor that gave it gets its words, calls and opaque state again. Streams
 * are put together by the official SDKs, as clients do.
 */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { GatewayFailure, type ChatRequest, type ChatResponse, type Message } from '#canonical';
import type { Dialect } from '#dialects';
import type { JsonObject } from '#std';
import { clientDialects } from './cross-sdk.ts';
import { decodeRecorded, dialectOf, dialectsById, plainRequest } from './cross.ts';
import { listCases, type RecordingCase } from './load.ts';
import { heldBy, holdStreamed, holdWhole, skeleton, type Hold } from './multi-turn.ts';

const count = { checked: 0, failed: 0 };
after(() =>
  process.stdout.write(
    `# replay: ${count.checked} (answer x dialect x form) came back, ${count.failed} failed\n`,
  ),
);

/**
 * The conversation after the answer: results of its calls, or the next words. Media and items that
 * only the vendor's dialect can say have no place with most clients, and are left out.
 */
function conversation(source: Dialect, { choices }: ChatResponse): ChatRequest | undefined {
  const parts = (choices[0]?.parts ?? []).filter(
    (part) =>
      part.kind !== 'media' &&
      part.kind !== 'native' &&
      // Only whoever declared such a tool gets a call of it.
      !(part.kind === 'tool-call' && part.custom),
  );
  if (
    !parts.some(
      (part) =>
        part.state ||
        part.kind === 'tool-call' ||
        ('text' in part && part.kind !== 'reasoning' && part.text.trim() !== ''),
    )
  )
    return undefined;
  const results = parts.flatMap((part) =>
    part.kind === 'tool-call'
      ? [
          {
            kind: 'tool-result' as const,
            id: part.id,
            name: part.name,
            parts: [{ kind: 'text' as const, text: 'done' }],
          },
        ]
      : [],
  );
  const next: Message =
    results.length > 0
      ? { role: 'tool', parts: results }
      : { role: 'user', parts: [{ kind: 'text', text: 'go on' }] };
  const plain = plainRequest(source.id, false);
  return {
    ...plain,
    reasoning: { effort: 'medium' },
    outputTokensMax: 30_000,
    messages: [...plain.messages, { role: 'assistant', parts }, next],
  };
}

function sent(source: Dialect, request: ChatRequest): readonly string[] {
  const { value } = source.request.encode(request, {});
  return skeleton(
    source.request.decode(
      JSON.parse(JSON.stringify(value)) as JsonObject,
      source.id === 'gemini-generate' ? { model: 'm' } : {},
    ).messages,
  );
}

async function replay(
  source: Dialect,
  target: Dialect,
  request: ChatRequest,
  hold: Hold,
): Promise<string | undefined> {
  const expected = sent(source, request);
  const { wire } = await heldBy(target, source, request, hold);
  const { messages } = target.request.decode(
    wire,
    target.id === 'gemini-generate' ? { model: 'm' } : {},
  );
  const actual = sent(source, { ...request, dialect: target.id, messages });
  for (let index = 0; index < Math.max(actual.length, expected.length); index += 1) {
    if (actual[index] !== expected[index])
      return `[${index}] ${(actual[index] ?? 'nothing').slice(0, 160)} | was ${(expected[index] ?? 'nothing').slice(0, 160)}`;
  }
  return undefined;
}

function answerOf(recorded: RecordingCase, source: Dialect): ChatResponse | undefined {
  try {
    const decoded = decodeRecorded(recorded, source);
    return decoded.kind === 'error' ? undefined : decoded.response;
  } catch (error) {
    if (error instanceof GatewayFailure) return undefined;
    throw error;
  }
}

for (const kind of ['chat', 'responses', 'messages', 'generate']) {
  const source = dialectOf(kind);
  if (!source) continue;
  const cases = [...listCases({ kinds: [kind] })].filter(({ meta }) => meta.status < 400);
  if (cases.length === 0) continue;
  for (const target of clientDialects) {
    if (target === source.id) continue;
    test(`${cases.length} recorded answers of kind ${kind} come back from a client of ${target}`, async () => {
      const failures: string[] = [];
      for (const recorded of cases) {
        const answer = answerOf(recorded, source);
        const request = answer && conversation(source, answer);
        if (!request) continue;
        for (const [form, hold] of [
          ['whole', holdWhole],
          ['streamed', holdStreamed],
        ] as const) {
          count.checked += 1;
          const difference = await replay(source, dialectsById[target], request, hold).catch(
            (error: unknown) => `fails: ${String(error)}`,
          );
          if (difference !== undefined) failures.push(`${recorded.name} ${form}: ${difference}`);
        }
      }
      count.failed += failures.length;
      assert.deepEqual(failures, []);
    });
  }
}
