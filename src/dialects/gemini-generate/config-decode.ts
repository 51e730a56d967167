import type { ChatRequest, ReasoningEffort, ReasoningRequest, ResponseFormat } from '#canonical';
import {
  asObject,
  asString,
  compact,
  fieldPath,
  optionalArray,
  optionalBoolean,
  optionalNumber,
  optionalObject,
  optionalString,
  ReadError,
  requireString,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { camelised, camelisedOnce, kept } from './fields.ts';
import { schemaFromOpenApi } from './schema-decode.ts';

const configFields = new Set([
  'temperature',
  'topP',
  'topK',
  'candidateCount',
  'maxOutputTokens',
  'stopSequences',
  'seed',
  'presencePenalty',
  'frequencyPenalty',
  'responseLogprobs',
  'logprobs',
  'responseMimeType',
  'responseSchema',
  'responseJsonSchema',
  'responseModalities',
  'speechConfig',
  'thinkingConfig',
  // Only Gemini's, but read here so that both spellings are kept in one.
  'imageConfig',
  'mediaResolution',
  'enableEnhancedCivicAnswers',
  'audioTimestamp',
  'routingConfig',
  'modelSelectionConfig',
]);

const neutralFields = new Set([...configFields].slice(0, 17));

/** What `generationConfig` says, and the rest of it that only Gemini can say. */
export type ReadConfig = { readonly fields: Partial<ChatRequest>; readonly rest?: JsonObject };

export function readConfig(value: JsonObject | undefined, path: string): ReadConfig {
  if (!value) return { fields: {} };
  const config = camelisedOnce(value, configFields, path);
  const format = readFormat(config, path);
  const rest: Record<string, JsonValue | undefined> = {
    ...unknownFields(config, neutralFields),
    ...format.rest,
  };
  const audio = readSpeech(optionalObject(config, 'speechConfig', path));
  const fields = {
    ...readSampling(config, path),
    ...readBounds(config, path),
    ...format.fields,
    ...readModalities(config, path, rest),
    ...readThinking(
      optionalObject(config, 'thinkingConfig', path),
      fieldPath(path, 'thinkingConfig'),
    ),
    ...(audio ? { audioOutput: audio } : {}),
  };
  const kept = compact(rest);
  return { fields, ...(Object.keys(kept).length > 0 ? { rest: kept } : {}) };
}

/** Drops fields that were not said: canonical objects hold no `undefined`. */
function said<T extends object>(fields: T): T {
  const present: Partial<T> = {};
  for (const key of Object.keys(fields) as (keyof T)[])
    if (fields[key] !== undefined) present[key] = fields[key];
  return present as T;
}

function readSampling(config: JsonObject, path: string): Partial<ChatRequest> {
  const wantsLogprobs = optionalBoolean(config, 'responseLogprobs', path);
  const top = optionalNumber(config, 'logprobs', path, { minimum: 0, maximum: 20, integer: true });
  return said({
    temperature: optionalNumber(config, 'temperature', path, { minimum: 0, maximum: 2 }),
    topP: optionalNumber(config, 'topP', path, { minimum: 0, maximum: 1 }),
    topK: optionalNumber(config, 'topK', path, { minimum: 0 }),
    seed: optionalNumber(config, 'seed', path, { integer: 'long' }),
    presencePenalty: optionalNumber(config, 'presencePenalty', path, { minimum: -2, maximum: 2 }),
    frequencyPenalty: optionalNumber(config, 'frequencyPenalty', path, { minimum: -2, maximum: 2 }),
    logprobs: wantsLogprobs ? { top: top ?? 0 } : undefined,
  });
}

function readBounds(config: JsonObject, path: string): Partial<ChatRequest> {
  const stop = optionalArray(config, 'stopSequences', path)?.map((text, index) =>
    requireString(text, `${path}.stopSequences[${index}]`),
  );
  return said({
    outputTokensMax: optionalNumber(config, 'maxOutputTokens', path, { minimum: 0, integer: true }),
    choiceCount: optionalNumber(config, 'candidateCount', path, {
      minimum: 1,
      maximum: 128,
      integer: true,
    }),
    stop,
  });
}

type ReadFormat = {
  readonly fields: { readonly responseFormat?: ResponseFormat };
  readonly rest?: JsonObject;
};

function readFormat(config: JsonObject, path: string): ReadFormat {
  const mimeType = optionalString(config, 'responseMimeType', path);
  const openApi = optionalObject(config, 'responseSchema', path);
  const jsonSchema = optionalObject(config, 'responseJsonSchema', path);
  if (mimeType === undefined && !openApi && !jsonSchema) return { fields: {} };
  if (mimeType !== undefined && mimeType !== 'application/json') {
    const rest = compact({
      responseMimeType: mimeType === 'text/plain' ? undefined : mimeType,
      responseSchema: openApi,
      responseJsonSchema: jsonSchema,
    });
    return { fields: { responseFormat: { kind: 'text' } }, rest };
  }
  if (jsonSchema)
    return { fields: { responseFormat: { kind: 'json-schema', schema: jsonSchema } } };
  if (!openApi) return { fields: { responseFormat: { kind: 'json' } } };
  const schema = schemaFromOpenApi(openApi);
  return {
    fields: { responseFormat: { kind: 'json-schema', schema, schemaForm: 'openapi-subset' } },
  };
}

/** Kinds of output that others know too; VIDEO and what else may come stay Gemini's. */
function readModalities(
  config: JsonObject,
  path: string,
  rest: Record<string, JsonValue | undefined>,
): Partial<ChatRequest> {
  const names = optionalArray(config, 'responseModalities', path);
  if (!names) return {};
  const modalities: ('text' | 'audio' | 'image')[] = [];
  for (const [index, name] of names.entries()) {
    const modality = requireString(name, `${path}.responseModalities[${index}]`).toLowerCase();
    if (modality === 'text' || modality === 'audio' || modality === 'image')
      modalities.push(modality);
    else rest['responseModalities'] = names;
  }
  return modalities.length > 0 ? { modalities } : {};
}

function readSpeech(speech: JsonObject | undefined): ChatRequest['audioOutput'] {
  if (!speech) return undefined;
  const voiceConfig = asObject(speech['voiceConfig'] ?? speech['voice_config']);
  const prebuilt = asObject(
    voiceConfig?.['prebuiltVoiceConfig'] ?? voiceConfig?.['prebuilt_voice_config'],
  );
  const voice = asString(prebuilt?.['voiceName'] ?? prebuilt?.['voice_name']);
  return { ...(voice === undefined ? {} : { voice }), native: speech };
}

const thinkingFields = new Set(['includeThoughts', 'thinkingBudget', 'thinkingLevel']);
const effortsByLevel: { readonly [level: string]: ReasoningEffort } = {
  MINIMAL: 'minimal',
  LOW: 'low',
  MEDIUM: 'medium',
  HIGH: 'high',
};
const levelNames = ['THINKING_LEVEL_UNSPECIFIED', 'LOW', 'HIGH'];

function readThinking(value: JsonObject | undefined, path: string): Partial<ChatRequest> {
  if (!value) return {};
  const wire = camelised(value, thinkingFields);
  const include = optionalBoolean(wire, 'includeThoughts', path);
  const level = wire['thinkingLevel'];
  const name =
    typeof level === 'number'
      ? levelNames[level]
      : optionalString(wire, 'thinkingLevel', path)?.toUpperCase();
  const unspecified = name === undefined || name === 'THINKING_LEVEL_UNSPECIFIED';
  const effort = unspecified ? undefined : effortsByLevel[name];
  if (!unspecified && !effort)
    throw new ReadError(
      fieldPath(path, 'thinkingLevel'),
      `expected one of MINIMAL, LOW, MEDIUM, HIGH, got ${JSON.stringify(level)}`,
    );
  const reasoning: ReasoningRequest = said({
    effort,
    budgetTokens: optionalNumber(wire, 'thinkingBudget', path, { minimum: -1, integer: true }),
    summary: include === undefined ? undefined : include ? 'auto' : 'none',
    ...kept(unknownFields(wire, thinkingFields)),
  });
  return { reasoning };
}
