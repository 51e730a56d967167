/** Upstream faults alone and in pairs, in short; the whole table is `test/lab/faults.ts`. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cellsOf, faultNames, faults, runCells, type Cell } from '../lab/fault-table.ts';

const quick = faultNames.filter((name) => faults[name]?.waits !== true);

function problemsOf(cells: readonly Cell[]): readonly string[] {
  return cells.flatMap((cell) =>
    cell.problems.map(
      (problem) =>
        `${cell.faults.join(' + ')}, ${cell.dialect} ${cell.stream ? 'streamed' : 'whole'}: ${problem}`,
    ),
  );
}

describe('an upstream fault that no other channel can mend', () => {
  it('is one well-formed error in every dialect, without a charge for nothing and without a hold left', async () => {
    const { cells, pendingNanoUsd } = await runCells(cellsOf(quick.map((name) => [name])), 12);
    assert.deepEqual(problemsOf(cells), []);
    assert.equal(pendingNanoUsd, 0);
    assert.equal(cells.length, quick.length * 8);
    // What was delivered before a cut is charged: the table can see charges.
    assert.ok(cells.some((cell) => cell.result === 'partial' && cell.chargeNanoUsd > 0));
    assert.ok(cells.every((cell) => cell.attempts >= 1 && cell.attempts <= 6));
  });

  it('is no other when the second channel has another fault', async () => {
    // Each fault once as the first and once as the second.
    const pairs = quick.map((name, index) => [name, quick[(index * 5 + 3) % quick.length] ?? name]);
    const { cells, pendingNanoUsd } = await runCells(cellsOf(pairs), 12);
    assert.deepEqual(problemsOf(cells), []);
    assert.equal(pendingNanoUsd, 0);
    assert.ok(cells.some((cell) => cell.attempts >= 2));
  });
});
