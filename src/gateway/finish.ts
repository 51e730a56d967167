/** Steps 11 to 13: the end of an answer. The charge is durable before the last bytes leave. */

import { explode, fail, type Bill, type GatewayError, type Usage } from '#canonical';
import { receiptIdOf, type AttemptOutcome } from '#ledger';
import type { Attempt } from '#routing';
import { inputTotalTokens, outputTotalTokens } from '#canonical';
import {
  asObject,
  createSseParser,
  formatUsd,
  parseJsonObject,
  textSize,
  type JsonObject,
} from '#std';
import type { WholeAnswer } from './attempt.ts';
import { lossesHeader, type ChatCall } from './call.ts';
import type { ClientStream } from './client-stream.ts';
import { hasLeft, type Exchange } from './http/index.ts';
import { billedUsage, costOf, type BilledUsage, type Funds } from './money.ts';
import type { Relay } from './relay.ts';
import type { Services } from './services.ts';
import type { StreamEnd } from './stream-answer.ts';
import type { Route, Target } from './target.ts';
import type { AttemptTrail, Trail } from './trail.ts';

/** One attempt with everything around it that its end needs. */
export type Delivery = {
  readonly services: Services;
  readonly exchange: Exchange;
  readonly call: ChatCall;
  readonly target: Target;
  readonly funds: Funds;
  readonly trail: Trail;
  readonly client: ClientStream;
  /** Keeps a whole answer of a dialect that promises memory. */
  readonly keep: ((answer: JsonObject) => Promise<void>) | undefined;
  readonly route: Route;
  readonly attempt: Attempt;
  readonly attemptId: string;
  readonly attemptTrail: AttemptTrail;
  readonly relay?: Relay;
};

/** Headers that say what the gateway did. Cost only where it is known before the head leaves. */
export function answerHeaders(delivery: Delivery, bill: Bill | undefined): Record<string, string> {
  const { services, exchange, funds, route, trail } = delivery;
  const headers: Record<string, string> = {
    'x-manifold-receipt': receiptIdOf(exchange.requestId),
    ...trail.rateHeaders,
  };
  const losses = lossesHeader(trail.losses);
  if (losses !== undefined) headers['x-manifold-losses'] = losses;
  if (funds.outputTokensMax !== undefined)
    headers['x-manifold-max-tokens'] = String(funds.outputTokensMax);
  if (bill) headers['x-manifold-cost-usd'] = formatUsd(bill.costNanoUsd);
  if (services.settings.routingHeaders) {
    headers['x-manifold-channel'] = route.offer.channel.id;
    headers['x-manifold-attempts'] = String(trail.attempts.length);
  }
  return headers;
}

export async function finishWhole(delivery: Delivery, answer: WholeAnswer): Promise<void> {
  const { exchange, call, attempt } = delivery;
  attempt.firstContent();
  const billed = billedUsage(delivery.target, () => answerSize(answer), answer.usage, true);
  const { usage } = billed;
  const bill = await settle(delivery, billed, 'succeeded', answer.empty);
  const body =
    answer.text === undefined
      ? JSON.stringify(encodeWhole(delivery, answer, usage, bill))
      : call.dialect.response.annotate(answer.text, bill);
  if (answer.text === undefined)
    delivery.services.stateMemory.rememberAnswer(call.owner, answer.response());
  const whole = delivery.keep && parseJsonObject(body);
  if (whole) await delivery.keep?.(whole);
  if (hasLeft(exchange)) {
    delivery.trail.clientGone = true;
    return;
  }
  if (call.request.stream) return streamWhole(delivery, answer, usage, bill);
  exchange.respond(
    200,
    { 'content-type': 'application/json; charset=utf-8', ...answerHeaders(delivery, bill) },
    body,
  );
}

/** A client that wanted a stream from an upstream that gave a whole answer gets the answer's events. */
function streamWhole(delivery: Delivery, answer: WholeAnswer, usage: Usage, bill: Bill): void {
  const { call, client } = delivery;
  // A head that has left before tells no price.
  const isTold = !client.begun || call.request.streamUsage || call.form.framing !== 'sse';
  client.begin(answerHeaders(delivery, bill));
  const encoder = call.dialect.stream.encoder(call.request, call.form);
  for (const event of explode({ ...answer.response(), usage, bill })) {
    const text = encoder.push(event);
    if (text !== '') void client.write(text);
  }
  if (!isTold) void client.write(billComment(bill));
  client.end();
}

function encodeWhole(
  delivery: Delivery,
  answer: WholeAnswer,
  usage: Usage,
  bill: Bill,
): JsonObject {
  const { call, trail } = delivery;
  const response = { ...answer.response(), usage, bill };
  const { answerId: id } = call.form;
  const { value, losses } = call.dialect.response.encode(
    id === undefined ? response : { ...response, id },
    call.request,
  );
  if (losses.length > 0) trail.losses = [...trail.losses, ...losses];
  return value;
}

function answerSize(answer: WholeAnswer): number {
  let size = 0;
  for (const choice of answer.response().choices) {
    for (const part of choice.parts) {
      if ('text' in part) size += textSize(part.text);
      else if (part.kind === 'tool-call') size += textSize(part.name) + textSize(part.input);
    }
  }
  return size;
}

