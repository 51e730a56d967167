import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attemptOf, candidate, giveUpOf, Rig, waitOf } from './router-rig.ts';

const dollar = 1_000_000_000;

test('a candidate without a required capability, with too small a context or of an unknown channel is filtered', () => {
  const rig = new Rig(['a', 'b', 'c']);
  rig.candidates = [
    candidate('a', { capabilities: 0b01 }),
    candidate('b', { capabilities: 0b11, contextTokens: 500 }),
    candidate('c', { capabilities: 0b11 }),
    candidate('nowhere', { capabilities: 0b11 }),
  ];
  const plan = rig.plan({ requiredCapabilities: 0b10 });
  assert.equal(attemptOf(plan.next()).channelId, 'c');
  const reasons = plan.explain().decisions[0]?.candidates.map(({ rejected }) => rejected);
  assert.deepEqual(reasons, ['capability', 'context-length', null, 'unknown-channel']);
  plan.close();
});

test('when nothing passes the filter the plan refuses before anything is reserved', () => {
  const rig = new Rig([{ id: 'a', enabled: false }]);
  const plan = rig.plan();
  assert.deepEqual(plan.admission, {
    kind: 'refused',
    reason: 'no-candidate',
    retryAfterMs: undefined,
  });
  plan.close();
});

test('hints name channels, providers and tags to use only, to ignore and to try in order', () => {
  const rig = new Rig([
    { id: 'a', provider: 'acme' },
    { id: 'b', provider: 'acme', tags: ['europe'] },
    { id: 'c', provider: 'other' },
  ]);
  assert.equal(rig.serve({ hints: { only: ['europe'] } }), 'b');
  assert.equal(rig.serve({ hints: { ignore: ['acme'] } }), 'c');
  rig.teach({ a: 100, b: 2_000, c: 3_000 });
  assert.equal(rig.serve({ hints: { order: ['c', 'b'] } }), 'c');
  const plan = rig.plan({ hints: { order: ['c', 'b'], allowFallbacks: false } });
  attemptOf(plan.next()).sent();
  assert.equal(attemptOf(plan.next({ kind: 'server-error' })).channelId, 'b');
  plan.close();
});

test('a price cap rejects dearer candidates', () => {
  const rig = new Rig(['a', 'b']);
  rig.candidates = [
    candidate('a', { outputNanoUsdPerMillion: 10 * dollar }),
    candidate('b', { outputNanoUsdPerMillion: 5 * dollar }),
  ];
  rig.teach({ a: 100, b: 4_000 });
  const hints = { maxPrice: { outputNanoUsdPerMillion: 6 * dollar } };
  assert.equal(rig.serve({ hints }), 'b');
});

test('the faster channel wins at equal price, the cheaper one at equal speed', () => {
  const speed = new Rig(['slow', 'quick']);
  speed.teach({ slow: 1_500, quick: 300 });
  assert.equal(speed.serve(), 'quick');
  const price = new Rig(['dear', 'cheap']);
  price.candidates = [
    candidate('dear', { inputNanoUsdPerMillion: 3 * dollar }),
    candidate('cheap', { inputNanoUsdPerMillion: dollar }),
  ];
  price.teach({ dear: 500, cheap: 500 });
  assert.equal(price.serve(), 'cheap');
});

test('presets are only the exponents: fast takes the quick dear channel, cheap the slow cheap one', () => {
  const rig = new Rig(['quick', 'cheap']);
  rig.candidates = [
    candidate('quick', {
      inputNanoUsdPerMillion: 3 * dollar,
      outputNanoUsdPerMillion: 12 * dollar,
    }),
    candidate('cheap'),
  ];
  rig.teach({ quick: 300, cheap: 800 });
  assert.equal(rig.serve({ hints: { preset: 'fast' } }), 'quick');
  assert.equal(rig.serve({ hints: { preset: 'cheap' } }), 'cheap');
  assert.equal(rig.serve({ hints: { sort: 'price' } }), 'cheap');
  assert.equal(rig.serve({ hints: { sort: 'latency' } }), 'quick');
});

