import {
  readState,
  type MediaPart,
  type OpaqueState,
  type Part,
  type TextPart,
  type ToolResultPart,
} from '#canonical';
import {
  asBoolean,
  asObject,
  asString,
  compact,
  fieldPath,
  optionalObject,
  optionalString,
  parseJsonObject,
  ReadError,
  requireObject,
  requireString,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import {
  camelised,
  endSignatureForm,
  geminiId,
  kept,
  mediaSignatureForm,
  optionalList,
  signatureForm,
  textSignatureForm,
} from './fields.ts';
import { filePart, inlinePart } from './media.ts';

/** A part of the wire in canonical form. Ids of calls and results are still as sent: the turn gives them. */
export type ReadPart =
  | Exclude<Part, ToolResultPart | { kind: 'tool-call' }>
  | RawToolCall
  | RawToolResult;

export type RawToolCall = {
  readonly kind: 'raw-call';
  readonly id: string | undefined;
  readonly name: string;
  readonly input: string;
  readonly state?: OpaqueState;
  readonly extensions?: JsonObject;
};
export type RawToolResult = {
  readonly kind: 'raw-result';
  readonly id: string | undefined;
  readonly name: string;
  readonly parts: readonly (TextPart | MediaPart)[];
  readonly isError: boolean;
  readonly extensions?: JsonObject;
};

/** State of a part, and the id of the call it is bound to when it was carried beside that call. */
type PartState = { readonly state?: OpaqueState };

const partFields = new Set([
  'text',
  'thought',
  'thoughtSignature',
  'inlineData',
  'fileData',
  'functionCall',
  'functionResponse',
  'executableCode',
  'codeExecutionResult',
  'toolCall',
  'toolResponse',
]);
const nativeFields = ['executableCode', 'codeExecutionResult', 'toolCall', 'toolResponse'] as const;
const blobFields = new Set(['mimeType', 'data', 'displayName']);
const fileFields = new Set(['mimeType', 'fileUri', 'displayName']);
const callFields = new Set(['id', 'name', 'args']);
const responseFields = new Set(['id', 'name', 'response', 'parts']);

/** Reads a part of a request. Throws ReadError with the path of the field. */
export function readPart(value: JsonValue, path: string): ReadPart {
  const original = requireObject(value, path);
  const wire = camelised(original, partFields);
  for (const field of nativeFields) {
    if (wire[field] !== undefined && wire[field] !== null)
      return { kind: 'native', dialect: geminiId, value: original };
  }
  const rest = unknownFields(wire, partFields);
  const state = partState(optionalString(wire, 'thoughtSignature', path));
  const call = optionalObject(wire, 'functionCall', path);
  if (call) return readCall(call, fieldPath(path, 'functionCall'), state, rest);
  const response = optionalObject(wire, 'functionResponse', path);
  if (response) return readResponse(response, fieldPath(path, 'functionResponse'), rest);
  const media = readMedia(wire, path);
  if (media)
    return isDraft(wire)
      ? { kind: 'native', dialect: geminiId, value: original }
      : { ...media, ...mediaState(state), ...kept({ ...media.extensions, ...rest }) };
  const text = optionalString(wire, 'text', path);
  if (text === undefined && state.state === undefined) return unknownPart(original, path);
  return readText(text ?? '', wire['thought'] === true, state, rest);
}

function unknownPart(original: JsonObject, path: string): ReadPart {
  if (Object.keys(original).length === 0)
    throw new ReadError(
      path,
      'a part needs one of text, inlineData, fileData, functionCall or functionResponse',
    );
  return { kind: 'native', dialect: geminiId, value: original };
}

function partState(signature: string | undefined): PartState {
  if (signature === undefined || signature === '') return {};
  return { state: readState(signature, geminiId, signatureForm) };
}

function readText(text: string, thought: boolean, state: PartState, rest: JsonObject): ReadPart {
  if (!thought) return { kind: 'text', text, ...textState(text, state), ...kept(rest) };
  return { kind: 'reasoning', text, form: thoughtForm(text, state), ...state, ...kept(rest) };
}

/** A thought's draft picture is not part of the answer; it stays with what only Gemini can say. */
function isDraft(wire: JsonObject): boolean {
  return asBoolean(wire['thought']) === true;
}

function mediaState({ state }: PartState): PartState {
  if (!state) return {};
  return { state: state.issuer === geminiId ? { ...state, form: mediaSignatureForm } : state };
}

function textState(text: string, { state }: PartState): PartState {
  if (!state) return {};
  return {
    state:
      state.issuer === geminiId
        ? { ...state, form: text === '' ? endSignatureForm : textSignatureForm }
        : state,
  };
}

function thoughtForm(text: string, { state }: PartState): 'summary' | 'redacted' | 'full' {
  if (state === undefined || state.issuer === geminiId) return 'summary';
  if (text === '') return 'redacted';
  return state.issuer === 'anthropic-messages' || state.issuer === 'openai-chat'
    ? 'full'
    : 'summary';
}

function readCall(call: JsonObject, path: string, state: PartState, rest: JsonObject): RawToolCall {
  const args = optionalObject(call, 'args', path) ?? {};
  const unknown = unknownFields(call, callFields);
  return {
    kind: 'raw-call',
    id: optionalString(call, 'id', path) || undefined,
    name: requireString(call['name'], fieldPath(path, 'name')),
    input: JSON.stringify(args),
    ...state,
    ...kept({ ...rest, functionCall: nonEmpty(unknown) }),
  };
}

export function nonEmpty(object: JsonObject): JsonObject | undefined {
  for (const key in object) if (object[key] !== undefined) return object;
  return undefined;
}

function readResponse(response: JsonObject, path: string, rest: JsonObject): RawToolResult {
  const result = readResult(optionalObject(response, 'response', path) ?? {});
  const media: MediaPart[] = [];
  for (const [index, value] of (optionalList(response, 'parts', path) ?? []).entries()) {
    const at = `${path}.parts[${index}]`;
    const wire = camelised(requireObject(value, at), partFields);
    const part = readMedia(wire, at);
    if (!part) throw new ReadError(at, 'expected inlineData or fileData');
    media.push({ ...part, ...kept({ ...part.extensions, ...unknownFields(wire, partFields) }) });
  }
  return {
    kind: 'raw-result',
    id: optionalString(response, 'id', path) || undefined,
    name: requireString(response['name'], fieldPath(path, 'name')),
    parts: [result.part, ...media],
    isError: result.isError,
    ...kept({ ...rest, functionResponse: nonEmpty(unknownFields(response, responseFields)) }),
  };
}

/** `{result: text}` and `{error: text}` are plain texts; any other object is JSON text, marked so. */
function readResult(response: JsonObject): { readonly part: TextPart; readonly isError: boolean } {
  const keys = Object.keys(response);
  const isError = 'error' in response;
  if (keys.length === 1) {
    const text = asString(response['result']) ?? asString(response['error']);
    if (text !== undefined) return { part: { kind: 'text', text }, isError };
  }
  return {
    part: { kind: 'text', text: JSON.stringify(response), extensions: { json: true } },
    isError: isError && keys.length === 1,
  };
}

function readMedia(wire: JsonObject, path: string): MediaPart | undefined {
  const inline = optionalObject(wire, 'inlineData', path);
  if (inline) {
    const at = fieldPath(path, 'inlineData');
    const blob = camelised(inline, blobFields);
    const data = requireString(blob['data'], fieldPath(at, 'data'));
    const part = inlinePart(
      data,
      optionalString(blob, 'mimeType', at),
      optionalString(blob, 'displayName', at),
    );
    return { ...part, ...kept(compact({ inlineData: nonEmpty(unknownFields(blob, blobFields)) })) };
  }
  const file = optionalObject(wire, 'fileData', path);
  if (!file) return undefined;
  const at = fieldPath(path, 'fileData');
  const data = camelised(file, fileFields);
  const uri = requireString(data['fileUri'], fieldPath(at, 'fileUri'));
  const part = filePart(
    uri,
    optionalString(data, 'mimeType', at),
    optionalString(data, 'displayName', at),
  );
  return { ...part, ...kept(compact({ fileData: nonEmpty(unknownFields(data, fileFields)) })) };
}

/**
 * Reads a part of an answer; `undefined` when nothing in it can be understood. Never throws. A call's
 * arguments may come later in pieces, then `args` is missing.
 */
export function readAnswerPart(value: JsonValue): ReadPart | undefined {
  const original = asObject(value);
  if (!original) return undefined;
  const wire = camelised(original, partFields);
  for (const field of nativeFields) {
    if (asObject(wire[field])) return { kind: 'native', dialect: geminiId, value: original };
  }
  const rest = unknownFields(wire, partFields);
  const state = partState(asString(wire['thoughtSignature']));
  const call = asObject(wire['functionCall']);
  if (call) return readAnswerCall(call, state, rest);
  const media = readAnswerMedia(wire);
  if (media)
    return isDraft(wire)
      ? { kind: 'native', dialect: geminiId, value: original }
      : { ...media, ...mediaState(state), ...kept(rest) };
  const text = asString(wire['text']);
  if (text === undefined && state.state === undefined) {
    return Object.keys(original).length === 0
      ? undefined
      : { kind: 'native', dialect: geminiId, value: original };
  }
  return readText(text ?? '', wire['thought'] === true, state, rest);
}

/** An object; servers that translate from chat sometimes leave it as chat's text of one. */
export function answerArguments(args: JsonValue | undefined): JsonObject | undefined {
  return typeof args === 'string' ? parseJsonObject(args) : asObject(args);
}

function readAnswerCall(call: JsonObject, state: PartState, rest: JsonObject): RawToolCall {
  const unknown = unknownFields(call, new Set([...callFields, 'partialArgs', 'willContinue']));
  return {
    kind: 'raw-call',
    id: asString(call['id']) || undefined,
    name: asString(call['name']) ?? '',
    input: JSON.stringify(answerArguments(call['args']) ?? {}),
    ...state,
    ...kept(compact({ ...rest, functionCall: nonEmpty(unknown) })),
  };
}

function readAnswerMedia(wire: JsonObject): MediaPart | undefined {
  const inline = asObject(wire['inlineData']);
  if (inline) {
    const blob = camelised(inline, blobFields);
    return inlinePart(
      asString(blob['data']) ?? '',
      asString(blob['mimeType']),
      asString(blob['displayName']),
    );
  }
  const file = asObject(wire['fileData']);
  if (!file) return undefined;
  const data = camelised(file, fileFields);
  return filePart(
    asString(data['fileUri']) ?? '',
    asString(data['mimeType']),
    asString(data['displayName']),
  );
}
