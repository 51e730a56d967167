import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRig } from './rig.ts';

for (const path of ['/v1/chat/completions', '/v1/embeddings'])
  for (const stream of path === '/v1/embeddings' ? [false] : [false, true])
    test(`a charge that a fault of ours keeps from being booked frees its hold, ${path}, stream ${stream}`, async () => {
      const rig = await startRig({
        services: (services) => ({
          ...services,
          ledger: {
            ...services.ledger,
            settle: () => Promise.reject(new RangeError('a fault')),
          },
        }),
      });
      try {
        const body = path === '/v1/embeddings' ? { input: 'x' } : { stream };
        const response = await rig.post(path, {
          model: path === '/v1/embeddings' ? 'sim-embedding' : 'sim-chat',
          messages: [{ role: 'user', content: 'hi' }],
          ...body,
        });
        assert.match(await response.text(), /internal_error/);
        const balance = await rig.books.ledger.balance(rig.walletId);
        assert.equal(balance.pendingNanoUsd, 0);
        assert.equal(balance.availableNanoUsd, 10_000_000_000);
        assert.equal((await rig.books.ledger.verify()).differenceCount, 0);
      } finally {
        await rig.close();
      }
    });
