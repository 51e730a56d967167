import type {
  ChatRequest,
  Loss,
  MediaPart,
  Message,
  Part,
  ReasoningPart,
  TextPart,
  ToolCallPart,
  ToolResultPart,
} from '#canonical';
import { asArray, fieldPath, unknownFields, type JsonObject, type JsonValue } from '#std';
import { encodeDetail, encodeToolState, isReasoning, needsDetail } from './details.ts';
import { encodeMediaPart } from './media.ts';
import type { ChatQuirks } from './quirks.ts';
import { createToolIdMapping } from './tool-ids.ts';
import { cacheMark, loseFields } from './tools.ts';

type Context = {
  readonly request: ChatRequest;
  readonly quirks: ChatQuirks;
  readonly losses: Loss[];
  readonly toolId: (id: string) => string;
  /** Extensions are in this dialect, and so go back on the wire. */
  readonly own: boolean;
  readonly legacy: boolean;
};

/** The conversation on the wire. What chat or this upstream cannot say is added to `losses`. */
export function encodeMessages(
  request: ChatRequest,
  quirks: ChatQuirks,
  losses: Loss[],
): readonly JsonObject[] {
  const context: Context = {
    request,
    quirks,
    losses,
    toolId: createToolIdMapping(quirks.toolIdForm),
    own: request.dialect === 'openai-chat',
    legacy: quirks.legacyFunctions && request.legacyFunctions === true,
  };
  const wire: JsonObject[] = [];
  let attachments: JsonObject[] = [];
  for (const [index, message] of request.messages.entries()) {
    const path = fieldPath('messages', index);
    if (message.role !== 'tool' && attachments.length > 0) {
      wire.push({ role: 'user', content: attachments });
      attachments = [];
    }
    if (message.role === 'tool')
      wire.push(...encodeToolMessages(message, path, context, attachments));
    else
      wire.push(
        message.role === 'assistant'
          ? encodeAssistant(message, path, context)
          : encodePlain(message, path, context),
      );
  }
  if (attachments.length > 0) wire.push({ role: 'user', content: attachments });
  return arrange(wire, context);
}

/** What some upstreams ask of the order of messages. */
function arrange(wire: readonly JsonObject[], context: Context): readonly JsonObject[] {
  const { quirks, losses } = context;
  let arranged = quirks.singleSystem ? mergeSystem(wire, losses) : wire;
  if (quirks.strictToolMessages) arranged = separateToolResults(arranged, losses);
  const last = arranged.at(-1);
  if (
    quirks.prefill !== 'none' &&
    last?.['role'] === 'assistant' &&
    last['tool_calls'] === undefined
  ) {
    arranged = [...arranged.slice(0, -1), { [quirks.prefill]: true, ...last }];
  }
  return arranged;
}

function isSystem(message: JsonObject): boolean {
  return message['role'] === 'system' || message['role'] === 'developer';
}

function mergeSystem(wire: readonly JsonObject[], losses: Loss[]): readonly JsonObject[] {
  const system = wire.filter(isSystem);
  const first = system[0];
  if (!first || (system.length === 1 && wire[0] === first)) return wire;
  losses.push({
    path: 'messages',
    reason: 'this upstream takes one system message at the start: the others are merged into it',
    changesMeaning: false,
  });
  const content = system.map((message) => textOf(message['content'])).join('\n\n');
  return [{ ...first, content }, ...wire.filter((message) => !isSystem(message))];
}

function textOf(content: JsonValue | undefined): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part: JsonObject) => (typeof part['text'] === 'string' ? part['text'] : ''))
    .join('\n\n');
}

function separateToolResults(wire: readonly JsonObject[], losses: Loss[]): readonly JsonObject[] {
  const separated: JsonObject[] = [];
  for (const message of wire) {
    if (message['role'] === 'user' && separated.at(-1)?.['role'] === 'tool') {
      separated.push({ role: 'assistant', content: '…' });
      losses.push({
        path: 'messages',
        reason:
          'this upstream refuses a user turn after tool results: an assistant turn is put between',
        changesMeaning: false,
      });
    }
    separated.push(message);
  }
  return separated;
}

