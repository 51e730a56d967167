import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FailureKind } from './contract.ts';
import { attemptOf, candidate, giveUpOf, Rig, waitOf } from './router-rig.ts';

const seconds = 1_000;

test('failures of endpoint, vendor and stream before content go silently to another channel', () => {
  const kinds: readonly FailureKind[] = [
    'connect',
    'tls',
    'dns',
    'timeout-headers',
    'timeout-content',
    'auth',
    'quota',
    'rate-limited',
    'overloaded',
    'server-error',
    'invalid-response',
    'empty',
    'cut',
    'unsuitable',
  ];
  for (const kind of kinds) {
    const rig = new Rig(['a', 'b']);
    const plan = rig.plan();
    const first = attemptOf(plan.next());
    first.sent();
    const second = attemptOf(plan.next({ kind }));
    assert.notEqual(second.channelId, first.channelId, kind);
    plan.close();
  }
});

test("a failure that is the request's own fault goes back at once and counts against nobody", () => {
  const rig = new Rig(['a', 'b']);
  const plan = rig.plan();
  const first = attemptOf(plan.next());
  first.sent();
  const end = giveUpOf(plan.next({ kind: 'status-4xx-request' }));
  assert.equal(end.reason, 'request-fault');
  assert.equal(rig.status(first.channelId).error_level, 0);
  plan.close();
});

test('after the first content there is no failover', () => {
  const rig = new Rig(['a', 'b']);
  const plan = rig.plan();
  const attempt = attemptOf(plan.next());
  attempt.sent();
  attempt.firstContent();
  assert.equal(giveUpOf(plan.next({ kind: 'cut' })).reason, 'committed');
  assert.ok(rig.status(attempt.channelId).error_level > 0);
  plan.close();
});

test('when the client leaves nothing more is tried and everything is released', () => {
  const rig = new Rig(['a', 'b']);
  const plan = rig.plan();
  attemptOf(plan.next()).sent();
  assert.equal(giveUpOf(plan.next({ kind: 'aborted-by-client' })).reason, 'client-gone');
  for (const lane of rig.router.status().lanes) {
    assert.equal(lane.active, 0);
    assert.equal(lane.error_level, 0);
  }
});

test('at most three channels are tried for errors and six for 429', () => {
  const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  for (const [kind, expected] of [
    ['server-error', 3],
    ['rate-limited', 6],
  ] as const) {
    const rig = new Rig(ids);
    const plan = rig.plan();
    let step = plan.next();
    let attempts = 0;
    while (step.kind === 'attempt') {
      attempts += 1;
      step.sent();
      step = plan.next({ kind });
    }
    assert.equal(giveUpOf(step).reason, 'exhausted');
    assert.equal(attempts, expected, kind);
  }
});

test('with all channels failing, retries stay within 20 % of the requests after the burst', () => {
  const rig = new Rig(['a', 'b', 'c', 'd']);
  let attempts = 0;
  const requests = 1_000;
  for (let count = 0; count < requests; count++) {
    rig.pass(10);
    const plan = rig.plan();
    let step = plan.next();
    while (step.kind !== 'give-up') {
      if (step.kind === 'wait') {
        rig.pass(step.delayMs);
        step = plan.next();
        continue;
      }
      attempts += 1;
      step.sent();
      step = plan.next({ kind: 'server-error' });
    }
    plan.close();
  }
  assert.ok(attempts / requests <= 1.23, `amplification ${attempts / requests}`);
});

test('a 429 is not charged to the retry budget', () => {
  const rig = new Rig(['a', 'b'], { retryBudgetBurst: 0, retryBudgetPerRequest: 0 });
  const limited = rig.plan();
  attemptOf(limited.next()).sent();
  attemptOf(limited.next({ kind: 'rate-limited', retryAfterMs: 1_000 }));
  limited.close();
  rig.pass(10 * seconds);
  for (const channel of ['a', 'a', 'b', 'b']) rig.fail(channel, { kind: 'server-error' });
  const failed = rig.plan();
  attemptOf(failed.next()).sent();
  assert.equal(giveUpOf(failed.next({ kind: 'server-error' })).reason, 'retry-budget');
});

