/** The flat list of items of a request, read into turns. */

import {
  readState,
  type DialectId,
  type Message,
  type OpaqueState,
  type Part,
  type ReasoningPart,
  type Role,
  type WrappedState,
} from '#canonical';
import {
  asObjects,
  asString,
  fieldPath,
  optionalString,
  ReadError,
  requireObject,
  requireString,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { decodeContent, decodeToolOutput, present } from './content.ts';
import { flatCall } from './namespaces.ts';

const dialect: DialectId = 'openai-responses';

/** Largest number of items one request may hold. */
const itemsMax = 100_000;

/** Built-in calls whose result the client runs and sends: they stand in the user's turn. */
const clientNatives = new Set([
  'computer_call_output',
  'local_shell_call_output',
  'shell_call_output',
  'apply_patch_call_output',
  'mcp_approval_response',
  'tool_search_output',
  'additional_tools',
  'configuration_update',
  'compaction_trigger',
]);

type Turn = {
  readonly role: Role;
  readonly parts: Part[];
  /** A message item ends a turn: two of them in a row stay two. */
  hasMessage: boolean;
  readonly extensions?: JsonObject;
};

/** `input`: a text is one user message. Throws ReadError with the item's path. */
export function decodeInput(
  input: JsonValue | undefined,
  namespaces: ReadonlySet<string> = new Set(),
): Message[] {
  if (input === undefined || input === null) return [];
  if (typeof input === 'string') return [{ role: 'user', parts: [{ kind: 'text', text: input }] }];
  if (!Array.isArray(input)) throw new ReadError('input', 'expected a string or an array of items');
  const list = input as readonly JsonValue[];
  if (list.length > itemsMax)
    throw new ReadError('input', `expected at most ${itemsMax} items, got ${list.length}`);
  const reader = new ItemReader(namespaces);
  for (const [index, element] of list.entries()) {
    const path = fieldPath('input', index);
    reader.read(requireObject(element, path), path);
  }
  return reader.finish();
}

class ItemReader {
  readonly #turns: Turn[] = [];
  /** State that travelled beside its tool call, by the call's id. */
  readonly #callStates = new Map<string, OpaqueState>();
  readonly #callNames = new Map<string, string>();
  readonly #namespaces: ReadonlySet<string>;

  constructor(namespaces: ReadonlySet<string>) {
    this.#namespaces = namespaces;
  }

  read(item: JsonObject, path: string): void {
    const type =
      optionalString(item, 'type', path) ??
      (item['role'] === undefined ? 'item_reference' : 'message');
    switch (type) {
      case 'message':
        return this.#message(item, path);
      case 'reasoning':
        return this.#reasoning(item, path);
      case 'function_call':
      case 'custom_tool_call':
        return this.#call(item, type, path);
      case 'function_call_output':
      case 'custom_tool_call_output':
        return this.#output(item, type, path);
      case 'item_reference':
        throw new ReadError(
          path,
          `no item with the id ${JSON.stringify(item['id'] ?? null)} is stored here; send the item itself`,
        );
      default:
        this.#turn(clientNatives.has(type) ? 'user' : 'assistant').parts.push(decodeNative(item));
    }
  }

  finish(): Message[] {
    return this.#turns.map(({ role, parts, extensions }) => ({
      role,
      parts: this.#callStates.size === 0 ? parts : parts.map((part) => this.#withCallState(part)),
      ...(extensions ? { extensions } : {}),
    }));
  }

  #withCallState(part: Part): Part {
    const state = part.kind === 'tool-call' ? this.#callStates.get(part.id) : undefined;
    return state ? { ...part, state } : part;
  }

  /** The open turn of the role; a new one when another role spoke last. */
  #turn(role: Role): Turn {
    const last = this.#turns.at(-1);
    if (last && last.role === role && (role === 'assistant' || !last.hasMessage)) return last;
    const turn: Turn = { role, parts: [], hasMessage: false };
    this.#turns.push(turn);
    return turn;
  }

  #message(item: JsonObject, path: string): void {
    const role = requireString(item['role'], fieldPath(path, 'role'));
    if (role !== 'user' && role !== 'assistant' && role !== 'system' && role !== 'developer') {
      throw new ReadError(
        fieldPath(path, 'role'),
        `expected user, assistant, system or developer, got ${JSON.stringify(role)}`,
      );
    }
    const parts = decodeContent(item['content'], fieldPath(path, 'content'));
    const unknown = unknownFields(item, messageFields);
    if (role !== 'assistant') {
      this.#turns.push({ role, parts, hasMessage: true, ...present(unknown) });
      return;
    }
    const open = this.#turns.at(-1);
    const turn =
      open?.role === 'assistant' && !endsInMessage(open) ? open : this.#newTurn('assistant');
    turn.parts.push(...withItemFields(parts, unknown));
    turn.hasMessage = true;
  }

  #newTurn(role: Role): Turn {
    const turn: Turn = { role, parts: [], hasMessage: false };
    this.#turns.push(turn);
    return turn;
  }

  #reasoning(item: JsonObject, path: string): void {
    const encrypted = optionalString(item, 'encrypted_content', path);
    const state = encrypted === undefined ? undefined : reasoningState(encrypted, item);
    const part = decodeReasoning(item, state);
    if (state?.toolCallId !== undefined) {
      const { toolCallId, ...bound } = state;
      this.#callStates.set(toolCallId, bound);
      if (part.text === '') return;
    }
    this.#turn('assistant').parts.push(part);
  }

  #call(item: JsonObject, type: string, path: string): void {
    const id = requireString(item['call_id'], fieldPath(path, 'call_id'));
    const said = requireString(item['name'], fieldPath(path, 'name'));
    const { name, extensions } = flatCall(said, decodeCallFields(item), this.#namespaces);
    const custom = type === 'custom_tool_call';
    const key = custom ? 'input' : 'arguments';
    this.#callNames.set(id, name);
    this.#turn('assistant').parts.push({
      kind: 'tool-call',
      id,
      name,
      input: requireString(item[key], fieldPath(path, key)),
      ...(custom ? { custom } : {}),
      ...present(extensions),
    });
  }

  #output(item: JsonObject, type: string, path: string): void {
    const id = requireString(item['call_id'], fieldPath(path, 'call_id'));
    const name = this.#callNames.get(id);
    this.#turn('tool').parts.push({
      kind: 'tool-result',
      id,
      ...(name === undefined ? {} : { name }),
      parts: decodeToolOutput(item['output'], fieldPath(path, 'output')),
      ...(type === 'custom_tool_call_output' ? { custom: true } : {}),
      ...present(unknownFields(item, outputFields)),
    });
  }
}

