import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayHoldLongNumber } from './exact-numbers.ts';
import { decodeJsonText, scanJson } from './json-scan.ts';
import { parseJson, parseJsonObject, parseScannedJson, parseToolObject } from './json.ts';

const long = '1234567890123456789';

test('a long number is found wherever it stands, and digits inside words are none', () => {
  for (let before = 0; before < 40; before += 1) {
    const space = ' '.repeat(before);
    for (const text of [
      `[${space}${long}]`,
      `[${space}-9007199254740993]`,
      `{"a":${space}${long}}`,
    ])
      assert.ok(mayHoldLongNumber(text), text);
    for (const text of [
      `["${space}x${long}"]`,
      `[${space}123456789012345]`,
      `[0.${'5'.repeat(9)}]`,
    ])
      assert.ok(!mayHoldLongNumber(text), text);
  }
  assert.ok(mayHoldLongNumber(long));
  assert.ok(!mayHoldLongNumber(''));
});

test('arguments and results of tools keep the digits, other numbers are rounded as ever', () => {
  const texts = [
    `{"input":{"id":${long},"list":[-${long},1,1.5,"x"]}}`,
    `{"functionCall":{"args":{"deep":{"id":${long}}}}}`,
    `{"function_response":{"response":{"id":${long}}}}`,
  ];
  for (const text of texts) assert.equal(JSON.stringify(parseJsonObject(text)), text);
  for (const text of [
    `{"seed":${long}}`,
    `{"input":[${long}]}`,
    `{"response":{"n":${long}}}`,
    `{"properties":{"input":{"maximum":${long}}}}`,
    `{"input":${long},"__proto__":${long}}`,
    long,
  ]) {
    const parsed = parseJson(text);
    assert.deepEqual(parsed, { ok: true, value: JSON.parse(text) as unknown });
  }
});

test('an object of a tool is read alike from its text', () => {
  assert.equal(JSON.stringify(parseToolObject(`{"id": ${long}}`)), `{"id":${long}}`);
  assert.deepEqual(parseToolObject('{"id":1}'), { id: 1 });
  for (const text of [long, `[${long}]`, `{"id":${long}},{}`, ''])
    assert.equal(parseToolObject(text), undefined);
});

test('a body of very many values is parsed the quick way', () => {
  const many = '0,'.repeat(30_000);
  assert.ok(!mayHoldLongNumber(`[${many}${long}]`));
  assert.ok(!mayHoldLongNumber(`[${'[[1]],'.repeat(30_000)}${long}]`));
  assert.ok(mayHoldLongNumber(`["${' '.repeat(1_000_000)}",${long}]`));
});

test('what a scan of the bytes saw of numbers is enough to read them as exactly as without it', () => {
  for (const [number, isLong] of [
    [long, true],
    ['9007199254740993', true],
    ['-9007199254740993', true],
    ['900719925474099', false],
    [`"${long}"`, false],
    [`"a ${long}"`, false],
  ] as const)
    for (const text of [`{"input":{"id":${number}}}`, `{"args":{"a":[1,{"b":${number}}]}}`]) {
      const bytes = Buffer.from(text);
      const scan = scanJson(bytes);
      assert.ok(scan.ok);
      assert.equal(scan.longScalar, isLong, text);
      const parsed = parseScannedJson(decodeJsonText(bytes), scan.longScalar);
      assert.deepEqual(parsed, parseJson(text));
      assert.equal(JSON.stringify(parsed.ok && parsed.value), text);
    }
});
