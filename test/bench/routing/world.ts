/** The discrete-event loop: clients, the gateway with one strategy, and the simulated vendors. */

import { seededRandom, type Random } from '#std';
import { EventQueue } from './event-queue.ts';
import { Measurement } from './measurement.ts';
import type { Scenario } from './scenarios.ts';
import type { Course, MakeStrategy, SimulatedFailure, Strategy } from './strategy.ts';
import { Vendor, type Answer, type SimulatedRequest } from './vendor.ts';
import { Workload } from './workload.ts';

/** How long a client waits for the first content. */
const patienceMs = 60_000;
const recheckEveryMs = 250;

type Run = {
  readonly request: SimulatedRequest;
  readonly course: Course;
  readonly arrivedAtMs: number;
  readonly stream: number;
  vendor: number;
  attempt: number;
  answer: Answer | undefined;
  hasContent: boolean;
  isDone: boolean;
};

type Happening =
  | { readonly kind: 'arrival'; readonly stream: number }
  | { readonly kind: 'again' | 'patience'; readonly run: Run }
  | {
      readonly kind: 'content' | 'end' | 'timeout' | 'recheck';
      readonly run: Run;
      readonly attempt: number;
    }
  | {
      readonly kind: 'failure';
      readonly run: Run;
      readonly attempt: number;
      readonly failure: SimulatedFailure;
    };

export class World {
  readonly measurement: Measurement;
  readonly #scenario: Scenario;
  readonly #events = new EventQueue<Happening>();
  readonly #vendors: readonly Vendor[];
  readonly #workload: Workload;
  readonly #arrivals: Random;
  readonly #strategy: Strategy;
  readonly #meanGapMs: number;
  #nowMs = 0;

