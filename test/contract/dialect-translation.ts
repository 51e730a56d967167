/** Rules 1 and 2: what is said arrives or is reported lost, and equal dialects lose nothing. */

import assert from 'node:assert/strict';
import {
  inputTotalTokens,
  outputTotalTokens,
  type ChatRequest,
  type ChatResponse,
  type DialectId,
  type Loss,
  type Part,
} from '#canonical';
import type { Dialect } from '#dialects';
import { asObject, asObjects, parseJsonObject, type JsonObject } from '#std';
import { chatRequests, chatResponses, eventsOf, markersOf } from './arbitrary-chat.ts';
import {
  bill,
  clientOf,
  collect,
  decodeFrames,
  encodeStream,
  framesOf,
  holds,
  merged,
  plain,
  saidBy,
  sourcesOf,
  sse,
  wire,
  type Check,
  type Said,
} from './dialect-base.ts';

export function requestChecks(dialect: Dialect): readonly Check[] {
  const { decode, encode } = dialect.request;
  const context = (request: ChatRequest): { model: string; stream: boolean } => ({
    model: request.model,
    stream: request.stream,
  });
  return [
    [
      'a request of its own dialect comes back equal and without losses',
      () =>
        holds(chatRequests(dialect.id), (request) => {
          const first = encode(request, {});
          const decoded = decode(wire(first.value), context(request));
          assert.deepEqual(lossesThatMatter(first.losses), []);
          assertSameRequest(decoded, request, first.losses);
          const second = encode(decoded, {});
          assert.deepEqual(second.losses, []);
          assert.deepEqual(wire(second.value), wire(first.value));
          assert.deepEqual(plain(decode(wire(second.value), context(request))), plain(decoded));
        }),
    ],
    [
      'decoding a request does not change it',
      () =>
        holds(chatRequests(dialect.id), (request) => {
          const value = wire(encode(request, {}).value);
          const before = JSON.stringify(value);
          decode(value, context(request));
          assert.equal(JSON.stringify(value), before);
        }),
    ],
    ...sourcesOf(dialect).map((from): Check => [
      `every text of a request said in ${from} arrives or is reported lost`,
      () =>
        holds(chatRequests(from, { foreign: true }), (request) => {
          const { value, losses } = encode(request, {});
          assertArrives(request, value, losses);
          const decoded = decode(wire(value), context(request));
          if (from !== dialect.id) assertSameRequest(decoded, request, losses);
        }),
    ]),
  ];
}

/** Own requests lose nothing but what the wire cannot hold: names of results, names of schemas. */
function lossesThatMatter(losses: readonly Loss[]): readonly Loss[] {
  return losses.filter(({ path }) => !path.endsWith('.name') && !path.endsWith('.filename'));
}

function assertArrives(source: ChatRequest, value: JsonObject, losses: readonly Loss[]): void {
  const text = JSON.stringify(value);
  for (const { path, text: marker } of markersOf(source)) {
    if (text.includes(marker) || text.includes(Buffer.from(marker).toString('base64'))) continue;
    if (path.endsWith('.filename')) continue;
    assert.ok(
      isReported(path, losses),
      `${path} (${marker}) neither arrived nor was reported: ${JSON.stringify(losses)}`,
    );
  }
}

/** A loss covers a field when one path contains the other, or when they name the same extension. */
function isReported(path: string, losses: readonly Loss[]): boolean {
  const bare = path.replace(/^extensions\./, '');
  return losses.some((loss) => {
    const lost = camelCase(loss.path);
    return [path, bare, camelCase(bare)].some(
      (field) => field.startsWith(lost) || lost.startsWith(field) || lost.endsWith(field),
    );
  });
}

/** Losses are named in the words of the neutral model or in those of a client. */
const aliases: { readonly [path: string]: string } = {
  user: 'endUserId',
  'metadata.userId': 'endUserId',
  promptCache: 'promptCacheKey',
};

function camelCase(path: string): string {
  const camel = path
    .replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
    .replaceAll('.content[', '.parts[');
  return aliases[camel] ?? camel;
}

