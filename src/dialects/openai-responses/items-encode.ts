/** Turns written as the flat list of items of a request to an upstream. */

import type {
  DialectId,
  Message,
  Part,
  ReasoningPart,
  ToolCallPart,
  ToolResultPart,
} from '#canonical';
import { asObject, compact, fieldPath, type JsonObject, type JsonValue } from '#std';
import { encodeInputPart, encodeOutputPart, ownExtensions, type EncodeContext } from './content.ts';

const dialect: DialectId = 'openai-responses';

/** An item with the path of the part it came from, for the report when it must be dropped later. */
type Item = { readonly wire: JsonObject; readonly path: string };

/** `ids` maps tool call ids; see `callIdMapper`. */
export type ItemContext = EncodeContext & { readonly ids: (id: string) => string };

/**
 * All messages but `instructions`. No item ids are sent: with `store: false` the vendor knows none,
 * and encrypted reasoning stands without (protocol rule: ids belong to stored items).
 */
export function encodeItems(
  messages: readonly Message[],
  pathOf: (message: Message) => string,
  context: ItemContext,
): JsonObject[] {
  const items: Item[] = [];
  for (const message of messages) {
    const path = pathOf(message);
    if (message.name !== undefined)
      context.report(fieldPath(path, 'name'), 'messages have no name here', false);
    switch (message.role) {
      case 'assistant':
        items.push(...assistantItems(message, path, context));
        break;
      case 'tool':
        items.push(...toolItems(message, path, context));
        break;
      case 'system':
      case 'developer':
      case 'user':
        items.push(...inputItems(message, path, context));
        break;
    }
  }
  return dropDanglingReasoning(items, context).map((item) => item.wire);
}

/** Longer ids than the vendor takes are numbered; the same id gets the same number throughout. */
export function callIdMapper(
  messages: readonly Message[],
  lengthMax: number,
): (id: string) => string {
  const taken = new Set<string>();
  const long = new Set<string>();
  for (const message of messages) {
    for (const part of message.parts) {
      if (part.kind !== 'tool-call' && part.kind !== 'tool-result') continue;
      if (part.id.length > lengthMax) long.add(part.id);
      else taken.add(part.id);
    }
  }
  const mapped = new Map<string, string>();
  let number = 0;
  for (const id of long) {
    let candidate: string;
    do {
      number += 1;
      candidate = `call_long_${number}`;
    } while (taken.has(candidate));
    mapped.set(id, candidate);
  }
  return (id) => mapped.get(id) ?? id;
}

function inputItems(message: Message, path: string, context: ItemContext): Item[] {
  const items: Item[] = [];
  let content: JsonObject[] = [];
  const role = message.role === 'user' ? 'user' : roleOfSystem(message.role, context);
  const flush = (): void => {
    if (content.length === 0) return;
    items.push({
      path,
      wire: {
        role,
        content: shortContent(content),
        ...ownExtensions(message.extensions, path, context),
      },
    });
    content = [];
  };
  for (const [index, part] of message.parts.entries()) {
    const partPath = fieldPath(fieldPath(path, 'parts'), index);
    if (part.kind === 'native' && part.dialect === dialect && !isContentPart(part.value)) {
      flush();
      items.push({ path: partPath, wire: part.value });
      continue;
    }
    const wire = encodeInputPart(part, partPath, context);
    if (wire) content.push(wire);
  }
  flush();
  return items;
}

function roleOfSystem(role: string, context: ItemContext): string {
  const { systemRole } = context.quirks;
  return systemRole === undefined || systemRole === 'instructions' ? role : systemRole;
}

/** Content parts are `input_…` and `output_…`; everything else native stands as an item of its own. */
function isContentPart(value: JsonObject): boolean {
  const type = String(value['type'] ?? '');
  return type.startsWith('input_') || type === 'computer_screenshot' || type === 'summary_text';
}

/** A lone text without further fields is written as a string, which every vendor takes. */
function shortContent(content: readonly JsonObject[]): JsonValue {
  const [only] = content;
  const text = only?.['text'];
  const bare =
    content.length === 1 && only?.['type'] === 'input_text' && Object.keys(only).length === 2;
  return bare && typeof text === 'string' ? text : content;
}

function assistantItems(message: Message, path: string, context: ItemContext): Item[] {
  const items: Item[] = [];
  let open: { content: JsonObject[]; fields: JsonObject; path: string } | undefined;
  const flush = (): void => {
    if (open)
      items.push({
        path: open.path,
        wire: { type: 'message', role: 'assistant', content: open.content, ...open.fields },
      });
    open = undefined;
  };
  ownExtensions(message.extensions, path, context);
  for (const [index, part] of message.parts.entries()) {
    const partPath = fieldPath(fieldPath(path, 'parts'), index);
    if (part.kind === 'text' || part.kind === 'refusal') {
      if (part.text === '' && message.parts.length > 1) continue;
      const fields = itemFields(part, context);
      if (open && fields) flush();
      open ??= { content: [], fields: fields ?? {}, path: partPath };
      open.content.push(encodeOutputPart(part, partPath, context));
      continue;
    }
    const wire = assistantItem(part, partPath, context);
    if (!wire) continue;
    flush();
    items.push({ path: partPath, wire });
  }
  flush();
  return items;
}

/** Fields of the message item (`phase`) that ride on its first part. */
export function itemFields(part: Part, context: EncodeContext): JsonObject | undefined {
  return context.dialect === dialect ? asObject(part.extensions?.['item']) : undefined;
}

