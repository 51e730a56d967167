import type { EmbeddingRequest, Encoded, Loss } from '#canonical';
import {
  asArray,
  asBoolean,
  asString,
  compact,
  fieldPath,
  optionalNumber,
  optionalString,
  ReadError,
  requireString,
  saidFields,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Quirks, RequestContext } from '../dialect.ts';

const knownFields = new Set(['model', 'input', 'dimensions', 'encoding_format', 'user']);
/** Encodings of single vendors; they pass through, and only theirs. */
const vendorEncodings = new Set([
  'base64_int8',
  'base64_binary',
  'int8',
  'uint8',
  'binary',
  'ubinary',
]);

/** OpenAI's own bound of inputs of one request. */
export const inputsMax = 2_048;

export function decodeRequest(wire: JsonObject, context: RequestContext): EmbeddingRequest {
  const model = context.model ?? requireString(wire['model'], 'model');
  const dimensions = optionalNumber(wire, 'dimensions', '', { minimum: 1, integer: true });
  const endUserId = optionalString(wire, 'user', '');
  const format = optionalString(wire, 'encoding_format', '') ?? 'float';
  const vendors = vendorEncodings.has(format);
  if (format !== 'float' && format !== 'base64' && !vendors) {
    throw new ReadError(
      'encoding_format',
      `expected float or base64, got ${JSON.stringify(format)}`,
    );
  }
  const extensions = unknownFields(wire, knownFields);
  return {
    dialect: 'openai-embeddings',
    model,
    ...decodeInput(wire['input']),
    encoding: format === 'base64' ? 'base64' : 'float',
    ...(dimensions === undefined ? {} : { dimensions }),
    ...(endUserId === undefined ? {} : { endUserId }),
    extensions: vendors ? { ...extensions, encoding_format: format } : extensions,
  };
}

function decodeInput(value: JsonValue | undefined): Pick<EmbeddingRequest, 'inputs' | 'batched'> {
  if (typeof value === 'string') return { inputs: [value] };
  const list = asArray(value);
  if (!list || list.length === 0)
    throw new ReadError('input', 'expected a string, token ids, or a list of one of them');
  if (isTokens(list)) return { inputs: [list] };
  if (list.length > inputsMax) throw new ReadError('input', `expected at most ${inputsMax} inputs`);
  if (typeof list[0] === 'string')
    return {
      batched: true,
      inputs: list.map((text, index) => requireString(text, fieldPath('input', index))),
    };
  const tokens = list.map((element, index) => {
    const ids = asArray(element);
    if (!ids || !isTokens(ids))
      throw new ReadError(fieldPath('input', index), 'expected an array of token ids');
    return ids;
  });
  return { batched: true, inputs: tokens };
}

function isTokens(list: readonly JsonValue[]): list is readonly number[] {
  return (
    list.length > 0 &&
    list.every((token) => typeof token === 'number' && Number.isSafeInteger(token) && token >= 0)
  );
}

/**
 * Quirks: `base64: false` (the vendor has floats only: the gateway converts), `dimensionsField`
 * (`dimensions`, `output_dimension` at Mistral, `none`), `refused` (fields answered with a 400).
 */
export function encodeRequest(request: EmbeddingRequest, quirks: Quirks): Encoded<JsonObject> {
  const losses: Loss[] = [];
  const own = request.dialect === undefined || request.dialect === 'openai-embeddings';
  const lose = (path: string, reason: string, changesMeaning: boolean): void =>
    void losses.push({ path, reason, changesMeaning });
  if (request.taskType !== undefined)
    lose('task_type', 'this upstream makes one kind of vector', false);
  if (request.title !== undefined) lose('title', 'this upstream takes no title', false);
  if (!own)
    for (const key of saidFields(request.extensions))
      lose(key, 'not known in OpenAI embeddings', false);
  const dimensionsField = asString(quirks['dimensionsField']) ?? 'dimensions';
  if (request.dimensions !== undefined && dimensionsField === 'none')
    lose('dimensions', 'this model has one length of vectors', true);
  const base64 = request.encoding === 'base64' && (asBoolean(quirks['base64']) ?? true);
  const body = compact({
    model: request.model,
    input: encodeInput(request),
    [dimensionsField]: dimensionsField === 'none' ? undefined : request.dimensions,
    encoding_format: base64 ? 'base64' : undefined,
    user: request.endUserId,
    ...(own ? request.extensions : {}),
  });
  const refused = new Set(
    (asArray(quirks['refused']) ?? []).filter((name) => typeof name === 'string'),
  );
  return { value: unknownFields(body, refused), losses };
}

function encodeInput(request: EmbeddingRequest): JsonValue {
  const [only] = request.inputs;
  return request.inputs.length === 1 && request.batched !== true ? (only ?? '') : request.inputs;
}
