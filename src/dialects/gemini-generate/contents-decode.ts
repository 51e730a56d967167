import type { MediaPart, Message, Part, TextPart, ToolCallPart, ToolResultPart } from '#canonical';
import {
  fieldPath,
  optionalString,
  ReadError,
  requireObject,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { geminiId, kept, optionalList, requireList } from './fields.ts';
import { boundedList, contentsMax, partsMax } from './limits.ts';
import { readPart, type RawToolCall, type RawToolResult, type ReadPart } from './parts-decode.ts';
import { makeToolId } from './tool-ids.ts';

const contentFields = new Set(['role', 'parts']);

/** A call that waits for its result, by the id it has in canonical form. */
type OpenCall = { readonly id: string; readonly name: string };

/** Reads `contents`; consecutive turns of the model become one message, as other dialects need. */
export function readContents(value: JsonValue | undefined, path: string): readonly Message[] {
  const messages: Message[] = [];
  const openCalls: OpenCall[] = [];
  for (const [index, element] of boundedList(
    requireList(value, path),
    contentsMax,
    path,
  ).entries()) {
    const at = `${path}[${index}]`;
    const content = requireObject(element, at);
    const role = optionalString(content, 'role', at) ?? 'user';
    const extensions = unknownFields(content, contentFields);
    const parts = readParts(content, at);
    if (role === 'model' || role === 'assistant')
      addModelTurn(messages, parts, openCalls, extensions, index);
    else if (role === 'user' || role === 'function' || role === 'tool')
      addUserTurn(messages, parts, openCalls, extensions, index);
    else
      throw new ReadError(
        fieldPath(at, 'role'),
        `expected user or model, got ${JSON.stringify(role)}`,
      );
  }
  return messages;
}

/** Reads `systemInstruction`: a content, or (as Google's own clients let one write) plain text. */
export function readSystem(value: JsonValue | undefined, path: string): Message | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return { role: 'system', parts: [{ kind: 'text', text: value }] };
  const parts: Part[] = [];
  for (const part of readParts(requireObject(value, path), path)) {
    if (part.kind === 'raw-call' || part.kind === 'raw-result')
      throw new ReadError(path, 'a system instruction holds no tool calls');
    parts.push(part);
  }
  return { role: 'system', parts };
}

function readParts(content: JsonObject, path: string): ReadPart[] {
  const parts = boundedList(optionalList(content, 'parts', path) ?? [], partsMax, `${path}.parts`);
  return parts.map((part, index) => readPart(part, `${path}.parts[${index}]`));
}

function addModelTurn(
  messages: Message[],
  read: readonly ReadPart[],
  openCalls: OpenCall[],
  extensions: JsonObject,
  turn: number,
): void {
  const previous = messages.at(-1);
  const merged = previous?.role === 'assistant';
  const parts: Part[] = merged ? [...previous.parts] : [];
  let calls = 0;
  for (const [index, part] of read.entries()) {
    if (part.kind === 'raw-call') {
      // Counted among the calls, since clients may leave out thoughts the next time.
      const call = namedCall(part, part.id ?? makeToolId(String(turn), calls));
      calls += 1;
      openCalls.push(call);
      parts.push(call);
    } else if (part.kind === 'raw-result') {
      throw new ReadError(
        `contents[${turn}].parts[${index}]`,
        'a function response belongs to a user turn',
      );
    } else addAnswerPart(parts, part);
  }
  const message: Message = {
    role: 'assistant',
    parts,
    ...kept({ ...(merged ? previous.extensions : undefined), ...extensions }),
  };
  if (merged) messages[messages.length - 1] = message;
  else messages.push(message);
}

export function namedCall(
  { name, input, state, extensions }: RawToolCall,
  id: string,
): ToolCallPart {
  return {
    kind: 'tool-call',
    id,
    name,
    input,
    ...(state ? { state } : {}),
    ...(extensions ? { extensions } : {}),
  };
}

/** Forms of state that never end a visible thought: Anthropic's redacted thinking, chat's encrypted detail. */
const standsAlone = /^redacted|\.encrypted$/;

/**
 * Adds a part of the model's turn. Empty text without state says nothing and is left out. State of
 * another dialect that closes a streamed part came in an empty part of its own: it goes back onto the
 * part it belongs to, with the pieces of that part joined.
 */
function addAnswerPart(parts: Part[], part: Part): void {
  if (part.kind !== 'text' && part.kind !== 'reasoning') {
    parts.push(part);
    return;
  }
  if (part.text !== '' || part.extensions) parts.push(part);
  else if (part.state === undefined) return;
  else if (part.state.issuer === geminiId || standsAlone.test(part.state.form)) parts.push(part);
  else closeStreamedPart(parts, part);
}

function closeStreamedPart(
  parts: Part[],
  tail: Part & { readonly kind: 'text' | 'reasoning' },
): void {
  let text = '';
  let joined = 0;
  for (
    let last = parts.at(-1);
    last?.kind === tail.kind && last.state === undefined;
    last = parts.at(-1)
  ) {
    text = last.text + text;
    joined += 1;
    parts.pop();
  }
  if (tail.kind === 'text') parts.push({ ...tail, text });
  else parts.push({ ...tail, text, form: joined === 0 ? tail.form : 'full' });
}

function addUserTurn(
  messages: Message[],
  read: readonly ReadPart[],
  openCalls: OpenCall[],
  extensions: JsonObject,
  turn: number,
): void {
  const results: ToolResultPart[] = [];
  const rest: Part[] = [];
  for (const [index, part] of read.entries()) {
    if (part.kind === 'raw-result')
      results.push(namedResult(part, takeCall(openCalls, part, turn, index)));
    else if (part.kind === 'raw-call')
      throw new ReadError(
        `contents[${turn}].parts[${index}]`,
        'a function call belongs to a model turn',
      );
    else rest.push(part);
  }
  if (results.length > 0) messages.push({ role: 'tool', parts: results });
  if (rest.length > 0 || results.length === 0)
    messages.push({ role: 'user', parts: rest, ...kept(extensions) });
}

function namedResult(result: RawToolResult, id: string): ToolResultPart {
  const { name, parts, isError, extensions } = result;
  const named: readonly (TextPart | MediaPart)[] = parts;
  return {
    kind: 'tool-result',
    id,
    name,
    parts: named,
    ...(isError ? { isError } : {}),
    ...(extensions ? { extensions } : {}),
  };
}

/** The id of the call that a result answers: by id, else the first open call of that name. */
function takeCall(
  openCalls: OpenCall[],
  result: RawToolResult,
  turn: number,
  index: number,
): string {
  let found = result.id === undefined ? -1 : openCalls.findIndex(({ id }) => id === result.id);
  if (found < 0) found = openCalls.findIndex(({ name }) => name === result.name);
  if (found < 0) return result.id ?? makeToolId(String(turn), index);
  const [call] = openCalls.splice(found, 1);
  return call?.id ?? makeToolId(String(turn), index);
}
