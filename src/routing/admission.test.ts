import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RateLimitSnapshot } from './contract.ts';
import { attemptOf, candidate, giveUpOf, Rig, waitOf } from './router-rig.ts';

const seconds = 1_000;

function tokensLeft(limit: number, remaining: number): RateLimitSnapshot {
  return {
    retryAfterMs: undefined,
    readings: [{ name: 'tokens-per-minute', limit, remaining, resetMs: undefined }],
  };
}

test('a request that does not fit the mirrored bucket is not sent, and goes where it fits', () => {
  const rig = new Rig([{ id: 'small', limits: { tokensPerMinute: 2_000 } }, { id: 'large' }]);
  rig.teach({ small: 100 }, 1);
  rig.pass(60 * seconds);
  assert.equal(rig.serve({ hints: { order: ['small'] } }), 'small');
  const plan = rig.plan({ hints: { order: ['small'] } });
  assert.equal(attemptOf(plan.next()).channelId, 'large');
  const told = plan.explain().decisions[0]?.candidates;
  assert.equal(told?.find(({ channel }) => channel === 'small')?.rejected, 'bucket-empty');
  plan.close();
});

test('the bound of the output counts at admission, unless the channel counts otherwise', () => {
  const accountings = [
    ['maximum', 1_500],
    ['expected', 1_200],
    ['none', 1_000],
  ] as const;
  for (const [outputAtAdmission, expected] of accountings) {
    const rig = new Rig([
      { id: 'a', limits: { tokensPerMinute: 10_000 }, accounting: { outputAtAdmission } },
    ]);
    const plan = rig.plan();
    attemptOf(plan.next()).sent();
    assert.equal(rig.status('a').buckets[0]?.level, 10_000 - expected);
    plan.close();
  }
});

test('a channel that settles to actual use gets back what was not used', () => {
  const rig = new Rig([
    { id: 'a', limits: { tokensPerMinute: 10_000 }, accounting: { settlesToActual: true } },
  ]);
  const plan = rig.plan();
  const attempt = attemptOf(plan.next());
  attempt.sent();
  attempt.finished({ inputTokens: 1_000, outputTokens: 100 });
  assert.equal(rig.status('a').buckets[0]?.level, 10_000 - 1_100);
});

test('a header corrects the mirror by the difference at the time of sending, and keeps what was sent since', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 60_000 } }]);
  const level = (): number => Math.round(rig.status('a').buckets[0]?.level ?? NaN);
  const early = rig.plan();
  const first = attemptOf(early.next());
  first.sent();
  const late = rig.plan();
  const second = attemptOf(late.next());
  second.sent();
  assert.equal(level(), 57_000);
  // Someone else used 10,000 before the first was admitted; the second is not in this snapshot.
  first.headers(tokensLeft(60_000, 48_500));
  assert.equal(level(), 47_000);
  // The second snapshot tells nothing new: 48,500 less its own 1,500.
  second.headers(tokensLeft(60_000, 47_000));
  assert.equal(level(), 47_000);
  early.close();
  late.close();
});

test('limits and refill rates are learned from limit headers', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 60_000 } }]);
  const plan = rig.plan();
  const attempt = attemptOf(plan.next());
  attempt.sent();
  attempt.headers(tokensLeft(30_000, 28_500));
  const bucket = rig.status('a').buckets[0];
  assert.equal(bucket?.capacity, 30_000);
  assert.equal(bucket?.per_minute, 30_000);
  assert.equal(bucket?.source, 'header');
  plan.close();
});

test('with correct headers fewer than one request in a thousand meets a 429', () => {
  const rig = new Rig([{ id: 'a' }]);
  const limit = 100_000;
  let level = limit;
  let atMs = rig.nowMs;
  let refused = 0;
  const requests = 3_000;
  for (let count = 0; count < requests; count++) {
    rig.pass(500 + (count % 7));
    const plan = rig.plan();
    const step = plan.next();
    if (step.kind !== 'attempt') {
      plan.close();
      continue;
    }
    step.sent();
    level = Math.min(limit, level + ((rig.nowMs - atMs) * limit) / 60_000);
    atMs = rig.nowMs;
    if (level < 1_499.99) {
      refused += 1;
      step.headers(tokensLeft(limit, level));
      plan.next({ kind: 'rate-limited', retryAfterMs: 1_000 });
    } else {
      level -= 1_500;
      step.headers(tokensLeft(limit, level));
      step.finished();
    }
    plan.close();
  }
  assert.ok(refused <= requests / 1_000, `${refused} refused of ${requests}`);
});

