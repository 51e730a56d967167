/**
 * The contract of a provider: its file says who it is, and every recorded case in its fixture folder
 * reads as the case says. Run over all providers and all their cases; no provider has test code.
 *
 * A case is a folder in the form of `test/fixtures/providers/README.md`, the one the simulator serves.
 */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ChatCollector, type ChatEvent, type DialectId } from '#canonical';
import * as dialects from '#dialects';
import type { Dialect } from '#dialects';
import type { Call, Operation, Provider, Speech } from '#providers';
import {
  asArray,
  asBoolean,
  asNumber,
  asObject,
  asString,
  createAwsEventStreamParser,
  createJsonArrayParser,
  createNdjsonParser,
  createSseParser,
  parseJsonObject,
  type JsonObject,
} from '#std';
import { compareAnswer, compareUsage } from '../recordings/expected.ts';
import { assertStreamGrammar } from './dialect.ts';

const repository = path.resolve(import.meta.dirname, '../..');

export const fixturesFolder = path.join(repository, 'test', 'fixtures', 'providers');

export type FixtureCase = {
  readonly name: string;
  readonly folder: string;
  readonly meta: JsonObject;
};

/** The cases of a provider, sorted by name. */
export function casesOf(id: string, home = fixturesFolder): FixtureCase[] {
  const folder = path.join(home, id);
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return names
    .map(({ name }) => ({
      name,
      folder: path.join(folder, name),
      meta: readMeta(path.join(folder, name)),
    }))
    .sort((left, right) => (left.name < right.name ? -1 : 1));
}

function readMeta(folder: string): JsonObject {
  const file = path.join(folder, 'meta.json');
  if (!existsSync(file)) return {};
  return parseJsonObject(readFileSync(file, 'utf8')) ?? {};
}

/** What a fresh file still lacks. Its own words, so that the person who reads them knows what to write. */
export function assertFileIsFilledIn(provider: Provider): void {
  const file = `src/providers/${provider.id}.ts`;
  assert.ok(!isPlaceholder(provider.baseUrl), `${file}: write the vendor's address into baseUrl`);
  assert.ok(
    !isPlaceholder(provider.docs),
    `${file}: write the address of the vendor's documentation into docs`,
  );
  assert.ok(provider.label !== '', `${file}: write the vendor's name into label`);
  assert.ok(
    provider.speaks.length > 0,
    `${file}: say in speaks which dialects the vendor understands`,
  );
  for (const speech of provider.speaks) {
    const known = dialectOf(speech.dialect)?.quirkNames;
    const unknown = Object.keys(speech.quirks ?? {}).filter(
      (name) => known !== undefined && !known.includes(name),
    );
    assert.deepEqual(
      unknown,
      [],
      `${file}: ${speech.dialect} does not know these quirks; it knows ${known?.join(', ')}`,
    );
  }
}

function isPlaceholder(text: string): boolean {
  return text === '' || text.includes('example.invalid');
}

/** The case is complete, belongs to this provider, and the answer in it reads as `expected` says. */
export function assertCaseReads(provider: Provider, fixture: FixtureCase): void {
  const { meta } = fixture;
  const response = assertComplete(provider, fixture);
  const id = asString(meta['dialect']) ?? '';
  const dialect = dialectOf(id);
  const speech = assertAddress(provider, fixture);
  if (embeddingDialects.has(id)) return;
  assert.ok(dialect !== undefined, `${shown(fixture)}/meta.json: there is no dialect ${id}`);
  assertRequestReads(dialect, fixture);
  const status = asNumber(meta['status']) ?? 200;
  const expected = asObject(meta['expected']) ?? {};
  if (status >= 400) return assertErrorReads(dialect, status, response.toString('utf8'), expected);
  if (meta['stream'] === true) return assertStreamReads(dialect, speech, response, expected);
  const body = parseJsonObject(response.toString('utf8'));
  assert.ok(body !== undefined, `${shown(fixture)}/response.json: not a JSON object`);
  const answer = dialect.response.decode(body, speech.quirks ?? {});
  const differences = [
    ...compareAnswer(answer, wanted(expected)),
    ...compareUsage(answer.usage, usageOf(expected)),
  ];
  assert.deepEqual(differences, [], 'what the answer says differs from expected in meta.json');
}

/** Their answers are held to their own contract; here only the address is compared. */
const embeddingDialects = new Set(['openai-embeddings', 'gemini-embed']);

const responseFiles = ['response.json', 'response.sse', 'response.txt', 'response.bin'];

function assertComplete(provider: Provider, fixture: FixtureCase): Buffer {
  const { meta, folder } = fixture;
  const at = shown(fixture);
  const file = responseFiles
    .map((name) => path.join(folder, name))
    .find((name) => existsSync(name));
  const form = meta['stream'] === true ? 'response.sse' : 'response.json';
  assert.ok(
    file !== undefined,
    `${at}/${form} is missing: put the vendor's answer there, byte for byte, without keys`,
  );
  for (const field of ['endpoint', 'dialect', 'status', 'expected']) {
    assert.ok(meta[field] !== undefined, `${at}/meta.json: the field ${field} is missing`);
  }
  const authenticity = asString(meta['authenticity']);
  const how = 'say recorded, or hand-made when it was written after the documentation';
  assert.ok(
    authenticity === 'recorded' || authenticity === 'hand-made',
    `${at}/meta.json: authenticity is ${authenticity}; ${how}`,
  );
  assert.equal(meta['provider'], provider.id, `${at}/meta.json: provider`);
  return readFileSync(file);
}

