/**
 * The four official SDKs as readers: each is given the bytes of an answer through its own fetch and
 * tells what it understood. What a client's SDK reads is what counts, not what we meant to write.
 */

import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import type { DialectId } from '#canonical';
import type { JsonValue } from '#std';

/** What an SDK understood of an answer. */
export type SdkReading = {
  readonly text: string;
  readonly refusal: string;
  readonly calls: readonly { readonly name: string; readonly input: unknown }[];
  readonly finish: string;
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
};

export type ClientDialect = Exclude<DialectId, 'openai-completions'>;

export const clientDialects: readonly ClientDialect[] = [
  'openai-chat',
  'openai-responses',
  'anthropic-messages',
  'gemini-generate',
];

/** Reads `body` with the SDK of `dialect`. Rejects with the SDK's own error. */
export function readWithSdk(
  dialect: ClientDialect,
  body: string,
  stream: boolean,
): Promise<SdkReading> {
  const headers = { 'content-type': stream ? 'text/event-stream' : 'application/json' };
  const fetch = (): Promise<Response> => Promise.resolve(new Response(body, { headers }));
  switch (dialect) {
    case 'openai-chat':
      return readChat(fetch, stream);
    case 'openai-responses':
      return readResponses(fetch, stream);
    case 'anthropic-messages':
      return readMessages(fetch, stream);
    case 'gemini-generate':
      return readGenerate(fetch, stream);
  }
}

type Fetch = () => Promise<Response>;

