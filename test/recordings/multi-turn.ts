/** Recorded conversations, held by clients of other dialects: what comes back to the vendor. */

import {
  explode,
  type ChatRequest,
  type ChatResponse,
  type Loss,
  type Message,
  type Part,
} from '#canonical';
import type { Dialect } from '#dialects';
import {
  asArray,
  asObject,
  asObjects,
  compact,
  parseJson,
  type JsonObject,
  type JsonValue,
} from '#std';
import { collectWithSdk, type ClientDialect } from './cross-sdk.ts';
import { plainRequest } from './cross.ts';

export type Held = {
  readonly wire: JsonObject;
  /** What a client of the dialect cannot say at all (a file kept at a vendor): such a request is refused. */
  readonly refusals: readonly Loss[];
};

/**
 * The conversation as a client of `target` holds it: its own turns as it wrote them, the turns of
 * the assistant as it got them in answers.
 */
export async function heldBy(
  target: Dialect,
  source: Dialect,
  request: ChatRequest,
  hold: Hold = holdWhole,
): Promise<Held> {
  const held: JsonValue[] = [];
  let head: JsonObject = {};
  let run: Message[] = [];
  let calls: Message | undefined;
  const refusals: Loss[] = [];
  const flush = (): void => {
    if (run.length === 0) return;
    const { value, losses } = target.request.encode(
      { ...plainRequest(source.id, false), messages: calls ? [calls, ...run] : run },
      {},
    );
    refusals.push(...losses.filter(({ changesMeaning }) => changesMeaning));
    const { items: all, ...rest } = splitRequest(target.id as ClientDialect, value);
    const encoded = all.slice(all.findLastIndex(isAnswer) + 1);
    const items = target.id === 'anthropic-messages' ? withClientIds(encoded, run) : encoded;
    if (held.length === 0) head = rest;
    held.push(...items);
    run = [];
  };
  for (const message of withNames(request.messages)) {
    if (message.role !== 'assistant') run.push(message);
    else {
      flush();
      held.push(...(await hold(target, answerOf(source, message))));
      calls = callsOf(message);
    }
  }
  flush();
  return { wire: joinRequest(target.id as ClientDialect, head, held), refusals };
}

/** The calls that the next results answer: an encoder may look for them. */
function callsOf(message: Message): Message | undefined {
  const parts = message.parts.filter(({ kind }) => kind === 'tool-call');
  return parts.length > 0 ? { role: 'assistant', parts } : undefined;
}

function isAnswer(item: JsonValue): boolean {
  const { role, type } = asObject(item) ?? {};
  return (
    role === 'assistant' ||
    role === 'model' ||
    type === 'function_call' ||
    type === 'custom_tool_call'
  );
}

/** A client sends the ids it was given; only the way to Anthropic itself needs them in its alphabet. */
function withClientIds(items: readonly JsonValue[], run: readonly Message[]): readonly JsonValue[] {
  const ids = run.flatMap(({ parts }) =>
    parts.flatMap((part) => (part.kind === 'tool-result' ? [part.id] : [])),
  );
  return items.map((item) => {
    const message = asObject(item) ?? {};
    const content = asArray(message['content'])?.map((block) =>
      asObject(block)?.['type'] === 'tool_result'
        ? { ...asObject(block), tool_use_id: ids.shift() ?? '' }
        : block,
    );
    return compact({ ...message, content: content ?? message['content'] });
  });
}

/** A client that holds the conversation knows which function a result answers. */
function withNames(messages: readonly Message[]): readonly Message[] {
  const names = new Map<string, string>();
  for (const { parts } of messages)
    for (const part of parts) if (part.kind === 'tool-call') names.set(part.id, part.name);
  return messages.map((message) => ({
    ...message,
    parts: message.parts.map((part) =>
      part.kind === 'tool-result' && part.name === undefined
        ? { ...part, name: names.get(part.id) }
        : part,
    ),
  }));
}

/** How a client keeps an answer for the next turn: as items of its own dialect. */
export type Hold = (target: Dialect, answer: ChatResponse) => Promise<readonly JsonValue[]>;

function answerOf(source: Dialect, message: Message): ChatResponse {
  const calls = message.parts.some(({ kind }) => kind === 'tool-call');
  const finish = { reason: calls ? ('tool-calls' as const) : ('stop' as const), raw: '' };
  return {
    dialect: source.id,
    id: 'answer-1',
    model: 'm',
    choices: [{ index: 0, parts: message.parts, finish }],
    extensions: {},
  };
}

/** An answer that came whole, kept as it came. */
export function holdWhole(target: Dialect, answer: ChatResponse): Promise<readonly JsonValue[]> {
  const { value } = target.response.encode(answer, plainRequest(target.id, false));
  return Promise.resolve(itemsOf(target, value));
}

