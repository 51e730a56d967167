/** Driving a plan: the next upstream to try, after waiting where routing says so. */

import { gatewayError, GatewayFailure } from '#canonical';
import type { Attempt, DistantPlan } from '#routing';
import { ExchangeAborted, hasLeft, type Exchange } from './http/index.ts';
import { giveUpError, storageFailure, type AttemptFailure } from './failure.ts';
import type { OfferCandidate } from './offers.ts';
import type { Route, Target } from './target.ts';

/** Awaits what routing asks to wait for. Throws the client's error when it gives up. */
export async function nextStep(
  plan: DistantPlan,
  client: Pick<Exchange, 'aborted' | 'signal'>,
  failed: AttemptFailure | undefined,
): Promise<Attempt> {
  let step = await plan.next(failed?.failure);
  while (step.kind === 'wait') {
    await pause(step.delayMs, client.signal);
    if (client.aborted)
      throw new GatewayFailure(
        gatewayError('client_closed_request', 'The client closed the connection.'),
      );
    step = await plan.next();
  }
  if (step.kind === 'give-up') throw new GatewayFailure(giveUpError(step, failed?.error));
  return step;
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolvePause) => {
    const timer = setTimeout(done, delayMs);
    signal.addEventListener('abort', done, { once: true });
    // Who has left already is not told of again.
    if (signal.aborted) done();
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolvePause();
    }
  });
}

export function routeOf(target: Target, attempt: Attempt): Route {
  const route = target.routes.get(attempt.candidate as OfferCandidate);
  if (!route)
    throw new Error(`routing chose a candidate that was not offered: ${attempt.channelId}`);
  return route;
}

/** What an error says to a client that did not leave: its request was ended by us, and may be asked again. */
export function unlessClientLeft(thrown: unknown, exchange: Exchange): unknown {
  const error = storageFailure(thrown);
  if (!(error instanceof GatewayFailure) || error.error.code !== 'client_closed_request')
    return error;
  return endedByUs(exchange) ?? error;
}

/** What a client is told whose answer has to end while it still reads; `undefined` when nothing ends it, or it has left. */
export function endedByUs(
  exchange: Pick<Exchange, 'aborted' | 'signal'>,
): GatewayFailure | undefined {
  return exchange.aborted && !hasLeft(exchange) ? outOfTime(exchange.signal.reason) : undefined;
}

/** @param reason of the abort: ours to stop, else the request's own time. */
export function outOfTime(reason: unknown): GatewayFailure {
  return new GatewayFailure(
    reason instanceof ExchangeAborted
      ? gatewayError('shutting_down', 'The server stopped before the answer was complete.', {
          retryAfterMs: 1_000,
        })
      : gatewayError('upstream_timeout', 'There was no answer within the time of a request.'),
  );
}