test('a 429 is no illness: the channel keeps serving what fits, and nobody is switched off', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 60_000 } }]);
  const plan = rig.plan({ inputTokens: 30_000 });
  attemptOf(plan.next()).sent();
  const after = plan.next({ kind: 'rate-limited', retryAfterMs: 20 * seconds });
  assert.equal(giveUpOf(after).reason, 'no-capacity');
  const status = rig.status('a');
  assert.equal(status.error_level, 0);
  assert.equal(status.off_reason, null);
  assert.equal(rig.serve({ inputTokens: 1_000 }), 'a');
});

test('an unknown limit is learned from 429s within a tenth, and then avoided', () => {
  const rig = new Rig([{ id: 'a' }]);
  const perMinute = 120_000;
  let level = perMinute;
  let atMs = rig.nowMs;
  const refusedPerMinute: number[] = [];
  for (let count = 0; count < 4_800; count++) {
    rig.pass(250);
    const minute = Math.floor((count * 250) / 60_000);
    refusedPerMinute[minute] ??= 0;
    const plan = rig.plan();
    const step = plan.next();
    if (step.kind === 'attempt') {
      step.sent();
      level = Math.min(perMinute, level + ((rig.nowMs - atMs) * perMinute) / 60_000);
      atMs = rig.nowMs;
      if (level < 1_500) {
        refusedPerMinute[minute] = (refusedPerMinute[minute] ?? 0) + 1;
        const retryAfterMs = Math.ceil((1_500 - level) / 2_000) * 1_000;
        plan.next({ kind: 'rate-limited', retryAfterMs });
      } else {
        level -= 1_500;
        step.finished();
      }
    }
    plan.close();
  }
  const bucket = rig.status('a').buckets[0];
  assert.equal(bucket?.source, 'learned');
  const learned = bucket?.per_minute ?? NaN;
  assert.ok(Math.abs(learned / perMinute - 1) < 0.1, `learned ${learned}`);
  const late = refusedPerMinute.slice(10).reduce((sum, count) => sum + count, 0);
  assert.ok(late <= 60, `${late} refused in the last ten minutes of 2,400`);
});

test('a 429 that asks for a long pause blocks that limit group only, and is tried again in half an hour', () => {
  const rig = new Rig(['a']);
  rig.candidates = [candidate('a'), candidate('a', { model: 'other', tier: 1 })];
  const plan = rig.plan();
  attemptOf(plan.next()).sent();
  const second = attemptOf(plan.next({ kind: 'rate-limited', retryAfterMs: 7_200 * seconds }));
  assert.equal(second.model, 'other');
  plan.close();
  rig.pass(600 * seconds);
  assert.equal(attemptOf(rig.plan().next()).model, 'other');
  rig.pass(1_201 * seconds);
  assert.equal(attemptOf(rig.plan().next()).model, 'model');
});

test('a limit that the operator takes away holds nothing back any more; what was learned and told stays', () => {
  const limits = { requestsPerMinute: 1, tokensPerMinute: 100_000 };
  const rig = new Rig([{ id: 'a', limits }]);
  const attempt = attemptOf(rig.plan().next());
  attempt.headers(tokensLeft(50_000, 40_000));
  rig.answer(attempt);
  assert.equal(rig.plan().admission.kind, 'refused');
  rig.router.update([{ id: 'a', limits: { requestsPerMinute: Infinity } }]);
  assert.equal(rig.serve(), 'a');
  const { buckets } = rig.status('a');
  assert.deepEqual(
    buckets.map(({ limit, source }) => [limit, source]),
    [['tokens-per-minute', 'header']],
  );
});

