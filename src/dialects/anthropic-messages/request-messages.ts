import type { ChatRequest, Message, Part } from '#canonical';
import { saidFields, type JsonObject } from '#std';
import { lose, type Encoding } from './encoding.ts';
import { encodePart } from './request-parts.ts';

/** A turn on the wire while it is put together. */
type Turn = {
  readonly role: 'user' | 'assistant' | 'system';
  readonly content: JsonObject[];
  readonly extensions?: JsonObject | undefined;
};

export type EncodedMessages = {
  readonly system: readonly JsonObject[];
  readonly messages: readonly JsonObject[];
  /** The open tool loop lost its thinking, without which thinking may not go on. */
  readonly thinkingMustStop: boolean;
};

/**
 * The conversation as alternating turns: leading system messages at the top, tool results first in
 * one user turn, neighbours of one role merged, a user turn at the start.
 */
export function encodeMessages(request: ChatRequest, encoding: Encoding): EncodedMessages {
  const { messages } = request;
  const system: JsonObject[] = [];
  const turns: Turn[] = [];
  const reasoning = planReasoning(messages, encoding);
  const leading = leadingSystemCount(messages);
  for (const [index, message] of messages.entries()) {
    const path = `messages[${index}]`;
    reportMessage(message, path, encoding);
    const content = encodeParts(message, path, reasoning.dropped.has(index), encoding);
    if (index < leading) system.push(...content);
    else if (message.role === 'system' || message.role === 'developer')
      addSystemTurn(turns, content, message, path, encoding);
    else addTurn(turns, message, content, encoding);
  }
  if (!encoding.own) settleForeignHistory(turns, request, encoding);
  return {
    system,
    messages: turns.filter((turn) => turn.content.length > 0).map(wireTurn),
    thinkingMustStop: reasoning.openTurnWithoutThinking,
  };
}

function wireTurn(turn: Turn): JsonObject {
  return { role: turn.role, content: turn.content, ...turn.extensions };
}

function leadingSystemCount(messages: readonly Message[]): number {
  const index = messages.findIndex(
    ({ role, parts }) =>
      (role !== 'system' && role !== 'developer') || parts.some((part) => part.kind !== 'text'),
  );
  return index === -1 ? messages.length : index;
}

function reportMessage(message: Message, path: string, encoding: Encoding): void {
  if (message.name !== undefined)
    lose(encoding, `${path}.name`, 'Anthropic has no names of participants');
  if (encoding.own || !message.extensions) return;
  for (const key of saidFields(message.extensions))
    lose(encoding, `${path}.${key}`, 'not known to Anthropic');
}

function encodeParts(
  message: Message,
  path: string,
  dropReasoning: boolean,
  encoding: Encoding,
): JsonObject[] {
  const content: JsonObject[] = [];
  for (const [index, part] of message.parts.entries()) {
    const partPath = `${path}.parts[${index}]`;
    if (part.kind === 'reasoning' && dropReasoning) {
      lose(encoding, partPath, 'thinking without a signature of Anthropic cannot be sent back');
      continue;
    }
    const block =
      message.role === 'assistant'
        ? encodeAssistantPart(part, partPath, encoding)
        : encodePart(part, partPath, encoding);
    if (block) content.push(block);
  }
  return content;
}

/** Anthropic's assistant turns hold no media: what was said aloud is sent as text, pictures are left out. */
function encodeAssistantPart(part: Part, path: string, encoding: Encoding): JsonObject | undefined {
  if (part.kind !== 'media' || encoding.own) return encodePart(part, path, encoding);
  lose(encoding, path, `${part.media} in an answer cannot be sent back to Anthropic`);
  return part.transcript ? { type: 'text', text: part.transcript } : undefined;
}

function addTurn(
  turns: Turn[],
  message: Message,
  content: readonly JsonObject[],
  encoding: Encoding,
): void {
  if (content.length === 0) return;
  const role = message.role === 'assistant' ? 'assistant' : 'user';
  const extensions = encoding.own ? message.extensions : undefined;
  const isResults = message.role === 'tool';
  const at = isResults && !encoding.own ? turnOfResults(turns) : turns.length - 1;
  const turn = turns[at];
  if (turn?.role !== role || !mayJoin(turn, extensions)) {
    turns.splice(at + 1, 0, { role, content: [...content], extensions });
    return;
  }
  if (extensions) turns[at] = { ...turn, extensions };
  if (isResults) turn.content.splice(resultCount(turn.content), 0, ...content);
  else turn.content.push(...content);
}

/** A turn with unknown fields of its own stays apart, except that results join what follows them. */
function mayJoin(turn: Turn, extensions: JsonObject | undefined): boolean {
  if (turn.extensions) return false;
  return !extensions || turn.content.every((block) => block['type'] === 'tool_result');
}

/** Results belong right behind the calls, also where a system message came between them. */
function turnOfResults(turns: readonly Turn[]): number {
  const last = turns.length - 1;
  if (turns[last]?.role !== 'system') return last;
  const calls = turns.findLastIndex(({ role }) => role === 'assistant');
  if (calls === -1) return last;
  return turns[calls + 1]?.role === 'user' ? calls + 1 : calls;
}

function resultCount(content: readonly JsonObject[]): number {
  const index = content.findIndex((block) => block['type'] !== 'tool_result');
  return index === -1 ? content.length : index;
}

