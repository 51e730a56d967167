/** In little; `node test/crash/gateway-resume.ts` is the long run. */

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runResumes } from './disconnect-resume.ts';

it('gives streams that were lost at a random point in full, for one call and one charge each', async () => {
  const report = await runResumes(40, 20, 20_261_123);
  assert.deepEqual(
    { ...report, cuts: 0, resumedByEventId: 0 },
    {
      streams: 40,
      cuts: 0,
      resumedByEventId: 0,
      wrongTexts: 0,
      differentReplays: 0,
      firstWrong: undefined,
      vendorCalls: 40,
      retries: [],
      charges: 40,
      wrongCharges: 0,
      heldNanoUsd: 0,
    },
  );
  assert.ok(report.resumedByEventId > 5);
});
