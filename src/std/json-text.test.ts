import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findMember, findMemberObject, setMembers, shortenNumberLists } from './json-text.ts';
import { asObject, parseJsonObject } from './json.ts';

const bill = [
  ['cost', '0.5'],
  ['receipt_id', '"r1"'],
] as const;

function annotated(text: string): string | undefined {
  const object = findMemberObject(text, 'usage');
  return object && setMembers(text, object, bill);
}

test('members are appended to the object or take the place of those that are there', () => {
  assert.equal(annotated('{"usage":{}}'), '{"usage":{"cost":0.5,"receipt_id":"r1"}}');
  assert.equal(
    annotated('{ "usage" : { "cost" : 1, "n": 2 } , "z":[] }'),
    '{ "usage" : { "cost" : 0.5, "n": 2 ,"receipt_id":"r1"} , "z":[] }',
  );
  assert.equal(annotated('{"usage":null}'), undefined);
  assert.equal(annotated('{"choices":[{"usage":{"n":1}}]}'), undefined);
});

test('members are taken out with one of the commas around them, as often as they are there', () => {
  const without = (text: string): string =>
    setMembers(text, { start: 0, end: text.length }, [['cost', undefined]]);
  for (const [text, expected] of [
    ['{"cost":1}', '{}'],
    ['{ "cost" : {"a":[1,"}"]} , "n": 2 }', '{ "n": 2 }'],
    ['{"n":1 , "cost" : "x:\\"," }', '{"n":1  }'],
    ['{"cost":1,"n":{"cost":2},"cost":3}', '{"n":{"cost":2}}'],
    ['{"a":"\\"cost\\":1","costs":4}', '{"a":"\\"cost\\":1","costs":4}'],
  ] as const)
    assert.equal(without(text), expected);
});

test('look-alikes in strings, in nested objects and as values are no members', () => {
  for (const [text, expected] of [
    ['{"a":"\\"usage\\":{","usage":{"n":1}}', '{"a":"\\"usage\\":{","usage":{"n":1,B}}'],
    ['{"usage":{"n":1},"a":{"usage":{"n":2}}}', '{"usage":{"n":1,B},"a":{"usage":{"n":2}}}'],
    ['{"usage":{"n":1},"a":"usage"}', '{"usage":{"n":1,B},"a":"usage"}'],
    ['{"x\\"usage":{"n":2},"usage":{"n":1}}', '{"x\\"usage":{"n":2},"usage":{"n":1,B}}'],
    ['{"usage":{"n":1},"x\\"usage":{"n":2}}', '{"usage":{"n":1,B},"x\\"usage":{"n":2}}'],
    ['{"usage":{"cost":{"usage":{}}}}', '{"usage":{"cost":0.5,"receipt_id":"r1"}}'],
  ] as const)
    assert.equal(annotated(text), expected.replace('B', '"cost":0.5,"receipt_id":"r1"'));
});

test('of two members with one name the last counts, as a parser has it', () => {
  assert.equal(
    annotated('{"usage":{"n":1},"usage":{"n":2}}'),
    '{"usage":{"n":1},"usage":{"n":2,"cost":0.5,"receipt_id":"r1"}}',
  );
});

test('a text means the same with and without the members', () => {
  const key = fc.constantFrom('usage', 'a', 'cost', 'x"usage', 'usage\\', 'é');
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom<unknown>(null, true, 0, -1.5e3, '', 'usage', '"usage":{', '\\', '}]"'),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(key, tie('any'), { maxKeys: 4, noNullPrototype: true }),
    ),
  })).any;
  const indent = fc.constantFrom(0, 1);
  fc.assert(
    fc.property(
      fc.dictionary(key, value, { maxKeys: 5, noNullPrototype: true }),
      indent,
      (object, spaces) => {
        const text = JSON.stringify(object, undefined, spaces);
        const { usage } = object;
        const isObject = typeof usage === 'object' && usage !== null && !Array.isArray(usage);
        const result = annotated(text);
        assert.equal(result !== undefined, isObject);
        if (result === undefined || !isObject) return;
        assert.deepEqual(
          { ...parseJsonObject(result) },
          { ...parseJsonObject(text), usage: { ...usage, cost: 0.5, receipt_id: 'r1' } },
        );
      },
    ),
    { numRuns: 3_000 },
  );
});

test('torn text never makes a reader run on', () => {
  const whole = '{"a":["x\\\\",{"usage":{"n":"}"}}],"usage":{"n":[1,2]}}';
  for (let length = 0; length < whole.length; length += 1) {
    const torn = whole.slice(0, length);
    const member = findMember(torn, 0, 'usage');
    assert.ok(member === undefined || member.end <= torn.length);
    assert.doesNotThrow(() => annotated(torn));
  }
  assert.ok(asObject(parseJsonObject(whole)?.['usage']));
});

test('lists of numbers are cut short where they are members of the name, and nothing else changes', () => {
  const isPlain = (value: unknown): boolean =>
    value === null || (typeof value !== 'string' && typeof value !== 'object');
  const short = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(short);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        key,
        key === 'v' && Array.isArray(inner) && Number.isFinite(inner[0]) && inner.every(isPlain)
          ? [0]
          : short(inner),
      ]),
    );
  };
  const key = fc.constantFrom('v', 'a', 'x"v', 'v\\');
  const numbers = fc.array(fc.oneof(fc.integer(), fc.double({ noNaN: true })), { maxLength: 5 });
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>(null, 1, 'v', '"v":[1]', ']', '\\"v\\":[1,2]'),
      numbers,
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(key, fc.oneof(numbers, tie('any')), { maxKeys: 4, noNullPrototype: true }),
    ),
  })).any;
  fc.assert(
    fc.property(value, fc.constantFrom(0, 1), (made, spaces) => {
      const text = JSON.stringify(made, undefined, spaces);
      const shortened = shortenNumberLists(text, 'v');
      assert.deepEqual(JSON.parse(shortened), short(JSON.parse(text)), text);
    }),
    { numRuns: 3_000 },
  );
});

test('a torn list of numbers stays torn', () => {
  const whole = '{"data":[{"v":[1,2]},{"v":[3,4]}],"usage":{"n":1}}';
  for (let length = 0; length < whole.length; length += 1)
    assert.equal(parseJsonObject(shortenNumberLists(whole.slice(0, length), 'v')), undefined);
});