test('one channel falling silent under many requests leaves none of them without a retry', () => {
  const rig = new Rig(['a', 'b'], { retryBudgetBurst: 0, retryBudgetPerRequest: 0 });
  rig.teach({ a: 400, b: 500 });
  const plans = Array.from({ length: 30 }, () => rig.plan({ hints: { order: ['a', 'b'] } }));
  for (const plan of plans) attemptOf(plan.next()).sent();
  rig.pass(4 * seconds);
  for (const plan of plans) {
    const second = attemptOf(plan.next({ kind: 'timeout-content' }));
    assert.equal(second.channelId, 'b');
    rig.answer(second, 10, 10);
    plan.close();
  }
});

test('a retry on a channel that is ill too is one for the budget', () => {
  const rig = new Rig(['a', 'b'], { retryBudgetBurst: 1, retryBudgetPerRequest: 0 });
  rig.teach({ a: 400, b: 500 });
  for (const channel of ['b', 'b']) rig.fail(channel, { kind: 'server-error' });
  const twice = [0, 1].map(() => {
    const plan = rig.plan({ hints: { order: ['a', 'b'] } });
    attemptOf(plan.next()).sent();
    return plan.next({ kind: 'server-error' });
  });
  assert.equal(twice[0]?.kind, 'attempt');
  assert.equal(twice[1]?.kind === 'give-up' && twice[1].reason, 'retry-budget');
});

test('nothing is tried after the deadline', () => {
  const rig = new Rig(['a', 'b']);
  const plan = rig.plan({ deadlineMs: rig.nowMs + 5_000 });
  attemptOf(plan.next()).sent();
  rig.pass(5_000);
  assert.equal(giveUpOf(plan.next({ kind: 'timeout-content' })).reason, 'deadline');
});

test('the only channel is asked again after a short pause, three times in all', () => {
  const rig = new Rig(['a']);
  const plan = rig.plan();
  attemptOf(plan.next()).sent();
  for (let again = 0; again < 2; again++) {
    const pause = waitOf(plan.next({ kind: 'server-error' }));
    assert.ok(pause.delayMs >= 100 && pause.delayMs <= 1_000, `${pause.delayMs}`);
    rig.pass(pause.delayMs);
    attemptOf(plan.next()).sent();
  }
  assert.equal(giveUpOf(plan.next({ kind: 'server-error' })).reason, 'exhausted');
});

test('allowFallbacks false means the first choice or nothing', () => {
  const rig = new Rig(['a', 'b']);
  const plan = rig.plan({ hints: { allowFallbacks: false } });
  attemptOf(plan.next()).sent();
  assert.equal(giveUpOf(plan.next({ kind: 'server-error' })).reason, 'exhausted');
});

test('a refused key switches the channel off, raises one alarm, and is tried by one request in half an hour', () => {
  const rig = new Rig(['a', 'b']);
  rig.fail('a', { kind: 'auth' });
  rig.fail('a', { kind: 'auth' });
  assert.deepEqual(
    rig.alarms.map(({ channelId, reason }) => [channelId, reason]),
    [['a', 'auth']],
  );
  assert.equal(rig.status('a').state, 'off');
  const only = { hints: { only: ['a'] } };
  assert.equal(rig.plan(only).admission.kind, 'refused');
  rig.pass(1_800 * seconds + 1);
  const trial = rig.plan(only);
  const attempt = attemptOf(trial.next());
  assert.equal(attempt.probe, true);
  assert.equal(rig.plan(only).admission.kind, 'refused');
  rig.answer(attempt);
  trial.close();
  assert.notEqual(rig.status('a').state, 'off');
});

test('a new revision of a channel forgets that it was switched off', () => {
  const rig = new Rig([{ id: 'a', revision: 1 }]);
  rig.fail('a', { kind: 'auth' });
  rig.router.update([{ id: 'a', revision: 1 }]);
  assert.equal(rig.plan().admission.kind, 'refused');
  rig.router.update([{ id: 'a', revision: 2 }]);
  assert.equal(rig.plan().admission.kind, 'admitted');
});