/** The way of speaking that the recorded call took: same dialect, same operation, same address. */
function assertAddress(provider: Provider, { name, folder, meta }: FixtureCase): Speech {
  const endpoint = asString(meta['endpoint']) ?? '';
  const call = callOf(provider, meta);
  const ways = provider.speaks.filter(
    ({ dialect, operation }) => dialect === meta['dialect'] && operation === call.operation,
  );
  const patterns = ways.map((speech) => addressPattern(provider, speech, call));
  const found = ways[patterns.findIndex((pattern) => pattern.test(endpoint))];
  const addresses = patterns.map(({ source }) => source).join(' or ');
  assert.ok(
    found !== undefined,
    `${path.relative(repository, folder)}/meta.json: ${name} went to ${endpoint}, but the file says ${addresses || 'nothing about this dialect'}`,
  );
  return found;
}

const operations: { readonly [kind: string]: Operation } = {
  embeddings: 'embeddings',
  completions: 'completions',
  'count-tokens': 'count-tokens',
};

function callOf(provider: Provider, meta: JsonObject): Call {
  const fallbacks = Object.entries(provider.parameters ?? {}).map(([name, { fallback }]) => [
    name,
    fallback ?? `{${name}}`,
  ]);
  return {
    operation: operations[asString(meta['kind']) ?? ''] ?? 'chat',
    model: asString(meta['request_model']) ?? asString(meta['model']) ?? '',
    stream: asBoolean(meta['stream']) ?? false,
    parameters: Object.fromEntries(fallbacks) as { readonly [name: string]: string },
  };
}

/** Places such as `{region}` match any text without a slash; the query is not compared. */
function addressPattern(provider: Provider, speech: Speech, call: Call): RegExp {
  const written = speech.path(call);
  const url = /^https?:/.test(written) ? written : provider.baseUrl + written;
  const [address = ''] = url.split('?');
  const literal = address
    .replace(/[.*+?^$()|[\]\\]/g, '\\$&')
    .replace(/(\{|%7B)\w+(\}|%7D)/gi, '[^/]+');
  return new RegExp(`^${literal}(\\?.*)?$`);
}

function assertRequestReads(dialect: Dialect, { folder, meta }: FixtureCase): void {
  const file = path.join(folder, 'request.json');
  assert.ok(
    existsSync(file),
    `${path.relative(repository, file)} is missing: put the request there as it was sent, without keys`,
  );
  const body = parseJsonObject(readFileSync(file, 'utf8'));
  assert.ok(body !== undefined, `${path.relative(repository, file)}: not a JSON object`);
  const model = asString(meta['request_model']) ?? asString(meta['model']);
  dialect.request.decode(body, { model, stream: asBoolean(meta['stream']) ?? false });
}

function assertErrorReads(
  dialect: Dialect,
  status: number,
  body: string,
  expected: JsonObject,
): void {
  const error = dialect.error.decode(status, body);
  assert.equal(error.upstream?.status, status);
  assert.equal(
    error.upstream?.kind,
    expected['error_kind'],
    'error_kind: what the error means for the next step',
  );
}

function assertStreamReads(
  dialect: Dialect,
  speech: Speech,
  bytes: Buffer,
  expected: JsonObject,
): void {
  const events = decodeStream(dialect, speech, bytes, bytes.length);
  assertStreamGrammar(events);
  assert.deepEqual(
    decodeStream(dialect, speech, bytes, 1),
    events,
    'read byte by byte, the stream says the same',
  );
  const last = events.at(-1);
  if (expected['cut'] === true) {
    assert.equal(last?.kind, 'error', 'a stream that breaks off must not look complete');
    return;
  }
  const collector = new ChatCollector(dialect.id);
  for (const event of events) collector.push(event);
  const answer = collector.finish();
  const differences = [
    ...compareAnswer(answer, wanted(expected)),
    ...compareUsage(answer.usage, usageOf(expected)),
  ];
  assert.deepEqual(differences, [], 'what the stream says differs from expected in meta.json');
}

function decodeStream(
  dialect: Dialect,
  speech: Speech,
  bytes: Buffer,
  chunkBytes: number,
): ChatEvent[] {
  const decoder = dialect.stream.decoder(speech.quirks ?? {});
  const parser = speech.parser?.() ?? parserOf(speech.framing);
  const events: ChatEvent[] = [];
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    for (const frame of parser.push(bytes.subarray(start, start + chunkBytes)))
      events.push(...decoder.push(frame));
  }
  const rest = parser.end();
  if (rest !== undefined) events.push(...decoder.push(rest));
  return [...events, ...decoder.end()];
}

function parserOf(framing: Speech['framing']) {
  if (framing === 'json-array') return createJsonArrayParser();
  if (framing === 'ndjson') return createNdjsonParser();
  return framing === 'aws-event-stream' ? createAwsEventStreamParser() : createSseParser();
}

/** Vendors call the reason of the end by three names; the comparison knows one. */
function wanted(expected: JsonObject): JsonObject {
  const finish = expected['finish_reason'] ?? expected['stop_reason'] ?? expected['status'];
  return { tool_calls: asArray(expected['tool_calls']) ?? [], ...expected, finish_reason: finish };
}

function usageOf(expected: JsonObject): JsonObject | undefined {
  return asObject(expected['usage_normalised']);
}

function dialectOf(id: string): Dialect | undefined {
  return Object.values<unknown>(dialects).find(
    (value): value is Dialect => isDialect(value) && value.id === (id as DialectId),
  );
}

function isDialect(value: unknown): value is Dialect {
  return (
    typeof value === 'object' &&
    value !== null &&
    'stream' in value &&
    'request' in value &&
    'quirkNames' in value
  );
}

function shown({ folder }: FixtureCase): string {
  return path.relative(repository, folder);
}
