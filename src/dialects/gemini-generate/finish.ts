import type { Finish, FinishReason } from '#canonical';
import { asString, type JsonValue } from '#std';
import { enumName } from './fields.ts';

/** `FinishReason` in the order of google.ai.generativelanguage's protocol file, for integer enums. */
export const finishNames: readonly string[] = [
  'FINISH_REASON_UNSPECIFIED',
  'STOP',
  'MAX_TOKENS',
  'SAFETY',
  'RECITATION',
  'OTHER',
  'LANGUAGE',
  'BLOCKLIST',
  'PROHIBITED_CONTENT',
  'SPII',
  'MALFORMED_FUNCTION_CALL',
  'IMAGE_SAFETY',
];

/** `BlockedReason` of promptFeedback in the same file. */
export const blockNames: readonly string[] = [
  'BLOCK_REASON_UNSPECIFIED',
  'SAFETY',
  'OTHER',
  'BLOCKLIST',
  'PROHIBITED_CONTENT',
  'IMAGE_SAFETY',
];

const reasons: { readonly [raw: string]: FinishReason } = {
  FINISH_REASON_UNSPECIFIED: 'other',
  STOP: 'stop',
  MAX_TOKENS: 'length',
  // The model stopped at an internal bound; `continuationToken` lets the client go on.
  CONTINUATION: 'length',
  SAFETY: 'content-filter',
  RECITATION: 'content-filter',
  BLOCKLIST: 'content-filter',
  PROHIBITED_CONTENT: 'content-filter',
  SPII: 'content-filter',
  MODEL_ARMOR: 'content-filter',
  IMAGE_SAFETY: 'content-filter',
  IMAGE_PROHIBITED_CONTENT: 'content-filter',
  IMAGE_RECITATION: 'content-filter',
  LANGUAGE: 'other',
  OTHER: 'other',
  IMAGE_OTHER: 'other',
  NO_IMAGE: 'other',
  MALFORMED_FUNCTION_CALL: 'error',
  MALFORMED_RESPONSE: 'error',
  UNEXPECTED_TOOL_CALL: 'error',
  TOO_MANY_TOOL_CALLS: 'error',
  MISSING_THOUGHT_SIGNATURE: 'error',
};

/** The reason a candidate gives; the default that protobuf prints for a missing one is none. */
export function finishWord(value: JsonValue | undefined): string | undefined {
  const word = enumName(value, finishNames);
  return word === '' || word === finishNames[0] ? undefined : word;
}

/** Gemini says STOP for tool calls too, so the parts decide. */
export function decodeFinish(raw: string, hasToolCalls: boolean): Finish {
  const word = raw.toUpperCase();
  const reason = Object.hasOwn(reasons, word) ? (reasons[word] ?? 'other') : 'other';
  return { reason: reason === 'stop' && hasToolCalls ? 'tool-calls' : reason, raw };
}

const words: { readonly [reason in FinishReason]: string } = {
  stop: 'STOP',
  'tool-calls': 'STOP',
  length: 'MAX_TOKENS',
  'content-filter': 'SAFETY',
  refusal: 'SAFETY',
  pause: 'OTHER',
  error: 'OTHER',
  other: 'OTHER',
};

export function encodeFinish(finish: Finish): string {
  const known = Object.hasOwn(reasons, finish.raw) && decodedFits(finish);
  return known ? finish.raw : words[finish.reason];
}

/** What another vendor says of its end; Gemini has a field for the reason in words. */
export function finishMessage({ details }: Finish): string | undefined {
  return asString(details?.['explanation']);
}

function decodedFits({ raw, reason }: Finish): boolean {
  return reasons[raw] === reason || (raw === 'STOP' && reason === 'tool-calls');
}