function assistantItem(
  part: Exclude<Part, { kind: 'text' | 'refusal' }>,
  path: string,
  context: ItemContext,
): JsonObject | undefined {
  switch (part.kind) {
    case 'reasoning':
      return encodeReasoning(part, path, context);
    case 'tool-call':
      return encodeCall(part, path, context);
    case 'native':
      if (part.dialect === dialect) return part.value;
      context.report(
        path,
        `a ${String(part.value['type'] ?? 'native')} item of ${part.dialect}`,
        false,
      );
      return undefined;
    case 'media':
      if (
        part.media === 'image' &&
        part.source.kind === 'data' &&
        part.id !== undefined &&
        context.dialect === dialect
      ) {
        return {
          type: 'image_generation_call',
          id: part.id,
          status: 'completed',
          ...part.extensions,
          result: part.source.data,
        };
      }
      if (part.transcript !== undefined)
        return {
          type: 'message',
          role: 'assistant',
          content: [{ type: 'output_text', text: part.transcript }],
        };
      context.report(path, `${part.media} of an earlier answer cannot be sent back here`, true);
      return undefined;
    case 'tool-result':
      context.report(path, 'a tool result within an answer', true);
      return undefined;
  }
}

function encodeReasoning(
  part: ReasoningPart,
  path: string,
  context: ItemContext,
): JsonObject | undefined {
  const { state } = part;
  if (state && state.issuer !== dialect)
    context.report(fieldPath(path, 'state'), `opaque state of ${state.issuer}`, false);
  if (state && state.issuer === dialect) {
    const summary = part.form === 'summary' ? [{ type: 'summary_text', text: part.text }] : [];
    const content =
      part.form === 'full' ? [{ type: 'reasoning_text', text: part.text }] : undefined;
    const extensions = ownExtensions(part.extensions, path, context);
    return compact({
      type: 'reasoning',
      summary,
      content,
      encrypted_content: state.value,
      ...extensions,
    });
  }
  if (context.quirks.reasoningReplay === 'content' && part.form !== 'redacted') {
    const extensions = ownExtensions(part.extensions, path, context);
    return {
      type: 'reasoning',
      summary: [],
      content: [{ type: 'reasoning_text', text: part.text }],
      ...extensions,
    };
  }
  if (part.text !== '')
    context.report(path, 'thinking without encrypted content cannot be sent back', false);
  return undefined;
}

function encodeCall(part: ToolCallPart, path: string, context: ItemContext): JsonObject {
  if (part.state && part.state.issuer !== dialect) {
    context.report(fieldPath(path, 'state'), `opaque state of ${part.state.issuer}`, false);
  }
  const call_id = context.ids(part.id);
  const extensions = ownExtensions(part.extensions, path, context);
  if (part.custom && context.quirks.customTools)
    return { type: 'custom_tool_call', call_id, name: part.name, input: part.input, ...extensions };
  const text = part.custom
    ? JSON.stringify({ input: part.input })
    : part.input === ''
      ? '{}'
      : part.input;
  return { type: 'function_call', call_id, name: part.name, arguments: text, ...extensions };
}

function toolItems(message: Message, path: string, context: ItemContext): Item[] {
  const outputs: Item[] = [];
  const moved: JsonObject[] = [];
  for (const [index, part] of message.parts.entries()) {
    const partPath = fieldPath(fieldPath(path, 'parts'), index);
    if (part.kind === 'tool-result')
      outputs.push({ path: partPath, wire: encodeResult(part, partPath, context, moved) });
    else if (part.kind === 'native' && part.dialect === dialect)
      outputs.push({ path: partPath, wire: part.value });
    else context.report(partPath, `a ${part.kind} among tool results`, true);
  }
  if (moved.length > 0) outputs.push({ path, wire: { role: 'user', content: moved } });
  return outputs;
}

/** Media of a result go into `moved` where the vendor takes only text in an output. */
function encodeResult(
  part: ToolResultPart,
  path: string,
  context: ItemContext,
  moved: JsonObject[],
): JsonObject {
  const list: JsonObject[] = [];
  for (const [index, content] of part.parts.entries()) {
    const wire = encodeInputPart(content, fieldPath(fieldPath(path, 'parts'), index), context);
    if (!wire) continue;
    if (content.kind === 'media' && context.quirks.toolResultMedia === 'user') moved.push(wire);
    else list.push(wire);
  }
  if (part.isError)
    context.report(fieldPath(path, 'isError'), 'tool results have no error mark here', false);
  const output = list.length === 0 ? '' : outputOf(list, context.quirks.toolResultMedia === 'user');
  const type =
    part.custom && context.quirks.customTools ? 'custom_tool_call_output' : 'function_call_output';
  return {
    type,
    call_id: context.ids(part.id),
    output,
    ...ownExtensions(part.extensions, path, context),
  };
}

function outputOf(list: readonly JsonObject[], textOnly: boolean): JsonValue {
  const short = shortContent(list);
  if (typeof short === 'string' || !textOnly) return short;
  return list.map((part) => String(part['text'] ?? '')).join('\n');
}

/** What may follow reasoning: the rest of the same answer. */
function continuesAnswer(item: JsonObject | undefined): boolean {
  if (!item) return false;
  const type = item['type'];
  if (type === undefined || type === 'message') return item['role'] === 'assistant';
  return typeof type === 'string' && !type.endsWith('_output') && type !== 'mcp_approval_response';
}

/**
 * The vendor refuses a reasoning item "without its required following item": one whose answer was
 * cut or dropped goes too. From the end, so that a chain of reasoning items falls as a whole.
 */
function dropDanglingReasoning(items: readonly Item[], context: ItemContext): Item[] {
  const kept: Item[] = [];
  for (const item of items.toReversed()) {
    if (item.wire['type'] === 'reasoning' && !continuesAnswer(kept.at(-1)?.wire)) {
      context.report(item.path, 'thinking without the answer that followed it', false);
    } else kept.push(item);
  }
  return kept.toReversed();
}
