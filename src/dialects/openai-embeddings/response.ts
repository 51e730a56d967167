import { fail, GatewayFailure, type EmbeddingRequest, type EmbeddingResponse } from '#canonical';
import {
  asArray,
  asCount,
  asObject,
  asObjects,
  asString,
  compact,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { withoutNulls } from '../openai-chat/answer.ts';
import { decodeUsage, encodeUsage } from '../openai-chat/usage.ts';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';
import { decodeVector, encodeVector } from './vector.ts';

const knownFields = new Set(['object', 'data', 'model', 'usage', 'error']);

/** Reads the list of vectors. Throws GatewayFailure when there is not one for each input. */
export function decodeResponse(wire: JsonObject, request: EmbeddingRequest): EmbeddingResponse {
  const data = asObjects(wire['data']);
  if (data.length === 0 && asObject(wire['error']))
    throw new GatewayFailure(decodeUpstreamErrorValue(200, wire));
  if (data.length !== request.inputs.length) {
    fail(
      'upstream_invalid',
      `The upstream provider sent ${data.length} vectors for ${request.inputs.length} inputs.`,
    );
  }
  const placed = data.map((entry, position) => ({
    entry,
    place: asCount(entry['index']) ?? position,
  }));
  placed.sort((left, right) => left.place - right.place);
  const usage = decodeUsage(wire['usage'], { usageGapIsReasoning: false });
  return {
    model: asString(wire['model']) ?? '',
    vectors: placed.map(({ entry }) => readVector(entry['embedding'])),
    ...(usage ? { usage } : {}),
    extensions: withoutNulls(unknownFields(wire, knownFields)),
  };
}

function readVector(value: JsonValue | undefined): readonly number[] | string {
  if (typeof value === 'string') return value;
  const vector = asArray(value);
  if (!vector || vector.length === 0)
    return fail('upstream_invalid', 'The upstream provider sent an entry without a vector.');
  const numbers = vector.filter((component) => typeof component === 'number');
  if (numbers.length < vector.length)
    fail('upstream_invalid', 'The upstream provider sent a vector that is not made of numbers.');
  return numbers;
}

/** Writes the vectors in the encoding that the client asked for, whatever the vendor sent. */
export function encodeResponse(response: EmbeddingResponse, request: EmbeddingRequest): JsonObject {
  const vendors = request.extensions['encoding_format'] !== undefined;
  const data = response.vectors.map((vector, index) => ({
    object: 'embedding',
    index,
    embedding: vendors ? vector : inEncoding(vector, request.encoding),
  }));
  return compact({
    object: 'list',
    data,
    model: response.model,
    usage: encodeEmbeddingUsage(response),
    ...(request.dialect === 'gemini-embed' ? {} : response.extensions),
  });
}

function inEncoding(
  vector: readonly number[] | string,
  encoding: 'float' | 'base64',
): readonly number[] | string {
  if (encoding === 'base64') return typeof vector === 'string' ? vector : encodeVector(vector);
  return typeof vector === 'string' ? decodeVector(vector) : vector;
}

/** Only what this endpoint knows: no completion tokens. */
function encodeEmbeddingUsage({ usage, bill }: EmbeddingResponse): JsonObject | undefined {
  if (!usage) return undefined;
  const whole = encodeUsage(usage, bill);
  if (usage.raw && 'prompt_tokens' in usage.raw) return whole;
  const { prompt_tokens, cost, receipt_id } = whole;
  return compact({ prompt_tokens, total_tokens: prompt_tokens, cost, receipt_id });
}
