/** The router of this repository, unchanged, driven by simulated time. */

import {
  createRouter,
  type Attempt,
  type Candidate,
  type ChannelConfig,
  type Failure,
  type Plan,
  type RouteRequest,
} from '#routing';
import type {
  Course,
  Decision,
  HeaderLevels,
  MakeStrategy,
  Strategy,
  SimulatedFailure,
  StrategyInput,
} from './strategy.ts';
import type { SimulatedRequest, VendorSpec } from './vendor.ts';

/** Faults that can be planted, to see that the benchmark notices. */
export type Plant = 'none' | 'cooldown-on-429';

function channelOf(vendor: VendorSpec): ChannelConfig {
  const factor = vendor.configuredFactor;
  if (factor === undefined) return { id: vendor.id };
  return {
    id: vendor.id,
    limits: {
      tokensPerMinute: vendor.tokensPerMinute * factor,
      requestsPerMinute: vendor.requestsPerMinute * factor,
    },
  };
}

class RouterCourse implements Course {
  readonly #plan: Plan;
  readonly #plant: Plant;
  readonly #vendorIndex: ReadonlyMap<string, number>;
  #attempt: Attempt | undefined;

  constructor(plan: Plan, plant: Plant, vendorIndex: ReadonlyMap<string, number>) {
    this.#plan = plan;
    this.#plant = plant;
    this.#vendorIndex = vendorIndex;
  }

  next(failure: SimulatedFailure | undefined): Decision {
    if (this.#attempt === undefined && this.#plan.admission.kind === 'refused') {
      return { kind: 'give-up' };
    }
    const step = this.#plan.next(failure === undefined ? undefined : this.#planted(failure));
    if (step.kind === 'wait') return { kind: 'wait', delayMs: step.delayMs };
    if (step.kind === 'give-up') {
      this.#plan.close();
      return { kind: 'give-up' };
    }
    this.#attempt = step;
    const vendor = this.#vendorIndex.get(step.channelId) ?? 0;
    const { firstContentMs, recheckMs } = step.timeouts;
    return { kind: 'attempt', vendor, timeoutMs: firstContentMs, recheckMs };
  }

  /** The fault: a 429 taken for an illness of the channel. */
  #planted(failure: SimulatedFailure): Failure {
    if (this.#plant === 'none' || failure.kind !== 'rate-limited') return failure;
    return { kind: 'quota', retryAfterMs: 30_000 };
  }

  sent(): void {
    this.#attempt?.sent();
  }

  headers(levels: HeaderLevels): void {
    this.#attempt?.headers({
      retryAfterMs: undefined,
      readings: [
        {
          name: 'requests-per-minute',
          limit: levels.requestsLimit,
          remaining: levels.requestsRemaining,
          resetMs: undefined,
        },
        {
          name: 'tokens-per-minute',
          limit: levels.tokensLimit,
          remaining: levels.tokensRemaining,
          resetMs: undefined,
        },
      ],
    });
  }

  isLost(): boolean {
    return this.#attempt?.isLost() === true;
  }

  firstContent(): void {
    this.#attempt?.firstContent();
  }

  finished(outputTokens: number): void {
    this.#attempt?.finished({ outputTokens });
    this.#plan.close();
  }

  close(): void {
    this.#plan.close();
  }
}

export function ours(plant: Plant): MakeStrategy {
  return (input: StrategyInput): Strategy => {
    const clock = { now: input.nowMs, monotonic: input.nowMs };
    const router = createRouter({ clock, random: input.random });
    router.update(input.vendors.map(channelOf));
    const candidates: readonly Candidate[] = input.vendors.map((vendor) => ({
      channelId: vendor.id,
      model: 'model',
      inputNanoUsdPerMillion: vendor.inputNanoUsdPerMillion,
      outputNanoUsdPerMillion: vendor.outputNanoUsdPerMillion,
      cachedInputNanoUsdPerMillion: vendor.inputNanoUsdPerMillion / 10,
    }));
    const vendorIndex = new Map(input.vendors.map((vendor, index) => [vendor.id, index]));
    return {
      begin(request: SimulatedRequest): Course {
        const routeRequest: RouteRequest = {
          model: 'model',
          candidates,
          inputTokens: request.inputTokens,
          outputTokensMaximum: request.outputTokensMaximum,
          outputTokensExpected: request.outputTokensMaximum / 2,
          class: 'interactive',
          userId: request.userId,
          deadlineMs: input.nowMs() + input.deadlineMs,
          ...(request.sessionKey === undefined ? {} : { sessionKey: request.sessionKey }),
        };
        return new RouterCourse(router.plan(routeRequest), plant, vendorIndex);
      },
    };
  };
}
