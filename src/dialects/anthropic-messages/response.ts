import {
  fail,
  GatewayFailure,
  type ChatRequest,
  type ChatResponse,
  type Encoded,
  type Loss,
  type Part,
  type Usage,
} from '#canonical';
import { asArray, asObject, asString, saidFields, unknownFields, type JsonObject } from '#std';
import type { Quirks } from '../dialect.ts';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';
import { answerBlocks } from './answer-blocks.ts';
import { lose } from './encoding.ts';
import { decodeFinish, encodeFinish, finishOfStructuredAnswer } from './finish.ts';
import { readQuirks } from './quirks.ts';
import { decodeAnswerBlock, messageBlocks } from './response-blocks.ts';
import { decodeUsage, encodeUsage } from './usage.ts';

const dialect = 'anthropic-messages';

const knownFields = new Set([
  'id',
  'type',
  'role',
  'model',
  'content',
  'stop_reason',
  'stop_sequence',
  'stop_details',
  'usage',
]);

/** Reads a message. Throws GatewayFailure: the error in it, or `upstream_invalid` when it is none. */
export function decodeResponse(wire: JsonObject, quirks: Quirks): ChatResponse {
  if (wire['type'] === 'error' || (asObject(wire['error']) && !asArray(wire['content']))) {
    throw new GatewayFailure(decodeUpstreamErrorValue(200, wire));
  }
  if (wire['type'] !== 'message' && !asArray(wire['content'])) {
    fail('upstream_invalid', 'The upstream answered with something that is not a message.');
  }
  const known = readQuirks(quirks);
  const parts = messageBlocks(wire).map((block) => decodeAnswerBlock(block, known));
  const usage = responseUsage(wire);
  return {
    dialect,
    id: asString(wire['id']) ?? '',
    model: asString(wire['model']) ?? '',
    choices: [{ index: 0, parts, finish: finishOfAnswer(wire, parts, quirks) }],
    ...(usage ? { usage } : {}),
    ...(usage?.serviceTier === undefined ? {} : { serviceTier: usage.serviceTier }),
    extensions: unknownFields(wire, knownFields),
  };
}

/** A message that begins with words and ended as answers do. */
export function isPlainAnswer(wire: JsonObject): boolean {
  const text = asObject(asArray(wire['content'])?.[0])?.['text'];
  const reason = wire['stop_reason'];
  return (
    wire['type'] === 'message' &&
    typeof text === 'string' &&
    text !== '' &&
    (reason === 'end_turn' || reason === 'max_tokens' || reason === 'tool_use')
  );
}

function finishOfAnswer(
  wire: JsonObject,
  parts: readonly Part[],
  quirks: Quirks,
): ReturnType<typeof decodeFinish> {
  const calling = parts.some((part) => part.kind === 'tool-call');
  const finish = decodeFinish(wire, calling);
  return readQuirks(quirks).structuredOutput === 'tool'
    ? finishOfStructuredAnswer(finish, parts)
    : finish;
}

/** Usage of a whole answer, for answers that pass through untouched. */
export function responseUsage(wire: JsonObject): Usage | undefined {
  const usage = asObject(wire['usage']);
  return usage && decodeUsage(usage);
}

/** The answer as a client of this dialect reads it. */
export function encodeResponse(response: ChatResponse, request: ChatRequest): Encoded<JsonObject> {
  const losses: Loss[] = [];
  const own = response.dialect === dialect;
  const [choice, ...others] = response.choices;
  if (others.length > 0) lose({ losses }, 'choices', 'Anthropic gives one answer', true);
  if (choice?.logprobs)
    lose({ losses }, 'choices[0].logprobs', 'Anthropic gives no log probabilities');
  const content = (choice?.parts ?? []).flatMap((part, index) =>
    answerBlocks(part, own, (field, reason) =>
      lose({ losses }, `choices[0].parts[${index}]${field}`, reason),
    ),
  );
  const extensions = own ? response.extensions : {};
  if (!own)
    for (const key of saidFields(response.extensions))
      lose({ losses }, key, 'not known to Anthropic');
  const value: JsonObject = {
    id: messageId(response.id),
    type: 'message',
    role: 'assistant',
    model: response.model === '' ? request.model : response.model,
    content,
    ...encodeFinish(choice?.finish, own),
    ...extensions,
    usage: encodeUsage(withTier(response), response.bill),
  };
  return { value, losses };
}

function withTier(response: ChatResponse): Usage {
  const { usage = {}, serviceTier } = response;
  return serviceTier === undefined || usage.serviceTier !== undefined
    ? usage
    : { ...usage, serviceTier };
}

/** Ids of other dialects get the prefix by which clients know messages. */
export function messageId(id: string): string {
  return id.startsWith('msg_') ? id : `msg_${id.replace(/[^a-zA-Z0-9_-]/g, '').slice(0, 200)}`;
}
