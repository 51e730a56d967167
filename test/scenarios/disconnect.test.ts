/** T-B7 in little; `node test/crash/gateway-disconnect.ts` is the long run. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allCells, runCell } from './disconnect-matrix.ts';

describe('a client that leaves', { concurrency: 3 }, () => {
  for (const cell of allCells()) {
    const { client, stream, stops, point } = cell;
    it(`pays what the policy says: ${client.id}, ${stream ? 'stream' : 'whole'}, leaving ${stops ? 'stops' : 'does not stop'} the meter, ${point}`, async () => {
      const report = await runCell(cell, 5);
      assert.deepEqual(report.wrong, [], `expected ${report.expectedNanoUsd}`);
      assert.equal(report.requests, 5);
      assert.equal(report.heldNanoUsd, 0);
      assert.equal(report.callsMissing, 0);
      assert.ok(
        report.lateCallsMs.every((ms) => ms <= 100),
        String(report.lateCallsMs),
      );
    });
  }
});
