/**
 * `POST /v1/quote` and `POST /v1/route`: what a request would cost at most, and where it would go. The
 * body is the real request, in any dialect (`?dialect=anthropic-messages`); nothing is sent or held.
 */

import { fail } from '#canonical';
import type { Dialect } from '#dialects';
import { quote } from '#metering';
import { formatUsd, type JsonObject } from '#std';
import { asFreeRequest } from './admission.ts';
import { decodeChat, parseBody, type ChatCall } from './call.ts';
import type { Exchange } from './http/index.ts';
import type { Services } from './services.ts';
import { holdSize } from './hold-size.ts';
import { routeRequest } from './route-request.ts';
import { resolve, type Target } from './target.ts';
import type { Principal, RateHeaders } from '#access';

type Prepared = {
  readonly principal: Principal;
  readonly call: ChatCall;
  readonly target: Target;
  readonly headers: { readonly [name: string]: string };
};

function prepare(
  services: Services,
  exchange: Exchange,
  principal: Principal,
  rateHeaders: RateHeaders,
): Prepared {
  const dialect = dialectOf(services, exchange);
  const model = exchange.query.get('model');
  const call = decodeChat(
    exchange,
    principal.walletId,
    dialect,
    { framing: 'sse' },
    model === null ? {} : { model },
    parseBody(exchange.body),
  );
  const target = resolve(services, principal, call, 'chat');
  const headers = { 'content-type': 'application/json; charset=utf-8', ...rateHeaders };
  return { principal, call, target, headers };
}

function dialectOf(services: Services, exchange: Exchange): Dialect {
  const name = exchange.query.get('dialect') ?? 'openai-chat';
  const dialect = Object.values(services.dialects).find((candidate) => candidate.id === name);
  return (
    dialect ??
    fail(
      'invalid_request',
      `There is no dialect \`${name.slice(0, 50)}\`. There are ${Object.keys(services.dialects).join(', ')}.`,
      { path: 'dialect' },
    )
  );
}

type Handler = (services: Services, exchange: Exchange) => Promise<void>;

/** A handler of what is read like a real request and costs nothing. */
function preparing(
  tell: (services: Services, exchange: Exchange, prepared: Prepared) => Promise<void>,
): Handler {
  return (services, exchange) =>
    asFreeRequest(services, exchange, (principal, rateHeaders) =>
      tell(services, exchange, prepare(services, exchange, principal, rateHeaders)),
    );
}

export const handleQuote = preparing(tellQuote);

async function tellQuote(
  services: Services,
  exchange: Exchange,
  { principal, call, target, headers }: Prepared,
): Promise<void> {
  const { availableNanoUsd } = await services.ledger.balance(principal.walletId);
  const hold = holdSize(target, call.request.stream);
  const candidates = [...target.routes.values()].map((route) => ({
    channel: route.offer.channel.id,
    model: route.offer.name,
    price_version: route.price.version,
    bound_usd: formatUsd(route.bound),
    input_usd: formatUsd(
      quote(route.price, { ...target.extras, inputTokens: target.inputTokens, outputTokens: 0 }),
    ),
    losses: route.losses.map(({ path, reason }) => ({ path, reason })),
  }));
  const body: JsonObject = {
    object: 'quote',
    model: target.model.id,
    input_tokens_estimated: target.inputTokens,
    input_tokens_bound: target.inputTokensBound,
    output_tokens_max: target.outputTokensMax,
    bound_usd: formatUsd(
      [...target.routes.values()].reduce(
        (most, route) => (route.bound > most ? route.bound : most),
        hold.minimum,
      ),
    ),
    hold_usd: formatUsd(hold.amount),
    available_usd: formatUsd(availableNanoUsd),
    affordable: availableNanoUsd >= hold.minimum,
    candidates,
  };
  exchange.respond(200, headers, JSON.stringify(body));
}

export const handleRouteDryRun = preparing(tellRoute);

async function tellRoute(
  services: Services,
  exchange: Exchange,
  { principal, call, target, headers }: Prepared,
): Promise<void> {
  const plan = services.router.plan(routeRequest(services, principal, call, target));
  try {
    const step = await plan.next();
    const chosen = step.kind === 'attempt' ? { channel: step.channelId, model: step.model } : null;
    exchange.respond(
      200,
      headers,
      JSON.stringify({
        object: 'route',
        chosen,
        step: step.kind,
        explanation: await plan.explain(),
      }),
    );
  } finally {
    plan.close();
  }
}
