import type { ChatRequest } from '#canonical';
import {
  compact,
  optionalObject,
  optionalString,
  ReadError,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { RequestContext } from '../dialect.ts';
import { readConfig } from './config-decode.ts';
import { readContents, readSystem } from './contents-decode.ts';
import { camelisedOnce, geminiId } from './fields.ts';
import { readCachedContent, readToolConfig, readTools } from './tools-decode.ts';

const requestFields = new Set([
  'model',
  'contents',
  'systemInstruction',
  'tools',
  'toolConfig',
  'generationConfig',
  'serviceTier',
  // Only Gemini's, but named so that both spellings are kept in one.
  'safetySettings',
  'cachedContent',
  'labels',
  'modelArmorConfig',
  'generateContentRequest',
]);
const neutralFields = new Set([
  'model',
  'contents',
  'systemInstruction',
  'tools',
  'toolConfig',
  'generationConfig',
  'serviceTier',
  'cachedContent',
]);

/**
 * Reads the body of `:generateContent`, `:streamGenerateContent` or `:countTokens` (where the request
 * may stand in `generateContentRequest`). Throws ReadError with the path of the field.
 */
export function decodeRequest(body: JsonObject, context: RequestContext): ChatRequest {
  const outer = camelisedOnce(body, requestFields, '');
  const inner = optionalObject(outer, 'generateContentRequest', '');
  if (inner && outer['contents'] !== undefined)
    throw new ReadError('generateContentRequest', 'expected this or `contents`');
  const wire = inner ? camelisedOnce(inner, requestFields, 'generateContentRequest') : outer;
  const model = context.model ?? optionalString(wire, 'model', '')?.replace(/^models\//, '');
  if (model === undefined) throw new ReadError('model', 'expected a model in the path');
  const config = readConfig(optionalObject(wire, 'generationConfig', ''), 'generationConfig');
  const toolConfig = readToolConfig(wire['toolConfig'], 'toolConfig');
  const system = readSystem(wire['systemInstruction'], 'systemInstruction');
  const contents = readContents(wire['contents'], 'contents');
  const serviceTier = optionalString(wire, 'serviceTier', '');
  return {
    dialect: geminiId,
    model,
    messages: system ? [system, ...contents] : contents,
    tools: [...readTools(wire['tools'], 'tools'), ...readCachedContent(wire['cachedContent'])],
    ...(toolConfig.toolChoice ? { toolChoice: toolConfig.toolChoice } : {}),
    ...config.fields,
    ...(serviceTier === undefined ? {} : { serviceTier }),
    stream: context.stream ?? false,
    streamUsage: true,
    extensions: readExtensions(wire, config.rest, toolConfig.rest),
  };
}

function readExtensions(
  wire: JsonObject,
  generationConfig: JsonObject | undefined,
  toolConfig: JsonObject | undefined,
): JsonObject {
  const rest: Record<string, JsonValue | undefined> = { ...unknownFields(wire, neutralFields) };
  return compact({ ...rest, generationConfig, toolConfig });
}
