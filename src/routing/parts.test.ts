import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hashText, rendezvousWeight } from './affinity.ts';
import { Bucket } from './bucket.ts';
import { ConcurrencyLimit } from './concurrency.ts';
import type { FailureKind, ServiceClass } from './contract.ts';
import { FairShare } from './fairness.ts';
import { Latency } from './latency.ts';
import { expectedCost, priceAt } from './price.ts';
import { candidate, Rig } from './router-rig.ts';
import { defaultRoutingSettings } from './settings.ts';

const seed = 20261123;
const settings = defaultRoutingSettings;

test('a concurrency limit doubles per window while it is used, and not while it is not', () => {
  const limit = new ConcurrencyLimit(settings);
  let nowMs = 0;
  for (let window = 0; window < 6; window++) {
    limit.begin(limit.limit, nowMs);
    nowMs += 1_001;
    limit.begin(1, nowMs);
    nowMs += 1;
  }
  assert.ok(limit.limit >= 32 * 2 ** 5, `${limit.limit}`);
  const idle = new ConcurrencyLimit(settings);
  for (let window = 0; window < 6; window++) idle.begin(3, window * 1_001);
  assert.equal(idle.limit, 32);
});

test('a concurrency limit steps back once per window however many answers are slow, not below its floor', () => {
  const limit = new ConcurrencyLimit(settings);
  limit.begin(1, 0);
  for (let sample = 0; sample < 500; sample++) limit.sample(4_000, 1_000, 500);
  limit.sample(4_000, 1_000, 1_001);
  assert.equal(limit.limit, 32 * 0.85);
  assert.equal(limit.isSlowStart, false);
  for (let nowMs = 2_000; nowMs < 60_000; nowMs += 100) limit.sample(4_000, 1_000, nowMs);
  assert.equal(limit.limit, settings.concurrencyFloor);
});

test('a concurrency limit takes no fast lane for a distressed one when answers begin some milliseconds later', () => {
  const limit = new ConcurrencyLimit(settings);
  limit.begin(32, 0);
  for (let sample = 0; sample < 10; sample++) limit.sample(400, 10, 500);
  limit.sample(400, 10, 1_001);
  assert.equal(limit.limit, 64);
  assert.equal(limit.isSlowStart, true);
});

test('after distress a concurrency limit grows by a tenth per window', () => {
  const limit = new ConcurrencyLimit(settings);
  limit.begin(1, 0);
  for (let sample = 0; sample < 10; sample++) limit.sample(4_000, 1_000, 500);
  limit.sample(4_000, 1_000, 1_001);
  const before = limit.limit;
  limit.begin(before, 1_500);
  limit.begin(1, 2_100);
  assert.ok(Math.abs(limit.limit / before - 1.1) < 1e-9);
});

test('cold: five thousand requests at once are all admitted, since the first limits are only guesses', () => {
  const ids = Array.from({ length: 8 }, (_, index) => `channel-${index}`);
  const rig = new Rig(ids);
  const counts = new Map<string, number>();
  for (let count = 0; count < 5_000; count++) {
    const plan = rig.plan();
    const step = plan.next();
    assert.equal(step.kind, 'attempt');
    if (step.kind !== 'attempt') return;
    step.sent();
    counts.set(step.channelId, (counts.get(step.channelId) ?? 0) + 1);
  }
  for (const [id, count] of counts) assert.ok(count > 400 && count < 900, `${id}: ${count}`);
});

test('the average jumps towards worse samples and a busy lane forgets a peak too', () => {
  const latency = new Latency(settings);
  for (let sample = 0; sample < 50; sample++) latency.sample(400, 0, sample * 10);
  latency.sample(2_400, 0, 510);
  assert.ok(latency.averageMs > 900, `${latency.averageMs}`);
  for (let sample = 0; sample < 100; sample++) latency.sample(400, 0, 520 + sample);
  assert.ok(latency.averageMs < 450, `${latency.averageMs}`);
});

test('long prompts do not make a lane look slow', () => {
  const latency = new Latency(settings);
  for (let sample = 0; sample < 50; sample++) latency.sample(400, 0, sample * 100);
  const before = latency.averageMs;
  latency.sample(400 + 12_000 * settings.prefillMsPerToken, 12_000, 6_000);
  assert.ok(Math.abs(latency.averageMs - before) < 1);
});