function parsed(text: string): unknown {
  if (text === '') return {};
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

async function readChat(fetch: Fetch, stream: boolean): Promise<SdkReading> {
  const client = new OpenAI({
    apiKey: 'unused',
    baseURL: 'http://127.0.0.1/v1',
    maxRetries: 0,
    fetch,
  });
  const question = { model: 'm', messages: [{ role: 'user' as const, content: 'q' }] };
  const completion = stream
    ? await client.chat.completions
        .stream({ ...question, stream_options: { include_usage: true } })
        .finalChatCompletion()
    : await client.chat.completions.create(question);
  const [choice] = completion.choices;
  return {
    text: choice?.message.content ?? '',
    refusal: choice?.message.refusal ?? '',
    calls: (choice?.message.tool_calls ?? []).map((call) =>
      call.type === 'function'
        ? { name: call.function.name, input: parsed(call.function.arguments) }
        : { name: call.custom.name, input: call.custom.input },
    ),
    finish: choice?.finish_reason ?? '',
    inputTokens: completion.usage?.prompt_tokens,
    outputTokens: completion.usage?.completion_tokens,
  };
}

async function readResponses(fetch: Fetch, stream: boolean): Promise<SdkReading> {
  const client = new OpenAI({
    apiKey: 'unused',
    baseURL: 'http://127.0.0.1/v1',
    maxRetries: 0,
    fetch,
  });
  const question = { model: 'm', input: 'q' };
  const response = stream
    ? await client.responses.stream(question).finalResponse()
    : await client.responses.create(question);
  const calls: { name: string; input: unknown }[] = [];
  let refusal = '';
  for (const item of response.output) {
    if (item.type === 'function_call')
      calls.push({ name: item.name, input: parsed(item.arguments) });
    else if (item.type === 'custom_tool_call') calls.push({ name: item.name, input: item.input });
    else if (item.type === 'message')
      for (const part of item.content) if (part.type === 'refusal') refusal += part.refusal;
  }
  return {
    text: response.output_text,
    refusal,
    calls,
    finish: response.incomplete_details?.reason ?? response.status ?? '',
    inputTokens: response.usage?.input_tokens,
    outputTokens: response.usage?.output_tokens,
  };
}

async function readMessages(fetch: Fetch, stream: boolean): Promise<SdkReading> {
  const client = new Anthropic({
    apiKey: 'unused',
    baseURL: 'http://127.0.0.1',
    maxRetries: 0,
    fetch,
  });
  const question = {
    model: 'm',
    max_tokens: 100,
    messages: [{ role: 'user' as const, content: 'q' }],
  };
  const message = stream
    ? await client.messages.stream(question).finalMessage()
    : await client.messages.create(question);
  const calls: { name: string; input: unknown }[] = [];
  let text = '';
  for (const block of message.content) {
    if (block.type === 'text') text += block.text;
    else if (block.type === 'tool_use') calls.push({ name: block.name, input: block.input });
  }
  const { usage } = message;
  return {
    text,
    refusal: '',
    calls,
    finish: message.stop_reason ?? '',
    inputTokens:
      usage.input_tokens +
      (usage.cache_read_input_tokens ?? 0) +
      (usage.cache_creation_input_tokens ?? 0),
    outputTokens: usage.output_tokens,
  };
}

async function readGenerate(fetch: Fetch, stream: boolean): Promise<SdkReading> {
  const client = new GoogleGenAI({
    apiKey: 'unused',
    httpOptions: { baseUrl: 'http://127.0.0.1', fetch },
  });
  const question = { model: 'm', contents: 'q' };
  const chunks = [];
  if (stream)
    for await (const chunk of await client.models.generateContentStream(question))
      chunks.push(chunk);
  else chunks.push(await client.models.generateContent(question));
  const calls: { name: string; input: unknown }[] = [];
  let text = '';
  let finish = '';
  for (const chunk of chunks) {
    const candidate = chunk.candidates?.find(({ index }) => (index ?? 0) === 0);
    for (const part of candidate?.content?.parts ?? []) {
      if (part.text !== undefined && part.thought !== true) text += part.text;
      if (part.functionCall)
        calls.push({ name: part.functionCall.name ?? '', input: part.functionCall.args ?? {} });
    }
    finish = candidate?.finishReason ?? chunk.promptFeedback?.blockReason ?? finish;
  }
  const usage = chunks.findLast(({ usageMetadata }) => usageMetadata)?.usageMetadata;
  const sum = (left: number | undefined, right: number | undefined): number | undefined =>
    left === undefined && right === undefined ? undefined : (left ?? 0) + (right ?? 0);
  return {
    text,
    refusal: '',
    calls,
    finish,
    inputTokens: sum(usage?.promptTokenCount, usage?.toolUsePromptTokenCount),
    outputTokens: sum(usage?.candidatesTokenCount, usage?.thoughtsTokenCount),
  };
}

/**
 * The turn of the assistant as the SDK of `dialect` puts it together from a stream, in the items
 * that a client sends back. Google's SDK keeps one content for each chunk.
 */
export async function collectWithSdk(
  dialect: ClientDialect,
  body: string,
): Promise<readonly JsonValue[]> {
  const fetch = (): Promise<Response> =>
    Promise.resolve(new Response(body, { headers: { 'content-type': 'text/event-stream' } }));
  switch (dialect) {
    case 'openai-chat':
      return plain([await collectChat(fetch)]);
    case 'openai-responses':
      return plain(
        (await openAi(fetch).responses.stream({ model: 'm', input: 'q' }).finalResponse()).output,
      );
    case 'anthropic-messages': {
      const client = new Anthropic({
        apiKey: 'unused',
        baseURL: 'http://127.0.0.1',
        maxRetries: 0,
        fetch,
      });
      const stream = client.messages.stream({
        model: 'm',
        max_tokens: 100,
        messages: [{ role: 'user', content: 'q' }],
      });
      return plain([{ role: 'assistant', content: (await stream.finalMessage()).content }]);
    }
    case 'gemini-generate': {
      const client = new GoogleGenAI({
        apiKey: 'unused',
        httpOptions: { baseUrl: 'http://127.0.0.1', fetch },
      });
      const chat = client.chats.create({ model: 'm' });
      for await (const _ of await chat.sendMessageStream({ message: 'q' })) continue;
      return plain(chat.getHistory().slice(1));
    }
  }
}

type Detail = { readonly index?: number; readonly [field: string]: unknown };

/**
 * OpenAI's SDK puts the message together but knows nothing of `reasoning_details`: clients that
 * replay thinking join its pieces by index, as OpenRouter documents it.
 */
async function collectChat(fetch: Fetch): Promise<unknown> {
  const stream = openAi(fetch).chat.completions.stream({
    model: 'm',
    messages: [{ role: 'user', content: 'q' }],
  });
  const details: Record<string, unknown>[] = [];
  let thinking = '';
  for await (const chunk of stream) {
    const delta = chunk.choices[0]?.delta as
      | { readonly reasoning_content?: string; readonly reasoning_details?: readonly Detail[] }
      | undefined;
    thinking += delta?.reasoning_content ?? '';
    for (const detail of delta?.reasoning_details ?? []) joinDetail(details, detail);
  }
  const message = (await stream.finalChatCompletion()).choices[0]?.message;
  return {
    ...message,
    ...(thinking === '' ? {} : { reasoning_content: thinking }),
    ...(details.length === 0 ? {} : { reasoning_details: details }),
  };
}

function joinDetail(details: Record<string, unknown>[], detail: Detail): void {
  const known = details.find(
    ({ index, type }) => index !== undefined && index === detail.index && type === detail['type'],
  );
  if (!known) {
    details.push({ ...detail });
    return;
  }
  for (const [key, value] of Object.entries(detail)) {
    const joins =
      (key === 'text' || key === 'summary') &&
      typeof known[key] === 'string' &&
      typeof value === 'string';
    known[key] = joins ? `${String(known[key])}${value}` : value;
  }
}

function openAi(fetch: Fetch): OpenAI {
  return new OpenAI({ apiKey: 'unused', baseURL: 'http://127.0.0.1/v1', maxRetries: 0, fetch });
}

/** What goes over the wire of it. */
function plain(items: readonly unknown[]): readonly JsonValue[] {
  return JSON.parse(JSON.stringify(items)) as readonly JsonValue[];
}
