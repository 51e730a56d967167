import {
  writeState,
  type Loss,
  type MediaPart,
  type Message,
  type OpaqueState,
  type Part,
  type ChatRequest,
  type TextPart,
  type ToolCallPart,
  type ToolResultPart,
} from '#canonical';
import {
  asObject,
  compact,
  parseToolObject,
  saidFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { documentText } from '../document-text.ts';
import { endSignatureForm, geminiId, mediaSignatureForm, textSignatureForm } from './fields.ts';
import { mediaWire } from './media.ts';
import type { GeminiQuirks } from './quirks.ts';
import { isMadeToolId } from './tool-ids.ts';

/** What the encoders of one request share. */
export type Encoding = {
  readonly quirks: GeminiQuirks;
  /** Whether the request was said in this dialect, so that `extensions` go back where they stood. */
  readonly own: boolean;
  /** An answer to a client: foreign state is written wrapped, so that the client brings it back. */
  readonly forClient: boolean;
  readonly losses: Loss[];
};

/** The documented value that Gemini 3+ accepts in place of a signature it never issued. */
export const signatureSentinel = 'skip_thought_signature_validator';

/** Grows while messages of its role follow each other. */
type Turn = {
  readonly role: 'user' | 'model';
  readonly parts: JsonObject[];
  extensions: JsonObject;
  from: Message['role'];
};

/** `contents` and `systemInstruction` of the conversation. */
export function encodeContents(
  request: ChatRequest,
  encoding: Encoding,
): { readonly contents: JsonObject[]; readonly systemInstruction?: JsonObject } {
  const system: { readonly parts: JsonObject[]; readonly text: string }[] = [];
  const turns: Turn[] = [];
  const names = callNames(request.messages);
  for (const [index, message] of request.messages.entries()) {
    const path = `messages[${index}]`;
    if (message.role === 'system' || message.role === 'developer') {
      if (turns.length > 0)
        lose(encoding, path, 'an instruction inside the conversation moves to its front', false);
      system.push(systemParts(message, path, encoding));
    } else addTurn(turns, message, encodeMessage(message, path, names, encoding), encoding);
  }
  if (encoding.quirks.signatureSentinel) addSentinels(turns);
  const joined = joinSystem(system);
  const contents = turns.map(({ role, parts, extensions }) => ({ role, parts, ...extensions }));
  // Gemini refuses a request without contents; elsewhere instructions alone are a prompt.
  if (contents.length === 0 && joined) return { contents: [{ role: 'user', parts: joined }] };
  return { contents, ...(joined ? { systemInstruction: { parts: joined } } : {}) };
}

export function lose(
  encoding: Encoding,
  path: string,
  reason: string,
  changesMeaning: boolean,
): void {
  encoding.losses.push({ path, reason, changesMeaning });
}

/** Names of calls by id: dialects other than Gemini do not repeat the name in the result. */
function callNames(messages: readonly Message[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { parts } of messages) {
    for (const part of parts) if (part.kind === 'tool-call') names.set(part.id, part.name);
  }
  return names;
}

function systemParts(
  message: Message,
  path: string,
  encoding: Encoding,
): { readonly parts: JsonObject[]; readonly text: string } {
  const parts: JsonObject[] = [];
  let text = '';
  for (const [index, part] of message.parts.entries()) {
    if (part.kind !== 'text') {
      lose(encoding, `${path}.content[${index}]`, `${part.kind} in an instruction`, true);
      continue;
    }
    text += part.text;
    if (part.text !== '') parts.push({ text: part.text, ...(encoding.own ? part.extensions : {}) });
  }
  return { parts, text };
}

/** There is one system instruction: several messages are joined by a blank line. */
function joinSystem(
  messages: readonly { readonly parts: JsonObject[]; readonly text: string }[],
): JsonObject[] | undefined {
  const present = messages.filter(({ parts }) => parts.length > 0);
  const [only] = present;
  if (!only) return undefined;
  if (present.length === 1) return only.parts;
  return [{ text: present.map(({ text }) => text).join('\n\n') }];
}

/** Consecutive turns of one role are one content; a client of Gemini may hold them apart. */
function addTurn(turns: Turn[], message: Message, parts: JsonObject[], encoding: Encoding): void {
  if (parts.length === 0) return;
  const role = message.role === 'assistant' ? 'model' : 'user';
  const previous = turns.at(-1);
  const extensions = encoding.own ? (message.extensions ?? {}) : {};
  const merges =
    previous?.role === role &&
    (!encoding.own || (previous.from === 'tool' && message.role === 'user'));
  if (!merges) {
    turns.push({ role, parts, extensions, from: message.role });
    return;
  }
  for (const part of parts) previous.parts.push(part);
  previous.extensions = { ...previous.extensions, ...extensions };
  previous.from = message.role;
}

function encodeMessage(
  message: Message,
  path: string,
  names: ReadonlyMap<string, string>,
  encoding: Encoding,
): JsonObject[] {
  if (message.name !== undefined) lose(encoding, `${path}.name`, 'names of participants', false);
  if (!encoding.own)
    for (const key of saidFields(message.extensions))
      lose(encoding, `${path}.${key}`, 'unknown to Gemini', false);
  const wires: JsonObject[] = [];
  for (const [index, part] of (encoding.own
    ? message.parts
    : withBoundState(message.parts)
  ).entries()) {
    const at = `${path}.content[${index}]`;
    if (!encoding.own && part.kind !== 'tool-result') reportExtensions(part, at, encoding);
    wires.push(...encodePart(part, at, names, encoding));
  }
  // An empty turn of the user is a turn still; Gemini refuses an empty text.
  if (
    wires.length === 0 &&
    message.role === 'user' &&
    message.parts.length > 0 &&
    message.parts.every(({ kind }) => kind === 'text')
  )
    wires.push({ text: ' ' });
  return wires;
}

/**
 * State of a text or a picture travels through other dialects in a place for thinking, before or after it: it
 * goes back onto the one that follows, or onto an empty part after the text where it came so.
 */
function withBoundState(parts: readonly Part[]): readonly Part[] {
  const placed: Part[] = [];
  let waiting: OpaqueState | undefined;
  for (const part of parts) {
    if (waiting && takesState(part, waiting)) {
      const isEnd = waiting.form === endSignatureForm;
      placed.push(isEnd ? part : { ...part, state: waiting });
      if (isEnd) placed.push({ kind: 'text', text: '', state: waiting });
      waiting = undefined;
      continue;
    }
    if (waiting) placed.push({ kind: 'text', text: '', state: waiting });
    waiting = part.kind === 'reasoning' && part.text === '' ? boundState(part.state) : undefined;
    if (!waiting) placed.push(part);
  }
  if (waiting) placed.push({ kind: 'text', text: '', state: waiting });
  return placed;
}

const boundForms: readonly string[] = [textSignatureForm, endSignatureForm, mediaSignatureForm];

function boundState(state: OpaqueState | undefined): OpaqueState | undefined {
  return state?.issuer === geminiId && boundForms.includes(state.form) ? state : undefined;
}

function takesState(part: Part, { form }: OpaqueState): boolean {
  if (part.state) return false;
  return form === mediaSignatureForm
    ? part.kind === 'media'
    : part.kind === 'text' && part.text !== '';
}

function reportExtensions(part: Part, path: string, encoding: Encoding): void {
  for (const key of saidFields(part.extensions))
    lose(encoding, `${path}.${key}`, 'unknown to Gemini', false);
}

/** The wire parts of one part; a tool result may be followed by its media. */
export function encodePart(
  part: Part,
  path: string,
  names: ReadonlyMap<string, string>,
  encoding: Encoding,
): JsonObject[] {
  const extensions = encoding.own ? (part.extensions ?? {}) : {};
  switch (part.kind) {
    case 'text': {
      const signature = encodeState(part.state, path, encoding);
      // A text without words only holds sources that came late: they have a place of their own.
      if (part.text === '' && signature === undefined && (!encoding.own || part.citations))
        return [];
      reportCitations(part, `${path}.citations`, encoding);
      return [compact({ text: part.text, thoughtSignature: signature, ...extensions })];
    }
    case 'refusal':
      return part.text === '' ? [] : [{ text: part.text }];
    case 'reasoning':
      return encodeReasoning(part, path, extensions, encoding);
    case 'media':
      return encodeMedia(part, path, extensions, encoding);
    case 'tool-call':
      return [encodeCall(part, path, extensions, encoding)];
    case 'tool-result':
      return encodeResult(part, path, names, encoding);
    case 'native':
      if (part.dialect === geminiId) return [part.value];
      lose(encoding, path, `an item of ${part.dialect}`, false);
      return [];
  }
}

/** A request has no place for sources; an answer none for what a page of the web said. */
function reportCitations(part: TextPart, path: string, encoding: Encoding): void {
  if (encoding.own || !part.citations || part.citations.length === 0) return;
  if (!encoding.forClient) lose(encoding, path, 'citations in the conversation', false);
  else if (
    part.citations.some(({ url, citedText }) => url !== undefined && citedText !== undefined)
  ) {
    lose(encoding, path, 'the cited words of a source', false);
  }
}

function encodeReasoning(
  part: Extract<Part, { kind: 'reasoning' }>,
  path: string,
  extensions: JsonObject,
  encoding: Encoding,
): JsonObject[] {
  const signature = encodeState(part.state, path, encoding);
  const keeps = encoding.own || encoding.forClient || signature !== undefined;
  if (keeps)
    return [
      compact({ text: part.text, thought: true, thoughtSignature: signature, ...extensions }),
    ];
  if (part.state === undefined) lose(encoding, path, 'thinking without state of Gemini', false);
  return [];
}

/** The signature to write, after dropping what another vendor issued. */
export function encodeState(
  state: OpaqueState | undefined,
  path: string,
  encoding: Encoding,
): string | undefined {
  if (!state) return undefined;
  if (state.issuer === geminiId || encoding.forClient) return writeState(state, geminiId);
  lose(encoding, path, `opaque state of ${state.issuer}`, false);
  return undefined;
}

function encodeMedia(
  part: MediaPart,
  path: string,
  extensions: JsonObject,
  encoding: Encoding,
): JsonObject[] {
  if (part.source.kind === 'text' && !encoding.own && !encoding.forClient)
    return [{ text: documentText(part, part.source.text) }];
  const named = encoding.own || encoding.forClient || encoding.quirks.displayNames;
  const wire = mediaWire(part, named);
  if (!wire) {
    lose(encoding, path, 'a file stored at another vendor', true);
    return [];
  }
  if (part.detail !== undefined && part.detail !== 'auto')
    lose(encoding, `${path}.detail`, 'the detail of an image', false);
  if (part.title !== undefined || (part.filename !== undefined && !named))
    lose(encoding, `${path}.filename`, 'the name of a file', false);
  const signature = encodeState(part.state, path, encoding);
  return [compact({ ...withInner(wire, extensions), thoughtSignature: signature })];
}

/** Puts unknown fields back: those of `inlineData`, `fileData`, `functionCall` inside, the others beside. */
function withInner(wire: JsonObject, extensions: JsonObject): JsonObject {
  const result: Record<string, JsonValue | undefined> = { ...wire };
  for (const [key, value] of Object.entries(extensions)) {
    const inner = asObject(wire[key]);
    const added = asObject(value);
    result[key] = inner && added ? { ...inner, ...added } : value;
  }
  return result;
}

function wireId(id: string, encoding: Encoding): string | undefined {
  return encoding.quirks.toolIdsInParts && !isMadeToolId(id) ? id : undefined;
}

function encodeCall(
  part: ToolCallPart,
  path: string,
  extensions: JsonObject,
  encoding: Encoding,
): JsonObject {
  const functionCall = compact({
    id: wireId(part.id, encoding),
    name: part.name,
    args: callArguments(part),
  });
  const thoughtSignature = encodeState(part.state, path, encoding);
  return compact({ ...withInner({ functionCall }, extensions), thoughtSignature });
}

/** Gemini's arguments are an object: free text, and JSON that is none, go as its one member `input`. */
export function callArguments(part: ToolCallPart): JsonObject {
  if (part.input.trim() === '') return {};
  const parsed = part.custom ? undefined : parseToolObject(part.input);
  return parsed ?? { input: part.input };
}

function encodeResult(
  part: ToolResultPart,
  path: string,
  names: ReadonlyMap<string, string>,
  encoding: Encoding,
): JsonObject[] {
  const texts: TextPart[] = [];
  const media: JsonObject[] = [];
  for (const [index, inner] of part.parts.entries()) {
    if (!encoding.own && inner.kind === 'media')
      reportExtensions(inner, `${path}.content[${index}]`, encoding);
    if (inner.kind === 'text') texts.push(inner);
    else if (inner.source.kind === 'text' && !encoding.own)
      texts.push({ kind: 'text', text: documentText(inner, inner.source.text) });
    else
      media.push(
        ...encodeMedia(
          inner,
          `${path}.content[${index}]`,
          encoding.own ? (inner.extensions ?? {}) : {},
          encoding,
        ),
      );
  }
  const extensions = encoding.own ? (part.extensions ?? {}) : {};
  const inside = (encoding.own || encoding.quirks.functionResponseParts) && media.length > 0;
  const functionResponse = compact({
    id: wireId(part.id, encoding),
    name: part.name ?? names.get(part.id) ?? part.id,
    response: resultObject(texts, part.isError === true),
    parts: inside ? media : undefined,
  });
  return [withInner({ functionResponse }, extensions), ...(inside ? [] : media)];
}

function resultObject(texts: readonly TextPart[], isError: boolean): JsonObject {
  const [first] = texts;
  if (texts.length === 1 && first?.extensions?.['json'] === true) {
    const object = parseToolObject(first.text);
    if (object) return object;
  }
  const text = texts.map((part) => part.text).join('\n');
  return isError ? { error: text } : { result: text };
}

/**
 * Gemini 3+ checks the first function call of each step since the last words of the user: where none
 * of the step's calls has a signature, the first gets the sentinel.
 */
function addSentinels(turns: readonly Turn[]): void {
  for (let index = turns.length - 1; index >= 0; index -= 1) {
    const turn = turns[index];
    if (!turn) continue;
    if (turn.role === 'user') {
      if (turn.parts.some((part) => part['functionResponse'] === undefined)) return;
      continue;
    }
    const calls = turn.parts
      .map((part, at) => ({ part, at }))
      .filter(({ part }) => part['functionCall'] !== undefined);
    const [first] = calls;
    if (!first || calls.some(({ part }) => part['thoughtSignature'] !== undefined)) continue;
    turn.parts[first.at] = { ...first.part, thoughtSignature: signatureSentinel };
  }
}
