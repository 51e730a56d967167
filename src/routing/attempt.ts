/** One outbound attempt: what it holds, and how its feedback moves the state of lane and channel. */

import type {
  Attempt,
  AttemptTimeouts,
  AttemptUsage,
  Candidate,
  Failure,
  FailureKind,
  RateLimitSnapshot,
  RouteRequest,
} from './contract.ts';
import type { BucketMark } from './bucket.ts';
import type { Lane } from './lane.ts';
import type { Waiting } from './latency.ts';
import type { Need } from './limit-group.ts';
import type { RoutingState } from './state.ts';

/** What a failure says about whom. */
type Blame = 'endpoint' | 'lane' | 'limit' | 'key' | 'nobody';

const blames: Readonly<Record<FailureKind, Blame>> = {
  connect: 'endpoint',
  tls: 'endpoint',
  dns: 'endpoint',
  'timeout-headers': 'lane',
  'timeout-content': 'lane',
  'status-4xx-request': 'nobody',
  unsuitable: 'nobody',
  auth: 'key',
  quota: 'key',
  'rate-limited': 'limit',
  overloaded: 'lane',
  'server-error': 'lane',
  'invalid-response': 'lane',
  empty: 'lane',
  cut: 'lane',
  'aborted-by-client': 'nobody',
};

/** A client that leaves after this many expected times tells something about the lane. */
const abandonedFactor = 4;
const abandonedMinimumMs = 4_000;

export class RunningAttempt implements Attempt, Waiting {
  readonly kind = 'attempt';
  readonly candidate: Candidate;
  readonly index: number;
  readonly probe: boolean;
  readonly timeouts: AttemptTimeouts;
  readonly lane: Lane;
  readonly chosenAtMs: number;
  readonly inputTokens: number;
  outcome: 'running' | 'finished' | FailureKind = 'running';
  sentAtMs = NaN;
  overdueAtMs = Infinity;
  firstContentAtMs = NaN;
  endedAtMs = NaN;
  waitingBefore: Waiting | undefined = undefined;
  waitingAfter: Waiting | undefined = undefined;
  readonly #state: RoutingState;
  readonly #request: RouteRequest;
  readonly #need: Need;
  readonly #isOffProbe: boolean;
  #isWaiting = false;
  #marks: readonly BucketMark[] | undefined;
  #isTold = false;
  #snapshot: RateLimitSnapshot | undefined;

