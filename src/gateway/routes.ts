/** Step 1: every path of the data plane, with the dialect whose errors it speaks. */

import {
  anthropicCountTokens,
  anthropicMessages,
  geminiCountTokens,
  geminiEmbed,
  geminiGenerate,
  openaiChat,
  openaiCompletions,
  openaiEmbeddings,
  openaiResponses,
  responsesInputTokens,
  type Dialect,
} from '#dialects';
import { handleChat, type ChatRoute } from './chat.ts';
import { handleCountTokens } from './count-tokens.ts';
import { handleEmbeddings, type EmbeddingRoute } from './embeddings.ts';
import { idempotently } from './idempotency.ts';
import type { Exchange, HttpRoute } from './http/index.ts';
import { handleModel, handleModels } from './models.ts';
import { handleQuote, handleRouteDryRun } from './quote.ts';
import { handleDeleteResponse, handleGetResponse, handleInputItems } from './responses.ts';
import type { Services } from './services.ts';

/** A route with the dialect in which its clients read errors. */
export type GatewayRoute = HttpRoute & { readonly dialect: Dialect };

const sse = { framing: 'sse' } as const;

export function gatewayRoutes(services: Services): readonly GatewayRoute[] {
  return [
    ...openaiRoutes(services),
    ...anthropicRoutes(services),
    ...geminiRoutes(services, '/v1beta'),
    ...geminiRoutes(services, '/v1'),
    ...sharedRoutes(services),
  ];
}

function route(
  method: string,
  pattern: string,
  dialect: Dialect,
  handle: (exchange: Exchange) => Promise<void> | void,
): GatewayRoute {
  return { pattern, methods: [method], dialect, handle };
}

/** A conversation, asked once or repeated under its Idempotency-Key. */
function converse(services: Services, exchange: Exchange, settings: ChatRoute): Promise<void> {
  return idempotently(services, exchange, (inner, idempotency) =>
    handleChat(services, inner, settings, idempotency),
  );
}

function embedding(services: Services, exchange: Exchange, to: EmbeddingRoute): Promise<void> {
  return idempotently(services, exchange, (inner, idempotency) =>
    handleEmbeddings(services, inner, to, idempotency),
  );
}

function openaiRoutes(services: Services): readonly GatewayRoute[] {
  const chat = (dialect: Dialect, rest: Partial<ChatRoute> = {}) => {
    const settings: ChatRoute = { dialect, operation: 'chat', form: sse, ...rest };
    return (exchange: Exchange): Promise<void> => converse(services, exchange, settings);
  };
  const id = (exchange: Exchange): string => exchange.pathParameters['id'] ?? '';
  return [
    route('POST', '/v1/chat/completions', openaiChat, chat(openaiChat)),
    route(
      'POST',
      '/v1/completions',
      openaiCompletions,
      chat(openaiCompletions, { operation: 'completions' }),
    ),
    route('POST', '/v1/responses', openaiResponses, chat(openaiResponses, { keepsState: true })),
    route('POST', '/v1/responses/input_tokens', openaiResponses, (exchange) =>
      handleCountTokens(services, exchange, {
        dialect: openaiResponses,
        form: responsesInputTokens,
      }),
    ),
    route('GET', '/v1/responses/{id}', openaiResponses, (exchange) =>
      handleGetResponse(services, exchange, id(exchange)),
    ),
    route('DELETE', '/v1/responses/{id}', openaiResponses, (exchange) =>
      handleDeleteResponse(services, exchange, id(exchange)),
    ),
    route('GET', '/v1/responses/{id}/input_items', openaiResponses, (exchange) =>
      handleInputItems(services, exchange, id(exchange)),
    ),
    route('POST', '/v1/embeddings', openaiChat, (exchange) =>
      embedding(services, exchange, { dialect: openaiEmbeddings, errors: openaiChat.error }),
    ),
  ];
}

function anthropicRoutes(services: Services): readonly GatewayRoute[] {
  const settings: ChatRoute = { dialect: anthropicMessages, operation: 'chat', form: sse };
  return [
    route('POST', '/v1/messages', anthropicMessages, (exchange) =>
      converse(services, exchange, settings),
    ),
    route('POST', '/v1/messages/count_tokens', anthropicMessages, (exchange) =>
      handleCountTokens(services, exchange, {
        dialect: anthropicMessages,
        form: anthropicCountTokens,
      }),
    ),
  ];
}

/** Gemini's SDK calls `/v1beta` or, with a base URL of its own, `/v1`: the verb after the colon decides. */
function geminiRoutes(services: Services, prefix: string): readonly GatewayRoute[] {
  const at = (verb: string): string => `${prefix}/models/{model*}:${verb}`;
  const model = (exchange: Exchange): string => exchange.pathParameters['model'] ?? '';
  const chat = (exchange: Exchange, stream: boolean): Promise<void> => {
    const form = {
      framing: !stream || exchange.query.get('alt') === 'sse' ? 'sse' : 'json-array',
    } as const;
    return converse(services, exchange, {
      dialect: geminiGenerate,
      operation: 'chat',
      form,
      model: model(exchange),
      stream,
    });
  };
  const embed = (exchange: Exchange, batch: boolean): Promise<void> =>
    embedding(services, exchange, {
      dialect: geminiEmbed,
      errors: geminiGenerate.error,
      model: model(exchange),
      batch,
    });
  return [
    route('POST', at('generateContent'), geminiGenerate, (exchange) => chat(exchange, false)),
    route('POST', at('streamGenerateContent'), geminiGenerate, (exchange) => chat(exchange, true)),
    route('POST', at('countTokens'), geminiGenerate, (exchange) =>
      handleCountTokens(services, exchange, {
        dialect: geminiGenerate,
        form: geminiCountTokens,
        model: model(exchange),
      }),
    ),
    route('POST', at('embedContent'), geminiGenerate, (exchange) => embed(exchange, false)),
    route('POST', at('batchEmbedContents'), geminiGenerate, (exchange) => embed(exchange, true)),
  ];
}

function sharedRoutes(services: Services): readonly GatewayRoute[] {
  const model = (exchange: Exchange): string => exchange.pathParameters['model'] ?? '';
  return [
    route('GET', '/v1/models', openaiChat, (exchange) => handleModels(services, exchange)),
    route('GET', '/v1beta/models', geminiGenerate, (exchange) => handleModels(services, exchange)),
    route('GET', '/v1/models/{model*}', openaiChat, (exchange) =>
      handleModel(services, exchange, model(exchange)),
    ),
    route('GET', '/v1beta/models/{model*}', geminiGenerate, (exchange) =>
      handleModel(services, exchange, model(exchange)),
    ),
    route('POST', '/v1/quote', openaiChat, (exchange) => handleQuote(services, exchange)),
    route('POST', '/v1/route', openaiChat, (exchange) => handleRouteDryRun(services, exchange)),
    route('GET', '/healthz', openaiChat, async (exchange) => {
      await services.store.checkWritable();
      exchange.respond(200, { 'content-type': 'application/json' }, '{"status":"ok"}');
    }),
  ];
}
