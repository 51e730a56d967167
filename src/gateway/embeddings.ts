/** Embeddings: the same walk as a conversation, without a stream and without output to bound. */

import {
  fail,
  gatewayError,
  GatewayFailure,
  type Bill,
  type EmbeddingRequest,
  type Usage,
} from '#canonical';
import { priceAt } from '#catalog';
import type { Dialect, EmbeddingDialect } from '#dialects';
import { estimateTokensOf, inputBound, quote } from '#metering';
import type { DistantPlan } from '#routing';
import { formatUsd, parseJsonObject, zeroNanoUsd, type JsonObject } from '#std';
import type { Principal } from '#access';
import { admit, authenticate, type Release } from './admission.ts';
import { failedAt, failedStatus, readText, sendOnce } from './attempt.ts';
import { parseBody, reading } from './call.ts';
import { clientError, type AttemptFailure } from './failure.ts';
import { hasLeft, type Exchange } from './http/index.ts';
import type { Idempotency } from './idempotency.ts';
import { billedUsage, Funds } from './money.ts';
import { speechChoices, type OfferCandidate } from './offers.ts';
import type { Services } from './services.ts';
import { nextStep, routeOf, unlessClientLeft } from './steps.ts';
import { findModel, refuse, snapshotPrice, type Route, type Target } from './target.ts';
import { Trail } from './trail.ts';
import { authorized } from './wire.ts';

export type EmbeddingRoute = {
  readonly dialect: EmbeddingDialect;
  /** Whose error form the client reads. */
  readonly errors: Dialect['error'];
  readonly model?: string | undefined;
  readonly batch?: boolean | undefined;
};

type EmbeddingCall = {
  readonly wire: JsonObject;
  readonly request: EmbeddingRequest;
  readonly route: EmbeddingRoute;
};
/** 4,096 numbers in the longest form that vendors write, a double with all its digits: as the number of inputs is bounded, so is an answer. */
const vectorBytesMax = 100 * 1_024;

type EmbeddingAnswer = {
  readonly kind: 'answer';
  readonly text: string;
  readonly wire: JsonObject;
  readonly usage: Usage | undefined;
  readonly dialect: EmbeddingDialect;
};

export async function handleEmbeddings(
  services: Services,
  exchange: Exchange,
  route: EmbeddingRoute,
  idempotency?: Idempotency,
): Promise<void> {
  const trail = new Trail(services, exchange, route.dialect.id, 'embeddings');
  let plan: DistantPlan | undefined;
  let release: Release | undefined;
  try {
    const principal = (trail.principal = await authenticate(services, exchange));
    const { wire } = parseBody(exchange.body);
    const context = route.model === undefined ? {} : { model: route.model };
    const call: EmbeddingCall = {
      wire,
      request: reading(() => route.dialect.request.decode(wire, context)),
      route,
    };
    trail.model = call.request.model;
    const target = embeddingTarget(services, principal, call);
    release = await admit(services, principal, target, trail);
    plan = trail.plan = services.router.plan({
      model: target.model.id,
      candidates: target.candidates,
      inputTokens: target.inputTokens,
      outputTokensMaximum: 0,
      outputTokensExpected: 0,
      class: 'interactive',
      userId: principal.walletId,
      deadlineMs: services.clock.now() + services.settings.requestMs,
    });
    await serve(services, exchange, call, target, { plan, principal, trail, idempotency });
  } catch (thrown) {
    const error = unlessClientLeft(thrown, exchange);
    trail.failed(clientError(error));
    throw error;
  } finally {
    plan?.close();
    release?.(trail.tokensUsed());
    trail.write();
  }
}

type Walk = {
  readonly plan: DistantPlan;
  readonly principal: Principal;
  readonly trail: Trail;
  readonly idempotency: Idempotency | undefined;
};

async function serve(
  services: Services,
  exchange: Exchange,
  call: EmbeddingCall,
  target: Target,
  walk: Walk,
): Promise<void> {
  const { plan, principal, trail, idempotency } = walk;
  let attempt = await nextStep(plan, exchange, undefined);
  const funds = await Funds.reserve(services, principal, target, {
    requestId: exchange.requestId,
    stream: false,
    cap: undefined,
    attemptId: `${exchange.requestId}.1`,
    route: routeOf(target, attempt),
    context: { model: target.model.id, key_id: principal.keyId },
    idempotency,
  });
  try {
    for (let index = 1; ; index += 1) {
      const route = routeOf(target, attempt);
      const attemptId = `${exchange.requestId}.${index}`;
      if (index > 1) await funds.attempt(route, attemptId);
      const attemptTrail = trail.begin(route, attemptId);
      const answer = await tryOnce(
        // A whole answer is billed also when nobody waits for it.
        { services, route, attempt, trail: attemptTrail, signal: undefined },
        call,
      );
      if (answer.kind === 'answer') {
        attempt.firstContent();
        attempt.finished({ inputTokens: answer.usage?.inputTokens });
        const { usage, source } = billedUsage(target, () => 0, answer.usage, true);
        attemptTrail.outcome = 'succeeded';
        const { bill, receipt } = await funds.settle({
          route,
          attemptId,
          usage,
          usageSource: source,
          outcome: 'succeeded',
          empty: false,
          failedAttempts: trail.failedAttempts(attemptId),
          detail: { channel: route.offer.channel.id },
        });
        trail.usage = usage;
        trail.receipt = receipt;
        trail.clientGone = hasLeft(exchange);
        if (trail.clientGone) return;
        return exchange.respond(200, headersOf(trail, bill), render(call, answer, bill));
      }
      attemptTrail.outcome = 'failed';
      attemptTrail.error = answer.failed.error.code;
      if (exchange.aborted) fail('client_closed_request', 'The client closed the connection.');
      attempt = await nextStep(plan, exchange, answer.failed);
    }
  } catch (error) {
    const reason = exchange.aborted ? 'cancelled' : 'upstream_failed';
    await funds.release(reason, trail.failedAttempts(''));
    throw error;
  }
}