test('around a change of price the dearer side is assumed for a minute on both sides', () => {
  const rig = new Rig(['flat', 'peak']);
  const changeMs = rig.nowMs + 3_600_000;
  rig.candidates = [
    candidate('flat', { inputNanoUsdPerMillion: 2 * dollar, outputNanoUsdPerMillion: 8 * dollar }),
    candidate('peak', {
      priceChanges: [
        {
          atMs: changeMs,
          inputNanoUsdPerMillion: 4 * dollar,
          outputNanoUsdPerMillion: 16 * dollar,
        },
      ],
    }),
  ];
  const hints = { sort: 'price' } as const;
  rig.nowMs = changeMs - 70_000;
  assert.equal(rig.serve({ hints }), 'peak');
  rig.nowMs = changeMs - 50_000;
  assert.equal(rig.serve({ hints }), 'flat');
  rig.nowMs = changeMs + 50_000;
  assert.equal(rig.serve({ hints }), 'flat');
});

test('flex work waits for a cheaper window that opens before its deadline, other classes do not', () => {
  const rig = new Rig(['a']);
  const opensMs = rig.nowMs + 600_000;
  rig.candidates = [
    candidate('a', {
      priceChanges: [
        {
          atMs: opensMs,
          inputNanoUsdPerMillion: dollar / 2,
          outputNanoUsdPerMillion: 2 * dollar,
        },
      ],
    }),
  ];
  const deadlineMs = rig.nowMs + 3_600_000;
  const plan = rig.plan({ class: 'flex', deadlineMs });
  const wait = waitOf(plan.next());
  assert.equal(wait.reason, 'cheaper-window');
  assert.ok(rig.nowMs + wait.delayMs >= opensMs + 60_000);
  rig.pass(wait.delayMs);
  attemptOf(plan.next());
  plan.close();
  rig.nowMs = opensMs - 600_000;
  assert.equal(attemptOf(rig.plan({ class: 'batch', deadlineMs }).next()).channelId, 'a');
  const soon = rig.plan({ class: 'flex', deadlineMs: rig.nowMs + 60_000 });
  assert.equal(soon.next().kind, 'attempt');
  soon.close();
});

test('a lower tier is left only when it is out', () => {
  const rig = new Rig(['first', 'second']);
  rig.candidates = [candidate('first'), candidate('second', { tier: 1, model: 'other' })];
  for (let count = 0; count < 25; count++) rig.serve({}, 3_000);
  const plan = rig.plan();
  const attempt = attemptOf(plan.next());
  assert.equal(attempt.channelId, 'first');
  attempt.sent();
  assert.equal(attemptOf(plan.next({ kind: 'server-error' })).model, 'other');
  plan.close();
});

test("the operator's weight counts like a lower price, and weight 0 is the last resort", () => {
  const rig = new Rig([{ id: 'a' }, { id: 'b', weight: 3 }, { id: 'spare', weight: 0 }]);
  rig.teach({ a: 400, b: 400, spare: 50 });
  assert.equal(rig.serve(), 'b');
});

test('a session stays with the channel that holds its prompt cache until it is clearly worse', () => {
  const rig = new Rig(['a', 'b']);
  rig.teach({ a: 400, b: 400 });
  const home = rig.serve({ sessionKey: 's' });
  const other = home === 'a' ? 'b' : 'a';
  rig.teach({ [home]: 600 }, 40);
  assert.equal(rig.serve({ sessionKey: 's' }, 600), home);
  rig.teach({ [home]: 6_000 }, 10);
  assert.equal(rig.serve({ sessionKey: 's' }), other);
});

test('affinity ends with the lifetime of the upstream cache', () => {
  const rig = new Rig(['a', 'b']);
  rig.teach({ a: 400, b: 400 });
  const home = rig.serve({ sessionKey: 's' });
  rig.teach({ [home]: 560 }, 40);
  const plan = rig.plan({ sessionKey: 's' });
  attemptOf(plan.next());
  assert.equal(plan.explain().decisions[0]?.how, 'affinity');
  plan.close();
  rig.pass(301_000);
  const later = rig.plan({ sessionKey: 's' });
  attemptOf(later.next());
  assert.notEqual(later.explain().decisions[0]?.how, 'affinity');
  later.close();
});

