import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayFailure } from '#canonical';
import type { DistantPlan } from '#routing';
import { nextStep } from './steps.ts';

test('nobody waits for a cheaper hour for a client that left while the plan was asked', async () => {
  const left = new AbortController();
  const plan: Pick<DistantPlan, 'next'> = {
    next: () => {
      left.abort();
      return { kind: 'wait', delayMs: 60_000, reason: 'no-capacity' };
    },
  };
  const client = {
    signal: left.signal,
    get aborted() {
      return left.signal.aborted;
    },
  };
  const late = new Promise((resolve) => setTimeout(resolve, 500, 'still waiting').unref());
  const asked = nextStep(plan as DistantPlan, client, undefined).then(
    () => 'a step',
    (error: unknown) => (error instanceof GatewayFailure ? error.error.code : error),
  );
  assert.equal(await Promise.race([asked, late]), 'client_closed_request');
});