// ---- system and user ------------------------------------------------------------------------

function encodePlain(message: Message, path: string, context: Context): JsonObject {
  const { systemRole } = context.quirks;
  const instructs = message.role === 'system' || message.role === 'developer';
  const plainRole = context.own ? message.role : 'system';
  const role = instructs ? (systemRole ?? plainRole) : message.role;
  const content = encodeContent(
    message.parts,
    path,
    context,
    instructs && !context.own ? '\n\n' : undefined,
  );
  return { role, content: content ?? '', ...nameAndRest(message, path, context) };
}

function nameAndRest(message: Message, path: string, context: Context): JsonObject {
  if (!context.own) loseFields(message.extensions, path, context.losses);
  return {
    ...(message.name === undefined ? {} : { name: message.name }),
    ...(context.own ? message.extensions : {}),
  };
}

/**
 * Text alone is a string; anything else an array. `joint`: several texts become one string where the
 * client spoke another dialect, because many compatible upstreams take arrays in user turns only.
 */
function encodeContent(
  parts: readonly Part[],
  path: string,
  context: Context,
  joint?: string,
): JsonValue {
  const encoded: JsonObject[] = [];
  for (const [index, part] of parts.entries()) {
    const value = encodeContentPart(part, fieldPath(fieldPath(path, 'content'), index), context);
    if (value) encoded.push(value);
  }
  if (encoded.length === 0) return null;
  const bare = encoded.every((part) => part['type'] === 'text' && Object.keys(part).length === 2);
  const separator = context.quirks.contentArrays ? joint : (joint ?? '\n\n');
  if (bare && (encoded.length === 1 || separator !== undefined))
    return encoded.map((part) => part['text']).join(separator ?? '');
  if (context.quirks.contentArrays) return encoded;
  const others = encoded.filter((part) => part['type'] !== 'text');
  if (others.length > 0)
    context.losses.push({
      path: fieldPath(path, 'content'),
      reason: 'this upstream takes text only',
      changesMeaning: true,
    });
  return encoded
    .filter((part) => part['type'] === 'text')
    .map((part) => part['text'])
    .join(separator ?? '\n\n');
}

function encodeContentPart(part: Part, path: string, context: Context): JsonObject | undefined {
  const { losses, own } = context;
  switch (part.kind) {
    case 'text':
    case 'refusal': {
      if (part.kind === 'text' && part.text === '' && !own) return undefined;
      const rest = restOf(part, path, context);
      return part.kind === 'text'
        ? { type: 'text', text: part.text, ...rest }
        : { type: 'refusal', refusal: part.text, ...rest };
    }
    case 'media':
      return encodeMedia(part, path, context);
    case 'native':
      if (part.dialect === 'openai-chat') return part.value;
      losses.push({ path, reason: `an item only ${part.dialect} knows`, changesMeaning: false });
      return undefined;
    case 'reasoning':
    case 'tool-call':
    case 'tool-result':
      return undefined;
  }
}

function restOf(part: Part, path: string, context: Context): JsonObject {
  const mark = cacheMark(part.cache, context.request, context.quirks);
  if (part.cache && !mark)
    context.losses.push({
      path: fieldPath(path, 'cache_control'),
      reason: 'this upstream takes no cache marks',
      changesMeaning: false,
    });
  if (!context.own) loseFields(part.extensions, path, context.losses);
  return { ...mark, ...(context.own ? part.extensions : {}) };
}

