import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesHaveVerdict, scanAgrees, seed, splicesAgree } from './json-scan-rig.ts';
import { scanJson, type JsonScanFault } from './json-scan.ts';
import { memberBytes, spliceJson } from './json-splice.ts';

test('the scan accepts whatever JSON.parse accepts, and finds the same members', () => {
  fc.assert(scanAgrees, { seed, numRuns: 1_000 });
});

test('random bytes give a verdict and never an exception', () => {
  fc.assert(bytesHaveVerdict, { seed, numRuns: 1_000 });
});

test('splices agree with editing the parsed object, for any object and edits', () => {
  fc.assert(splicesAgree, { seed, numRuns: 500 });
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

test('the token ids of one request are read, and a flood of commas is refused', () => {
  const ids = (count: number) => Buffer.from(`{"input":[${'1,'.repeat(count)}1]}`);
  assert.ok(scanJson(ids(300_000)).ok);
  const flood = scanJson(ids(2_000_000));
  assert.ok(!flood.ok && flood.fault === 'too-large' && flood.path.startsWith('input['));
});

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
    ['a million keys in an object', `{"a":{${'"k":1,'.repeat(1_000_000)}"k":1}}`, 100],
    ['a million escaped keys', `{"a":{${'"\\u006b":1,'.repeat(1_000_000)}"k":1}}`, 200],
    ['escaped quotes', `{"a":"${'\\"'.repeat(5_000_000)}"}`, 100],
    ['escaped backslashes', `{"a":"${'\\\\'.repeat(5_000_000)}"}`, 100],
    ['white space', `{"a":1${' '.repeat(10_000_000)}}`, 100],
  ];
  scanJson(Buffer.from(`{"warm":"${'x\\"'.repeat(10_000)}"}`));
  for (const [name, text, limitMs] of bodies) {
    const body = Buffer.from(text);
    const before = process.cpuUsage();
    scanJson(body);
    const { user, system } = process.cpuUsage(before);
    const cpuMs = (user + system) / 1_000;
    // Of the processor, not by the clock, and three times a quiet machine: tests share theirs.
    assert.ok(cpuMs < limitMs * 3, `${name}: ${cpuMs} ms`);
  }
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
