import { asCount, asObject, type JsonObject } from '#std';
import type { CountTokensForm } from '../dialect.ts';
import { geminiId } from './fields.ts';

/** The answer of `:countTokens`. */
export const geminiCountTokens: CountTokensForm = {
  id: geminiId,
  prepare,
  decode: (wire) => asCount(wire['totalTokens']),
  encode: (inputTokens) => ({ totalTokens: inputTokens }),
};

/** The path names the model, and a whole request, which has instructions and tools, names it once more. */
function prepare(wire: JsonObject, model: string): JsonObject {
  const named = model.includes('/') ? model : `models/${model}`;
  const prepared: Record<string, JsonObject[string]> = { ...wire };
  if (wire['model'] !== undefined) prepared['model'] = named;
  for (const field of ['generateContentRequest', 'generate_content_request']) {
    const request = asObject(wire[field]);
    if (request) prepared[field] = { ...request, model: named };
  }
  return prepared;
}
