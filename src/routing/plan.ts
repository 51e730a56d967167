/** The plan of one request: admission, then attempt by attempt until content, giving up or leaving. */

import { RunningAttempt } from './attempt.ts';
import { admissionOf, choose, headroom, type Choice, type Chooser } from './choose.ts';
import type {
  Admission,
  Attempt,
  Explanation,
  Failure,
  FailureKind,
  GiveUp,
  GiveUpReason,
  Plan,
  RouteRequest,
  Step,
  Wait,
} from './contract.ts';
import { ineligibility } from './eligibility.ts';
import { explainPlan, type Decision } from './explain.ts';
import type { Lane } from './lane.ts';
import type { Need } from './limit-group.ts';
import { cheaperWindow } from './price.ts';
import type { CandidateSet, RoutingState } from './state.ts';
import { holderOf, yields, type Ticket } from './waiting-line.ts';

/** After these the same lane must not see the request again. */
const finalForLane: ReadonlySet<FailureKind> = new Set(['auth', 'quota', 'unsuitable']);
/** These are not retries of a failing system and cost nothing of its budget. */
const freeOfBudget: ReadonlySet<FailureKind> = new Set([
  'rate-limited',
  'auth',
  'quota',
  'unsuitable',
]);
const admitted: Admission = { kind: 'admitted' };
/** A waiter whose time is unknown (a running request must end) looks again this soon. */
const pollMs = 100;
const backoffMs = 200;
const decisionsMaximum = 32;

export class RoutePlan implements Plan, Chooser {
  readonly request: RouteRequest;
  readonly set: CandidateSet;
  readonly need: Need;
  readonly admission: Admission;
  readonly ineligible: Uint8Array | undefined;
  attempts: readonly RunningAttempt[] = [];
  decisions: readonly Decision[] = [];
  ticket: Ticket | undefined;
  readonly #state: RoutingState;
  readonly #deadlineMs: number;
  readonly #choice: Choice = { index: -1, how: 'none', isPanic: false };
  /** What upstreams count that do not debit the whole output bound at admission. */
  #needLess: Record<'expected' | 'none', Need> | undefined;
  #running: RunningAttempt | undefined;
  #tried: number[] | undefined;
  #exhausted: number[] | undefined;
  #errors = 0;
  #rateLimits = 0;
  #lastFailure: Failure | undefined;
  /** The next attempt is a retry for which the budget has not been asked yet. */
  #owesRetry = false;
  #backoffUntilMs = 0;
  #isClosed = false;
  #isCommitted = false;
  #isWindowChecked = false;

  constructor(state: RoutingState, request: RouteRequest) {
    this.#state = state;
    this.request = request;
    const nowMs = state.nowMs();
    this.#deadlineMs = nowMs + (request.deadlineMs - state.clock.now());
    this.set = state.candidateSet(request.candidates, nowMs);
    this.need = { inputTokens: request.inputTokens, outputTokens: request.outputTokensMaximum };
    this.ineligible = this.#filter();
    state.budget.earn(state.active);
    this.admission = this.#admit(nowMs);
    const tokens = this.need.inputTokens + this.need.outputTokens;
    state.shortage.note(this.admission.kind !== 'admitted', tokens, nowMs);
  }

  #filter(): Uint8Array | undefined {
    const { hints, requiredCapabilities } = this.request;
    if (this.set.isPlain && hints === undefined && (requiredCapabilities ?? 0) === 0) {
      return undefined;
    }
    let ineligible: Uint8Array | undefined;
    const count = this.set.candidates.length;
    for (let index = 0; index < count; index++) {
      const why = ineligibility(this.set, index, this.request, this.#state);
      if (why === 0) continue;
      ineligible ??= new Uint8Array(count);
      ineligible[index] = why;
    }
    return ineligible;
  }

