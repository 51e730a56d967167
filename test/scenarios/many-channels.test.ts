/** Operators with a channel for each of many keys: what a request costs must not grow with them. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startRig, type Rig } from './rig.ts';

const channelCount = 12;

describe('a request of another dialect for many channels of one vendor', () => {
  let rig: Rig;
  let encodings = 0;
  before(async () => {
    rig = await startRig({
      vendors: Array.from({ length: channelCount }, (_, index) => ({
        id: `key-${index + 1}`,
        channel: { models: { 'sim-chat': { dialects: ['gemini-generate'], prices: 'free' } } },
      })),
      services: (services) => {
        const gemini = services.dialects['gemini-generate'];
        const counted: typeof gemini = {
          ...gemini,
          request: {
            ...gemini.request,
            encode: (...given) => {
              encodings += 1;
              return gemini.request.encode(...given);
            },
          },
        };
        return { ...services, dialects: { ...services.dialects, 'gemini-generate': counted } };
      },
    });
  });
  after(() => rig.close());

  it('is encoded once to see whether it can be said, and once to be sent', async () => {
    const response = await rig.post('/v1/chat/completions', {
      model: 'sim-chat',
      messages: [{ role: 'user', content: 'Hello' }],
    });
    assert.equal(response.status, 200, await response.text());
    assert.equal(encodings, 2);
  });
});
