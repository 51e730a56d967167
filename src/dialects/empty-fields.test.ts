/** Fields of requests that are there and say nothing, as clients with typed models write them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '#std';
import type { Dialect } from './dialect.ts';
import { anthropicMessages, geminiGenerate, openaiChat, openaiResponses } from './index.ts';

const dialects = [openaiChat, openaiResponses, anthropicMessages, geminiGenerate];

/** What the others make of a request: its value as text, and the paths that are lost. */
function others(
  from: Dialect,
  wire: JsonObject,
): readonly { readonly text: string; readonly losses: readonly string[] }[] {
  const request = from.request.decode(wire, { model: 'm', stream: false });
  return dialects
    .filter((dialect) => dialect !== from)
    .map((dialect) => {
      const { value, losses } = dialect.request.encode(request, {});
      return { text: JSON.stringify(value), losses: losses.map(({ path }) => path) };
    });
}

const hello = { role: 'user', content: 'Hello.' };

test('an unknown field that is null or an empty list is no loss', () => {
  const echoed = { role: 'assistant', content: 'Hi.', annotations: [], refusal: null, audio: null };
  const wires: readonly (readonly [Dialect, JsonObject])[] = [
    [openaiChat, { model: 'm', messages: [hello, echoed, hello], prediction: null, functions: [] }],
    [openaiResponses, { model: 'm', input: [{ ...hello, phase: null }], include: [] }],
    [
      anthropicMessages,
      { model: 'm', max_tokens: 9, messages: [hello], container: null, mcp_servers: [] },
    ],
    [
      geminiGenerate,
      {
        contents: [{ role: 'user', parts: [{ text: 'Hello.', videoMetadata: null }] }],
        safetySettings: [],
        labels: null,
      },
    ],
  ];
  for (const [dialect, wire] of wires)
    for (const { losses } of others(dialect, wire)) assert.deepEqual(losses, [], dialect.id);
});

test('a part of Gemini’s with null in the other places keeps its text', () => {
  const part = { text: 'Hello.', executableCode: null, codeExecutionResult: null, toolCall: null };
  const wire = { contents: [{ role: 'user', parts: [part] }] };
  for (const { text, losses } of others(geminiGenerate, wire)) {
    assert.match(text, /Hello\./);
    assert.deepEqual(losses, []);
  }
});

test('names and sequences that are empty ask for nothing', () => {
  const parts = [{ text: 'Hello.' }];
  for (const { losses } of others(geminiGenerate, { contents: [{ parts }], cachedContent: '' }))
    assert.deepEqual(losses, []);
  for (const stop of ['', [''], []])
    for (const { losses } of others(openaiChat, { model: 'm', messages: [hello], stop }))
      assert.deepEqual(losses, []);
});