function encodeMedia(part: MediaPart, path: string, context: Context): JsonObject | undefined {
  const { quirks, own, losses } = context;
  const accepted = quirks.media ?? (own ? undefined : plainMedia);
  const said =
    part.source.kind !== 'text' && accepted !== undefined && !accepted.includes(part.media)
      ? undefined
      : encodeMediaPart(part, own ? (part.extensions ?? {}) : {});
  if (!said) {
    losses.push({
      path,
      reason: `this upstream takes no ${part.media} in this form`,
      changesMeaning: true,
    });
    return undefined;
  }
  const mark = restOf(own ? { ...part, extensions: undefined } : part, path, context);
  return { ...said, ...mark };
}

const plainMedia = ['image', 'audio', 'document'];

// ---- assistant ------------------------------------------------------------------------------

function encodeAssistant(message: Message, path: string, context: Context): JsonObject {
  const { parts } = message;
  const calls = parts.filter((part): part is ToolCallPart => part.kind === 'tool-call');
  const audio = parts.find(
    (part): part is MediaPart => part.kind === 'media' && part.id !== undefined,
  );
  const shown = parts.filter((part) => part !== audio && isShown(part, path, context));
  const refusals = shown.filter((part) => part.kind === 'refusal');
  const soleRefusal = refusals.length === 1 ? refusals[0] : undefined;
  const thinking = encodeThinking(parts.filter(isReasoning), calls.length > 0, path, context);
  const body = shown.filter((part) => part !== soleRefusal);
  const content = encodeContent(body, path, context, context.own ? undefined : '');
  const head = Array.isArray(thinking.content) ? withThinking(thinking.content, content) : content;
  return {
    role: 'assistant',
    content: head ?? (calls.length > 0 || soleRefusal || audio ? null : ''),
    ...(soleRefusal?.kind === 'refusal' ? { refusal: soleRefusal.text } : {}),
    ...thinking.fields,
    ...(audio ? { audio: { id: audio.id ?? '' } } : {}),
    ...encodeCalls(calls, path, context),
    ...nameAndRest(message, path, context),
  };
}

/** Generated media have no place in a chat history: what was said stands for it, where it is known. */
function isShown(part: Part, path: string, context: Context): boolean {
  if (part.kind !== 'media' || context.own) return true;
  context.losses.push({
    path,
    reason: `chat has no place for ${part.media} in an assistant turn`,
    changesMeaning: false,
  });
  return false;
}

function withThinking(thinking: readonly JsonValue[], content: JsonValue): JsonValue {
  if (content === null) return thinking;
  return [...thinking, ...(asArray(content) ?? [{ type: 'text', text: content }])];
}

type Thinking = { readonly fields: JsonObject; readonly content?: readonly JsonValue[] };

/** Earlier thinking in the field that this upstream reads; state of other issuers never goes out. */
function encodeThinking(
  parts: readonly ReasoningPart[],
  calling: boolean,
  path: string,
  context: Context,
): Thinking {
  const { losses, quirks } = context;
  const known = parts
    .map((part) => dropForeignState(part, path, losses))
    .filter((part) => part !== undefined);
  const text = known.map((part) => part.text).join('');
  const auto = known.some(needsDetail) ? 'reasoning_details' : 'reasoning_content';
  const form = quirks.reasoningReplay === 'auto' ? auto : quirks.reasoningReplay;
  switch (form) {
    case 'none':
      if (known.length > 0)
        losses.push({
          path,
          reason: 'this upstream takes no thinking of earlier turns',
          changesMeaning: false,
        });
      return { fields: {} };
    case 'reasoning_content':
    case 'reasoning':
      return { fields: text === '' ? {} : { [form]: text } };
    case 'reasoning_content_required':
      return { fields: text !== '' || calling ? { reasoning_content: text } : {} };
    case 'reasoning_details':
      return {
        fields:
          known.length === 0 ? {} : { reasoning_details: known.map((part) => encodeDetail(part)) },
      };
    case 'content':
      return text === ''
        ? { fields: {} }
        : { fields: {}, content: [{ type: 'thinking', thinking: [{ type: 'text', text }] }] };
  }
}

