/**
 * Counting tokens of a request that is not sent: free of charge. The vendor counts where a channel of
 * the client's own dialect can; otherwise the estimate is given, rounded as the hold would round it.
 */

import type { Principal, RateHeaders } from '#access';
import type { CountTokensForm, Dialect } from '#dialects';
import { estimateInputTokens } from '#metering';
import { parseJsonObject } from '#std';
import { asFreeRequest } from './admission.ts';
import { readText } from './attempt.ts';
import { parseBody, reading } from './call.ts';
import type { Exchange } from './http/index.ts';
import { egressOf, speechChoices } from './offers.ts';
import type { Services } from './services.ts';
import { findModel } from './target.ts';
import { authorized, forwardedHeaders } from './wire.ts';

export type CountRoute = {
  readonly dialect: Dialect;
  readonly form: CountTokensForm;
  readonly model?: string | undefined;
};

const countMs = 10_000;

export function handleCountTokens(
  services: Services,
  exchange: Exchange,
  route: CountRoute,
): Promise<void> {
  return asFreeRequest(services, exchange, (principal, headers) =>
    countTokens(services, exchange, route, { principal, headers }),
  );
}

async function countTokens(
  services: Services,
  exchange: Exchange,
  route: CountRoute,
  { principal, headers }: { readonly principal: Principal; readonly headers: RateHeaders },
): Promise<void> {
  const { wire } = parseBody(exchange.body);
  // Gemini may wrap the whole request; Anthropic asks for no max_tokens here.
  const wrapped = wire['generateContentRequest'] ?? wire['generate_content_request'];
  const asked =
    typeof wrapped === 'object' && wrapped !== null && !Array.isArray(wrapped)
      ? (wrapped as typeof wire)
      : wire;
  const complete =
    route.dialect.id === 'anthropic-messages' && asked['max_tokens'] === undefined
      ? { ...asked, max_tokens: 1 }
      : asked;
  const request = reading(() =>
    route.dialect.request.decode(complete, route.model === undefined ? {} : { model: route.model }),
  );
  const model = findModel(services.snapshot(), principal, request.model);
  const counted =
    (await askVendor(services, exchange, route, model.id)) ?? estimateInputTokens(request);
  exchange.respond(
    200,
    { 'content-type': 'application/json; charset=utf-8', ...headers },
    JSON.stringify(route.form.encode(counted)),
  );
}

/** `undefined` when no channel counts in this dialect, or the one that does fails. */
async function askVendor(
  services: Services,
  exchange: Exchange,
  route: CountRoute,
  modelId: string,
): Promise<number | undefined> {
  const snapshot = services.snapshot();
  const model = snapshot.find(modelId);
  if (!model) return undefined;
  for (const offer of snapshot.offersOf(model)) {
    const choice = speechChoices(offer, 'count-tokens', route.dialect.id, false).find(
      (way) => way.speech.dialect === route.dialect.id,
    );
    if (!choice) continue;
    const { channel } = offer;
    const { wire } = parseBody(exchange.body);
    const body = Buffer.from(JSON.stringify(route.form.prepare(wire, offer.name)));
    try {
      const to = { offer, speech: choice };
      const forwarded = forwardedHeaders(exchange, choice.speech);
      const request = await authorized(services, to, [body], false, forwarded);
      const response = await services.upstream.send({
        ...request,
        timeouts: { connectMs: 3_000, headersMs: countMs, idleMs: countMs, totalMs: countMs },
        signal: exchange.signal,
        ...egressOf(channel),
      });
      const text = await readText(response, 64 * 1024);
      const answer = response.status === 200 ? parseJsonObject(text) : undefined;
      const counted = answer === undefined ? undefined : route.form.decode(answer);
      if (counted !== undefined) return counted;
    } catch (error) {
      services.log('info', 'count_tokens.estimated', { channel: channel.id, error: String(error) });
    }
  }
  return undefined;
}
