/** Items of an answer, read into parts. Tolerant: an odd item becomes native or nothing. */

import type {
  Citation,
  Finish,
  Part,
  RefusalPart,
  TextPart,
  TokenLogprob,
  ToolCallPart,
} from '#canonical';
import {
  asArray,
  asNumber,
  asObject,
  asObjects,
  asString,
  type JsonObject,
  type JsonValue,
} from '#std';
import { decodeAnnotations } from './annotations.ts';
import { present } from './content.ts';
import {
  decodeCallFields,
  decodeMessageFields,
  decodeNative,
  decodeReasoning,
  reasoningState,
  withItemFields,
} from './items-decode.ts';

/** `customTools`: whether calls with free text are the client's, as the quirk of that name says. */
export function decodeOutput(
  output: JsonValue | undefined,
  customTools: boolean,
): {
  parts: Part[];
  logprobs: TokenLogprob[];
} {
  const parts: Part[] = [];
  const logprobs: TokenLogprob[] = [];
  for (const item of asObjects(output)) {
    parts.push(...decodeOutputItem(item, customTools));
    logprobs.push(...itemLogprobs(item));
  }
  return { parts, logprobs };
}

function decodeOutputItem(item: JsonObject, customTools: boolean): Part[] {
  switch (item['type']) {
    case 'message':
      return decodeMessage(item);
    case 'reasoning':
      return [decodeReasoningItem(item)];
    case 'function_call':
      return [decodeCall(item)];
    case 'custom_tool_call':
      return [customTools ? decodeCall(item) : decodeNative(item)];
    default:
      return [decodeNative(item)];
  }
}

export function decodeReasoningItem(item: JsonObject): Part {
  const encrypted = asString(item['encrypted_content']);
  return decodeReasoning(
    item,
    encrypted === undefined ? undefined : reasoningState(encrypted, item),
  );
}

export function decodeCall(item: JsonObject): ToolCallPart {
  const custom = item['type'] === 'custom_tool_call';
  // A namespace stays beside the name, in `extensions`: only this dialect has declared one.
  return {
    kind: 'tool-call',
    id: asString(item['call_id']) ?? asString(item['id']) ?? '',
    name: asString(item['name']) ?? '',
    input: callInput(item) || (custom ? '' : '{}'),
    ...(custom ? { custom } : {}),
    ...present(decodeCallFields(item)),
  };
}

/** The arguments' text; some vendors send an object in its place, or `null` for none. */
export function callInput(item: JsonObject): string | undefined {
  const custom = item['type'] === 'custom_tool_call';
  const value = custom ? item['input'] : item['arguments'];
  if (typeof value === 'string') return !custom && value.trim() === 'null' ? '' : value;
  return asObject(value) ? JSON.stringify(value) : undefined;
}

function decodeMessage(item: JsonObject): Part[] {
  const parts: (TextPart | RefusalPart)[] = [];
  for (const part of outputParts(item['content'])) {
    const decoded = decodeOutputPart(part);
    // Some models open a content and say nothing in it.
    if (decoded && (decoded.text !== '' || (decoded.kind === 'text' && decoded.citations)))
      parts.push(decoded);
  }
  return withItemFields(parts, decodeMessageFields(item));
}

/** The parts of a message; some servers write its one text in their place. */
export function outputParts(content: JsonValue | undefined): readonly JsonObject[] {
  return typeof content === 'string'
    ? [{ type: 'output_text', text: content }]
    : asObjects(content);
}

const textFields = new Set(['type', 'text', 'annotations', 'logprobs']);

export function decodeOutputPart(part: JsonObject): TextPart | RefusalPart | undefined {
  if (part['type'] === 'refusal') return { kind: 'refusal', text: asString(part['refusal']) ?? '' };
  const text = asString(part['text']);
  if (text === undefined) return undefined;
  const citations: Citation[] = decodeAnnotations(part['annotations']);
  const extensions: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(part)) {
    if (!textFields.has(key) && value !== undefined && value !== null) extensions[key] = value;
  }
  return {
    kind: 'text',
    text,
    ...(citations.length > 0 ? { citations } : {}),
    ...present(extensions),
  };
}

export function itemLogprobs(item: JsonObject): TokenLogprob[] {
  if (item['type'] !== 'message') return [];
  return asObjects(item['content']).flatMap((part) => decodeLogprobs(part['logprobs']));
}

export function decodeLogprobs(value: JsonValue | undefined): TokenLogprob[] {
  const tokens: TokenLogprob[] = [];
  for (const entry of asObjects(value)) {
    const token = decodeLogprob(entry);
    if (token)
      tokens.push({
        ...token,
        top: asObjects(entry['top_logprobs']).flatMap((other) => decodeLogprob(other) ?? []),
      });
  }
  return tokens;
}

function decodeLogprob(entry: JsonObject): TokenLogprob | undefined {
  const token = asString(entry['token']);
  const logprob = asNumber(entry['logprob']);
  if (token === undefined || logprob === undefined) return undefined;
  const bytes = asArray(entry['bytes'])?.filter((byte) => typeof byte === 'number');
  return { token, logprob, ...(bytes ? { bytes } : {}) };
}

export function encodeLogprobs(tokens: readonly TokenLogprob[]): JsonObject[] {
  const entry = ({ token, logprob, bytes }: TokenLogprob): JsonObject => ({
    token,
    logprob,
    bytes: bytes ? [...bytes] : [],
  });
  return tokens.map((token) => ({ ...entry(token), top_logprobs: (token.top ?? []).map(entry) }));
}

/** Why the answer ended; `status` and `incomplete_details` of the response object, and its parts. */
export function decodeFinish(response: JsonObject, hasCalls: boolean): Finish {
  const status = asString(response['status']) ?? 'completed';
  const details = asObject(response['incomplete_details']);
  const reason = asString(details?.['reason']);
  const rest = details ? { details } : {};
  if (status === 'incomplete') {
    // Whatever the reason, something is missing: `length` says so in every dialect.
    const known = reason === 'content_filter' ? 'content-filter' : 'length';
    return { reason: known, raw: reason ?? status, ...rest };
  }
  if (status === 'cancelled') return { reason: 'error', raw: status };
  if (status === 'queued' || status === 'in_progress') return { reason: 'other', raw: status };
  return { reason: hasCalls ? 'tool-calls' : 'stop', raw: status };
}