/** A system message after the start: its own turn where models take it, else a marked text of the user. */
function addSystemTurn(
  turns: Turn[],
  content: JsonObject[],
  message: Message,
  path: string,
  encoding: Encoding,
): void {
  if (encoding.quirks.systemRoleMidConversation ?? encoding.own) {
    turns.push({
      role: 'system',
      content,
      extensions: encoding.own ? message.extensions : undefined,
    });
    return;
  }
  const blocks: JsonObject[] = [];
  for (const block of content) {
    if (typeof block['text'] === 'string')
      blocks.push({ ...block, text: `<system>\n${block['text']}\n</system>` });
    else
      lose(
        encoding,
        path,
        `a block of type ${String(block['type'])} needs a system message, which this model does not take there`,
      );
  }
  if (blocks.length === 0) return;
  lose(
    encoding,
    path,
    'sent as marked text of the user, because this model takes no system message there',
  );
  addTurn(turns, { role: 'user', parts: [] }, blocks, encoding);
}

// ---- thinking that may go back ----------------------------------------------------------------

type ReasoningPlan = {
  readonly dropped: ReadonlySet<number>;
  readonly openTurnWithoutThinking: boolean;
};

/**
 * Thinking goes back whole or not at all: where one block of a turn (everything after a user's
 * message) has no signature of Anthropic, all blocks of that turn are dropped.
 */
function planReasoning(messages: readonly Message[], encoding: Encoding): ReasoningPlan {
  const dropped = new Set<number>();
  let openTurnWithoutThinking = false;
  let start = 0;
  for (let index = 0; index <= messages.length; index += 1) {
    const atEnd = index === messages.length;
    if (!atEnd && messages[index]?.role !== 'user') continue;
    const turn = messages.slice(start, index);
    const unsendable = turn.some((message) =>
      message.parts.some((part) => !isSendable(part, encoding)),
    );
    if (unsendable) for (let at = start; at < index; at += 1) dropped.add(at);
    if (atEnd)
      openTurnWithoutThinking = isOpenLoop(turn) && (unsendable || lacksThinking(turn, encoding));
    start = index;
  }
  return { dropped, openTurnWithoutThinking };
}

function isSendable(part: Part, encoding: Encoding): boolean {
  if (part.kind !== 'reasoning') return true;
  if (part.state) return part.state.issuer === 'anthropic-messages';
  return encoding.quirks.thinkingWithoutSignature && part.form !== 'redacted';
}

/** The conversation ends in tool results: the model's turn goes on. */
function isOpenLoop(turn: readonly Message[]): boolean {
  return turn.at(-1)?.role === 'tool';
}

/** Only histories of other dialects: a client of this one is told by the upstream. */
function lacksThinking(turn: readonly Message[], encoding: Encoding): boolean {
  if (encoding.own) return false;
  const answer = turn.find((message) => message.role === 'assistant');
  return answer !== undefined && answer.parts[0]?.kind !== 'reasoning';
}

// ---- what other dialects allow and Anthropic does not -------------------------------------------

function settleForeignHistory(turns: Turn[], request: ChatRequest, encoding: Encoding): void {
  reportMissingResults(request, encoding);
  const present = turns.filter((turn) => turn.content.length > 0);
  turns.splice(0, turns.length, ...present);
  if (turns[0]?.role === 'assistant')
    turns.unshift({ role: 'user', content: [{ type: 'text', text: '…' }] });
  const last = turns.findLast(({ role }) => role !== 'system');
  if (last?.role !== 'assistant') return;
  if (!encoding.quirks.prefillAllowed) {
    lose(
      encoding,
      'messages',
      'this model continues no answer; a user turn asking to continue is added',
    );
    turns.push({ role: 'user', content: [{ type: 'text', text: 'Continue.' }] });
    return;
  }
  const block = last.content.at(-1);
  if (block?.['type'] === 'text' && typeof block['text'] === 'string') {
    last.content[last.content.length - 1] = { ...block, text: block['text'].trimEnd() };
  }
}

/** Every call must be answered in the next turn, and every result must answer a call. */
function reportMissingResults(request: ChatRequest, encoding: Encoding): void {
  let open: OpenCall[] = [];
  for (const [index, message] of request.messages.entries()) {
    if (message.role === 'system' || message.role === 'developer') continue;
    if (message.role === 'tool') {
      open = answerCalls(open, message, index, encoding);
      continue;
    }
    reportOpenCalls(open, encoding);
    open = message.parts.flatMap((part, partIndex) =>
      part.kind === 'tool-call'
        ? [{ id: part.id, path: `messages[${index}].parts[${partIndex}]` }]
        : [],
    );
  }
  reportOpenCalls(open, encoding);
}

type OpenCall = { readonly id: string; readonly path: string };

/** The calls that stay open after the results of one message. */
function answerCalls(
  open: readonly OpenCall[],
  message: Message,
  index: number,
  encoding: Encoding,
): OpenCall[] {
  const left = [...open];
  for (const [partIndex, part] of message.parts.entries()) {
    if (part.kind !== 'tool-result') continue;
    const answered = left.findIndex(({ id }) => id === part.id);
    if (answered >= 0) left.splice(answered, 1);
    else
      lose(
        encoding,
        `messages[${index}].parts[${partIndex}]`,
        `tool result "${part.id}" answers no call of the turn before`,
        true,
      );
  }
  return left;
}

function reportOpenCalls(open: readonly OpenCall[], encoding: Encoding): void {
  for (const { id, path } of open)
    lose(
      encoding,
      path,
      `tool call "${id}" has no result: every call must be answered right after it`,
      true,
    );
}
