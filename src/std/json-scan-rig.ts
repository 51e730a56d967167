/** What must hold of every JSON text: properties, run briefly by the gate and at length beside it. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeJsonText, scanJson } from './json-scan.ts';
import { spliceJson, type JsonEdit } from './json-splice.ts';

export const seed = Number(process.env['SEED'] ?? 20261123);

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** JSON text with the spacing that writers are free to choose. */
const jsonText = fc
  .tuple(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom<string | number>(0, 1, '\t', '\r\n '))
  .map(([value, space]) => JSON.stringify(value, null, space));

/** Strings long enough for the scan to jump, with quotes and backslashes where it lands. */
const escapedText = fc
  .array(
    fc.oneof(
      fc.constantFrom('"', '\\', '\\"', '\\\\'),
      fc.nat(80).map((count) => 'x'.repeat(count)),
    ),
  )
  .map((parts) => JSON.stringify({ a: parts.join(''), model: parts.length }));

/** JSON text with a few characters exchanged, dropped or doubled. */
const damagedText = fc
  .tuple(
    jsonText,
    fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'{}[],:"\\ tn1-e.'.split(''), ''))),
  )
  .map(([text, edits]) => {
    let damaged = text;
    for (const [at, put] of edits.slice(0, 3)) {
      const index = at % (damaged.length + 1);
      damaged = damaged.slice(0, index) + put + damaged.slice(index + (at % 2));
    }
    return damaged;
  });

export const scanAgrees = fc.property(fc.oneof(jsonText, damagedText, escapedText), (text) => {
  const body = Buffer.from(text);
  const scan = scanJson(body, { uniqueKeys: [] });
  if (!parses(decodeJsonText(body))) return;
  assert.ok(scan.ok, `refused: ${text}`);
  const value: unknown = JSON.parse(text);
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  assert.equal(scan.kind === 'object', isObject);
  if (!isObject) return;
  const found = new Map<string, unknown>();
  for (const { key, valueStart, valueEnd } of scan.members) {
    found.set(key, JSON.parse(body.toString('utf8', valueStart, valueEnd)));
  }
  assert.deepEqual(found, new Map(Object.entries(value)));
  assert.equal(body[scan.openOffset], 0x7b);
  assert.equal(body[scan.closeOffset], 0x7d);
});

const fragments = fc.constantFrom(
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  'a',
  '1',
  ' ',
  'é',
  '\n',
);
export const bytesHaveVerdict = fc.property(fc.array(fragments, { maxLength: 30 }), (parts) => {
  const body = Buffer.from(parts.join(''));
  const scan = scanJson(body);
  if (parses(parts.join('')) && !scan.ok) assert.equal(scan.fault, 'duplicate-key');
});

const editArbitrary: fc.Arbitrary<JsonEdit[]> = fc.uniqueArray(
  fc.record({
    key: fc.constantFrom('model', 'stream', 'a', 'b', 'c', 'd'),
    value: fc.oneof(
      fc.constant(undefined),
      fc.jsonValue({ maxDepth: 2 }).map((v) => JSON.stringify(v)),
    ),
  }),
  { selector: ({ key }) => key, maxLength: 6 },
);

const keys = fc.constantFrom('model', 'stream', 'a', 'b', 'c');
const objects = fc.dictionary(keys, fc.jsonValue({ maxDepth: 2 }));
const spaces = fc.constantFrom<string | number>(0, 2, '\t');
export const splicesAgree = fc.property(objects, spaces, editArbitrary, (object, space, edits) => {
  const body = Buffer.from(JSON.stringify(object, null, space));
  const pieces = spliceJson(body, scanJson(body), edits);
  assert.ok(pieces);
  const expected = JSON.parse(JSON.stringify(object)) as Record<string, unknown>;
  for (const { key, value } of edits) {
    if (value === undefined) delete expected[key];
    else expected[key] = JSON.parse(value);
  }
  assert.deepEqual(JSON.parse(Buffer.concat(pieces).toString()), { ...expected });
});