test('an exhausted quota switches off until reset, and is tried at least every half hour', () => {
  const rig = new Rig(['a', 'b']);
  rig.fail('a', { kind: 'quota', retryAfterMs: 60 * seconds });
  assert.equal(rig.plan({ hints: { only: ['a'] } }).admission.kind, 'refused');
  rig.pass(61 * seconds);
  assert.equal(rig.plan({ hints: { only: ['a'] } }).next().kind, 'attempt');
  rig.fail('b', { kind: 'quota', retryAfterMs: 30 * 86_400 * seconds });
  rig.pass(1_801 * seconds);
  assert.equal(rig.plan({ hints: { only: ['b'] } }).next().kind, 'attempt');
});

test('three failures in a row open the breaker; then a single probe decides', () => {
  const rig = new Rig(['a', 'b', 'c']);
  for (let count = 0; count < 3; count++) rig.fail('a', { kind: 'server-error' });
  assert.equal(rig.status('a').state, 'open');
  const only = { hints: { only: ['a'], allowFallbacks: false } };
  rig.pass(1_300);
  assert.equal(rig.status('a').state, 'half-open');
  const others = { hints: { order: ['a'] } };
  const probe = rig.plan(others);
  const attempt = attemptOf(probe.next());
  assert.equal(attempt.channelId, 'a');
  assert.equal(attempt.probe, true);
  const second = rig.plan(others);
  assert.notEqual(attemptOf(second.next()).channelId, 'a');
  second.close();
  rig.answer(attempt);
  probe.close();
  assert.notEqual(rig.status('a').state, 'open');
  assert.equal(rig.plan(only).next().kind, 'attempt');
});

test('each failed probe doubles the time the breaker stays open, up to a minute', () => {
  const rig = new Rig(['a', 'b', 'c']);
  for (let count = 0; count < 3; count++) rig.fail('a', { kind: 'server-error' });
  const spans: number[] = [];
  for (let count = 0; count < 9; count++) {
    spans.push((rig.status('a').open_until_ms ?? 0) - rig.nowMs);
    rig.pass(75 * seconds);
    const plan = rig.plan({ hints: { order: ['a'] } });
    const attempt = attemptOf(plan.next());
    assert.equal(attempt.channelId, 'a');
    attempt.sent();
    plan.next({ kind: 'server-error' });
    plan.close();
  }
  for (let count = 0; count < 5; count++) {
    const span = 1_000 * 2 ** count;
    const found = spans[count] ?? NaN;
    assert.ok(found > 0.7 * span && found < 1.3 * span, `${count}: ${found}`);
  }
  assert.ok((spans[8] ?? NaN) <= 75 * seconds);
});

test('an unreachable endpoint opens the breaker for every model of the channel, a failing model only its own', () => {
  const rig = new Rig(['a', 'b', 'c']);
  rig.candidates = [
    candidate('a'),
    candidate('a', { model: 'second' }),
    candidate('b'),
    candidate('c'),
  ];
  const models = (): (string | null)[] =>
    rig.router
      .status()
      .lanes.filter(({ channel }) => channel === 'a')
      .map(({ state }) => state);
  rig.plan().close();
  const failing = (kind: FailureKind): void => {
    const plan = rig.plan({ hints: { only: ['a'], allowFallbacks: false } });
    const step = plan.next();
    if (step.kind === 'attempt') step.sent();
    plan.next({ kind });
    plan.close();
  };
  for (let count = 0; count < 3; count++) failing('connect');
  assert.deepEqual(models(), ['open', 'open']);
  const other = new Rig(['x', 'y', 'z']);
  for (let count = 0; count < 3; count++) other.fail('x', { kind: 'server-error' });
  assert.equal(other.status('x').state, 'open');
  assert.notEqual(other.status('y').state, 'open');
});

test('when more than half of the candidates are open the breakers are not believed, but buckets are', () => {
  const rig = new Rig(['a', 'b', 'c']);
  for (const id of ['a', 'b']) {
    for (let count = 0; count < 3; count++) rig.fail(id, { kind: 'server-error' });
  }
  const plan = rig.plan({ hints: { order: ['a'] } });
  assert.equal(attemptOf(plan.next()).channelId, 'a');
  assert.equal(plan.explain().decisions[0]?.panic, true);
  plan.close();
});

