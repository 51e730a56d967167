/** The four dialects as a client speaks them, for tests about money: ask, read the text, read the bill. */

import { asArray, asNumber, asObject, asString, parseJsonObject, type JsonObject } from '#std';
import { sseData } from './rig.ts';

export type ClientDialect = {
  readonly id: 'openai-chat' | 'openai-responses' | 'anthropic-messages' | 'gemini-generate';
  path(model: string, stream: boolean): string;
  body(model: string, question: string, stream: boolean, outputTokensMax?: number): JsonObject;
};

const limited = (field: string, value: number | undefined): JsonObject =>
  value === undefined ? {} : { [field]: value };

export const clientDialects: readonly ClientDialect[] = [
  {
    id: 'openai-chat',
    path: () => '/v1/chat/completions',
    body: (model, question, stream, most) => ({
      model,
      stream,
      ...(stream ? { stream_options: { include_usage: true } } : {}),
      ...limited('max_tokens', most),
      messages: [{ role: 'user', content: question }],
    }),
  },
  {
    id: 'openai-responses',
    path: () => '/v1/responses',
    body: (model, question, stream, most) => ({
      model,
      stream,
      store: false,
      input: question,
      ...limited('max_output_tokens', most),
    }),
  },
  {
    id: 'anthropic-messages',
    path: () => '/v1/messages',
    body: (model, question, stream, most) => ({
      model,
      stream,
      max_tokens: most ?? 4_096,
      messages: [{ role: 'user', content: question }],
    }),
  },
  {
    id: 'gemini-generate',
    path: (model, stream) =>
      `/v1beta/models/${model}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
    body: (_model, question, _stream, most) => ({
      contents: [{ role: 'user', parts: [{ text: question }] }],
      ...(most === undefined ? {} : { generationConfig: { maxOutputTokens: most } }),
    }),
  },
];

/** The text of a streamed answer, in any of the dialects. */
export function streamedText(sse: string): string {
  return sseData(sse)
    .map((event) => deltaOf(event as JsonObject))
    .join('');
}

function deltaOf(event: JsonObject): string {
  const choice = asObject(asArray(event['choices'])?.[0]);
  if (choice) return asString(asObject(choice['delta'])?.['content']) ?? '';
  if (event['type'] === 'response.output_text.delta') return asString(event['delta']) ?? '';
  if (event['type'] === 'content_block_delta')
    return asString(asObject(event['delta'])?.['text']) ?? '';
  const parts =
    asArray(asObject(asObject(asArray(event['candidates'])?.[0])?.['content'])?.['parts']) ?? [];
  return parts.map((part) => asString(asObject(part)?.['text']) ?? '').join('');
}

/** The bill that the client was told, wherever its dialect has it; `undefined` when there was none. */
export function toldBill(
  text: string,
): { readonly costUsd: number; readonly receiptId: string } | undefined {
  const objects = text.startsWith('{')
    ? [parseJsonObject(text) ?? {}]
    : (sseData(text) as JsonObject[]);
  for (const object of objects.toReversed()) {
    for (const place of [object, asObject(object['response']), asObject(object['message'])]) {
      const usage = asObject(place?.['usage']) ?? asObject(place?.['usageMetadata']);
      const costUsd = asNumber(usage?.['cost']);
      const receiptId = asString(usage?.['receipt_id']) ?? asString(usage?.['receiptId']);
      if (costUsd !== undefined && receiptId !== undefined) return { costUsd, receiptId };
    }
  }
  const comment = /^: cost_usd=(\S+) receipt_id=(\S+)$/m.exec(text);
  return comment?.[1] && comment[2]
    ? { costUsd: Number(comment[1]), receiptId: comment[2] }
    : undefined;
}

/** Why the answer ended, in the dialect's own word: the last that was said. */
export function finishOf(text: string): string | undefined {
  return [
    ...text.matchAll(/"(?:finish_reason|stop_reason|finishReason|reason)":"([A-Za-z_]+)"/g),
  ].at(-1)?.[1];
}