test('a request that waits longer than expected raises the prediction before it ends', () => {
  const latency = new Latency(settings);
  for (let sample = 0; sample < 50; sample++) latency.sample(400, 0, sample * 100);
  const waiting = {
    sentAtMs: 5_000,
    overdueAtMs: 6_000,
    inputTokens: 0,
    waitingBefore: undefined,
    waitingAfter: undefined,
  };
  latency.push(waiting);
  assert.ok(latency.expectedMs(5_100) < 500);
  assert.ok(latency.expectedMs(9_000) > 3_500);
  latency.remove(waiting);
  assert.equal(latency.waiting, 0);
});

test('a lane falls silent: at a high rate that shows within half an answer, at a low one within a slow answer', () => {
  const busy = new Latency(settings);
  const idle = new Latency(settings);
  for (let sample = 0; sample < 200; sample++) {
    busy.content(sample * 10);
    busy.sample(400, 0, sample * 10);
  }
  for (let sample = 0; sample < 50; sample++) {
    idle.content(sample * 5_000);
    idle.sample(400 + (sample % 2) * 100, 0, sample * 5_000);
  }
  const waitingFrom = (sentAtMs: number) => ({
    sentAtMs,
    overdueAtMs: sentAtMs + 1_000,
    inputTokens: 0,
    waitingBefore: undefined,
    waitingAfter: undefined,
  });
  for (let count = 0; count < 5; count++) busy.push(waitingFrom(2_000 + count));
  assert.equal(busy.isStalled(2_100), false);
  assert.equal(busy.isStalled(2_250), true);
  busy.content(2_260);
  assert.equal(busy.isStalled(2_261), false);
  idle.push(waitingFrom(300_000));
  assert.equal(idle.isStalled(300_400), false);
  assert.equal(idle.isStalled(301_000), true);
});

test('rendezvous weights move only the sessions of a lane that is gone', () => {
  const lanes = ['a', 'b', 'c', 'd', 'e'].map(hashText);
  const winner = (key: number, among: readonly number[]): number =>
    among.reduce((best, lane) =>
      rendezvousWeight(key, lane) > rendezvousWeight(key, best) ? lane : best,
    );
  for (let key = 0; key < 500; key++) {
    const keyHash = hashText(`session-${key}`);
    const before = winner(keyHash, lanes);
    const rest = lanes.slice(1);
    if (before !== lanes[0]) assert.equal(winner(keyHash, rest), before);
  }
});

test('start-time fair queueing gives users equal tokens, whatever the size of their requests', () => {
  const share = new FairShare(100);
  const places = [
    ...Array.from({ length: 20 }, () => ({
      user: 'small',
      tokens: 1_000,
      at: share.virtualStart('small', 1_000, 0),
    })),
    ...Array.from({ length: 4 }, () => ({
      user: 'large',
      tokens: 5_000,
      at: share.virtualStart('large', 5_000, 0),
    })),
  ].toSorted((left, right) => left.at - right.at);
  let difference = 0;
  for (const { user, tokens } of places) {
    difference += user === 'small' ? tokens : -tokens;
    assert.ok(Math.abs(difference) <= 6_000, `${difference}`);
  }
});

test('costs are never zero, and cached input is cheaper when the offer says so', () => {
  const free = candidate('a', { inputNanoUsdPerMillion: 0, outputNanoUsdPerMillion: 0 });
  assert.ok(expectedCost(free, free, 1_000, 1_000, false) > 0);
  const cached = candidate('a', { cachedInputNanoUsdPerMillion: 100_000_000 });
  const cold = expectedCost(cached, cached, 10_000, 100, false);
  assert.ok(expectedCost(cached, cached, 10_000, 100, true) < cold / 2);
  assert.equal(priceAt(cached, 0, 60_000), cached);
});