  constructor(scenario: Scenario, makeStrategy: MakeStrategy, seed: number) {
    this.#scenario = scenario;
    this.measurement = new Measurement(scenario);
    this.#vendors = scenario.vendors.map(
      (spec, index) => new Vendor(spec, seededRandom(seed * 1_000 + index), scenario.initialLevel),
    );
    this.#arrivals = seededRandom(seed * 7_919 + 1);
    const streams = scenario.load.kind === 'closed' ? scenario.load.streams : 60;
    this.#workload = new Workload(seededRandom(seed * 104_729 + 2), streams, 40);
    this.#meanGapMs = meanGapMs(scenario);
    this.#strategy = makeStrategy({
      vendors: scenario.vendors,
      nowMs: () => this.#nowMs,
      random: seededRandom(seed * 15_485_863 + 3),
      deadlineMs: patienceMs,
    });
  }

  run(): Measurement {
    this.#start();
    const endMs = this.#scenario.durationMs + 2 * patienceMs;
    for (;;) {
      const event = this.#events.pop();
      if (event === undefined || event.atMs > endMs) break;
      this.#nowMs = event.atMs;
      this.#handle(event.payload);
    }
    return this.measurement;
  }

  #start(): void {
    const { load } = this.#scenario;
    if (load.kind === 'open') {
      this.#events.push(this.#gap(this.#meanGapMs), { kind: 'arrival', stream: -1 });
      return;
    }
    for (let stream = 0; stream < load.streams; stream++) {
      this.#events.push(this.#arrivals() * load.rampMs, { kind: 'arrival', stream });
    }
  }

  #gap(meanMs: number): number {
    return -Math.log(1 - this.#arrivals()) * meanMs;
  }

  #handle(event: Happening): void {
    switch (event.kind) {
      case 'arrival':
        this.#arrive(event.stream);
        return;
      case 'again':
        if (!event.run.isDone) this.#advance(event.run, undefined);
        return;
      case 'patience':
        this.#losePatience(event.run);
        return;
      case 'content':
        if (event.run.attempt === event.attempt) this.#content(event.run);
        return;
      case 'end':
        if (event.run.attempt === event.attempt) this.#end(event.run);
        return;
      case 'failure':
        if (event.run.attempt === event.attempt) this.#fail(event.run, event.failure);
        return;
      case 'recheck':
        if (event.run.attempt === event.attempt) this.#recheck(event.run);
        return;
      case 'timeout':
        if (event.run.attempt !== event.attempt || event.run.hasContent || event.run.isDone) return;
        this.#fail(event.run, { kind: 'timeout-content' });
        return;
    }
  }

  #arrive(stream: number): void {
    if (this.#nowMs >= this.#scenario.durationMs) return;
    if (stream < 0) {
      this.#events.push(this.#nowMs + this.#gap(this.#meanGapMs), { kind: 'arrival', stream });
    }
    const request = this.#workload.next();
    const run: Run = {
      request,
      course: this.#strategy.begin(request),
      arrivedAtMs: this.#nowMs,
      stream,
      vendor: -1,
      attempt: 0,
      answer: undefined,
      hasContent: false,
      isDone: false,
    };
    this.measurement.arrive(request, this.#nowMs);
    this.#events.push(this.#nowMs + patienceMs, { kind: 'patience', run });
    this.#advance(run, undefined);
  }

  #advance(run: Run, failure: SimulatedFailure | undefined): void {
    const decision = run.course.next(failure);
    if (decision.kind === 'give-up') {
      this.#finish(run);
      return;
    }
    if (decision.kind === 'wait') {
      this.#events.push(this.#nowMs + decision.delayMs, { kind: 'again', run });
      return;
    }
    this.#send(run, decision.vendor, decision.timeoutMs, decision.recheckMs);
  }

  #send(run: Run, vendorIndex: number, timeoutMs: number, recheckMs: number | undefined): void {
    const vendor = this.#vendors[vendorIndex];
    if (vendor === undefined) throw new RangeError('no such vendor');
    run.vendor = vendorIndex;
    run.attempt += 1;
    const { attempt } = run;
    run.course.sent();
    const answer = vendor.receive(run.request, this.#nowMs);
    run.answer = answer;
    vendor.active += 1;
    this.measurement.attempt(vendorIndex, run.arrivedAtMs, this.#nowMs);
    this.#events.push(this.#nowMs + timeoutMs, { kind: 'timeout', run, attempt });
    const isSlow =
      answer.kind === 'never' ||
      (answer.kind === 'content' && answer.firstContentMs > (recheckMs ?? Infinity));
    if (isSlow && recheckMs !== undefined) {
      this.#events.push(this.#nowMs + recheckMs, { kind: 'recheck', run, attempt });
    }
    if (answer.kind === 'never') return;
    if (answer.kind === 'content') {
      this.#events.push(this.#nowMs + answer.firstContentMs, { kind: 'content', run, attempt });
      if (vendor.spec.sendsHeaders) this.#rememberLevels(run, vendor);
      return;
    }
    const failure: SimulatedFailure =
      answer.kind === 'rate-limited'
        ? { kind: 'rate-limited', retryAfterMs: answer.retryAfterMs }
        : { kind: answer.kind };
    if (answer.kind === 'rate-limited' && vendor.spec.sendsHeaders)
      this.#rememberLevels(run, vendor);
    this.#events.push(this.#nowMs + answer.afterMs, { kind: 'failure', run, attempt, failure });
  }

  readonly #levels = new WeakMap<Run, Parameters<Course['headers']>[0]>();

  /** Headers tell the levels of admission, and arrive only with the answer. */
  #rememberLevels(run: Run, vendor: Vendor): void {
    this.#levels.set(run, {
      tokensLimit: vendor.spec.tokensPerMinute,
      tokensRemaining: Math.max(0, Math.floor(vendor.tokenLevel)),
      requestsLimit: vendor.spec.requestsPerMinute,
      requestsRemaining: Math.max(0, Math.floor(vendor.requestLevel)),
    });
  }

  #giveHeaders(run: Run): void {
    const levels = this.#levels.get(run);
    if (levels === undefined) return;
    this.#levels.delete(run);
    run.course.headers(levels);
  }

  #recheck(run: Run): void {
    if (run.hasContent || run.isDone) return;
    if (run.course.isLost?.() === true) {
      this.#fail(run, { kind: 'timeout-content' });
      return;
    }
    const { attempt } = run;
    this.#events.push(this.#nowMs + recheckEveryMs, { kind: 'recheck', run, attempt });
  }

  #content(run: Run): void {
    const { answer } = run;
    if (answer?.kind !== 'content') return;
    run.hasContent = true;
    this.#giveHeaders(run);
    run.course.firstContent();
    this.measurement.content(run.vendor, run.arrivedAtMs, this.#nowMs);
    this.#events.push(this.#nowMs + answer.durationMs, {
      kind: 'end',
      run,
      attempt: run.attempt,
    });
  }

  #end(run: Run): void {
    this.#leaveVendor(run);
    run.course.finished(run.request.outputTokens);
    if (run.answer?.kind === 'content') {
      this.measurement.success(run.request, run.answer, run.arrivedAtMs);
    }
    this.#finish(run);
  }

  #fail(run: Run, failure: SimulatedFailure): void {
    this.#leaveVendor(run);
    run.attempt += 1;
    this.#giveHeaders(run);
    if (failure.kind === 'rate-limited') this.measurement.rateLimited(run.arrivedAtMs);
    this.#advance(run, failure);
  }

  #losePatience(run: Run): void {
    if (run.isDone || run.hasContent) return;
    if (run.vendor >= 0) this.#leaveVendor(run);
    run.attempt += 1;
    run.course.close();
    this.#finish(run);
  }

  #leaveVendor(run: Run): void {
    const vendor = this.#vendors[run.vendor];
    if (vendor === undefined) return;
    vendor.active -= 1;
    run.vendor = -1;
  }

  #finish(run: Run): void {
    run.isDone = true;
    const { load } = this.#scenario;
    if (load.kind !== 'closed') return;
    const pauseMs = this.#gap(load.pauseMs);
    this.#events.push(this.#nowMs + pauseMs, { kind: 'arrival', stream: run.stream });
  }
}

/** Time between arrivals that loads the token limits by the share asked for. */
function meanGapMs(scenario: Scenario): number {
  if (scenario.load.kind !== 'open') return Infinity;
  const workload = new Workload(seededRandom(1), 60, 40);
  const count = 2_000;
  let tokens = 0;
  for (let index = 0; index < count; index++) {
    const request = workload.next();
    tokens += request.inputTokens + request.outputTokensMaximum;
  }
  let perMs = 0;
  for (const vendor of scenario.vendors) perMs += vendor.tokensPerMinute / 60_000;
  return tokens / count / (perMs * scenario.load.share);
}
