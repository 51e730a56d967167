/**
 * What happens after the commit point where the operator allows it: an answer that its upstream breaks off
 * is given to another one as the beginning of its own answer, and goes on in the same stream to the client.
 * Only plain text can be continued, and only by upstreams that take a beginning; else the client gets the error.
 */

import { gatewayError, GatewayFailure, type ChatRequest, type GatewayError } from '#canonical';
import type { Dialect, Quirks } from '#dialects';
import { estimateGeneratedTokens } from '#metering';
import type { Attempt } from '#routing';
import { textSize } from '#std';
import { openAttempt } from './attempt.ts';
import type { ChatCall } from './call.ts';
import { ContinuedRelay, DeliveredAnswer, type Earlier } from './continued-relay.ts';
import { failureOf, type AttemptFailure } from './failure.ts';
import type { ResumablePlan } from './fallback.ts';
import type { Delivery } from './finish.ts';
import { billedUsage, costOf } from './money.ts';
import { speechChoices, type OfferCandidate, type SpeechChoice } from './offers.ts';
import { relayInto, type Relay } from './relay.ts';
import { hasLeft, type Exchange } from './http/index.ts';
import type { Services } from './services.ts';
import { nextStep } from './steps.ts';
import { StreamAnswer, type StreamEnd } from './stream-answer.ts';
import { encodingLosses, type Route, type Target } from './target.ts';

/** An answer that breaks more often than this is given up. */
const continuationsMax = 2;

/** Whether the answer to this request may have several upstreams: one plain text, asked for as a stream. */
export function mayContinue({ settings }: Services, { dialect, request }: ChatCall): boolean {
  if (!settings.continueCutAnswers || !request.stream || dialect.id === 'openai-completions')
    return false;
  const isPlain = request.responseFormat === undefined || request.responseFormat.kind === 'text';
  return (
    isPlain &&
    (request.choiceCount ?? 1) === 1 &&
    request.logprobs === undefined &&
    request.audioOutput === undefined &&
    !thinks(request) &&
    request.messages.at(-1)?.role !== 'assistant'
  );
}

/** Thinking comes before the text and is signed by its vendor: no other one can take it up. */
function thinks({ reasoning }: ChatRequest): boolean {
  return reasoning !== undefined && reasoning.effort !== 'none' && reasoning.budgetTokens !== 0;
}

/** The client's side of one attempt, kept for the case that another one has to go on from there. */
export class Continuable {
  readonly #call: ChatCall;
  readonly #onLoss: (path: string, reason: string) => void;
  #answer: DeliveredAnswer | undefined;

  constructor(call: ChatCall, onLoss: (path: string, reason: string) => void) {
    this.#call = call;
    this.#onLoss = onLoss;
  }

  get answer(): DeliveredAnswer | undefined {
    return this.#answer;
  }