test('the concurrency the operator wrote down is never exceeded', () => {
  const rig = new Rig([{ id: 'a', limits: { concurrency: 3 } }]);
  const plans = Array.from({ length: 3 }, () => rig.plan());
  for (const plan of plans) attemptOf(plan.next()).sent();
  const fourth = rig.plan();
  assert.notEqual(fourth.admission.kind, 'admitted');
  fourth.close();
  plans[0]?.close();
  assert.equal(rig.plan().admission.kind, 'admitted');
});

test('what was taken for a request that could not be sent is given back, whatever was wrong with it', () => {
  for (const kind of ['status-4xx-request', 'unsuitable', 'aborted-by-client'] as const) {
    const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 60_000 } }]);
    const plan = rig.plan({ inputTokens: 20_000 });
    attemptOf(plan.next());
    plan.next({ kind });
    assert.equal(rig.status('a').buckets[0]?.level, 60_000, kind);
  }
});

test('full for longer than the class may wait, the answer is a refusal at once with the time to come back', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 6_000 } }]);
  for (let count = 0; count < 4; count++) rig.serve({}, 1);
  const plan = rig.plan();
  assert.equal(plan.admission.kind, 'refused');
  if (plan.admission.kind !== 'refused') return;
  assert.equal(plan.admission.reason, 'no-capacity');
  const needed = 1_500 - (rig.status('a').buckets[0]?.level ?? 0);
  const expectedMs = (needed / 6_000) * 60 * seconds;
  const told = plan.admission.retryAfterMs ?? NaN;
  assert.ok(Math.abs(told / expectedMs - 1) < 0.2, `${told} against ${expectedMs}`);
  rig.pass(told);
  assert.equal(rig.plan().admission.kind, 'admitted');
});

test('room within the budget of the class is waited for: one second interactive, longer below', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 60_000 } }]);
  const first = rig.plan({ inputTokens: 59_000, outputTokensMaximum: 1_000 });
  attemptOf(first.next()).sent();
  const small = { inputTokens: 400, outputTokensMaximum: 100 };
  const soon = rig.plan(small);
  const wait = waitOf(soon.next());
  assert.ok(wait.delayMs >= 499 && wait.delayMs <= 502, `${wait.delayMs}`);
  rig.pass(wait.delayMs);
  attemptOf(soon.next());
  const large = { inputTokens: 4_000, outputTokensMaximum: 1_000 };
  assert.equal(rig.plan(large).admission.kind, 'refused');
  assert.equal(rig.plan({ ...large, class: 'batch' }).admission.kind, 'wait');
});

test('a large prompt that waits is not starved by small ones', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 600_000 } }]);
  const drain = rig.plan({ inputTokens: 596_000, outputTokensMaximum: 1_000 });
  attemptOf(drain.next()).sent();
  const large = rig.plan({ inputTokens: 9_000, outputTokensMaximum: 1_000, userId: 'large' });
  let wait = waitOf(large.next());
  const startMs = rig.nowMs;
  const readyMs = startMs + wait.delayMs;
  while (rig.nowMs < readyMs) {
    const small = rig.plan({ inputTokens: 1_000, outputTokensMaximum: 100, userId: 'small' });
    assert.notEqual(small.next().kind, 'attempt', 'a small one slipped past');
    small.close();
    rig.pass(Math.min(100, readyMs - rig.nowMs));
  }
  attemptOf(large.next());
  wait = { ...wait };
  large.close();
});

test('interactive goes before batch and batch before flex', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 60_000 } }]);
  const drain = rig.plan({ inputTokens: 59_000, outputTokensMaximum: 1_000 });
  attemptOf(drain.next()).sent();
  const size = { inputTokens: 500, outputTokensMaximum: 0 };
  const batch = rig.plan({ ...size, class: 'batch' });
  waitOf(batch.next());
  const interactive = rig.plan(size);
  const wait = waitOf(interactive.next());
  rig.pass(wait.delayMs);
  attemptOf(interactive.next());
  waitOf(batch.next());
});