/** Signed thinking of another vendor stays as plain text; what is only opaque goes. */
function dropForeignState(
  part: ReasoningPart,
  path: string,
  losses: Loss[],
): ReasoningPart | undefined {
  if (!part.state || part.state.issuer === 'openai-chat') return part;
  losses.push({
    path,
    reason: `opaque thinking of ${part.state.issuer} means nothing to this upstream`,
    changesMeaning: false,
  });
  return part.text === '' ? undefined : { kind: 'reasoning', form: part.form, text: part.text };
}

function encodeCalls(calls: readonly ToolCallPart[], path: string, context: Context): JsonObject {
  const [first] = calls;
  if (!first) return {};
  if (context.legacy) return { function_call: { name: first.name, arguments: first.input } };
  return {
    tool_calls: calls.map((call, index) =>
      encodeCall(call, fieldPath(fieldPath(path, 'tool_calls'), index), context),
    ),
  };
}

function encodeCall(call: ToolCallPart, path: string, context: Context): JsonObject {
  const { own, losses, quirks } = context;
  if (!own) loseFields(call.extensions, path, losses);
  const rest = own ? (call.extensions ?? {}) : {};
  const id = context.toolId(call.id);
  const extra =
    call.state?.issuer === 'openai-chat'
      ? encodeToolState(call.state, rest['extra_content'] as JsonObject | undefined)
      : undefined;
  if (call.state && !extra)
    losses.push({
      path,
      reason: `opaque state of ${call.state.issuer} means nothing to this upstream`,
      changesMeaning: false,
    });
  const others = extra
    ? { ...unknownFields(rest, new Set(['extra_content'])), extra_content: extra }
    : rest;
  if (call.custom && quirks.customTools)
    return { id, type: 'custom', custom: { name: call.name, input: call.input }, ...others };
  const input = call.custom
    ? JSON.stringify({ input: call.input })
    : call.input === ''
      ? '{}'
      : call.input;
  return { id, type: 'function', function: { name: call.name, arguments: input }, ...others };
}

// ---- tool results ---------------------------------------------------------------------------

function encodeToolMessages(
  message: Message,
  path: string,
  context: Context,
  attachments: JsonObject[],
): JsonObject[] {
  const wire: JsonObject[] = [];
  for (const part of message.parts) {
    if (part.kind === 'tool-result')
      wire.push(encodeToolResult(part, message, path, context, attachments));
    else
      context.losses.push({
        path,
        reason: 'a tool message holds tool results only',
        changesMeaning: false,
      });
  }
  return wire;
}

function encodeToolResult(
  part: ToolResultPart,
  message: Message,
  path: string,
  context: Context,
  attachments: JsonObject[],
): JsonObject {
  const { own, losses } = context;
  const isMedia = (piece: TextPart | MediaPart): piece is MediaPart =>
    piece.kind === 'media' && piece.source.kind !== 'text';
  const texts = part.parts.filter((piece) => !isMedia(piece));
  const media = part.parts.filter(isMedia);
  if (part.isError)
    losses.push({
      path,
      reason: 'chat has no mark of a failed tool: its text must say it',
      changesMeaning: false,
    });
  const content = encodeContent(texts, path, context, own ? undefined : '\n\n') ?? '';
  const id = context.toolId(part.id);
  for (const [index, piece] of media.entries()) {
    const said = encodeMedia(piece, fieldPath(fieldPath(path, 'content'), index), context);
    if (!said) continue;
    if (index === 0)
      attachments.push({ type: 'text', text: `Attachments of the result of tool call ${id}:` });
    attachments.push(said);
    losses.push({
      path,
      reason: 'chat tool results hold text only: the media follow in a user turn',
      changesMeaning: false,
    });
  }
  const rest = nameAndRest(message, path, context);
  if (context.legacy) return { role: 'function', name: part.name ?? '', content, ...rest };
  return { role: 'tool', tool_call_id: id, content, ...rest };
}