  /** A first look that reserves nothing: refuses before money is touched. */
  #admit(nowMs: number): Admission {
    const state = this.#state;
    const reserve = state.settings.classReserve[this.request.class];
    let hasEligible = false;
    for (let index = 0; index < this.set.lanes.length; index++) {
      const lane = this.#laneAt(index);
      if (lane === undefined) continue;
      hasEligible = true;
      if (admissionOf(state, this, lane, nowMs, true, reserve, 'overflow') === 0) return admitted;
    }
    if (!hasEligible) return { kind: 'refused', reason: 'no-candidate', retryAfterMs: undefined };
    const step = this.#wait(nowMs);
    if (step.kind === 'wait') return step;
    return { kind: 'refused', reason: step.reason, retryAfterMs: step.retryAfterMs };
  }

  /** The lane of an eligible candidate. */
  #laneAt(index: number): Lane | undefined {
    return this.ineligible !== undefined && this.ineligible[index] !== 0
      ? undefined
      : this.set.lanes[index];
  }

  isTried(index: number, includeTried: boolean): boolean {
    const list = includeTried ? this.#exhausted : this.#tried;
    return list !== undefined && list.includes(index);
  }

  next(failure?: Failure): Step {
    const nowMs = this.#state.nowMs();
    const ended = this.#take(failure);
    if (ended !== undefined) return this.#giveUp(ended, undefined);
    if (nowMs >= this.#deadlineMs) return this.#giveUp('deadline', undefined);
    if (nowMs < this.#backoffUntilMs) return waitFor(this.#backoffUntilMs - nowMs);
    const window = this.#cheaperWindow(nowMs);
    if (window !== undefined) return window;
    const choice = this.#choice;
    choose(this.#state, this, nowMs, false, choice);
    if (choice.index < 0 && this.#tried !== undefined) {
      const again = this.#chooseAgain(nowMs);
      if (again !== undefined) return again;
    }
    this.#record(nowMs);
    if (choice.index < 0) return this.#wait(nowMs);
    if (!this.#mayRetry(nowMs)) return this.#giveUp('retry-budget', undefined);
    return this.#start(choice.index, nowMs);
  }

  /** Accounts for the failure; gives the reason when nothing more may be tried. */
  #take(failure: Failure | undefined): GiveUpReason | undefined {
    const running = this.#running;
    if (running?.isRunning === true && failure === undefined) {
      throw new Error('next() without a failure while an attempt is running');
    }
    if (this.#isClosed) return 'client-gone';
    if (failure === undefined) return running?.hasContent === true ? 'committed' : undefined;
    this.#lastFailure = failure;
    if (running === undefined) return undefined;
    if (running.isRunning) running.failed(failure);
    if (failure.kind === 'aborted-by-client') return 'client-gone';
    if (running.hasContent) this.#isCommitted = true;
    if (this.#isCommitted) return 'committed';
    if (failure.kind === 'status-4xx-request') return 'request-fault';
    this.#markTried(running, failure);
    const { hints } = this.request;
    // With `order`, the others were filtered out and the listed ones may follow one another.
    if (hints?.allowFallbacks === false && hints.order === undefined) return 'exhausted';
    const { settings } = this.#state;
    if (failure.kind === 'rate-limited') this.#rateLimits += 1;
    else this.#errors += 1;
    if (this.#errors >= settings.attemptsOnErrorMaximum) return 'exhausted';
    if (this.#rateLimits >= settings.attemptsOnRateLimitMaximum) return 'exhausted';
    if (!freeOfBudget.has(failure.kind)) this.#owesRetry = true;
    return undefined;
  }

  /**
   * Asks the budget for the retry on the lane that was chosen. One that is well gets no more load
   * than if the request had come to it first; the budget is there for when nothing is.
   */
  #mayRetry(nowMs: number): boolean {
    if (!this.#owesRetry) return true;
    const lane = this.set.lanes[this.#choice.index];
    if (lane?.isWell(nowMs) !== true && !this.#state.budget.spend()) return false;
    this.#owesRetry = false;
    return true;
  }

  #markTried(running: RunningAttempt, failure: Failure): void {
    const index = this.set.lanes.indexOf(running.lane);
    (this.#tried ??= []).push(index);
    if (finalForLane.has(failure.kind)) (this.#exhausted ??= []).push(index);
  }

  /** All fresh lanes are out: after a short pause one that failed may be asked again. */
  #chooseAgain(nowMs: number): Step | undefined {
    const choice = this.#choice;
    choose(this.#state, this, nowMs, true, choice);
    const lastEndMs = this.attempts.at(-1)?.endedAtMs ?? -Infinity;
    const pauseMs = backoffMs * 2 ** (this.#errors - 1) * (0.75 + 0.5 * this.#state.random());
    if (choice.index < 0 || this.#errors === 0 || nowMs - lastEndMs >= pauseMs * 0.5) {
      return undefined;
    }
    if (!this.#mayRetry(nowMs)) return this.#giveUp('retry-budget', undefined);
    this.#backoffUntilMs = nowMs + pauseMs;
    return waitFor(pauseMs);
  }

  #start(index: number, nowMs: number): Attempt {
    const lane = this.set.lanes[index];
    const candidate = this.set.candidates[index];
    if (lane === undefined || candidate === undefined) throw new RangeError('no such candidate');
    const state = this.#state;
    if (this.ticket !== undefined) {
      state.line.leave(this.ticket, true);
      this.ticket = undefined;
    }
    const need = this.needAt(lane);
    const attempt = new RunningAttempt(
      state,
      this.request,
      need,
      lane,
      candidate,
      this.attempts.length,
      nowMs,
      this.#deadlineMs,
      this.#hasOneLane(),
    );
    this.#running = attempt;
    this.attempts = [...this.attempts, attempt];
    return attempt;
  }

  #hasOneLane(): boolean {
    const { ineligible } = this;
    if (ineligible === undefined) return this.set.lanes.length === 1;
    let eligible = 0;
    for (const why of ineligible) if (why === 0) eligible += 1;
    return eligible === 1;
  }

  needAt(lane: Lane): Need {
    const { outputAtAdmission } = lane.group.accounting;
    if (outputAtAdmission === 'maximum') return this.need;
    if (this.#needLess === undefined) {
      const { inputTokens, outputTokensExpected } = this.request;
      this.#needLess = {
        expected: { inputTokens, outputTokens: outputTokensExpected },
        none: { inputTokens, outputTokens: 0 },
      };
    }
    return this.#needLess[outputAtAdmission];
  }

  /** Nothing has room: wait when some lane will have it soon enough for the class, else give up. */
  #wait(nowMs: number): Wait | GiveUp {
    const state = this.#state;
    const { line, settings } = state;
    const { waitMs, lane } = this.#soonest(nowMs);
    const enteredAtMs = this.ticket?.enteredAtMs ?? nowMs;
    // In a lasting shortage waiting only adds delay: someone is refused anyway.
    const mayWait = this.request.class !== 'interactive' || !state.shortage.isLasting(nowMs);
    const budgetMs = mayWait ? settings.queueBudgetMs[this.request.class] : 0;
    const readyAtMs = nowMs + waitMs;
    if (lane === undefined || readyAtMs > Math.min(enteredAtMs + budgetMs, this.#deadlineMs)) {
      const nobody = this.attempts.length > 0 ? 'exhausted' : 'no-candidate';
      return this.#giveUp(
        lane === undefined ? nobody : 'no-capacity',
        Number.isFinite(waitMs) ? waitMs : undefined,
      );
    }
    this.ticket ??= line.enter(this.request.userId, this.request.class, this.need, nowMs);
    if (this.ticket === undefined) return this.#giveUp('no-capacity', waitMs);
    const delayMs = Math.max(1, Math.ceil(waitMs));
    line.reserve(this.ticket, lane, readyAtMs, nowMs + delayMs, nowMs);
    return waitFor(delayMs);
  }

  #soonest(nowMs: number): { waitMs: number; lane: Lane | undefined } {
    let soonestMs = Infinity;
    let soonest: Lane | undefined;
    for (let index = 0; index < this.set.lanes.length; index++) {
      const lane = this.#laneAt(index);
      if (lane === undefined || this.#exhausted?.includes(index) === true) continue;
      // Nobody can say when a human will have mended a key.
      if (lane.channel.offReason === 'auth' && lane.channel.isOff(nowMs)) continue;
      const waitMs = this.#waitAt(lane, nowMs);
      if (waitMs < soonestMs) {
        soonestMs = waitMs;
        soonest = lane;
      }
    }
    return { waitMs: soonestMs, lane: soonest };
  }

  #waitAt(lane: Lane, nowMs: number): number {
    const { channel, group, health } = lane;
    const need = this.needAt(lane);
    let waitMs = group.waitMs(
      need,
      this.#state.settings.classReserve[this.request.class],
      headroom(this.#state, this.request, nowMs),
      nowMs,
    );
    const holder = holderOf(lane, nowMs);
    if (holder !== undefined && !yields(holder, this.ticket, this.request.class)) {
      waitMs = Math.max(waitMs, group.waitBehindMs(need, holder.need, nowMs), pollMs);
    }
    if (channel.offReason !== undefined) waitMs = Math.max(waitMs, channel.offUntilMs - nowMs);
    if (health.blocks(nowMs)) waitMs = Math.max(waitMs, health.openUntilMs - nowMs, pollMs);
    if (channel.health.blocks(nowMs)) {
      waitMs = Math.max(waitMs, channel.health.openUntilMs - nowMs, pollMs);
    }
    if (lane.active >= lane.capacity || channel.active >= channel.concurrencyMaximum) {
      waitMs = Math.max(waitMs, lane.durationMs / Math.max(lane.active, 1), 1);
    }
    return Math.max(waitMs, 1);
  }

  #cheaperWindow(nowMs: number): Wait | undefined {
    if (this.#isWindowChecked || this.request.class !== 'flex') return undefined;
    if (!this.set.hasPriceChanges) return undefined;
    const state = this.#state;
    const wallMs = state.clock.now();
    const candidates = this.set.candidates.filter((_, index) => this.#laneAt(index) !== undefined);
    const atMs = cheaperWindow(
      candidates,
      wallMs,
      wallMs + (this.#deadlineMs - nowMs),
      state.settings.priceFlipMarginMs,
    );
    this.#isWindowChecked = true;
    if (atMs === undefined || atMs <= wallMs) return undefined;
    this.#backoffUntilMs = nowMs + (atMs - wallMs);
    return { kind: 'wait', delayMs: atMs - wallMs, reason: 'cheaper-window' };
  }

  #record(nowMs: number): void {
    if (this.decisions.length >= decisionsMaximum) return;
    const { index, how, isPanic } = this.#choice;
    const scores = copyOf(this.#state.scores, this.set.candidates.length);
    this.decisions = [...this.decisions, { atMs: nowMs, isPanic, how, index, scores }];
  }

  #giveUp(reason: GiveUpReason, retryAfterMs: number | undefined): GiveUp {
    this.#leaveLine();
    return {
      kind: 'give-up',
      reason,
      failure: this.#lastFailure,
      retryAfterMs: retryAfterMs ?? this.#lastFailure?.retryAfterMs,
    };
  }

  #leaveLine(): void {
    if (this.ticket === undefined) return;
    this.#state.line.leave(this.ticket, false);
    this.ticket = undefined;
  }

  explain(): Explanation {
    return explainPlan(this);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#leaveLine();
    if (this.#running?.isRunning === true) this.#running.failed({ kind: 'aborted-by-client' });
  }
}

function waitFor(delayMs: number): Wait {
  return { kind: 'wait', delayMs: Math.max(1, Math.ceil(delayMs)), reason: 'no-capacity' };
}

/** An array of the engine's own is made in a fraction of the time of a typed one. */
function copyOf(scores: Float64Array, count: number): readonly number[] {
  const copy = new Array<number>(count);
  for (let index = 0; index < count; index++) copy[index] = scores[index] ?? 0;
  return copy;
}
