import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Seam } from './seam.ts';

const seed = 20261127;
const answer = Array.from({ length: 120 }, (_, index) => `word${index * 7}`).join(' ');

/** What a client has in the end, and whether the continuation was refused. */
function joined(
  delivered: string,
  pieces: readonly string[],
): { text: string; restarted: boolean } {
  const seam = new Seam(delivered);
  let text = delivered;
  for (const piece of pieces) text += seam.push(piece);
  text += seam.end();
  return { text, restarted: seam.restarted };
}

function pieces(text: string, size: number): readonly string[] {
  const all: string[] = [];
  for (let at = 0; at < text.length; at += size) all.push(text.slice(at, at + size));
  return all;
}

test('a continuation that repeats any end of the text, in any pieces, gives the whole answer once', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 40, max: answer.length - 1 }),
      fc.integer({ min: 12, max: 39 }),
      fc.integer({ min: 1, max: 200 }),
      fc.boolean(),
      (cut, again, size, repeats) => {
        const from = repeats ? cut - again : cut;
        const { text, restarted } = joined(answer.slice(0, cut), pieces(answer.slice(from), size));
        assert.equal(restarted, false);
        assert.equal(text, answer);
      },
    ),
    { seed, numRuns: 500 },
  );
});

test('a repetition longer than the first look is cut off to its end', () => {
  const { text } = joined(answer.slice(0, 500), pieces(answer.slice(500 - 300), 10));
  assert.equal(text, answer);
});

test('an answer that begins anew is refused, and nothing of it is delivered', () => {
  for (const cut of [5, 20, 64, 400]) {
    const { text, restarted } = joined(answer.slice(0, cut), pieces(answer, 7));
    assert.equal(restarted, true, `cut at ${cut}`);
    assert.equal(text, answer.slice(0, cut));
  }
});

test('white space that a vendor cut off and said again is there once', () => {
  assert.equal(joined('One two ', [' three']).text, 'One two three');
  assert.equal(joined('One two ', ['three']).text, 'One two three');
  assert.equal(joined('One two', [' three']).text, 'One two three');
});

test('short words that the language repeats by itself are kept', () => {
  assert.equal(joined('He said that', [' that was all.']).text, 'He said that that was all.');
});

test('a continuation that ends inside of the repetition adds nothing', () => {
  const { text } = joined(answer.slice(0, 500), [answer.slice(300, 450)]);
  assert.equal(text, answer.slice(0, 500));
});
