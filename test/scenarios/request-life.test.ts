/** How long one request may live: as the operator says, and long enough for the longest answers. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startRig } from './rig.ts';

async function lifeOfAttempt(config: Readonly<Record<string, unknown>>): Promise<number> {
  let totalMs = 0;
  const rig = await startRig({
    config,
    services: (services) => ({
      ...services,
      router: {
        plan: (request) => {
          const plan = services.router.plan(request);
          return {
            next: async (failure) => {
              const step = await plan.next(failure);
              if (step.kind === 'attempt') totalMs = step.timeouts.totalMs;
              return step;
            },
            explain: () => plan.explain(),
            close: () => plan.close(),
          };
        },
      },
    }),
  });
  try {
    const messages = [{ role: 'user', content: 'Hello' }];
    const response = await rig.post('/v1/chat/completions', { model: 'sim-chat', messages });
    assert.equal(response.status, 200, await response.text());
    return totalMs;
  } finally {
    await rig.close();
  }
}

describe('the life of a request', () => {
  it('is an hour: a model that writes 128,000 tokens at fifty a second takes 43 minutes', async () => {
    assert.equal(await lifeOfAttempt({}), 3_600_000);
  });

  it('is what the operator says, also when that is longer', async () => {
    assert.equal(await lifeOfAttempt({ request_ms: 10_800_000 }), 10_800_000);
  });
});
