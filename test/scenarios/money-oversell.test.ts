/** In little; `node test/crash/gateway-oversell.ts` is the long run. */

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runOversell } from './money-oversell.ts';

it('serves many streams on a small wallet without a negative balance, a false refusal or a nano-dollar of difference', async () => {
  const report = await runOversell(60, 0.1, 20_261_123);
  assert.ok(report.refusals + report.lowered > 0, 'the wallet was never short');
  assert.equal(report.falseRefusals, 0);
  assert.ok(report.lowestAvailableNanoUsd >= 0);
  assert.equal(report.receiptsNanoUsd, report.ledgerNanoUsd);
  assert.equal(report.receiptsNanoUsd, report.vendorsNanoUsd);
  assert.equal(report.receiptsNanoUsd, report.revenueNanoUsd);
  assert.equal(report.pendingNanoUsd, 0);
  assert.equal(report.differences, 0);
});
