/** Streams through the whole gateway: alive while the upstream is silent, whole at any split, gone when the client is. */

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'node:test';
import { startRig, type Rig } from './rig.ts';

const messages = [{ role: 'user', content: 'Grüße an die 世界 🌍' }];
const streams: {
  readonly name: string;
  readonly path: string;
  readonly body: unknown;
  readonly heartbeat: RegExp;
}[] = [
  {
    name: 'chat',
    path: '/v1/chat/completions',
    body: { model: 'sim-chat', stream: true, messages },
    heartbeat: /^: keep-alive\n\n/,
  },
  {
    name: 'responses',
    path: '/v1/responses',
    body: { model: 'sim-chat', stream: true, input: messages[0]?.content, store: false },
    heartbeat: /^: keep-alive\n\n/,
  },
  {
    name: 'messages',
    path: '/v1/messages',
    body: { model: 'sim-chat', stream: true, max_tokens: 90, messages },
    heartbeat: /^event: ping\ndata: \{"type": ?"ping"\}\n\n/,
  },
  {
    name: 'gemini by SSE',
    path: '/v1beta/models/sim-chat:streamGenerateContent?alt=sse',
    body: { contents: [{ role: 'user', parts: [{ text: messages[0]?.content }] }] },
    heartbeat: /^: keep-alive/,
  },
  {
    name: 'gemini as a JSON array',
    path: '/v1beta/models/sim-chat:streamGenerateContent',
    body: { contents: [{ role: 'user', parts: [{ text: messages[0]?.content }] }] },
    heartbeat: /^\s+/,
  },
];

describe('a stream', () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig({ config: { streaming: { heartbeat_ms: 60, hold_headers_ms: 30 } } });
  });
  after(() => rig.close());
  const script = (
    rules: Parameters<NonNullable<Rig['vendors'][string]>['script']['replace']>[0],
  ): void => rig.vendors['simulator']?.script.replace(rules);

  for (const { name, path, body, heartbeat } of streams) {
    it(`is kept alive in its dialect’s legal form while the upstream is silent: ${name}`, async () => {
      script([{ fault: { first_byte_delay_ms: 400 } }]);
      const text = await (await rig.post(path, body)).text();
      script([]);
      assert.match(text, heartbeat);
      assert.match(text, /世界/);
      if (name.includes('array')) assert.ok(Array.isArray(JSON.parse(text)));
    });

    it(`is the same when the upstream’s bytes come one by one: ${name}`, async () => {
      const normal = (text: string): string =>
        text
          .replace(
            /"(?:id|responseId|created_at|created|completed_at|createTime|item_id|receipt_?[iI]d|cost)": ?(?:"[^"]*"|[\d.]+)/g,
            '',
          )
          .replace(/(?:: keep-alive|event: ping\ndata: \{"type": ?"ping"\})\r?\n\r?\n/g, '')
          .replace(/: cost_usd[^\n]*/g, '')
          // The heartbeat of a JSON array is white space between its elements.
          .replace(/\}\n+,/g, '},')
          .trim();
      script([]);
      const whole = await (await rig.post(path, body)).text();
      script([{ fault: { drip_ms: 0, drip_bytes: 1 } }]);
      const dripped = await (await rig.post(path, body)).text();
      script([]);
      assert.equal(normal(dripped), normal(whole));
    });
  }

  it('ends upstream soon after the client has left', async () => {
    script([{ fault: { drip_ms: 20, drip_bytes: 40 } }]);
    const delays: number[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      const leave = new AbortController();
      const response = await rig.post('/v1/chat/completions', streams[0]?.body, {}, leave.signal);
      await response.body?.getReader().read();
      const seen = rig.vendors['simulator']?.seen.at(-1);
      const leftAtMs = performance.now();
      leave.abort();
      while (seen?.closedEarly !== true && performance.now() - leftAtMs < 10_000) await sleep(2);
      delays.push(performance.now() - leftAtMs);
      assert.equal(seen?.closedEarly, true);
    }
    script([]);
    console.log(
      `upstream closed after the client left, ms: ${delays.map((delay) => delay.toFixed(0)).join(' ')}`,
    );
    for (
      let waited = 0;
      waited < 1_000 && (await rig.books.ledger.balance(rig.walletId)).pendingNanoUsd > 0;
      waited += 1
    )
      await sleep(10);
    assert.equal((await rig.books.ledger.balance(rig.walletId)).pendingNanoUsd, 0);
  });
});
