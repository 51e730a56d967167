import {
  GatewayFailure,
  gatewayError,
  type Bill,
  type EmbeddingRequest,
  type EmbeddingResponse,
  type Usage,
} from '#canonical';
import {
  asArray,
  asCount,
  asNumber,
  asObject,
  asObjects,
  compact,
  formatUsd,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { annotateUsageMetadata } from '../bill.ts';

const answerFields = new Set(['embedding', 'embeddings', 'predictions', 'usageMetadata']);

/** Reads an answer of `:embedContent`, `:batchEmbedContents` or Vertex's `:predict`. */
export function decodeEmbedResponse(
  wire: JsonObject,
  request: EmbeddingRequest,
): EmbeddingResponse {
  const vectors = readVectors(wire);
  const complete = vectors.length === request.inputs.length;
  if (!complete || vectors.some((vector) => vector.length === 0)) {
    throw new GatewayFailure(
      gatewayError('upstream_invalid', 'The upstream provider gave no vectors that can be read.'),
    );
  }
  const usage = readUsage(wire);
  return {
    model: request.model,
    vectors,
    ...(usage ? { usage } : {}),
    extensions: unknownFields(wire, answerFields),
  };
}

function readVectors(wire: JsonObject): readonly (readonly number[])[] {
  const single = asObject(wire['embedding']);
  if (single) return [numbers(single['values'])];
  const embeddings = asObjects(wire['embeddings']);
  if (embeddings.length > 0) return embeddings.map(({ values }) => numbers(values));
  return asObjects(wire['predictions']).map((prediction) =>
    numbers(asObject(prediction['embeddings'])?.['values']),
  );
}

function numbers(value: JsonValue | undefined): readonly number[] {
  const list = asArray(value) ?? [];
  const result = list.filter((element) => asNumber(element) !== undefined) as readonly number[];
  // A vector with a hole means nothing.
  return result.length === list.length ? result : [];
}

function readUsage(wire: JsonObject): Usage | undefined {
  const raw = asObject(wire['usageMetadata']);
  const inputTokens = asCount(raw?.['promptTokenCount']);
  if (raw && inputTokens !== undefined) return { inputTokens, raw };
  let total: number | undefined;
  for (const prediction of asObjects(wire['predictions'])) {
    const count = asCount(
      asObject(asObject(prediction['embeddings'])?.['statistics'])?.['token_count'],
    );
    if (count !== undefined) total = (total ?? 0) + count;
  }
  const characters = asCount(asObject(wire['metadata'])?.['billableCharacterCount']);
  if (total === undefined && characters === undefined) return undefined;
  return {
    ...(total === undefined ? {} : { inputTokens: total }),
    ...(characters === undefined ? {} : { characters }),
  };
}

/** The answer in the form the client asked in: a list after a batch, else the one vector. */
export function encodeEmbedResponse(
  response: EmbeddingResponse,
  request: EmbeddingRequest,
): JsonObject {
  const vectors = response.vectors.map((vector) => ({
    values: typeof vector === 'string' ? floats(vector) : vector,
  }));
  const usageMetadata = encodeUsage(response);
  const [first] = vectors;
  const isList = request.batched === true || vectors.length !== 1 || !first;
  return compact({ ...(isList ? { embeddings: vectors } : { embedding: first }), usageMetadata });
}

/** The numbers of base64 text of little-endian float32. */
function floats(base64: string): readonly number[] {
  const bytes = Buffer.from(base64, 'base64');
  const values: number[] = [];
  for (let offset = 0; offset + 4 <= bytes.length; offset += 4)
    values.push(bytes.readFloatLE(offset));
  return values;
}

function encodeUsage({ usage, bill }: EmbeddingResponse): JsonObject | undefined {
  const promptTokenCount = usage?.inputTokens;
  if (promptTokenCount === undefined && !bill) return undefined;
  return compact({
    promptTokenCount,
    cost: bill ? Number(formatUsd(bill.costNanoUsd)) : undefined,
    receiptId: bill?.receiptId,
  });
}

/** The same JSON text with the bill; the vendor often counts nothing, then the usage object is new. */
export function annotateEmbedResponse(body: string, bill: Bill): string {
  const annotated = annotateUsageMetadata(body, bill);
  if (annotated !== undefined) return annotated;
  const open = body.indexOf('{');
  if (open < 0) return body;
  const usage = `"usageMetadata":{"cost":${formatUsd(bill.costNanoUsd)},"receiptId":${JSON.stringify(bill.receiptId)}}`;
  const isEmpty = /^\s*\}/.test(body.slice(open + 1, open + 64));
  return `${body.slice(0, open + 1)}${usage}${isEmpty ? '' : ','}${body.slice(open + 1)}`;
}
