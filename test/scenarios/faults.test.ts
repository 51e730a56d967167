/** What a single upstream does wrong, and what the client sees of it: nothing, or one clear error. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Fault } from '#simulator';
import { startRig, type Rig } from './rig.ts';

type Dialect = {
  readonly name: string;
  readonly path: string;
  readonly body: (stream: boolean) => unknown;
  readonly streamPath: string;
};

/** Long enough that every dialect is in the middle of its text after 3,000 bytes. */
const words = `Hello ${'and again '.repeat(60)}`;
const messages = [{ role: 'user', content: words }];
const dialects: readonly Dialect[] = [
  {
    name: 'chat',
    path: '/v1/chat/completions',
    streamPath: '/v1/chat/completions',
    body: (stream) => ({ model: 'sim-chat', stream, messages }),
  },
  {
    name: 'responses',
    path: '/v1/responses',
    streamPath: '/v1/responses',
    body: (stream) => ({ model: 'sim-chat', stream, input: words, store: false }),
  },
  {
    name: 'messages',
    path: '/v1/messages',
    streamPath: '/v1/messages',
    body: (stream) => ({ model: 'sim-chat', stream, max_tokens: 100, messages }),
  },
  {
    name: 'gemini',
    path: '/v1beta/models/sim-chat:generateContent',
    streamPath: '/v1beta/models/sim-chat:streamGenerateContent?alt=sse',
    body: () => ({ contents: [{ role: 'user', parts: [{ text: words }] }] }),
  },
];

/** Faults that end an attempt before it has shown content. */
const before_content: { readonly [name: string]: Fault } = {
  'connection reset': { reset: true },
  '429 with retry-after': { status: 429, headers: { 'retry-after': '1' } },
  '429 without retry-after': { status: 429 },
  '500': { status: 500 },
  '503 with an HTML body': { status: 503, body: '<html>no</html>', content_type: 'text/html' },
  '401 of our own key': { status: 401 },
  '200 with an error body': {
    body: '{"error":{"message":"it broke","type":"server_error"}}',
    content_type: 'application/json',
  },
  '200 with an empty body': { body: '' },
  '200 with invalid JSON': { body: '{"choices": [', content_type: 'application/json' },
  'wrong content type': { body: '<html>hello</html>', content_type: 'text/html' },
  'a stream cut before content': {
    body: 'data: {"id":"x"',
    content_type: 'text/event-stream',
    cut_at_byte: 8,
  },
};

for (const dialect of dialects) {
  for (const stream of [false, true]) {
    describe(`an upstream fault, ${dialect.name} ${stream ? 'streamed' : 'whole'}`, () => {
      let rig: Rig;
      before(async () => {
        rig = await startRig({ vendors: [{ id: 'bad' }, { id: 'good' }] });
      });
      after(() => rig.close());

      for (const [name, fault] of Object.entries(before_content)) {
        it(`is not seen by the client when another channel is well: ${name}`, async () => {
          rig.runtime.reload([]);
          rig.vendors['bad']?.script.replace([{ fault }]);
          rig.vendors['good']?.script.replace([]);
          for (let turn = 0; turn < 3; turn += 1) {
            const response = await rig.post(
              stream ? dialect.streamPath : dialect.path,
              dialect.body(stream),
            );
            const text = await response.text();
            assert.equal(response.status, 200, text);
            assert.match(text, /simulator/);
            assert.doesNotMatch(text, /it broke|<html>/);
          }
          const { pendingNanoUsd } = await rig.books.ledger.balance(rig.walletId);
          assert.equal(pendingNanoUsd, 0);
        });
      }
    });
  }
}

describe('an upstream fault on the only channel', () => {
  for (const [name, fault] of Object.entries(before_content)) {
    it(`costs nothing and is told in the client’s dialect: ${name}`, async () => {
      const rig = await startRig({ vendors: [{ id: 'bad', rules: [{ fault }] }] });
      try {
        const before = await rig.books.ledger.balance(rig.walletId);
        const response = await rig.post('/v1/messages', dialects[2]?.body(true));
        const body = (await response.json()) as {
          type: string;
          error: { type: string; message: string };
        };
        assert.ok(response.status >= 429, `${response.status}`);
        assert.equal(body.type, 'error');
        assert.ok(body.error.message.length > 5);
        const after = await rig.books.ledger.balance(rig.walletId);
        assert.deepEqual(after, before);
      } finally {
        await rig.close();
      }
    });
  }
});

describe('a stream of much and no content', () => {
  it('is given up before it fills the memory', async () => {
    const silence = { choices: [{ index: 0, delta: {} }], padding: 'x'.repeat(100_000) };
    const late = { choices: [{ index: 0, delta: { content: 'late' }, finish_reason: 'stop' }] };
    const frames = [...Array.from({ length: 200 }, () => silence), late];
    const lines = frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join('');
    const body = `${lines}data: [DONE]\n\n`;
    const rig = await startRig({
      vendors: [{ id: 'bad', rules: [{ fault: { body, content_type: 'text/event-stream' } }] }],
    });
    try {
      const response = await rig.post('/v1/chat/completions', dialects[0]?.body(true));
      assert.equal(response.status, 502, (await response.text()).slice(-200));
      assert.equal((await rig.books.ledger.balance(rig.walletId)).pendingNanoUsd, 0);
    } finally {
      await rig.close();
    }
  });
});

describe('a stream that is cut after content', () => {
  for (const dialect of dialects) {
    it(`ends in an error event, never cleanly, and only what was delivered is charged: ${dialect.name}`, async () => {
      const rig = await startRig({
        vendors: [{ id: 'bad', rules: [{ fault: { cut_at_byte: 3_000 } }] }],
      });
      try {
        const response = await rig.post(dialect.streamPath, dialect.body(true));
        const text = await response.text();
        assert.equal(response.status, 200);
        assert.match(text, /error/);
        assert.doesNotMatch(
          text,
          /\[DONE\]|message_stop|response\.completed|"finishReason":"STOP"/,
        );
        const [receipt] = (await rig.books.ledger.statement({ walletId: rig.walletId, limit: 1 }))
          .receipts;
        assert.equal(receipt?.usageSource, 'estimated');
        assert.ok((receipt?.chargeNanoUsd ?? 0) > 0);
      } finally {
        await rig.close();
      }
    });

    it(`is an error too when the upstream closes politely before the end: ${dialect.name}`, async () => {
      const rig = await startRig({
        vendors: [{ id: 'bad', rules: [{ fault: { end_at_byte: 3_000 } }] }],
      });
      try {
        const text = await (await rig.post(dialect.streamPath, dialect.body(true))).text();
        assert.match(text, /error/);
        assert.doesNotMatch(
          text,
          /\[DONE\]|message_stop|response\.completed|"finishReason":"STOP"/,
        );
      } finally {
        await rig.close();
      }
    });
  }
});

describe('a request fault', () => {
  it('goes back to the client at once, in its dialect, and is not tried elsewhere', async () => {
    const rig = await startRig({
      vendors: [
        { id: 'one', rules: [{ fault: { status: 400 } }] },
        { id: 'two', rules: [{ fault: { status: 400 } }] },
      ],
    });
    try {
      const response = await rig.post('/v1/chat/completions', dialects[0]?.body(false));
      assert.equal(response.status, 400);
      assert.equal(
        (rig.vendors['one']?.seen.length ?? 0) + (rig.vendors['two']?.seen.length ?? 0),
        1,
      );
    } finally {
      await rig.close();
    }
  });
});
