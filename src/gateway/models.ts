/** `GET /v1/models` in three shapes by path and headers: OpenAI's, Anthropic's and Gemini's. */

import { allowsModel, type Principal } from '#access';
import { fail } from '#canonical';
import { priceAt, type Model } from '#catalog';
import type { JsonObject } from '#std';
import { authenticateReading } from './admission.ts';
import type { Exchange } from './http/index.ts';
import type { Snapshot } from './offers.ts';
import type { Services } from './services.ts';

export type ModelShape = 'openai' | 'anthropic' | 'gemini';

/** Anthropic's clients say which API version they mean; Gemini's path or key header tells them. */
export function shapeOf(exchange: Exchange): ModelShape {
  if (exchange.path.startsWith('/v1beta') || exchange.header('x-goog-api-key') !== undefined)
    return 'gemini';
  return exchange.header('anthropic-version') === undefined ? 'openai' : 'anthropic';
}

export async function handleModels(services: Services, exchange: Exchange): Promise<void> {
  const principal = await authenticateReading(services, exchange);
  const snapshot = services.snapshot();
  const nowMs = services.clock.now();
  const models = visible(snapshot, principal);
  const shape = shapeOf(exchange);
  const listed = models.map((model) => render(shape, snapshot, model, nowMs));
  const body: JsonObject = {
    openai: { object: 'list', data: listed },
    anthropic: {
      data: listed,
      has_more: false,
      first_id: models[0]?.id ?? null,
      last_id: models.at(-1)?.id ?? null,
    },
    gemini: { models: listed },
  }[shape];
  exchange.respond(
    200,
    { 'content-type': 'application/json; charset=utf-8' },
    JSON.stringify(body),
  );
}

export async function handleModel(
  services: Services,
  exchange: Exchange,
  name: string,
): Promise<void> {
  const principal = await authenticateReading(services, exchange);
  const snapshot = services.snapshot();
  const model = snapshot.find(name);
  if (!model || !visible(snapshot, principal).includes(model)) {
    fail(
      'model_not_found',
      `The model \`${name.slice(0, 100)}\` does not exist or is not offered here.`,
      { path: 'model', details: { nearest: snapshot.catalog.nearest(name, 3) } },
    );
  }
  exchange.respond(
    200,
    { 'content-type': 'application/json; charset=utf-8' },
    JSON.stringify(render(shapeOf(exchange), snapshot, model, services.clock.now())),
  );
}

function visible(snapshot: Snapshot, principal: Principal): readonly Model[] {
  return snapshot.models.filter((model) => allowsModel(principal.limits.models, model.id));
}

function render(shape: ModelShape, snapshot: Snapshot, model: Model, nowMs: number): JsonObject {
  const released = model.released === undefined ? 0 : Math.floor(Date.parse(model.released) / 1000);
  const facts = {
    context_length: model.context_tokens ?? null,
    max_output_tokens: model.output_tokens ?? null,
    pricing: pricing(snapshot, model, nowMs),
  };
  switch (shape) {
    case 'openai':
      return {
        id: model.id,
        object: 'model',
        created: released,
        owned_by: model.vendor,
        ...facts,
        architecture: { input_modalities: model.input, output_modalities: model.output },
      };
    case 'anthropic':
      return {
        type: 'model',
        id: model.id,
        display_name: model.id,
        created_at: new Date(released * 1000).toISOString(),
        max_input_tokens: model.context_tokens ?? null,
        max_tokens: model.output_tokens ?? null,
        ...facts,
      };
    case 'gemini':
      return {
        name: `models/${model.id}`,
        baseModelId: model.id,
        version: '1',
        displayName: model.id,
        inputTokenLimit: model.context_tokens ?? 0,
        outputTokenLimit: model.output_tokens ?? 0,
        supportedGenerationMethods: model.operations.includes('embeddings')
          ? ['embedContent', 'batchEmbedContents']
          : ['generateContent', 'streamGenerateContent', 'countTokens'],
        ...facts,
      };
  }
}

/** US dollars per million units, as text, of the cheapest offer; `null` when nobody has a price. */
function pricing(snapshot: Snapshot, model: Model, nowMs: number): JsonObject | null {
  for (const offer of snapshot.offersOf(model)) {
    const price = priceAt(offer.prices, nowMs);
    if (price)
      return {
        unit: 'USD per million',
        from: price.from,
        ...(price.units as JsonObject),
        ...(price.tiers ? { tiers: price.tiers as unknown as readonly JsonObject[] } : {}),
      };
  }
  return null;
}
