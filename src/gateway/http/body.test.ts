import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyUpload, createHeldBytes, type BodyOutcome } from './body.ts';

function upload(pieces: readonly Uint8Array[]): BodyOutcome {
  const outcomes: BodyOutcome[] = [];
  const begun = new BodyUpload(1_000, createHeldBytes(1_000), 0, (outcome) =>
    outcomes.push(outcome),
  );
  for (const piece of pieces) begun.take(piece);
  begun.complete();
  const [outcome] = outcomes;
  assert.ok(outcome);
  return outcome;
}

test('the memory of pieces is free once they are one body, and what others use of it stays', () => {
  const shared = new Uint8Array([9, 4, 5]);
  const own = new Uint8Array([1, 2, 3]);
  const { body, takenBytes } = upload([own, shared.subarray(1), new Uint8Array([6])]);
  assert.deepEqual([...body], [1, 2, 3, 4, 5, 6]);
  assert.equal(takenBytes, 6);
  assert.equal(own.length, 0);
  assert.deepEqual([...shared], [9, 4, 5]);
});

test('a body of one piece is that piece, and one of none is empty', () => {
  const piece = new Uint8Array([1, 2]);
  assert.equal(upload([piece]).body, piece);
  assert.equal(upload([]).body.length, 0);
});
