/**
 * Refusals that have nothing to do with how much we send: a vendor under load answers 429 to some
 * requests at random and does not say when to come back. Who takes each for the sign of a limit ends
 * up refusing his own clients.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#std';
import { Bucket } from './bucket.ts';
import type { Plan, Step } from './contract.ts';
import { Rig } from './router-rig.ts';

type World = {
  readonly channels: number;
  readonly requestsPerSecond: number;
  readonly refusedShare: number;
  /** Beyond this many requests in a second each channel refuses the rest; none when undefined. */
  readonly limitPerSecond?: number;
  readonly seconds: number;
};

type Result = { asked: number; givenUp: number; calls: number; refusals: number; served: number };

function run(world: World): Result {
  const random = seededRandom(11);
  const names = Array.from({ length: world.channels }, (_, index) => `channel-${index}`);
  const rig = new Rig(names);
  rig.teach(Object.fromEntries(names.map((name) => [name, 400])));
  const result: Result = { asked: 0, givenUp: 0, calls: 0, refusals: 0, served: 0 };
  const queue: { atMs: number; act: () => void }[] = [];
  const later = (delayMs: number, act: () => void): void => {
    const atMs = rig.nowMs + delayMs;
    let place = queue.length;
    while (place > 0 && (queue[place - 1]?.atMs ?? 0) > atMs) place -= 1;
    queue.splice(place, 0, { atMs, act });
  };
  const levels = new Map(names.map((name) => [name, { level: 0, atMs: rig.nowMs }]));
  const isRefused = (name: string): boolean => {
    if (random() < world.refusedShare) return true;
    const { limitPerSecond } = world;
    const bucket = levels.get(name);
    if (limitPerSecond === undefined || bucket === undefined) return false;
    const filled = bucket.level + ((rig.nowMs - bucket.atMs) / 1_000) * limitPerSecond;
    bucket.level = Math.min(limitPerSecond, filled);
    bucket.atMs = rig.nowMs;
    if (bucket.level < 1) return true;
    bucket.level -= 1;
    return false;
  };
  const follow = (plan: Plan, step: Step): void => {
    if (step.kind === 'give-up') {
      result.givenUp += 1;
      plan.close();
    } else if (step.kind === 'wait') later(step.delayMs, () => follow(plan, plan.next()));
    else {
      result.calls += 1;
      step.sent();
      if (isRefused(step.channelId)) {
        result.refusals += 1;
        later(60, () => follow(plan, plan.next({ kind: 'rate-limited' })));
        return;
      }
      later(400, () => step.firstContent());
      later(1_000, () => {
        step.finished({ outputTokens: 100 });
        plan.close();
        result.served += 1;
      });
    }
  };
  const endsAtMs = rig.nowMs + world.seconds * 1_000;
  const arrive = (): void => {
    if (rig.nowMs >= endsAtMs) return;
    result.asked += 1;
    const plan = rig.plan({ userId: `user-${result.asked % 20}`, deadlineMs: rig.nowMs + 30_000 });
    follow(plan, plan.next());
    later(-Math.log(1 - random()) * (1_000 / world.requestsPerSecond), arrive);
  };
  arrive();
  for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
    rig.nowMs = event.atMs;
    event.act();
  }
  return result;
}

for (const requestsPerSecond of [3, 30, 150])
  test(`one call in forty is refused at random, ${requestsPerSecond} a second: every request is served`, () => {
    const result = run({ channels: 3, requestsPerSecond, refusedShare: 0.025, seconds: 300 });
    assert.equal(result.givenUp, 0);
    assert.ok(result.calls < 1.05 * result.asked);
  });

test('of a real limit that nobody tells, little is left unused and little run into', () => {
  const limitPerSecond = 10;
  const result = run({
    channels: 3,
    requestsPerSecond: 45,
    refusedShare: 0,
    limitPerSecond,
    seconds: 300,
  });
  assert.ok(result.served > 0.93 * 3 * limitPerSecond * 300, `${result.served}`);
  assert.ok(result.refusals < 0.08 * result.calls, `${result.refusals} of ${result.calls}`);
});

test('what was learned from silent refusals does not grow beyond twice of what is sent', () => {
  const bucket = new Bucket('requests-per-minute', undefined, 0);
  let nowMs = 0;
  const send = (isRefused: boolean): void => {
    nowMs += 1_000;
    bucket.refill(nowMs);
    bucket.take(1, nowMs);
    if (!isRefused) return;
    bucket.giveBack(1);
    bucket.refuse(1, undefined, nowMs);
  };
  for (let count = 0; count < 10; count += 1) send(count > 6);
  assert.equal(bucket.source, 'learned');
  for (let count = 0; count < 7_200; count += 1) send(false);
  assert.ok(bucket.ratePerMs * 1_000 < 2.5, `${bucket.ratePerMs * 1_000} a second`);
});