  relay(upstream: Dialect, quirks: Quirks): Relay {
    const { dialect, request, form } = this.#call;
    this.#answer = new DeliveredAnswer(dialect.stream.encoder(request, form, this.#onLoss));
    return relayInto(this.#answer, upstream, request, quirks);
  }
}

/** An answer that broke after the commit point. */
export type Broken = {
  readonly delivery: Delivery & { readonly relay: Relay };
  readonly error: GatewayError;
  readonly answer: DeliveredAnswer;
};

/** An answer that another upstream went on with, up to its end. */
export type Continued = {
  readonly delivery: Delivery & { readonly relay: Relay };
  readonly end: StreamEnd;
};

/** What of the running request a continuation needs. */
export type ContinuationRun = {
  readonly plan: ResumablePlan;
  /** Records a further attempt; it is durable when this resolves. */
  begin(attempt: Attempt, route: Route): Promise<Delivery>;
  /** Notes how an attempt ended that gave the client nothing. */
  failed(delivery: Delivery, failed: AttemptFailure): void;
};

/** Goes on with a broken answer as often as it may. `undefined` when nobody could: the error stands. */
export async function continueAnswer(
  first: Broken,
  run: ContinuationRun,
): Promise<Continued | undefined> {
  let broken = first;
  let continued: Continued | undefined;
  for (let round = 0; round < continuationsMax; round += 1) {
    const next = await continueOnce(broken, run);
    if (!next) break;
    continued = next;
    const { delivery, end } = next;
    if (end.kind !== 'broken' || delivery.exchange.aborted) break;
    broken = { delivery, error: end.error, answer: first.answer };
  }
  return continued;
}

/** One continuation, by the first candidate that adds anything to the answer. */
async function continueOnce(broken: Broken, run: ContinuationRun): Promise<Continued | undefined> {
  const { delivery, error, answer } = broken;
  const { services, call, target, exchange, trail } = delivery;
  const text = answer.continuable;
  const failure = failureOf(error);
  if (text === undefined || failure.kind === 'status-4xx-request') return undefined;
  const routes = continuingRoutes(services, call, target, delivery.route);
  if (routes.size === 0) return undefined;
  noteBroken(broken);
  run.plan.resume(failure, [...routes.keys()]);
  const earlier: Earlier = { answer, text, usage: delivery.relay.usage };
  const continuing = continuingCall(call, text);
  let failed: AttemptFailure | undefined;
  for (;;) {
    const attempt = await nextAttempt(run.plan, exchange, failed);
    const route = attempt && routes.get(attempt.candidate as OfferCandidate);
    if (!attempt || !route) return undefined;
    const begun = await beginOf(run, attempt, route);
    if (!begun) return undefined;
    services.log('info', 'answer.continued', {
      request_id: exchange.requestId,
      from: delivery.route.offer.channel.id,
      to: route.offer.channel.id,
    });
    const outcome = await attemptContinuation(begun, continuing, earlier);
    if (outcome.kind === 'ended') return outcome.continued;
    run.failed(begun, outcome.failed);
    failed = outcome.failed;
    if (exchange.aborted) {
      trail.clientGone = hasLeft(exchange);
      return undefined;
    }
  }
}

/** Without a durable record nothing is sent; what was delivered is settled as it stands. */
async function beginOf(
  run: ContinuationRun,
  attempt: Attempt,
  route: Route,
): Promise<Delivery | undefined> {
  try {
    return await run.begin(attempt, route);
  } catch (error) {
    if (error instanceof GatewayFailure) return undefined;
    throw error;
  }
}

async function nextAttempt(
  plan: ResumablePlan,
  client: Pick<Exchange, 'aborted' | 'signal'>,
  failed: AttemptFailure | undefined,
): Promise<Attempt | undefined> {
  try {
    return await nextStep(plan, client, failed);
  } catch (error) {
    if (error instanceof GatewayFailure) return undefined;
    throw error;
  }
}

type Outcome =
  | { readonly kind: 'ended'; readonly continued: Continued }
  | { readonly kind: 'failed'; readonly failed: AttemptFailure };

async function attemptContinuation(
  delivery: Delivery,
  call: ChatCall,
  earlier: Earlier,
): Promise<Outcome> {
  const { services, route, attempt, attemptTrail, trail, funds, client, exchange } = delivery;
  const elapsedMs = (): number => trail.elapsedMs();
  let relay: ContinuedRelay | undefined;
  const opened = await openAttempt({
    services,
    call,
    route,
    attempt,
    trail: attemptTrail,
    elapsedMs,
    client: exchange,
    outputTokensMax: funds.outputTokensMax && leftOf(funds.outputTokensMax, earlier.text),
    onLoss: () => undefined,
    relay: (upstream, quirks) =>
      (relay = new ContinuedRelay(earlier, upstream, call.request, quirks)),
  });
  if (opened.kind === 'failed') return opened;
  if (opened.kind === 'whole' || !relay) return { kind: 'failed', failed: unfit() };
  const context = { services, exchange, funds, client, route, attempt, elapsedMs };
  const answer = new StreamAnswer({
    ...context,
    open: opened,
    trail: attemptTrail,
    onCommit: () => undefined,
  });
  const end = await answer.run();
  if (relay.restarted || end.kind === 'whole') return { kind: 'failed', failed: unfit() };
  if (end.kind === 'failed') return end;
  // An upstream that adds nothing does not say that the answer was complete.
  if (end.kind === 'complete' && !relay.hasAdded) return { kind: 'failed', failed: unfit() };
  return { kind: 'ended', continued: { delivery: { ...delivery, relay }, end } };
}

/** The upstream is not ill; it only did not go on from where it was asked to. */
function unfit(): AttemptFailure {
  return {
    error: gatewayError('upstream_invalid', 'The upstream did not continue the answer.'),
    failure: { kind: 'unsuitable' },
  };
}

/** The request with the text so far as the beginning of the answer. */
function continuingCall(call: ChatCall, text: string): ChatCall {
  const { request } = call;
  const { outputTokensMax } = request;
  const messages: ChatRequest['messages'] = [
    ...request.messages,
    { role: 'assistant', parts: [{ kind: 'text', text }] },
  ];
  const left =
    outputTokensMax === undefined ? {} : { outputTokensMax: leftOf(outputTokensMax, text) };
  return { ...call, scan: undefined, request: { ...request, messages, ...left } };
}

/** What is left of an output limit after a text. */
function leftOf(outputTokensMax: number, text: string): number {
  return Math.max(1, outputTokensMax - estimateGeneratedTokens(textSize(text)));
}

/**
 * The candidates of the same model that take a beginning, each with the way of speaking that does. The
 * channel that broke off is asked again only when it is the only one.
 */
function continuingRoutes(
  services: Services,
  call: ChatCall,
  target: Target,
  broken: Route,
): ReadonlyMap<OfferCandidate, Route> {
  const routes = new Map<OfferCandidate, Route>();
  for (const [candidate, route] of target.routes) {
    if (route.offer.model.id !== broken.offer.model.id) continue;
    const speech = continuingSpeech(services, call, route);
    if (speech) routes.set(candidate, { ...route, speech });
  }
  if (routes.size > 1) routes.delete(broken.candidate);
  return routes;
}

function continuingSpeech(
  services: Services,
  { request, wishes }: ChatCall,
  { offer }: Route,
): SpeechChoice | undefined {
  const ways = speechChoices(offer, 'chat', request.dialect, request.tools.length > 0);
  return ways.find((way) => {
    const { speech, quirks } = way;
    const dialect = services.dialects[speech.dialect as keyof Services['dialects']];
    if (dialect.request.takesPrefill?.(quirks) !== true) return false;
    if (speech.dialect === request.dialect) return true;
    const losses = encodingLosses(services, request, way);
    return !losses.some((loss) => loss.changesMeaning || wishes.strict);
  });
}

/** The record of an attempt that broke in the middle, with what its vendor bills. */
function noteBroken({ delivery, error }: Broken): void {
  const { attemptTrail, trail, target, relay, route } = delivery;
  const own =
    relay.ownUsage?.(target.inputTokens) ??
    billedUsage(target, () => relay.generatedSize, relay.usage, relay.usageAtEnd).usage;
  attemptTrail.endedMs = trail.elapsedMs();
  attemptTrail.error = error.code;
  attemptTrail.outcome = 'failed';
  attemptTrail.costNanoUsd = costOf(route, own);
}
