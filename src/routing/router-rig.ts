/** A router with a clock that tests turn by hand. For tests only. */

import assert from 'node:assert/strict';
import { seededRandom } from '#std';
import type {
  Attempt,
  Candidate,
  ChannelConfig,
  Failure,
  GiveUp,
  Plan,
  RouteRequest,
  Router,
  RoutingAlarm,
  Step,
  Wait,
} from './contract.ts';
import { createRouter } from './router.ts';
import type { RoutingSettings } from './settings.ts';

const dollar = 1_000_000_000;

export function candidate(channelId: string, change: Partial<Candidate> = {}): Candidate {
  return {
    channelId,
    model: 'model',
    inputNanoUsdPerMillion: dollar,
    outputNanoUsdPerMillion: 4 * dollar,
    ...change,
  };
}

export class Rig {
  nowMs = 1_800_000_000_000;
  readonly router: Router;
  readonly alarms: RoutingAlarm[] = [];
  candidates: readonly Candidate[];

  constructor(
    channels: readonly (string | ChannelConfig)[],
    settings: Partial<RoutingSettings> = {},
    seed = 7,
  ) {
    const clock = { now: () => this.nowMs, monotonic: () => this.nowMs };
    this.router = createRouter({
      clock,
      random: seededRandom(seed),
      settings: { newLaneShare: 0, ...settings },
      onAlarm: (alarm) => this.alarms.push(alarm),
    });
    const configs = channels.map((channel) =>
      typeof channel === 'string' ? { id: channel } : channel,
    );
    this.router.update(configs);
    this.candidates = configs.map(({ id }) => candidate(id));
  }

  plan(change: Partial<RouteRequest> = {}): Plan {
    return this.router.plan({
      model: 'model',
      candidates: this.candidates,
      inputTokens: 1_000,
      outputTokensMaximum: 500,
      outputTokensExpected: 200,
      class: 'interactive',
      userId: 'user',
      deadlineMs: this.nowMs + 60_000,
      ...change,
    });
  }

  pass(milliseconds: number): void {
    this.nowMs += milliseconds;
  }

  /** A whole request that ends well; tells which channel served it. */
  serve(change: Partial<RouteRequest> = {}, firstContentMs = 400): string {
    const plan = this.plan(change);
    const attempt = attemptOf(plan.next());
    this.answer(attempt, firstContentMs);
    plan.close();
    return attempt.channelId;
  }

  answer(attempt: Attempt, firstContentMs = 400, durationMs = 100): void {
    attempt.sent();
    this.pass(firstContentMs);
    attempt.firstContent();
    this.pass(durationMs);
    attempt.finished({ outputTokens: 100 });
  }

  /** Teaches each channel its time to first content. */
  teach(times: Readonly<Record<string, number>>, count = 25): void {
    for (const [channelId, firstContentMs] of Object.entries(times)) {
      for (let sample = 0; sample < count; sample++) {
        this.serve({ hints: { only: [channelId] } }, firstContentMs);
      }
    }
  }

  /** One failed attempt on a channel, without failover. */
  fail(channelId: string, failure: Failure): void {
    const hints = { only: [channelId], allowFallbacks: false };
    const plan = this.plan({ hints });
    const step = plan.next();
    if (step.kind === 'attempt') {
      step.sent();
      this.pass(50);
      plan.next(failure);
    }
    plan.close();
  }

  status(channelId: string): ReturnType<Router['status']>['lanes'][number] {
    const lane = this.router.status().lanes.find(({ channel }) => channel === channelId);
    assert.ok(lane !== undefined, `no lane of ${channelId}`);
    return lane;
  }
}

export function attemptOf(step: Step): Attempt {
  assert.equal(step.kind, 'attempt', step.kind === 'give-up' ? step.reason : step.kind);
  if (step.kind !== 'attempt') throw new Error('unreachable');
  return step;
}

export function giveUpOf(step: Step): GiveUp {
  assert.equal(step.kind, 'give-up', `expected to give up, got ${step.kind}`);
  if (step.kind !== 'give-up') throw new Error('unreachable');
  return step;
}

export function waitOf(step: Step): Wait {
  assert.equal(step.kind, 'wait', `expected to wait, got ${step.kind}`);
  if (step.kind !== 'wait') throw new Error('unreachable');
  return step;
}