function itemsOf(target: Dialect, value: JsonObject): readonly JsonValue[] {
  switch (target.id) {
    case 'openai-responses':
      return asArray(value['output']) ?? [];
    case 'anthropic-messages':
      return [{ role: 'assistant', content: value['content'] ?? [] }];
    case 'gemini-generate':
      return asObjects(value['candidates']).map(({ content }) => asObject(content) ?? {});
    default:
      return asObjects(value['choices']).map((choice) => asObject(choice['message']) ?? {});
  }
}

/** An answer that was streamed, kept as the official SDK puts its pieces together. */
export async function holdStreamed(
  target: Dialect,
  answer: ChatResponse,
): Promise<readonly JsonValue[]> {
  const encoder = target.stream.encoder(plainRequest(target.id, true), { framing: 'sse' });
  const body = [...explode(answer)].map((event) => encoder.push(event)).join('');
  return collectWithSdk(target.id as ClientDialect, body);
}

const itemFields: { readonly [dialect in ClientDialect]: string } = {
  'openai-chat': 'messages',
  'openai-responses': 'input',
  'anthropic-messages': 'messages',
  'gemini-generate': 'contents',
};

function splitRequest(
  target: ClientDialect,
  value: JsonObject,
): { readonly items: readonly JsonValue[] } & JsonObject {
  const items = value[itemFields[target]];
  const list =
    typeof items === 'string' ? [{ role: 'user', content: items }] : (asArray(items) ?? []);
  return {
    ...compact({
      system: value['system'],
      instructions: value['instructions'],
      systemInstruction: value['systemInstruction'],
    }),
    items: list,
  };
}

function joinRequest(
  target: ClientDialect,
  head: JsonObject,
  items: readonly JsonValue[],
): JsonObject {
  const extra =
    target === 'anthropic-messages'
      ? { max_tokens: 1_000 }
      : target === 'openai-responses'
        ? { store: false }
        : {};
  const model = target === 'gemini-generate' ? {} : { model: 'm' };
  return { ...model, ...head, ...extra, [itemFields[target]]: items };
}

/** How the chat dialect announces media of a tool result, which have no place there. */
const attachmentLabel = /^Attachments of the result of tool call \S+:/;

/**
 * What has to come back the same: one line for each thing said, in order. White space at the joints
 * of instructions means nothing; media of tool results stand after the results of the turn, where
 * dialects without a place for them put them.
 */
export function skeleton(messages: readonly Message[]): readonly string[] {
  const lines: string[] = [];
  const media: string[] = [];
  let text = '';
  let role = '';
  const flush = (): void => {
    const words =
      role === 'system' ? text.replaceAll(/\s+/g, '') : text.replace(attachmentLabel, '');
    if (words.trim() !== '') lines.push(`${role}: ${words}`);
    text = '';
  };
  for (const message of messages) {
    const speaker = message.role === 'developer' ? 'system' : message.role;
    if (speaker !== role) flush();
    if (speaker !== 'tool') lines.push(...media.splice(0));
    role = speaker;
    for (const part of message.parts) {
      // Most dialects have no other place for a refusal than the words.
      if (part.kind === 'text' || part.kind === 'refusal') text += part.text;
      const line = lineOf(part);
      if (line === undefined) continue;
      flush();
      lines.push(line);
      if (part.kind === 'tool-result')
        media.push(
          ...part.parts.flatMap((inner) =>
            inner.kind === 'media' ? [`media ${inner.media}`] : [],
          ),
        );
    }
  }
  flush();
  return [...lines, ...media];
}

function lineOf(part: Part): string | undefined {
  switch (part.kind) {
    case 'tool-call':
      return `call ${part.id} ${part.name} ${canonicalJson(part.input)}${part.state ? ` signature ${part.state.value.slice(0, 40)}` : ''}`;
    case 'tool-result':
      return `result ${part.id} ${part.parts.map((inner) => (inner.kind === 'text' ? canonicalJson(inner.text) : '')).join('')}`;
    case 'reasoning':
      return part.state
        ? `thinking ${part.text} state ${part.state.value.slice(0, 40)}`
        : undefined;
    case 'media':
      return `media ${part.media}`;
    case 'refusal':
      return undefined;
    case 'text':
      return part.state ? `signature on text ${part.state.value.slice(0, 40)}` : undefined;
    case 'native':
      return undefined;
  }
}

function canonicalJson(text: string): string {
  const parsed = parseJson(text);
  return parsed.ok ? JSON.stringify(parsed.value) : text;
}