test('a bucket never holds more than its capacity, and its wait is exact', () => {
  const step = fc.record({
    elapsedMs: fc.integer({ min: 0, max: 30_000 }),
    kind: fc.constantFrom('take', 'give', 'correct', 'refuse', 'configure'),
    amount: fc.integer({ min: 1, max: 20_000 }),
  });
  fc.assert(
    fc.property(fc.boolean(), fc.array(step, { maxLength: 60 }), (isKnown, steps) => {
      let nowMs = 1_000;
      const bucket = new Bucket('tokens-per-minute', isKnown ? 50_000 : undefined, nowMs);
      for (const { elapsedMs, kind, amount } of steps) {
        nowMs += elapsedMs;
        bucket.refill(nowMs);
        if (kind === 'take') bucket.take(amount, nowMs);
        if (kind === 'give') bucket.giveBack(amount);
        if (kind === 'refuse') bucket.refuse(amount, amount, nowMs);
        if (kind === 'configure') bucket.configure(amount * 10);
        if (kind === 'correct') {
          const mark = bucket.mark(nowMs);
          const reading = { limit: undefined, remaining: amount, resetMs: undefined };
          bucket.correct({ name: 'tokens-per-minute', ...reading }, mark, nowMs);
          if (bucket.known) {
            const held = Math.min(amount, bucket.capacity);
            assert.ok(bucket.level <= held + 1e-3);
          }
        }
        assert.ok(bucket.level <= bucket.capacity);
        assert.ok(bucket.ratePerMs > 0);
        const need = Math.min(amount, bucket.capacity);
        const waitMs = bucket.waitMs(need, 0);
        assert.ok(waitMs >= 0);
        if (Number.isFinite(waitMs) && waitMs > 0) {
          const later = nowMs + waitMs + 1;
          bucket.refill(later);
          nowMs = later;
          assert.ok(bucket.level >= Math.min(need, bucket.capacity) - 1e-3);
        }
      }
    }),
    { seed, numRuns: 300 },
  );
});

const kinds: readonly FailureKind[] = [
  'connect',
  'timeout-content',
  'status-4xx-request',
  'unsuitable',
  'auth',
  'quota',
  'rate-limited',
  'server-error',
  'cut',
  'aborted-by-client',
];
const classes: readonly ServiceClass[] = ['interactive', 'batch', 'flex'];

test('whatever happens, plans end, nothing stays held, and counts stay within bounds', () => {
  const event = fc.record({
    elapsedMs: fc.integer({ min: 0, max: 5_000 }),
    outcome: fc.oneof(fc.constant('ok' as const), fc.constantFrom(...kinds)),
    tokens: fc.integer({ min: 1, max: 40_000 }),
    class: fc.constantFrom(...classes),
    session: fc.option(fc.constantFrom('s1', 's2', 's3'), { nil: undefined }),
    user: fc.constantFrom('u1', 'u2'),
    closesEarly: fc.boolean(),
    retryAfterMs: fc.option(fc.integer({ min: 0, max: 4_000_000 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 80 }), fc.nat(1_000), (events, routerSeed) => {
      const channels = [
        { id: 'a', limits: { tokensPerMinute: 60_000, requestsPerMinute: 20 } },
        { id: 'b', limits: { concurrency: 2 } },
        { id: 'c' },
      ];
      const rig = new Rig(channels, { newLaneShare: 0.05 }, routerSeed);
      const open: ReturnType<Rig['plan']>[] = [];
      for (const item of events) {
        rig.pass(item.elapsedMs);
        const plan = rig.plan({
          inputTokens: item.tokens,
          class: item.class,
          userId: item.user,
          ...(item.session === undefined ? {} : { sessionKey: item.session }),
        });
        open.push(plan);
        let step = plan.next();
        for (let turn = 0; turn < 20 && step.kind !== 'give-up'; turn++) {
          if (step.kind === 'wait') {
            assert.ok(step.delayMs >= 1 && Number.isFinite(step.delayMs));
            if (item.closesEarly) break;
            rig.pass(step.delayMs);
            step = plan.next();
            continue;
          }
          step.sent();
          rig.pass(100);
          if (item.outcome === 'ok') {
            step.firstContent();
            if (!item.closesEarly) step.finished({ outputTokens: 10 });
            break;
          }
          const { retryAfterMs, outcome } = item;
          step = plan.next({
            kind: outcome,
            ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
          });
        }
        assert.ok(plan.explain().attempts.length <= 9);
        for (const lane of rig.router.status().lanes) {
          assert.ok(lane.active >= 0 && lane.concurrency_limit >= 2);
          assert.ok(lane.error_level >= 0 && lane.error_level <= 1);
          if (lane.channel === 'b') assert.ok(lane.active <= 2);
          for (const bucket of lane.buckets) assert.ok(bucket.level <= bucket.capacity + 1);
        }
      }
      for (const plan of open) plan.close();
      const status = rig.router.status();
      assert.equal(status.waiting, 0);
      for (const lane of status.lanes) assert.equal(lane.active, 0);
    }),
    { seed, numRuns: 200 },
  );
});
