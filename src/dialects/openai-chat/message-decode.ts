import type {
  MediaPart,
  Message,
  Part,
  Role,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  WrappedState,
} from '#canonical';
import {
  asObject,
  asString,
  fieldPath,
  optionalArray,
  optionalObject,
  optionalString,
  ReadError,
  requireArray,
  requireObject,
  requireString,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import {
  decodeReasoningFields,
  decodeThinkingPart,
  decodeToolState,
  nativePart,
} from './details.ts';
import { decodeAudioPart, decodeFilePart, decodeUrlPart } from './media.ts';

/** Most messages of a request; agents' histories stay well below. */
export const messagesMax = 100_000;

const roles: { readonly [role: string]: Role } = {
  system: 'system',
  developer: 'developer',
  user: 'user',
  assistant: 'assistant',
  tool: 'tool',
  function: 'tool',
};

/** What later messages need of earlier ones: names by call id, and the ids made for `function_call`. */
type History = { readonly names: Map<string, string>; functionCalls: number };

export function decodeMessages(value: JsonValue | undefined): readonly Message[] {
  const list = requireArray(value, 'messages');
  if (list.length === 0) throw new ReadError('messages', 'expected at least one message');
  if (list.length > messagesMax)
    throw new ReadError('messages', `expected at most ${messagesMax} messages`);
  const history: History = { names: new Map(), functionCalls: 0 };
  return list.map((element, index) => {
    const path = fieldPath('messages', index);
    return decodeMessage(requireObject(element, path), path, history);
  });
}

function decodeMessage(wire: JsonObject, path: string, history: History): Message {
  const word = requireString(wire['role'], fieldPath(path, 'role'));
  const role = Object.hasOwn(roles, word) ? roles[word] : undefined;
  if (!role) throw new ReadError(fieldPath(path, 'role'), `unknown role ${JSON.stringify(word)}`);
  if (role === 'tool') return decodeToolMessage(wire, path, history, word === 'function');
  const parts =
    role === 'assistant'
      ? decodeAssistantParts(wire, path, history)
      : decodeContent(wire['content'], fieldPath(path, 'content'));
  const known = role === 'assistant' ? assistantFields : plainFields;
  return { role, parts, ...messageRest(wire, path, known) };
}

const plainFields = new Set(['role', 'content', 'name']);
const assistantFields = new Set([
  'role',
  'content',
  'name',
  'refusal',
  'audio',
  'tool_calls',
  'function_call',
  'reasoning_content',
  'reasoning',
  'reasoning_details',
]);

function messageRest(
  wire: JsonObject,
  path: string,
  known: ReadonlySet<string>,
): Pick<Message, 'name' | 'extensions'> {
  const name = optionalString(wire, 'name', path);
  const extensions = unknownFields(wire, known);
  return {
    ...(name === undefined ? {} : { name }),
    ...(Object.keys(extensions).length > 0 ? { extensions } : {}),
  };
}

function decodeAssistantParts(wire: JsonObject, path: string, history: History): Part[] {
  const thinking = decodeReasoningFields(wire);
  const parts: Part[] = [...decodeContent(wire['content'], fieldPath(path, 'content'))];
  const refusal = optionalString(wire, 'refusal', path);
  if (refusal !== undefined && refusal !== '') parts.push({ kind: 'refusal', text: refusal });
  const audio = optionalObject(wire, 'audio', path);
  if (audio) parts.push(decodeAudioReference(audio, fieldPath(path, 'audio')));
  const calls = (optionalArray(wire, 'tool_calls', path) ?? []).map((element, index) => {
    const at = fieldPath(fieldPath(path, 'tool_calls'), index);
    return decodeToolCall(requireObject(element, at), at);
  });
  const legacy = optionalObject(wire, 'function_call', path);
  if (legacy) calls.push(decodeFunctionCall(legacy, fieldPath(path, 'function_call'), history));
  for (const call of calls) history.names.set(call.id, call.name);
  return bindToolStates([...thinking, ...parts, ...calls]);
}

/** State of a tool call that had to travel beside it goes back to the call it names. */
export function bindToolStates(parts: readonly Part[]): Part[] {
  const bound = new Map<string, WrappedState>();
  for (const part of parts) {
    const state: WrappedState | undefined = part.kind === 'reasoning' ? part.state : undefined;
    if (state?.toolCallId !== undefined) bound.set(state.toolCallId, state);
  }
  if (bound.size === 0) return [...parts];
  const kept = parts.filter((part) => {
    const state: WrappedState | undefined = part.kind === 'reasoning' ? part.state : undefined;
    return state?.toolCallId === undefined;
  });
  return kept.map((part) => {
    const state = part.kind === 'tool-call' ? bound.get(part.id) : undefined;
    return state ? { ...part, state } : part;
  });
}

function decodeAudioReference(audio: JsonObject, path: string): MediaPart {
  const id = requireString(audio['id'], fieldPath(path, 'id'));
  const transcript = asString(audio['transcript']);
  return {
    kind: 'media',
    media: 'audio',
    id,
    source: { kind: 'file', fileId: id, dialect: 'openai-chat' },
    ...(transcript === undefined ? {} : { transcript }),
  };
}

function decodeToolCall(wire: JsonObject, path: string): ToolCallPart {
  const id = requireString(wire['id'], fieldPath(path, 'id'));
  const custom = wire['type'] === 'custom';
  const key = custom ? 'custom' : 'function';
  const at = fieldPath(path, key);
  const inner = requireObject(wire[key], at);
  const name = requireString(inner['name'], fieldPath(at, 'name'));
  const input = custom
    ? requireString(inner['input'], fieldPath(at, 'input'))
    : optionalString(inner, 'arguments', at);
  const { state, extraContent } = decodeToolState(wire);
  const rest = unknownFields(
    wire,
    new Set(['id', 'type', 'function', 'custom', 'extra_content', 'index']),
  );
  const extensions = extraContent ? { ...rest, extra_content: extraContent } : rest;
  return {
    kind: 'tool-call',
    id,
    name,
    input: input ?? '{}',
    ...(custom ? { custom } : {}),
    ...(state ? { state } : {}),
    ...(Object.keys(extensions).length > 0 ? { extensions } : {}),
  };
}

/** The id of the n-th `function_call` of a conversation, which had none on the wire. */
export function functionCallId(position: number): string {
  return `call_function_${position}`;
}

function decodeFunctionCall(wire: JsonObject, path: string, history: History): ToolCallPart {
  history.functionCalls += 1;
  return {
    kind: 'tool-call',
    id: functionCallId(history.functionCalls),
    name: requireString(wire['name'], fieldPath(path, 'name')),
    input: optionalString(wire, 'arguments', path) ?? '{}',
  };
}

function decodeToolMessage(
  wire: JsonObject,
  path: string,
  history: History,
  legacy: boolean,
): Message {
  const id = legacy
    ? functionCallId(history.functionCalls)
    : requireString(wire['tool_call_id'], fieldPath(path, 'tool_call_id'));
  const said = optionalString(wire, 'name', path);
  const name = history.names.get(id) ?? said;
  const content = decodeContent(wire['content'], fieldPath(path, 'content'));
  const parts = content.filter(
    (part): part is TextPart | MediaPart => part.kind === 'text' || part.kind === 'media',
  );
  if (parts.length < content.length)
    throw new ReadError(fieldPath(path, 'content'), 'a tool result holds text and media only');
  const result: ToolResultPart = {
    kind: 'tool-result',
    id,
    parts,
    ...(name === undefined ? {} : { name }),
  };
  const extensions = unknownFields(wire, new Set(['role', 'content', 'name', 'tool_call_id']));
  return {
    role: 'tool',
    parts: [result],
    ...(said === undefined || legacy ? {} : { name: said }),
    ...(Object.keys(extensions).length > 0 ? { extensions } : {}),
  };
}

// ---- content --------------------------------------------------------------------------------

function decodeContent(value: JsonValue | undefined, path: string): Part[] {
  if (value === undefined || value === null || value === '') return [];
  if (typeof value === 'string') return [{ kind: 'text', text: value }];
  return requireArray(value, path).map((element, index) => {
    const at = fieldPath(path, index);
    return decodeContentPart(requireObject(element, at), at);
  });
}

function decodeContentPart(wire: JsonObject, path: string): Part {
  const part = decodeContentKind(wire, path);
  const mark = asObject(wire['cache_control']);
  if (!mark || part.kind === 'native') return part;
  const ttl = asString(mark['ttl']);
  return { ...part, cache: ttl === undefined ? {} : { ttl } };
}

function decodeContentKind(wire: JsonObject, path: string): Part {
  switch (requireString(wire['type'], fieldPath(path, 'type'))) {
    case 'text':
      return {
        kind: 'text',
        text: requireString(wire['text'], fieldPath(path, 'text')),
        ...partRest(wire, 'text'),
      };
    case 'refusal':
      return {
        kind: 'refusal',
        text: requireString(wire['refusal'], fieldPath(path, 'refusal')),
        ...partRest(wire, 'refusal'),
      };
    case 'image_url':
      return decodeUrlPart(wire, 'image_url', path);
    case 'video_url':
      return decodeUrlPart(wire, 'video_url', path);
    case 'input_audio':
      // Mistral takes an address or base64 without a format: nobody else can be told it.
      return typeof wire['input_audio'] === 'string'
        ? nativePart(wire)
        : decodeAudioPart(wire, path);
    case 'file':
      return decodeFilePart(wire, path);
    case 'thinking':
      return decodeThinkingPart(wire);
    default:
      return nativePart(wire);
  }
}

function partRest(wire: JsonObject, key: string): { readonly extensions?: JsonObject } {
  const extensions = unknownFields(wire, new Set(['type', 'cache_control', key]));
  return Object.keys(extensions).length > 0 ? { extensions } : {};
}
