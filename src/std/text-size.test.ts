import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyCharacter } from '../../test/support/characters.ts';
import { jsonStringSize, textSize } from './text-size.ts';

const anyText = fc.string({ unit: anyCharacter, maxLength: 40 });

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

test('ASCII is as large as it is long, other scripts are larger', () => {
  const ascii = String.fromCharCode(...Array.from({ length: 128 }, (_, code) => code));
  assert.equal(textSize(ascii), 128);
  assert.equal(textSize(''), 0);
  for (const unit of ['é', 'ж', 'ب', 'ह', 'ท', '한', '你', 'か', '，', '—', '😀', '𠀀', '\uffff'])
    assert.ok(textSize(unit) > 1, unit);
});

test('the size of a text is that of its pieces, wherever it is cut', () => {
  fc.assert(
    fc.property(anyText, fc.nat(80), (text, at) => {
      assert.equal(textSize(text.slice(0, at)) + textSize(text.slice(at)), textSize(text));
    }),
    { seed: 20_261_128, numRuns: 300 },
  );
});

test('a JSON string is as large as its text, and ends where it does', () => {
  fc.assert(
    fc.property(anyText, fc.boolean(), fc.boolean(), (text, all, capitals) => {
      const plain = JSON.stringify(text).slice(1, -1);
      const units = (all ? text : plain).split('');
      const written = units.map((unit) => (all || unit > '\x7f' ? escaped(unit) : unit)).join('');
      const contents = capitals ? written.replace(/(?<=\\u)..../g, upper) : written;
      for (const form of [plain, contents]) {
        const { end, size } = jsonStringSize(`["${form}",1]`, 2);
        assert.deepEqual([size, end], [textSize(text), 2 + form.length]);
      }
    }),
    { seed: 20_261_128, numRuns: 300 },
  );
});

const upper = (digits: string): string => digits.toUpperCase();

test('a JSON string that never closes is measured to the end', () => {
  assert.deepEqual(jsonStringSize('"abc', 1), { end: 4, size: 3 });
  for (const broken of ['"a\\', '"a\\u', '"a\\u4f', '"a\\uzzzz', '']) {
    const { size } = jsonStringSize(broken, 1);
    assert.ok(Number.isFinite(size) && size < 20, broken);
  }
});