test('batch and flex leave a share of each bucket to the classes above them', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 100_000 } }]);
  const drain = rig.plan({ inputTokens: 80_000, outputTokensMaximum: 0 });
  attemptOf(drain.next()).sent();
  const size = { inputTokens: 12_000, outputTokensMaximum: 0 };
  assert.notEqual(rig.plan({ ...size, class: 'flex' }).admission.kind, 'admitted');
  assert.notEqual(rig.plan({ ...size, class: 'batch' }).admission.kind, 'admitted');
  assert.equal(rig.plan(size).admission.kind, 'admitted');
});

test('interactive does not wait behind a waiting batch job', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 60_000 } }]);
  const drain = rig.plan({ inputTokens: 50_000, outputTokensMaximum: 0 });
  attemptOf(drain.next()).sent();
  waitOf(rig.plan({ inputTokens: 20_000, outputTokensMaximum: 0, class: 'batch' }).next());
  const other = { inputTokens: 9_000, outputTokensMaximum: 0 };
  assert.equal(rig.plan({ ...other, class: 'batch', userId: 'late' }).next().kind, 'wait');
  assert.equal(rig.plan({ ...other, userId: 'third' }).next().kind, 'attempt');
});

test('batch and flex leave a share of the concurrency to the classes above them', () => {
  const rig = new Rig([{ id: 'a', limits: { concurrency: 10 } }]);
  const count = (serviceClass: 'interactive' | 'batch' | 'flex'): number => {
    let admitted = 0;
    while (admitted < 20 && rig.plan({ class: serviceClass }).admission.kind === 'admitted') {
      attemptOf(rig.plan({ class: serviceClass }).next());
      admitted += 1;
    }
    return admitted;
  };
  assert.deepEqual([count('flex'), count('batch'), count('interactive')], [8, 1, 1]);
});

test('while room is short, a user far above the fair share is refused before the others', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 60_000 } }]);
  const served = new Map<string, number>();
  for (let count = 0; count < 6_000; count++) {
    rig.pass(100);
    const userId = count % 31 === 0 ? 'modest' : 'greedy';
    const plan = rig.plan({ userId, inputTokens: 900, outputTokensMaximum: 100 });
    const step = plan.next();
    if (step.kind === 'attempt') {
      step.sent();
      step.finished();
      if (count >= 3_000) served.set(userId, (served.get(userId) ?? 0) + 1);
    }
    plan.close();
  }
  const modest = served.get('modest') ?? 0;
  assert.ok(modest >= 80, `modest user served ${modest} of 97`);
});

test('in a lasting shortage interactive requests do not queue', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 60_000 } }]);
  let waits = 0;
  for (let count = 0; count < 3_000; count++) {
    rig.pass(50);
    const plan = rig.plan({ inputTokens: 900, outputTokensMaximum: 100 });
    const step = plan.next();
    if (step.kind === 'attempt') {
      step.sent();
      step.finished();
    }
    if (step.kind === 'wait' && count > 2_000) waits += 1;
    plan.close();
  }
  assert.equal(waits, 0);
});

test('the line is bounded, in all and per user', () => {
  const rig = new Rig([{ id: 'a', limits: { tokensPerMinute: 60_000 } }], {
    waitersMaximum: 5,
    waitersPerUserMaximum: 2,
  });
  const drain = rig.plan({ inputTokens: 60_000, outputTokensMaximum: 0 });
  attemptOf(drain.next()).sent();
  const kinds = (userId: string, count: number): string[] =>
    Array.from({ length: count }, () => {
      const size = { inputTokens: 10, outputTokensMaximum: 0 };
      return rig.plan({ ...size, userId, class: 'batch' }).admission.kind;
    });
  assert.deepEqual(kinds('x', 3), ['wait', 'wait', 'refused']);
  assert.deepEqual(kinds('y', 2), ['wait', 'wait']);
  assert.deepEqual(kinds('z', 2), ['wait', 'refused']);
  assert.equal(rig.router.status().waiting, 5);
});
