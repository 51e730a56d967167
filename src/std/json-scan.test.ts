import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeJsonText, scanJson, type JsonScanFault } from './json-scan.ts';
import { memberBytes, spliceJson, type JsonEdit } from './json-splice.ts';

const seed = Number(process.env['SEED'] ?? 20261123);

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

test('the scan accepts whatever JSON.parse accepts, and finds the same members', () => {
  fc.assert(
    fc.property(fc.oneof(jsonText, damagedText, escapedText), (text) => {
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
    }),
    { seed, numRuns: 20_000 },
  );
});

test('random bytes give a verdict and never an exception', () => {
  const pieces = fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', 'a', '1', ' ', 'é', '\n');
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
      const body = Buffer.from(parts.join(''));
      const scan = scanJson(body);
      if (parses(parts.join('')) && !scan.ok) assert.equal(scan.fault, 'duplicate-key');
    }),
    { seed, numRuns: 20_000 },
  );
});

const refused: readonly (readonly [string, JsonScanFault, string])[] = [
  ['{"model":"a","model":"b"}', 'duplicate-key', 'model'],
  ['{"model":"a","mod\\u0065l":"b"}', 'duplicate-key', 'mod\\u0065l'],
  [
    '{"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":2}}',
    'duplicate-key',
    'generationConfig.maxOutputTokens',
  ],
  ['{"a":[{},{"b":[1,}]}', 'malformed', 'a[1].b[1]'],
  ['{"a":"open', 'malformed', 'a'],
  ['{"a":1}}', 'malformed', ''],
  ['{"a" 1}', 'malformed', 'a'],
  ['[1 2]', 'malformed', '[0]'],
  ['', 'malformed', ''],
  ['{"a":\u00a01}', 'malformed', 'a'],
  [`{"a":${'['.repeat(70)}`, 'too-deep', `a${'[0]'.repeat(63)}`],
];

for (const [text, fault, path] of refused) {
  test(`the scan refuses ${text.slice(0, 60)} as ${fault}`, () => {
    const scan = scanJson(Buffer.from(text));
    assert.ok(!scan.ok);
    assert.equal(scan.fault, fault);
    assert.equal(scan.path, path);
  });
}

test('bytes that are not UTF-8 are refused', () => {
  const scan = scanJson(Buffer.from([0x22, 0xff, 0x22]));
  assert.ok(!scan.ok && scan.fault === 'not-utf8');
});

test('nested look-alikes are no duplicates, and other repeated keys are unusual', () => {
  const nested = scanJson(Buffer.from('{"model":"a","x":{"model":"b"},"y":[{"model":"c"}]}'));
  assert.ok(nested.ok && !nested.unusual);
  for (const text of ['{"a":1,"a":2}', '{"\\u0061":1}', '\uFEFF{"a":1}']) {
    const scan = scanJson(Buffer.from(text));
    assert.ok(scan.ok && scan.unusual, text);
    assert.equal(spliceJson(Buffer.from(text), scan, []), undefined);
  }
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${index}`, index]));
  const scan = scanJson(Buffer.from(JSON.stringify(many)));
  assert.ok(scan.ok && scan.unusual && scan.members.length === 256);
});

test('hostile bodies are answered in milliseconds', () => {
  const bodies: readonly (readonly [string, string, number])[] = [
    ['five million brackets', '['.repeat(5_000_000), 20],
    ['a million keys', `{${'"k":1,'.repeat(1_000_000)}"k":1}`, 100],
    ['escaped quotes', `{"a":"${'\\"'.repeat(5_000_000)}"}`, 100],
    ['escaped backslashes', `{"a":"${'\\\\'.repeat(5_000_000)}"}`, 100],
    ['white space', `{"a":1${' '.repeat(10_000_000)}}`, 100],
  ];
  scanJson(Buffer.from(`{"warm":"${'x\\"'.repeat(10_000)}"}`));
  for (const [name, text, limitMs] of bodies) {
    const body = Buffer.from(text);
    const started = performance.now();
    scanJson(body);
    const elapsedMs = performance.now() - started;
    // Three times the figure of a quiet machine, because tests share theirs.
    assert.ok(elapsedMs < limitMs * 3, `${name}: ${elapsedMs} ms`);
  }
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

test('splices agree with editing the parsed object, for any object and edits', () => {
  const keys = fc.constantFrom('model', 'stream', 'a', 'b', 'c');
  const objects = fc.dictionary(keys, fc.jsonValue({ maxDepth: 2 }));
  const spaces = fc.constantFrom<string | number>(0, 2, '\t');
  fc.assert(
    fc.property(objects, spaces, editArbitrary, (object, space, edits) => {
      const body = Buffer.from(JSON.stringify(object, null, space));
      const pieces = spliceJson(body, scanJson(body), edits);
      assert.ok(pieces);
      const expected: Record<string, unknown> = JSON.parse(JSON.stringify(object));
      for (const { key, value } of edits) {
        if (value === undefined) delete expected[key];
        else expected[key] = JSON.parse(value);
      }
      assert.deepEqual(JSON.parse(Buffer.concat(pieces).toString()), { ...expected });
    }),
    { seed, numRuns: 10_000 },
  );
});

test('a splice leaves every other byte alone', () => {
  const text = '{ "model" : "a" ,\n "seed":9007199254740993, "temperature":0.0}';
  const body = Buffer.from(text);
  const scan = scanJson(body);
  const pieces = spliceJson(body, scan, [
    { key: 'model', value: '"b"' },
    { key: 'stream_options', value: '{"include_usage":true}' },
  ]);
  assert.equal(
    Buffer.concat(pieces ?? []).toString(),
    '{ "model" : "b" ,\n "seed":9007199254740993, "temperature":0.0,"stream_options":{"include_usage":true}}',
  );
  assert.equal(memberBytes(body, scan, 'seed')?.toString(), '9007199254740993');
});
