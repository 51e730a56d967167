import type { EmbeddingRequest, Encoded, Loss } from '#canonical';
import {
  asObject,
  compact,
  fieldPath,
  optionalArray,
  optionalNumber,
  optionalObject,
  optionalString,
  ReadError,
  requireArray,
  requireObject,
  requireString,
  saidFields,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Quirks, RequestContext } from '../dialect.ts';
import { camelised } from '../gemini-generate/fields.ts';

const fields = new Set([
  'model',
  'content',
  'taskType',
  'title',
  'outputDimensionality',
  'requests',
  'autoTruncate',
]);
const known = new Set(['model', 'content', 'taskType', 'title', 'outputDimensionality']);

/** What one request of a batch says beside its text. */
type One = {
  readonly text: string;
  readonly rest: Pick<EmbeddingRequest, 'dimensions' | 'taskType' | 'title'>;
  readonly extensions: JsonObject;
};

/**
 * Reads the body of `:embedContent` (one text) or `:batchEmbedContents` (`requests`). A batch has one
 * purpose and one size: it is sent on as one request. Throws ReadError with the path of the field.
 */
export function decodeEmbedRequest(body: JsonObject, context: RequestContext): EmbeddingRequest {
  const wire = camelised(body, fields);
  const batch = optionalArray(wire, 'requests', '');
  const ones = batch ? readBatch(batch) : [readOne(wire, '')];
  const [first] = ones;
  const model = context.model ?? modelOf(batch ? asObject(batch[0]) : wire);
  if (model === undefined) throw new ReadError('model', 'expected a model in the path');
  if (!first) throw new ReadError('requests', 'expected at least one request');
  return {
    dialect: 'gemini-embed',
    model,
    inputs: ones.map(({ text }) => text),
    encoding: 'float',
    ...first.rest,
    ...(batch ? { batched: true } : {}),
    extensions: first.extensions,
  };
}

function modelOf(wire: JsonObject | undefined): string | undefined {
  return typeof wire?.['model'] === 'string' ? wire['model'].replace(/^models\//, '') : undefined;
}

function readBatch(batch: readonly JsonValue[]): readonly One[] {
  const ones = batch.map((element, index) =>
    readOne(camelised(requireObject(element, `requests[${index}]`), fields), `requests[${index}]`),
  );
  const [first] = ones;
  for (const [index, { rest }] of ones.entries()) {
    for (const key of ['dimensions', 'taskType', 'title'] as const) {
      if (rest[key] !== first?.rest[key])
        throw new ReadError(`requests[${index}].${key}`, 'all requests of a batch must agree');
    }
  }
  return ones;
}

function readOne(wire: JsonObject, path: string): One {
  const content = wire['content'];
  const at = fieldPath(path, 'content');
  const text = typeof content === 'string' ? content : readText(requireObject(content, at), at);
  const dimensions = optionalNumber(wire, 'outputDimensionality', path, {
    minimum: 1,
    maximum: 100_000,
    integer: true,
  });
  const taskType = optionalString(wire, 'taskType', path);
  const title = optionalString(wire, 'title', path);
  return {
    text,
    rest: {
      ...(dimensions === undefined ? {} : { dimensions }),
      ...(taskType === undefined ? {} : { taskType }),
      ...(title === undefined ? {} : { title }),
    },
    extensions: unknownFields(wire, known),
  };
}

function readText(content: JsonObject, path: string): string {
  const parts = Array.isArray(content['parts'])
    ? requireArray(content['parts'], `${path}.parts`)
    : [requireObject(content['parts'], `${path}.parts`)];
  return parts
    .map((part, index) =>
      requireString(
        requireObject(part, `${path}.parts[${index}]`)['text'],
        `${path}.parts[${index}].text`,
      ),
    )
    .join('\n');
}

/**
 * The body of `:batchEmbedContents`, also for one text. With the quirk `form: "single"`, of
 * `:embedContent` (one text only); with `form: "predict"`, of Vertex's `:predict`.
 */
export function encodeEmbedRequest(request: EmbeddingRequest, quirks: Quirks): Encoded<JsonObject> {
  const losses: Loss[] = [];
  const texts: string[] = [];
  for (const [index, input] of request.inputs.entries()) {
    if (typeof input === 'string') texts.push(input);
    else
      losses.push({
        path: `input[${index}]`,
        reason: 'token ids of another vendor',
        changesMeaning: true,
      });
  }
  if (request.endUserId !== undefined)
    losses.push({ path: 'user', reason: 'unknown to Gemini', changesMeaning: false });
  const own = request.dialect === 'gemini-embed';
  if (!own)
    for (const path of saidFields(request.extensions))
      losses.push({ path, reason: 'unknown to Gemini', changesMeaning: false });
  return {
    value: encodeForm(request, texts, own ? request.extensions : {}, quirks, losses),
    losses,
  };
}

function encodeForm(
  request: EmbeddingRequest,
  texts: readonly string[],
  extensions: JsonObject,
  quirks: Quirks,
  losses: Loss[],
): JsonObject {
  const { dimensions, taskType, title } = request;
  if (quirks['form'] === 'predict') {
    const instances = texts.map((content) => compact({ content, task_type: taskType, title }));
    return compact({
      instances,
      parameters: dimensions === undefined ? undefined : { outputDimensionality: dimensions },
    });
  }
  const model = request.model.includes('/') ? request.model : `models/${request.model}`;
  const ones = texts.map((text) =>
    compact({
      model,
      content: { parts: [{ text }] },
      taskType,
      title,
      outputDimensionality: dimensions,
      ...extensions,
    }),
  );
  if (quirks['form'] !== 'single') return { requests: ones };
  if (ones.length > 1)
    losses.push({ path: 'input', reason: 'more than one text', changesMeaning: true });
  return ones[0] ?? {};
}

/** Whether the body has to go to `:batchEmbedContents` (else `:embedContent`, or `:predict`). */
export function isBatchBody(body: JsonObject): boolean {
  return optionalObject(body, 'content', '') === undefined && body['instances'] === undefined;
}
