import { asCount, type JsonObject } from '#std';
import type { CountTokensForm } from '../dialect.ts';
import { geminiId } from './fields.ts';

/** The answer of `:countTokens`. */
export const geminiCountTokens: CountTokensForm = {
  id: geminiId,
  decode: (wire) => asCount(wire['totalTokens']),
  encode: (inputTokens) => ({ totalTokens: inputTokens }),
};

/**
 * The body of `:countTokens` for a whole request: with instructions and tools it must stand in
 * `generateContentRequest` and name the model. Vertex takes the plain request.
 */
export function countTokensRequest(request: JsonObject, model: string): JsonObject {
  return {
    generateContentRequest: { model: model.includes('/') ? model : `models/${model}`, ...request },
  };
}
