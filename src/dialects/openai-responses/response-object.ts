import {
  type Bill,
  type ChatRequest,
  type Finish,
  type GatewayError,
  type Message,
  type Usage,
} from '#canonical';
import { asObject, asObjects, type JsonObject, type JsonValue } from '#std';
import type { EncodeContext } from './content.ts';
import { openaiErrorCode } from './error.ts';
import { readQuirks } from './quirks.ts';
import { idSuffix } from './state.ts';
import { encodeTextFormat, encodeToolChoice, encodeTools } from './tools.ts';
import { encodeUsage } from './usage.ts';

export type ResponseFacts = {
  readonly id: string;
  readonly model: string;
  readonly createdAt: number | undefined;
  readonly serviceTier: string | undefined;
  readonly output: readonly JsonObject[];
  /** `undefined` while the answer is in progress. */
  readonly finish?: Finish | undefined;
  readonly error?: GatewayError | undefined;
  readonly usage?: Usage | undefined;
  readonly bill?: Bill | undefined;
  readonly extensions?: JsonObject | undefined;
};

/** Clients expect `resp_…`, whoever answered. */
export function responseId(id: string): string {
  return id.startsWith('resp_') ? id : `resp_${idSuffix(id)}`;
}

/** The full response object: the answer, and the request's fields as the official API repeats them. */
export function responseObject(request: ChatRequest, facts: ResponseFacts): JsonObject {
  const { finish, error } = facts;
  const status = error ? 'failed' : finish ? statusOf(finish, facts.output) : 'in_progress';
  const createdAt = facts.createdAt ?? 0;
  return {
    id: facts.id,
    object: 'response',
    created_at: createdAt,
    status,
    background: false,
    completed_at: status === 'completed' ? createdAt : null,
    error: error
      ? { code: openaiErrorCode(error), message: error.message }
      : failureOf(status, finish),
    incomplete_details: finish && status === 'incomplete' ? incompleteDetails(finish) : null,
    ...requestEcho(request),
    model: facts.model === '' ? request.model : facts.model,
    output: facts.output,
    service_tier: facts.serviceTier ?? request.serviceTier ?? null,
    usage: usageObject(facts),
    ...facts.extensions,
  };
}

function usageObject({ usage, bill }: ResponseFacts): JsonValue {
  if (usage) return encodeUsage(usage, bill);
  return bill ? encodeUsage({}, bill) : null;
}

/** A model that stopped at a fault of its own; clients show the message of an answer that failed. */
function failureOf(status: string | undefined, finish: Finish | undefined): JsonObject | null {
  if (status !== 'failed' || !finish) return null;
  return { code: 'server_error', message: `The model stopped with ${finish.raw || 'an error'}.` };
}

/**
 * `incomplete` says that something is missing; a tool call, a stop or a refusal in words is complete. One without
 * words would look like an answer.
 */
function statusOf(finish: Finish, output: readonly JsonObject[]): string {
  switch (finish.reason) {
    case 'length':
    case 'content-filter':
    case 'pause':
      return 'incomplete';
    case 'stop':
    case 'tool-calls':
      return 'completed';
    case 'refusal':
      return output.some(refuses) ? 'completed' : 'incomplete';
    case 'error':
      return finish.raw === 'cancelled' ? 'cancelled' : 'failed';
    case 'other':
      return ownStatuses.has(finish.raw) ? finish.raw : 'completed';
  }
}

function refuses({ content }: JsonObject): boolean {
  return asObjects(content).some(({ type }) => type === 'refusal');
}

const ownStatuses = new Set(['queued', 'in_progress']);

function incompleteDetails(finish: Finish): JsonObject {
  if (finish.details && finish.details['reason'] !== undefined) return finish.details;
  const filtered = finish.reason === 'content-filter' || finish.reason === 'refusal';
  return { reason: filtered ? 'content_filter' : 'max_output_tokens' };
}

/** The request's fields with OpenAI's defaults in place of what was not said. */
function requestEcho(request: ChatRequest): Record<string, JsonValue> {
  const context: EncodeContext = {
    quirks: readQuirks({}),
    report: () => undefined,
    dialect: request.dialect,
  };
  const own = request.dialect === 'openai-responses' ? request.extensions : {};
  const { reasoning } = request;
  const text = asObject(own['text']) ?? {};
  return {
    instructions: instructionsOf(request.messages),
    max_output_tokens: request.outputTokensMax ?? null,
    max_tool_calls: own['max_tool_calls'] ?? null,
    parallel_tool_calls: request.parallelToolCalls ?? true,
    previous_response_id: request.previousResponseId ?? null,
    prompt_cache_key: request.promptCacheKey ?? null,
    prompt_cache_retention: own['prompt_cache_retention'] ?? null,
    reasoning: {
      effort: reasoning?.effort ?? null,
      summary: reasoning?.summary ?? null,
      ...reasoning?.extensions,
    },
    safety_identifier: request.endUserId ?? null,
    store: request.store ?? true,
    temperature: request.temperature ?? 1,
    text: {
      format: encodeTextFormat(request.responseFormat) ?? { type: 'text' },
      verbosity: request.verbosity ?? 'medium',
      ...text,
    },
    tool_choice: encodeToolChoice(request.toolChoice, request.tools, context) ?? 'auto',
    tools: encodeTools(request.tools, context),
    top_logprobs: request.logprobs?.top ?? 0,
    top_p: request.topP ?? 1,
    truncation: own['truncation'] ?? 'disabled',
    user: own['user'] ?? null,
    metadata: request.metadata ?? {},
  };
}

function instructionsOf(messages: readonly Message[]): string | null {
  for (const message of messages) {
    if (message.place !== 'instructions') continue;
    return message.parts.map((part) => (part.kind === 'text' ? part.text : '')).join('\n');
  }
  return null;
}