/** A conversation as who said what, in order: what every translation has to keep. */
function saidIn(request: ChatRequest): readonly Said[] {
  return request.messages.flatMap(({ role, parts }) =>
    parts.flatMap((part) => saidBy(role === 'developer' ? 'system' : role, part)),
  );
}

const comparedFields = [
  'outputTokensMax',
  'temperature',
  'topP',
  'topK',
  'stop',
  'toolChoice',
  'endUserId',
  'stream',
] as const satisfies readonly (keyof ChatRequest)[];

function assertSameRequest(
  actual: ChatRequest,
  expected: ChatRequest,
  losses: readonly Loss[],
): void {
  const paths = losses.map(({ path }) => camelCase(path));
  const lost = (field: string): boolean =>
    paths.some(
      (path) => path === field || path.startsWith(`${field}.`) || path.startsWith(`${field}[`),
    );
  for (const field of comparedFields) {
    if (expected[field] === undefined || lost(field)) continue;
    if (field === 'topK' && actual.extensions['top_k'] === expected.topK) continue;
    if (
      field === 'toolChoice' &&
      expected.toolChoice?.kind === 'auto' &&
      actual.toolChoice === undefined
    )
      continue;
    assert.deepEqual(actual[field], expected[field], field);
  }
  if (
    expected.parallelToolCalls === false &&
    expected.tools.length > 0 &&
    expected.toolChoice?.kind !== 'none' &&
    !lost('parallelToolCalls')
  ) {
    assert.equal(actual.parallelToolCalls, false, 'parallelToolCalls');
  }
  if (!lost('messages')) assert.deepEqual(merged(saidIn(actual)), merged(saidIn(expected)));
  if (!lost('tools')) assert.deepEqual(toolsOf(actual), toolsOf(expected));
}

function toolsOf(request: ChatRequest): readonly unknown[] {
  return request.tools.map((tool) =>
    tool.kind === 'function' ? plain([tool.name, tool.description, tool.parameters]) : tool.kind,
  );
}

// ---- answers --------------------------------------------------------------------------------

export function responseChecks(dialect: Dialect): readonly Check[] {
  const { decode, encode } = dialect.response;
  const client = clientOf(dialect.id);
  return [
    ...sourcesOf(dialect).map((from): Check => [
      `an answer of ${from} arrives or is reported lost`,
      () =>
        holds(chatResponses(from), (response) => {
          const { value, losses } = encode(response, client);
          if (from === dialect.id) assert.deepEqual(losses, []);
          const decoded = decode(wire(value), {});
          assertSameAnswer(decoded, response, losses);
          const again = encode(decoded, client);
          assert.deepEqual(again.losses, []);
          assert.deepEqual(plain(decode(wire(again.value), {})), plain(decoded));
        }),
    ]),
    ...conversational(dialect).flatMap((from): readonly Check[] => [
      [
        `citations of ${from} arrive or are reported lost`,
        () =>
          holds(chatResponses(from, { rich: true }), (response) => {
            const { value, losses } = encode(response, client);
            const cited = response.choices.flatMap(({ parts }) =>
              parts.flatMap((part) => (part.kind === 'text' ? (part.citations ?? []) : [])),
            );
            for (const { text } of markersOf(cited)) {
              assert.ok(
                JSON.stringify(value).includes(text) ||
                  losses.some(({ path }) => /citation|parts|content|choices/.test(path)),
                text,
              );
            }
          }),
      ],
      [
        `opaque state of ${from} survives a client that sends the answer back`,
        () =>
          holds(chatResponses(from, { rich: true }), (response) => {
            assertStateSurvives(dialect, response, encode(response, client).value);
          }),
      ],
      [
        `opaque state of ${from} survives a client that streams and sends the answer back`,
        () =>
          holds(chatResponses(from, { rich: true }), (response) => {
            const frames = framesOf(
              Buffer.from(encodeStream(dialect, eventsOf(response, 50))),
              sse,
            );
            const whole = asObject(parseJsonObject(frames.at(-1)?.data ?? '')?.['response']);
            assertStateSurvives(
              dialect,
              response,
              whole ?? encode(collect(dialect.id, decodeFrames(dialect, frames)), client).value,
            );
          }),
      ],
    ]),
    [
      'the bill is in the usage, and splicing it changes nothing else',
      () =>
        holds(chatResponses(dialect.id), (response) => {
          const body = JSON.stringify(encode(response, client).value, undefined, 1);
          const billed = dialect.response.annotate(body, bill);
          const encoded = JSON.stringify(encode({ ...response, bill }, client).value);
          for (const text of [billed, encoded]) {
            assert.ok(text.includes('0.001234567') && text.includes('rcp_contract'), text);
          }
          assert.deepEqual(
            dialect.response.usage(parseJsonObject(billed) ?? {}, {})?.inputTokens,
            response.usage?.inputTokens,
          );
          assert.ok(isSubsequence(body, billed), 'no other character changed');
        }),
    ],
  ];
}