test('two routers that never talked place new sessions on the same channels, and spread them', () => {
  const ids = ['a', 'b', 'c', 'd'];
  const nodes = [new Rig(ids, {}, 1), new Rig(ids, {}, 2)];
  for (const node of nodes) node.teach({ a: 400, b: 400, c: 400, d: 400 });
  const counts = new Map<string, number>();
  let agreed = 0;
  for (let session = 0; session < 200; session++) {
    const [left, right] = nodes.map((node) => node.serve({ sessionKey: `session-${session}` }));
    if (left === right) agreed += 1;
    counts.set(left ?? '', (counts.get(left ?? '') ?? 0) + 1);
  }
  assert.ok(agreed >= 190, `agreed on ${agreed} of 200`);
  for (const id of ids) assert.ok((counts.get(id) ?? 0) > 20, `${id}: ${counts.get(id)}`);
});

test('a channel that joins experienced ones gets at most 5 % of the choices until 20 samples', () => {
  const rig = new Rig(['old'], { newLaneShare: 0.05 });
  rig.teach({ old: 3_000 });
  rig.pass(120_000);
  rig.router.update([{ id: 'old' }, { id: 'new' }]);
  rig.candidates = [candidate('old'), candidate('new')];
  let served = 0;
  for (let count = 0; count < 200; count++) {
    if (rig.serve({}, 500) === 'new') served += 1;
  }
  assert.ok(served >= 1 && served <= 25, `new channel served ${served} of 200`);
});

test('a nearly empty bucket is kept for what fits nowhere else', () => {
  const limits = { tokensPerMinute: 100_000 };
  const rig = new Rig([
    { id: 'scarce', limits },
    { id: 'plenty', limits },
  ]);
  rig.teach({ scarce: 400, plenty: 440 });
  rig.pass(60_000);
  assert.equal(rig.serve(), 'scarce');
  const drain = rig.plan({ inputTokens: 90_000, hints: { only: ['scarce'] } });
  rig.answer(attemptOf(drain.next()));
  drain.close();
  assert.equal(rig.serve(), 'plenty');
});

test('the explanation is JSON with every candidate, its score or the reason of its rejection, and the attempts', () => {
  const rig = new Rig(['a', 'b']);
  const plan = rig.plan();
  const first = attemptOf(plan.next());
  first.sent();
  rig.pass(70);
  const second = attemptOf(plan.next({ kind: 'server-error' }));
  rig.answer(second, 300);
  plan.close();
  const told = plan.explain();
  assert.deepEqual(JSON.parse(JSON.stringify(told)), told);
  assert.equal(told.decisions.length, 2);
  assert.deepEqual(
    told.attempts.map(({ channel, outcome, sent_after_ms, ended_after_ms }) => ({
      channel,
      outcome,
      sent_after_ms,
      ended_after_ms,
    })),
    [
      { channel: first.channelId, outcome: 'server-error', sent_after_ms: 0, ended_after_ms: 70 },
      { channel: second.channelId, outcome: 'finished', sent_after_ms: 0, ended_after_ms: 400 },
    ],
  );
  const again = told.decisions[1]?.candidates.find(({ channel }) => channel === first.channelId);
  assert.equal(again?.rejected, 'already-tried');
});

test('wrong configuration is refused when it is given', () => {
  const rig = new Rig(['a']);
  assert.throws(() => rig.router.update([{ id: 'x' }, { id: 'x' }]), RangeError);
  assert.throws(() => rig.router.update([{ id: 'x', limits: { tokensPerMinute: 0 } }]), RangeError);
  assert.throws(() => rig.router.update([{ id: 'x', weight: -1 }]), RangeError);
});

test('a plan that was closed gives no further attempt', () => {
  const rig = new Rig(['a']);
  const plan = rig.plan();
  attemptOf(plan.next()).sent();
  plan.close();
  assert.equal(rig.status('a').active, 0);
  assert.equal(giveUpOf(plan.next()).reason, 'client-gone');
});