function endsInMessage(turn: Turn): boolean {
  const last = turn.parts.at(-1);
  return last?.kind === 'text' || last?.kind === 'refusal';
}

const messageFields = new Set(['type', 'role', 'content', 'id', 'status']);
const outputFields = new Set(['type', 'call_id', 'output', 'id', 'status']);
/** `item_id` and `output_index` stand in items that a client copied out of a stream's events. */
const callFields = new Set([
  'type',
  'call_id',
  'name',
  'arguments',
  'input',
  'id',
  'status',
  'item_id',
  'output_index',
]);
const reasoningFields = new Set([
  'type',
  'id',
  'summary',
  'content',
  'encrypted_content',
  'status',
  'format',
]);

/** Fields of the item around a part (`phase`) ride on its first part. */
export function withItemFields<T extends Part>(parts: readonly T[], item: JsonObject): T[] {
  const [first, ...rest] = parts;
  if (!first || Object.keys(item).length === 0) return [...parts];
  return [{ ...first, extensions: { ...first.extensions, item } }, ...rest];
}

/** The part of a function call or custom tool call, as far as the item tells it; tolerant. */
export function decodeCallFields(item: JsonObject): JsonObject {
  return unknownFields(item, callFields);
}

export function decodeMessageFields(item: JsonObject): JsonObject {
  return unknownFields(item, messageFields);
}

/** Image generation has a place in the neutral model; all other built-in calls stay as they are. */
export function decodeNative(item: JsonObject): Part {
  const result = asString(item['result']);
  if (item['type'] !== 'image_generation_call' || result === undefined)
    return { kind: 'native', dialect, value: item };
  const { type: _type, result: _result, id, ...rest } = item;
  const imageId = asString(id);
  return {
    kind: 'media',
    media: 'image',
    mimeType: `image/${asString(item['output_format']) ?? 'png'}`,
    source: { kind: 'data', data: result },
    ...(imageId === undefined ? {} : { id: imageId }),
    ...present(rest),
  };
}

export function reasoningState(encrypted: string, item: JsonObject): WrappedState | undefined {
  if (encrypted === '') return undefined;
  const state = readState(encrypted, dialect, 'encrypted_content');
  if (state.issuer !== dialect || state.itemId !== undefined) return state;
  const itemId = asString(item['id']);
  return itemId === undefined ? state : { ...state, itemId };
}

/** A reasoning item. Several summary parts become paragraphs of one text. */
export function decodeReasoning(item: JsonObject, state: OpaqueState | undefined): ReasoningPart {
  const content = joinTexts(item['content'], '');
  const summary = joinTexts(item['summary'], '\n\n');
  const unknown = unknownFields(item, reasoningFields);
  const both = content !== '' && summary !== '';
  const text = content === '' ? summary : content;
  return {
    kind: 'reasoning',
    text,
    form: content !== '' ? 'full' : summary !== '' ? 'summary' : 'redacted',
    ...(state ? { state } : {}),
    ...present(both ? { ...unknown, summary: item['summary'] } : unknown),
  };
}

function joinTexts(value: JsonValue | undefined, separator: string): string {
  const texts: string[] = [];
  for (const part of asObjects(value)) {
    const text = asString(part['text']);
    if (text !== undefined) texts.push(text);
  }
  return texts.join(separator);
}