test('errors at one percent of a busy channel do not open its breaker', () => {
  const rig = new Rig(['a', 'b']);
  for (let count = 0; count < 1_000; count++) {
    if (count % 100 === 99) rig.fail('a', { kind: 'server-error' });
    else rig.serve({ hints: { only: ['a'] } }, 5);
    assert.notEqual(rig.status('a').state, 'open');
  }
});

test('time-outs follow what is known of the channel, within bounds, plus prefill and the floor of the model', () => {
  const rig = new Rig(['quick', 'slow', 'thinking']);
  rig.candidates = [
    candidate('quick'),
    candidate('slow'),
    candidate('thinking', { firstContentFloorMs: 120_000 }),
  ];
  rig.teach({ quick: 200, slow: 15_000 });
  const timeouts = (channelId: string, inputTokens: number, others = true) => {
    const plan = rig.plan({
      inputTokens,
      hints: others ? { order: [channelId] } : { only: [channelId] },
      deadlineMs: rig.nowMs + 300_000,
    });
    const found = attemptOf(plan.next()).timeouts;
    plan.close();
    return found;
  };
  assert.equal(timeouts('quick', 0).firstContentMs, 4_000);
  assert.equal(timeouts('quick', 100_000).firstContentMs, 8_000);
  assert.equal(timeouts('slow', 0).firstContentMs, 20_000);
  assert.equal(timeouts('thinking', 0).firstContentMs, 120_000);
  // Where nobody else may serve, leaving would only ask the same one again.
  assert.equal(timeouts('quick', 0, false).firstContentMs, 60_000);
  const { connectMs, idleMs, totalMs } = timeouts('quick', 0);
  assert.deepEqual([connectMs, idleMs, totalMs], [3_000, 30_000, 3_600_000]);
});

test('no time-out reaches beyond the deadline of the request', () => {
  const rig = new Rig(['a']);
  const plan = rig.plan({ deadlineMs: rig.nowMs + 1_000 });
  assert.equal(attemptOf(plan.next()).timeouts.firstContentMs, 1_000);
  plan.close();
});

test('a black hole is left by new requests within a second and by waiting ones before their time-out', () => {
  const rig = new Rig(['hole', 'well']);
  rig.teach({ hole: 300, well: 500 });
  const plans = Array.from({ length: 4 }, () => rig.plan());
  const attempts = plans.map((plan) => attemptOf(plan.next()));
  for (const attempt of attempts) {
    assert.equal(attempt.channelId, 'hole');
    attempt.sent();
  }
  rig.pass(1_000);
  assert.equal(rig.serve(), 'well');
  rig.pass(1_000);
  for (const attempt of attempts) assert.equal(attempt.isLost(), true);
  const moved = plans.map((plan) => attemptOf(plan.next({ kind: 'timeout-content' })).channelId);
  assert.deepEqual(moved, ['well', 'well', 'well', 'well']);
  for (const plan of plans) plan.close();
});

test('a single slow answer is no black hole', () => {
  const rig = new Rig(['a', 'b']);
  rig.teach({ a: 300, b: 500 });
  const plan = rig.plan();
  const attempt = attemptOf(plan.next());
  attempt.sent();
  rig.pass(3_000);
  assert.equal(attempt.isLost(), false);
  plan.close();
});

test('a slow channel is looked at by one request now and then, and wins its traffic back when well', () => {
  const rig = new Rig(['a', 'b']);
  rig.teach({ a: 200, b: 600 });
  rig.teach({ a: 4_000 }, 8);
  const serve = (illMs: number): string => {
    const plan = rig.plan();
    const attempt = attemptOf(plan.next());
    rig.answer(attempt, attempt.channelId === 'a' ? illMs : 600);
    plan.close();
    return attempt.channelId;
  };
  let looks = 0;
  for (let count = 0; count < 40; count++) if (serve(4_000) === 'a') looks += 1;
  assert.ok(looks <= 2, `looked ${looks} times while ill`);
  const healedAtMs = rig.nowMs;
  let inARow = 0;
  while (inARow < 10 && rig.nowMs - healedAtMs < 120 * seconds) {
    inARow = serve(200) === 'a' ? inARow + 1 : 0;
  }
  const tookMs = rig.nowMs - healedAtMs;
  assert.ok(tookMs <= 60 * seconds, `traffic came back after ${tookMs} ms`);
});