/** `pending` is what was kept back because no content came. */
export async function finishStream(
  delivery: Delivery,
  end: StreamEnd,
  pending: readonly (Uint8Array | string)[],
): Promise<void> {
  const { exchange, relay, target, client, call, trail } = delivery;
  if (!relay || end.kind === 'failed') throw new Error('only an opened stream can be finished');
  const billed = billedUsage(target, () => relay.generatedSize, relay.usage, relay.usageAtEnd);
  const { usage } = billed;
  const delivered = relay.generatedSize > 0;
  const empty = !delivered && (relay.usage?.reasoningTokens ?? 0) === 0;
  const outcome: AttemptOutcome['outcome'] =
    end.kind === 'complete' || relay.complete
      ? 'succeeded'
      : end.kind === 'broken' && !exchange.aborted
        ? 'failed'
        : 'aborted';
  reportEnd(delivery, end, usage);
  if (end.kind === 'client-gone' && empty) return leaveNothing(delivery, usage);
  const bill = await settle(delivery, billed, outcome, empty);
  if (end.kind === 'client-gone') {
    trail.clientGone = true;
    trail.status = 499;
    return client.destroy();
  }
  client.begin(answerHeaders(delivery, bill));
  for (const output of pending) void client.write(output);
  if (end.kind === 'broken') {
    trail.error = end.error;
    void client.write(relay.fail(end.error));
  } else {
    const tail = end.kind === 'exhausted' ? relay.stop(bill, usage) : relay.close(bill, usage);
    delivery.services.stateMemory.remember(call.owner, relay.statefulParts);
    await keepTail(delivery, tail);
    void client.write(tail);
    if (end.kind === 'exhausted' && call.form.framing === 'sse')
      void client.write(': stopped=balance\n\n');
  }
  if ((!call.request.streamUsage || !relay.billTold) && call.form.framing === 'sse')
    void client.write(billComment(bill));
  client.end();
}

/** The client left before there was anything to pay for: void, so that its Idempotency-Key may ask again. */
async function leaveNothing(
  { attemptTrail, trail, ...delivery }: Delivery,
  usage: Usage,
): Promise<void> {
  attemptTrail.outcome = 'aborted';
  attemptTrail.endedMs = trail.elapsedMs();
  attemptTrail.costNanoUsd = costOf(delivery.route, usage);
  await delivery.funds.release('cancelled', trail.failedAttempts(''));
  trail.clientGone = true;
  trail.status = 499;
  if (delivery.client.begun) return delivery.client.destroy();
  fail('client_closed_request', 'The client closed the connection.');
}

/** The tail of a Responses stream holds the whole answer in its terminal event. */
async function keepTail(delivery: Delivery, tail: string): Promise<void> {
  if (!delivery.keep) return;
  for (const frame of createSseParser().push(Buffer.from(tail))) {
    const response = asObject(parseJsonObject(frame.data)?.['response']);
    if (response) await delivery.keep(response);
  }
}

/** A comment line that every SSE reader skips: the price where there is no usage for it to stand in. */
function billComment(bill: Bill): string {
  return `: cost_usd=${formatUsd(bill.costNanoUsd)} receipt_id=${bill.receiptId}\n\n`;
}

function reportEnd(delivery: Delivery, end: StreamEnd, usage: Usage): void {
  const { attempt, exchange } = delivery;
  if (end.kind === 'complete' || end.kind === 'exhausted') {
    attempt.finished({
      inputTokens: inputTotalTokens(usage),
      cachedInputTokens: usage.cacheReadTokens,
      outputTokens: outputTotalTokens(usage),
    });
  } else {
    const isTheirs = end.kind === 'broken' && !exchange.aborted;
    attempt.failed({ kind: isTheirs ? 'cut' : 'aborted-by-client' });
  }
}

async function settle(
  delivery: Delivery,
  { usage, source }: BilledUsage,
  outcome: AttemptOutcome['outcome'],
  empty: boolean,
): Promise<Bill> {
  const { funds, route, attempt, attemptId, attemptTrail, trail } = delivery;
  attemptTrail.outcome = outcome;
  attemptTrail.endedMs = trail.elapsedMs();
  attempt.finished({
    inputTokens: inputTotalTokens(usage),
    cachedInputTokens: usage.cacheReadTokens,
    outputTokens: outputTotalTokens(usage),
  });
  const { bill, receipt } = await funds.settle({
    route,
    attemptId,
    usage,
    usageSource: source,
    outcome,
    empty,
    failedAttempts: trail.failedAttempts(attemptId),
    ownUsage: delivery.relay?.ownUsage?.(delivery.target.inputTokens),
    detail: {
      channel: route.offer.channel.id,
      upstream_model: route.offer.name,
      ...(funds.exhausted ? { stopped: 'balance' } : {}),
    },
  });
  trail.usage = usage;
  trail.receipt = receipt;
  return bill;
}

/** Nothing was delivered by anybody. A ledger that cannot be written now is mended by its recovery. */
export async function settleAbandoned(
  funds: Funds,
  trail: Trail,
  error: GatewayError,
): Promise<void> {
  const isOurs = error.code === 'client_closed_request' || error.code === 'shutting_down';
  const reason = isOurs ? 'cancelled' : 'upstream_failed';
  await funds.release(reason, trail.failedAttempts(''));
}