function headersOf(trail: Trail, bill: Bill): Record<string, string> {
  return {
    'content-type': 'application/json; charset=utf-8',
    'x-manifold-receipt': bill.receiptId,
    ...trail.rateHeaders,
    'x-manifold-cost-usd': formatUsd(bill.costNanoUsd),
  };
}

function render(call: EmbeddingCall, answer: EmbeddingAnswer, bill: Bill): string {
  if (answer.dialect === call.route.dialect)
    return call.route.dialect.response.annotate(answer.text, bill);
  const response = answer.dialect.response.decode(answer.wire, call.request);
  return JSON.stringify(call.route.dialect.response.encode({ ...response, bill }, call.request));
}

async function tryOnce(
  context: Parameters<typeof sendOnce>[0],
  call: EmbeddingCall,
): Promise<EmbeddingAnswer | { readonly kind: 'failed'; readonly failed: AttemptFailure }> {
  const { services, route } = context;
  const dialect =
    services.embeddingDialects[route.speech.speech.dialect as keyof Services['embeddingDialects']];
  try {
    const body = dialect.request.encode(
      { ...call.request, model: route.offer.name },
      route.speech.quirks,
    ).value;
    const request = await authorized(services, route, [Buffer.from(JSON.stringify(body))], false);
    const response = await sendOnce(context, request, 0);
    if (response.status >= 300) return await failedStatus(response, call.route.errors, context);
    const bytesMax = Math.max(
      services.settings.answerBytesMax,
      call.request.inputs.length * vectorBytesMax,
    );
    const text = await readText(response, bytesMax);
    // Vectors that pass through are not read: numbers are the slowest thing to parse.
    const wire =
      dialect === call.route.dialect
        ? (parseJsonObject(dialect.response.outline(text)) ?? parseJsonObject(text))
        : parseJsonObject(text);
    if (!wire)
      throw new GatewayFailure(
        gatewayError('upstream_invalid', 'The upstream answered with something that is not JSON.'),
      );
    return {
      kind: 'answer',
      text,
      wire,
      usage: dialect.response.decode(wire, call.request).usage,
      dialect,
    };
  } catch (error) {
    return failedAt(error, route);
  }
}

function embeddingTarget(services: Services, principal: Principal, call: EmbeddingCall): Target {
  const snapshot = services.snapshot();
  const model = findModel(snapshot, principal, call.request.model);
  const nowMs = services.clock.now();
  const { inputs } = call.request;
  const texts = inputs.filter((input) => typeof input === 'string');
  let inputTokens = 1 + estimateTokensOf(texts, services.random);
  for (const input of inputs) if (typeof input !== 'string') inputTokens += input.length;
  const bound = { inputTokens: inputBound(inputTokens), outputTokens: 0 };
  const candidates = snapshot.candidatesOf(model, 'embeddings', nowMs);
  const kept: OfferCandidate[] = [];
  const routes = new Map<OfferCandidate, Route>();
  let withoutPrice = false;
  for (const candidate of candidates) {
    const { offer } = candidate;
    const speech = speechChoices(offer, 'embeddings', undefined, false)[0];
    const price = priceAt(offer.prices, nowMs);
    if (!price) withoutPrice = true;
    if (!speech || !price) continue;
    const priced = snapshotPrice(offer, price, principal, nowMs);
    routes.set(candidate, {
      candidate,
      offer,
      speech,
      price: priced,
      bound: quote(priced, bound) ?? zeroNanoUsd,
      losses: [],
    });
    kept.push(candidate);
  }
  if (kept.length === 0) refuse(model, candidates.length, [], withoutPrice, false);
  return {
    model,
    routes,
    candidates: kept.length === candidates.length ? candidates : kept,
    extras: {},
    inputTokens,
    inputTokensBound: bound.inputTokens,
    outputTokensMax: 0,
    choiceCount: 1,
  };
}
