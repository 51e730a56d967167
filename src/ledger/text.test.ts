import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyCharacter } from '../../test/support/characters.ts';
import { escapedName, listed, objectText, quoted } from './text.ts';

const anyText = fc.oneof(
  fc.string({ unit: anyCharacter }),
  fc.constantFrom(
    '',
    'gpt-test',
    '"',
    '\\',
    '\u2028',
    'a"b\\n',
    '\ud800',
    '__proto__',
    'x'.repeat(200),
  ),
);

test('texts, lists and objects are the JSON that the engine would write', () => {
  fc.assert(
    fc.property(fc.array(anyText), (texts) => {
      assert.equal(listed(texts, quoted), JSON.stringify(texts));
      for (const text of texts) assert.equal(`"${escapedName(text)}"`, JSON.stringify(text));
    }),
  );
  const value = fc.oneof(anyText, fc.double(), fc.integer(), fc.constant(-0), fc.jsonValue());
  fc.assert(
    fc.property(fc.dictionary(anyText, value), (object) => {
      assert.equal(objectText(object as never), JSON.stringify(object));
    }),
  );
  assert.equal(objectText({ known: 1, unknown: undefined }), '{"known":1}');
});