/** The completions dialect has no place for anything but text. */
function conversational(dialect: Dialect): readonly DialectId[] {
  return dialect.id === 'openai-completions' ? [] : sourcesOf(dialect);
}

/** The answer as a client puts it into the next request, decoded: all state is there, on its call. */
function assertStateSurvives(dialect: Dialect, response: ChatResponse, answer: JsonObject): void {
  const history = replayed(dialect.id, wire(answer));
  const request = dialect.request.decode(history, { model: 'model-asked', stream: false });
  assert.deepEqual(
    statesOf(request.messages.flatMap(({ parts }) => parts)),
    statesOf(response.choices[0]?.parts ?? []),
  );
}

function statesOf(parts: readonly Part[]): readonly unknown[] {
  return parts.flatMap((part) => {
    if (!part.state) return [];
    const { issuer, value } = part.state;
    return [{ issuer, value, call: part.kind === 'tool-call' ? part.name : undefined }];
  });
}

const question = 'And then?';

/** The next request of a conversation in which `answer` was given, in the words of each dialect. */
function replayed(dialect: DialectId, answer: JsonObject): JsonObject {
  switch (dialect) {
    case 'anthropic-messages':
      return {
        model: 'model-asked',
        max_tokens: 100,
        messages: [
          { role: 'user', content: question },
          { role: 'assistant', content: answer['content'] },
        ],
      };
    case 'openai-chat':
    case 'openai-completions': {
      const message = asObjects(answer['choices'])[0]?.['message'];
      return {
        model: 'model-asked',
        messages: [{ role: 'user', content: question }, ...(message ? [message] : [])],
      };
    }
    case 'openai-responses':
      return {
        model: 'model-asked',
        input: [{ role: 'user', content: question }, ...asObjects(answer['output'])],
      };
    case 'gemini-generate': {
      const content = asObjects(answer['candidates'])[0]?.['content'];
      return {
        contents: [{ role: 'user', parts: [{ text: question }] }, ...(content ? [content] : [])],
      };
    }
  }
}

function isSubsequence(short: string, whole: string): boolean {
  let at = 0;
  for (const character of whole) if (short.startsWith(character, at)) at += character.length;
  return at === short.length;
}

function answered(response: ChatResponse): readonly Said[] {
  return merged((response.choices[0]?.parts ?? []).flatMap((part) => saidBy('assistant', part)));
}

export function assertSameAnswer(
  actual: ChatResponse,
  expected: ChatResponse,
  losses: readonly Pick<Loss, 'path'>[],
): void {
  if (losses.length === 0) assert.deepEqual(answered(actual), answered(expected));
  assert.equal(actual.choices[0]?.finish.reason, expected.choices[0]?.finish.reason);
  assert.equal(inputTotalTokens(actual.usage ?? {}), inputTotalTokens(expected.usage ?? {}));
  assert.equal(outputTotalTokens(actual.usage ?? {}), outputTotalTokens(expected.usage ?? {}));
}
