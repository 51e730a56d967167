/**
 * The state the Responses API promises its clients (`previous_response_id`, `store`, item
 * references), as pure functions over the wire: the gateway stores items and finds them again, and
 * every upstream sees a request that stands for itself. See docs/decisions/responses-state.md.
 */

import { unwrapState } from '#canonical';
import {
  asArray,
  asObject,
  asObjects,
  asString,
  fieldPath,
  optionalBoolean,
  optionalString,
  ReadError,
  requireArray,
  requireObject,
  type JsonObject,
  type JsonValue,
} from '#std';

/** What a request needs from the store before it can be decoded, and whether its answer is kept. */
export type StateNeeds = {
  readonly previousResponseId: string | undefined;
  /** Ids of stored items that the input refers to; they may stand in any stored response. */
  readonly itemIds: readonly string[];
  /** Absent means true, as OpenAI has it. */
  readonly store: boolean;
};

/** Throws ReadError when one of the fields has a wrong type. */
export function stateNeeds(request: JsonObject): StateNeeds {
  const itemIds: string[] = [];
  for (const item of asObjects(request['input'])) {
    const id = referencedId(item);
    if (id !== undefined) itemIds.push(id);
  }
  return {
    previousResponseId: optionalString(request, 'previous_response_id', ''),
    itemIds,
    store: optionalBoolean(request, 'store', '') ?? true,
  };
}

/** A reference may leave its type out: then it is an object with nothing but an id. */
function referencedId(item: JsonObject): string | undefined {
  const { type } = item;
  const bare = (type === undefined || type === null) && item['role'] === undefined;
  return type === 'item_reference' || bare ? asString(item['id']) : undefined;
}

/** The error of an id that names no response this key may continue. */
export function previousResponseNotFound(id: string): ReadError {
  return new ReadError(
    'previous_response_id',
    `no response with the id ${JSON.stringify(id)} is stored here; send the whole conversation as input`,
  );
}

/**
 * The request with its history in the input and without `previous_response_id`. `history` holds the
 * items of the whole chain, oldest first; `referenced` further stored items that references may
 * name. `instructions` of earlier requests do not carry over, as at OpenAI. Throws ReadError with
 * the id of a reference that is not among them.
 */
export function withHistory(
  request: JsonObject,
  history: readonly JsonObject[],
  referenced: readonly JsonObject[] = [],
): JsonObject {
  const stored = new Map<string, JsonObject>();
  for (const item of [...referenced, ...history]) {
    const id = asString(item['id']);
    if (id !== undefined) stored.set(id, item);
  }
  const input: JsonValue[] = [...history];
  const present = new Set(history);
  for (const [index, item] of inputList(request).entries()) {
    const id = referencedId(item);
    if (id === undefined) input.push(item);
    else {
      const found = stored.get(id);
      if (!found) {
        throw new ReadError(
          fieldPath('input', index),
          `no item with the id ${JSON.stringify(id)} is stored here; send the item itself`,
        );
      }
      // A reference to an item that the history holds anyway adds nothing.
      if (!present.has(found)) input.push(found);
    }
  }
  const { previous_response_id: _previous, ...rest } = request;
  return { ...rest, input };
}

/**
 * What this request added to the conversation, to be stored with its answer. `request` is the client's own body;
 * references are not stored again. Every item gets an id, which `item_reference` and
 * `GET /v1/responses/{id}/input_items` need.
 */
export function inputItems(request: JsonObject, response: JsonObject): readonly JsonObject[] {
  const suffix = idSuffix(asString(response['id']) ?? '');
  const items: JsonObject[] = [];
  for (const [index, item] of inputList(request).entries()) {
    if (referencedId(item) !== undefined) continue;
    items.push(withId(item, `${suffix}_in${index}`));
  }
  return items;
}

/** One step of a conversation: its {@link inputItems}, then the answer's output. Chains are put together in their order. */
export function historyItems(
  input: readonly JsonObject[],
  response: JsonObject,
): readonly JsonObject[] {
  return [...input, ...asObjects(response['output'])];
}

function inputList(request: JsonObject): readonly JsonObject[] {
  const { input } = request;
  if (input === undefined || input === null) return [];
  if (typeof input === 'string')
    return [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: input }] }];
  return requireArray(input, 'input').map((item, index) =>
    requireObject(item, fieldPath('input', index)),
  );
}

/** The prefix OpenAI gives each type of item; clients tell items apart by it. */
const idPrefixes: { readonly [type: string]: string } = {
  message: 'msg',
  reasoning: 'rs',
  function_call: 'fc',
  function_call_output: 'fc',
  custom_tool_call: 'ctc',
  custom_tool_call_output: 'ctc',
  web_search_call: 'ws',
  file_search_call: 'fs',
  code_interpreter_call: 'ci',
  image_generation_call: 'ig',
  computer_call: 'cu',
  mcp_call: 'mcp',
};

export function itemId(type: string, suffix: string): string {
  return `${idPrefixes[type] ?? 'item'}_${suffix}`;
}

/** `resp_abc` → `abc`; other characters than letters, digits, `-` and `_` become `_`. */
export function idSuffix(responseId: string): string {
  return responseId.replace(/^resp_/, '').replace(/[^A-Za-z0-9_-]/g, '_');
}

function withId(item: JsonObject, suffix: string): JsonObject {
  if (asString(item['id']) !== undefined) return item;
  const type = asString(item['type']) ?? 'message';
  const content = item['content'];
  const list = typeof content === 'string' ? { content: textContent(item, content) } : {};
  return { ...item, type, ...list, id: itemId(type, suffix) };
}

function textContent(item: JsonObject, text: string): JsonValue {
  return [{ type: item['role'] === 'assistant' ? 'output_text' : 'input_text', text }];
}

/**
 * Whether a request may go to an upstream of this dialect as it stands, but for `store: false`: it
 * continues no stored response and holds nothing that only this gateway could read (item ids it
 * made, another vendor's wrapped state).
 */
export function isSelfContained(request: JsonObject): boolean {
  const idle = (key: string): boolean =>
    request[key] === undefined || request[key] === null || request[key] === false;
  if (!idle('background') || !idle('conversation') || !idle('previous_response_id')) return false;
  const input = request['input'];
  if (typeof input === 'string') return true;
  for (const element of asArray(input) ?? []) {
    const item = asObject(element);
    if (!item || !isForeignFree(item)) return false;
  }
  return true;
}

function isForeignFree(item: JsonObject): boolean {
  const encrypted = asString(item['encrypted_content']);
  if (encrypted !== undefined && unwrapState(encrypted) !== undefined) return false;
  if (referencedId(item) !== undefined) return false;
  return item['id'] === undefined || item['id'] === null;
}