  constructor(
    state: RoutingState,
    request: RouteRequest,
    need: Need,
    lane: Lane,
    candidate: Candidate,
    index: number,
    nowMs: number,
    deadlineMs: number,
    isOnly: boolean,
  ) {
    this.#state = state;
    this.#request = request;
    this.#need = need;
    this.lane = lane;
    this.candidate = candidate;
    this.index = index;
    this.chosenAtMs = nowMs;
    this.inputTokens = request.inputTokens;
    const { channel } = lane;
    this.#isOffProbe = channel.offReason !== undefined;
    if (this.#isOffProbe) channel.offProbing = true;
    const laneProbe = lane.health.beginProbe(nowMs);
    const channelProbe = channel.health.beginProbe(nowMs);
    this.probe = laneProbe || channelProbe || this.#isOffProbe;
    this.timeouts = timeoutsOf(state, this, deadlineMs - nowMs, isOnly);
    lane.touch();
    lane.active += 1;
    channel.active += 1;
    state.active += 1;
    lane.limit.begin(lane.active, nowMs);
    lane.group.take(need, nowMs);
    const tokens = request.inputTokens + request.outputTokensExpected;
    state.fairShare.charge(request.userId, tokens, nowMs);
  }

  get channelId(): string {
    return this.candidate.channelId;
  }

  get model(): string {
    return this.candidate.model;
  }

  get isRunning(): boolean {
    return this.outcome === 'running';
  }

  get hasContent(): boolean {
    return !Number.isNaN(this.firstContentAtMs);
  }

  sent(): void {
    if (!this.isRunning || !Number.isNaN(this.sentAtMs)) return;
    const nowMs = this.#state.nowMs();
    this.sentAtMs = nowMs;
    this.lane.touch();
    this.overdueAtMs = nowMs + this.timeouts.recheckMs;
    this.#marks = this.lane.group.marks(nowMs);
    this.lane.latency.push(this);
    this.#isWaiting = true;
  }

  headers(snapshot: RateLimitSnapshot): void {
    if (!this.isRunning) return;
    this.#snapshot = snapshot;
    if (snapshot.readings.length === 0) return;
    this.#tell();
    this.lane.group.correct(snapshot, this.#marks, this.#state.nowMs());
  }

  isLost(): boolean {
    if (!this.#isWaiting || this.candidate.firstContentFloorMs !== undefined) return false;
    const nowMs = this.#state.nowMs();
    return nowMs >= this.overdueAtMs && this.lane.latency.isDead(nowMs);
  }

  firstContent(): void {
    if (!this.isRunning || this.hasContent) return;
    const nowMs = this.#state.nowMs();
    this.firstContentAtMs = nowMs;
    const { lane } = this;
    lane.touch();
    lane.latency.content(nowMs);
    this.#stopWaiting();
    if (!Number.isNaN(this.sentAtMs)) {
      const value = lane.latency.sample(nowMs - this.sentAtMs, this.inputTokens, nowMs);
      lane.limit.sample(value, lane.latency.baselineMs, nowMs);
    }
    const laneClosed = lane.health.succeed(nowMs);
    const channelClosed = lane.channel.health.succeed(nowMs);
    if (laneClosed || channelClosed) lane.limit.restart(lane.active);
    if (this.#isOffProbe) lane.channel.turnOn();
    const { sessionKey, model } = this.#request;
    if (sessionKey !== undefined) {
      this.#state.affinity.bind(sessionKey, model, lane, nowMs);
    }
  }

  finished(usage?: AttemptUsage): void {
    if (!this.isRunning) return;
    if (!this.hasContent) this.firstContent();
    const nowMs = this.#end('finished');
    const { lane } = this;
    const output = usage?.outputTokens;
    if (output !== undefined) {
      lane.latency.sampleInterToken(nowMs - this.firstContentAtMs, output);
    }
    if (usage !== undefined) this.#settle(usage);
    lane.durationMs += 0.1 * (nowMs - this.chosenAtMs - lane.durationMs);
  }

  #settle(usage: AttemptUsage): void {
    const { group } = this.lane;
    const { accounting } = group;
    const isCacheFree = !accounting.cachedInputCounts && (usage.cachedInputTokens ?? 0) > 0;
    if (!accounting.settlesToActual && !isCacheFree) return;
    const need = this.#need;
    const input = usage.inputTokens ?? need.inputTokens;
    const counted = isCacheFree ? Math.max(0, input - (usage.cachedInputTokens ?? 0)) : input;
    const output = usage.outputTokens ?? need.outputTokens;
    group.settle(need, {
      inputTokens: counted,
      outputTokens: accounting.settlesToActual ? output : need.outputTokens,
    });
  }

  failed(failure: Failure): void {
    if (!this.isRunning) return;
    const { lane } = this;
    const ageMs = this.#state.nowMs() - this.sentAtMs;
    const wasWaiting = this.#isWaiting;
    const nowMs = this.#end(failure.kind);
    switch (blames[failure.kind]) {
      case 'endpoint':
        lane.group.giveBack(this.#need);
        lane.channel.health.fail(this.probe, this.#state.random(), nowMs);
        lane.health.endProbe();
        break;
      case 'lane':
        if (wasWaiting && failure.kind.startsWith('timeout')) {
          lane.latency.sample(ageMs, this.inputTokens, nowMs);
        }
        lane.health.fail(this.probe, this.#state.random(), nowMs);
        lane.channel.health.endProbe();
        break;
      case 'limit':
        lane.group.giveBackRefused(this.#need, this.#snapshot, this.#marks, nowMs);
        lane.group.refuse(this.#need, failure, this.#snapshot, nowMs);
        this.#endProbes();
        break;
      case 'key':
        lane.group.giveBack(this.#need);
        this.#turnOff(failure, nowMs);
        this.#endProbes();
        break;
      case 'nobody':
        if (Number.isNaN(this.sentAtMs)) lane.group.giveBack(this.#need);
        if (failure.kind === 'aborted-by-client') this.#abandon(ageMs, wasWaiting, nowMs);
        this.#endProbes();
        break;
    }
    if (this.#isOffProbe && lane.channel.offReason !== undefined) lane.channel.offProbing = false;
  }

  #abandon(ageMs: number, wasWaiting: boolean, nowMs: number): void {
    const { lane } = this;
    const expectedMs = lane.latency.averageMs + lane.latency.deviationMs;
    if (wasWaiting && ageMs > Math.max(abandonedMinimumMs, abandonedFactor * expectedMs)) {
      lane.latency.sample(ageMs, this.inputTokens, nowMs);
    }
  }

  #endProbes(): void {
    if (!this.probe) return;
    this.lane.health.endProbe();
    this.lane.channel.health.endProbe();
  }

  #turnOff(failure: Failure, nowMs: number): void {
    const { settings, onAlarm } = this.#state;
    const { channel } = this.lane;
    const reason = failure.kind === 'quota' ? 'quota' : 'auth';
    const isNew = channel.offReason !== reason;
    const asked = Math.min(failure.retryAfterMs ?? Infinity, settings.offMaximumMs);
    channel.turnOff(reason, nowMs + Math.min(asked, settings.offProbeMs));
    if (isNew) {
      onAlarm?.({ kind: 'channel-off', channelId: channel.config.id, reason, atMs: nowMs });
    }
  }

  #tell(): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.lane.group.tell(this.#need);
  }

  #stopWaiting(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.lane.latency.remove(this);
  }

  #end(outcome: 'finished' | FailureKind): number {
    const nowMs = this.#state.nowMs();
    this.outcome = outcome;
    this.endedAtMs = nowMs;
    this.lane.touch();
    this.#stopWaiting();
    this.#tell();
    this.lane.active -= 1;
    this.lane.channel.active -= 1;
    this.#state.active -= 1;
    return nowMs;
  }
}

function timeoutsOf(
  state: RoutingState,
  attempt: RunningAttempt,
  remainingMs: number,
  isOnly: boolean,
): AttemptTimeouts {
  const { settings } = state;
  const { candidate, lane, inputTokens } = attempt;
  const { latency } = lane;
  const averageMs = attempt.probe ? latency.baselineMs : latency.averageMs;
  const minimumMs = attempt.probe
    ? settings.probeTimeoutMinimumMs
    : settings.firstContentTimeoutMinimumMs;
  const patienceMs = 2.5 * (averageMs + 4 * latency.deviationMs);
  const clampedMs = Math.min(
    Math.max(patienceMs, minimumMs),
    settings.firstContentTimeoutMaximumMs,
  );
  const wantedMs = Math.max(
    clampedMs + inputTokens * settings.prefillMsPerToken,
    candidate.firstContentFloorMs ?? 0,
    isOnly ? settings.firstContentTimeoutOnlyMs : 0,
  );
  const firstContentMs = Math.max(1, Math.min(wantedMs, remainingMs));
  return {
    connectMs: Math.min(settings.connectTimeoutMs, firstContentMs),
    firstContentMs,
    idleMs: candidate.idleMs ?? settings.idleTimeoutMs,
    totalMs: settings.totalTimeoutMs,
    recheckMs: Math.min(latency.overdueMs(inputTokens), firstContentMs),
  };
}
