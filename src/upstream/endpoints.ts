/**
 * What is known of the speed of endpoints, by origin: the time to open a connection, the time to the
 * first byte of an answer, and whether connections can be had at all. Chooses among several.
 */

import type { Clock } from '#std';

type Endpoint = {
  connectMs: number | undefined;
  firstByteMs: number | undefined;
  firstByteAtMs: number;
  /** When a request was last sent to find out. */
  exploredAtMs: number;
  /** Count of choices when it was chosen last. */
  pickedAt: number;
  /** Connections fail since; a success ends it. */
  deadSinceMs: number | undefined;
};

const originsMax = 512;
/** Share of a new sample: good ones are believed sooner, because nothing makes a slow endpoint fast by chance. */
const worseShare = 0.2;
const betterShare = 0.5;
/** What was measured longer ago may have changed: where requests are many, one of them finds out. */
const firstByteLifeMs = 15_000;
/** Another endpoint must be faster by this share before kept connections are left. */
const advantage = 0.1;
/** What is hoped of an endpoint not asked lately, as part of the best time of the others. */
const hope = 0.5;
/** Choices between two such requests. */
const picksMinimum = 50;
/** So long one request finds out alone. */
const explorePauseMs = 5_000;
/** A dead endpoint is asked again when nobody has tried for so long. */
const deadMs = 10_000;

export class Endpoints {
  readonly #clock: Clock;
  readonly #byOrigin = new Map<string, Endpoint>();
  readonly #chosen = new Map<string, string>();
  #picks = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  connected(origin: string, elapsedMs: number): void {
    const endpoint = this.#at(origin);
    endpoint.connectMs = blend(endpoint.connectMs, elapsedMs);
    endpoint.deadSinceMs = undefined;
  }

  answered(origin: string, elapsedMs: number): void {
    const endpoint = this.#at(origin);
    endpoint.firstByteMs = blend(endpoint.firstByteMs, elapsedMs);
    endpoint.firstByteAtMs = this.#clock.monotonic();
    endpoint.deadSinceMs = undefined;
  }

  failed(origin: string): void {
    this.#at(origin).deadSinceMs = this.#clock.monotonic();
  }

  isDead(origin: string): boolean {
    const since = this.#byOrigin.get(origin)?.deadSinceMs;
    return since !== undefined && this.#clock.monotonic() - since < deadMs;
  }

  /** The fastest of these base URLs that is alive; the first when nothing is known. */
  fastest(urls: readonly string[]): string {
    const [first = ''] = urls;
    if (urls.length < 2) return first;
    const picked = this.#pick(urls, first);
    this.#picks += 1;
    this.#at(originOf(picked)).pickedAt = this.#picks;
    return picked;
  }

  #pick(urls: readonly string[], first: string): string {
    const key = urls.join(' ');
    const alive = urls.filter((url) => !this.isDead(originOf(url)));
    const candidates = alive.length === 0 ? urls : alive;
    const leastFirstByteMs = this.#least(candidates);
    const costOf = (url: string): number => this.#cost(originOf(url), leastFirstByteMs);
    let best = candidates[0] ?? first;
    for (const url of candidates) if (costOf(url) < costOf(best)) best = url;
    const before = this.#chosen.get(key);
    if (before !== undefined && candidates.includes(before)) {
      if (costOf(best) > costOf(before) * (1 - advantage)) return before;
    }
    if (leastFirstByteMs > 0 && this.#firstByte(this.#at(originOf(best))) === undefined) {
      this.#at(originOf(best)).exploredAtMs = this.#clock.monotonic();
      return best;
    }
    if (this.#chosen.size >= originsMax) this.#chosen.clear();
    this.#chosen.set(key, best);
    return best;
  }

  /** An endpoint not asked lately may be better than all: one request now and then finds out. */
  #cost(origin: string, leastFirstByteMs: number): number {
    const endpoint = this.#byOrigin.get(origin);
    const firstByteMs = endpoint && this.#firstByte(endpoint);
    const sinceMs = this.#clock.monotonic() - (endpoint?.exploredAtMs ?? -Infinity);
    const guessMs = leastFirstByteMs * (sinceMs < explorePauseMs ? 2 : hope);
    return (endpoint?.connectMs ?? 0) + (firstByteMs ?? guessMs);
  }

  #least(urls: readonly string[]): number {
    let least = Infinity;
    for (const url of urls) {
      const endpoint = this.#byOrigin.get(originOf(url));
      const firstByteMs = endpoint && this.#firstByte(endpoint);
      if (firstByteMs !== undefined && firstByteMs < least) least = firstByteMs;
    }
    return Number.isFinite(least) ? least : 0;
  }

  #firstByte(endpoint: Endpoint): number | undefined {
    const isOld = this.#clock.monotonic() - endpoint.firstByteAtMs > firstByteLifeMs;
    // Where requests are rare, finding out would cost too many of them.
    const isBusy = this.#picks - endpoint.pickedAt > picksMinimum;
    return isOld && isBusy ? undefined : endpoint.firstByteMs;
  }

  #at(origin: string): Endpoint {
    const known = this.#byOrigin.get(origin);
    if (known !== undefined) return known;
    if (this.#byOrigin.size >= originsMax) this.#byOrigin.clear();
    const made: Endpoint = {
      connectMs: undefined,
      firstByteMs: undefined,
      firstByteAtMs: -Infinity,
      exploredAtMs: -Infinity,
      pickedAt: -Infinity,
      deadSinceMs: undefined,
    };
    this.#byOrigin.set(origin, made);
    return made;
  }
}

function blend(before: number | undefined, sample: number): number {
  if (before === undefined) return sample;
  // A lost packet costs seconds and says little; an endpoint that is slow says so again.
  const share = sample > before ? worseShare : betterShare;
  return before + share * (Math.min(sample, 3 * before + 100) - before);
}

/** Scheme, host and port, as the pools name them. */
export function originOf(url: string): string {
  return URL.parse(url)?.origin ?? url;
}
