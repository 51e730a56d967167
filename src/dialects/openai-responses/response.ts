/** Whole answers: the response object of `POST /v1/responses`. */

import {
  fail,
  GatewayFailure,
  type ChatRequest,
  type ChatResponse,
  type DialectId,
  type Encoded,
  type Finish,
  type Usage,
} from '#canonical';
import {
  asArray,
  asNumber,
  asObject,
  asString,
  saidFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Quirks } from '../dialect.ts';
import { foreignDetails } from '../finish-details.ts';
import { lossCollector } from './content.ts';
import { vendorError } from './error.ts';
import { decodeFinish, decodeOutput } from './output-decode.ts';
import { encodeOutput } from './output-whole.ts';
import { readQuirks } from './quirks.ts';
import { responseId, responseObject } from './response-object.ts';
import { decodeUsage } from './usage.ts';

/**
 * Throws GatewayFailure: `upstream_invalid` when the body is no response object, the mapped error
 * when the response says that it failed.
 */
export function decodeResponse(wire: JsonObject, quirks: Quirks): ChatResponse {
  const output = asArray(wire['output']);
  const error = asObject(wire['error']);
  if (error && (wire['status'] === 'failed' || !output))
    throw new GatewayFailure(vendorError(error));
  if (!output)
    fail('upstream_invalid', 'The upstream answered with something that is no response object.');
  if (wire['status'] === 'failed') throw new GatewayFailure(vendorError({}));
  const { parts, logprobs } = decodeOutput(output, readQuirks(quirks).customTools);
  const finish = decodeFinish(
    wire,
    parts.some((part) => part.kind === 'tool-call'),
  );
  return {
    dialect: 'openai-responses',
    id: asString(wire['id']) ?? '',
    model: asString(wire['model']) ?? '',
    createdAt: asNumber(wire['created_at']),
    choices: [{ index: 0, parts, finish, ...(logprobs.length > 0 ? { logprobs } : {}) }],
    usage: decodeUsage(wire['usage'], wire),
    serviceTier: asString(wire['service_tier']),
    extensions: responseExtensions(wire),
  };
}

/** Fields that only repeat the request, are decoded, or are between the vendor and the operator. */
const dropped = new Set([
  'id',
  'object',
  'created_at',
  'completed_at',
  'model',
  'status',
  'output',
  'output_text',
  'usage',
  'error',
  'incomplete_details',
  'service_tier',
  'background',
  'conversation',
  'instructions',
  'max_output_tokens',
  'max_tool_calls',
  'metadata',
  'parallel_tool_calls',
  'previous_response_id',
  'prompt',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'reasoning',
  'safety_identifier',
  'store',
  'temperature',
  'text',
  'tool_choice',
  'tools',
  'top_logprobs',
  'top_p',
  'truncation',
  'user',
  'billing',
  'frequency_penalty',
  'presence_penalty',
  'stream',
  'include',
  'session_id',
  'provider',
]);

export function responseExtensions(wire: JsonObject): JsonObject {
  const rest: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(wire)) {
    if (value !== undefined && value !== null && !dropped.has(key)) rest[key] = value;
  }
  return rest;
}

export function usageOfBody(wire: JsonObject, _quirks: Quirks): Usage | undefined {
  return decodeUsage(wire['usage'], wire);
}

/** Fields of another dialect's answer, and of its choice, that have no place in a response object. */
export function unsaidFields(
  finish: Finish,
  extensions: JsonObject | undefined,
  source: DialectId,
): readonly string[] {
  if (source === 'openai-responses') return [];
  const details = foreignDetails(finish);
  return [...saidFields(extensions), ...details.map((field) => `choices[0].${field}`)];
}

const noFinish: Finish = { reason: 'stop', raw: '' };

/** The response object a client of this dialect gets. Further choices than the first have no place. */
export function encodeResponse(response: ChatResponse, request: ChatRequest): Encoded<JsonObject> {
  const { losses, report } = lossCollector();
  const [choice, ...others] = response.choices;
  if (others.length > 0) report('choices[1]', 'the Responses API gives one answer', true);
  const id = responseId(response.id);
  const finish = choice?.finish ?? noFinish;
  const output = encodeOutput(choice?.parts ?? [], {
    responseId: id,
    dialect: response.dialect,
    request,
    incomplete: finish.reason === 'length' || finish.reason === 'content-filter',
    logprobs: choice?.logprobs ?? [],
    report,
  });
  const own = response.dialect === 'openai-responses';
  for (const key of unsaidFields(finish, response.extensions, response.dialect))
    report(key, `unknown to the Responses API (said in ${response.dialect})`, false);
  const value = responseObject(request, {
    id,
    model: response.model,
    createdAt: response.createdAt,
    serviceTier: response.serviceTier,
    output,
    finish,
    usage: response.usage,
    bill: response.bill,
    extensions: own ? response.extensions : {},
  });
  return { value, losses };
}
