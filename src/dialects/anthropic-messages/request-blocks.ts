import {
  readState,
  type CacheMark,
  type Citation,
  type MediaPart,
  type MediaSource,
  type MediaType,
  type Part,
  type ReasoningPart,
  type TextPart,
  type ToolCallPart,
  type ToolResultPart,
  type WrappedState,
} from '#canonical';
import {
  asObject,
  asString,
  fieldPath,
  optionalArray,
  optionalBoolean,
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
import { partsMax } from './limits.ts';

const dialect = 'anthropic-messages';

/**
 * Content of a message, as parts. A string is one text block. State that a gateway of ours wrapped
 * for a tool call travels in a `redacted_thinking` block and goes back onto the call it belongs to.
 */
export function decodeContent(value: JsonValue | undefined, path: string): readonly Part[] {
  if (typeof value === 'string') return [{ kind: 'text', text: value }];
  const blocks = requireArray(value, path);
  if (blocks.length > partsMax)
    throw new ReadError(path, `expected at most ${partsMax} blocks, got ${blocks.length}`);
  const parts: Part[] = [];
  const bound = new Map<string, WrappedState>();
  for (const [index, block] of blocks.entries()) {
    const part = decodeBlock(requireObject(block, fieldPath(path, index)), fieldPath(path, index));
    const toolCallId = part.kind === 'reasoning' ? boundCall(part.state) : undefined;
    if (toolCallId !== undefined && part.state) bound.set(toolCallId, part.state);
    else parts.push(part);
  }
  return bound.size === 0 ? parts : parts.map((part) => withBoundState(part, bound));
}

/** The call that state belongs to, when it travelled beside it. */
function boundCall(state: WrappedState | undefined): string | undefined {
  return state?.toolCallId;
}

function withBoundState(part: Part, bound: ReadonlyMap<string, WrappedState>): Part {
  const wrapped = part.kind === 'tool-call' ? bound.get(part.id) : undefined;
  if (!wrapped) return part;
  const { toolCallId: _, ...state } = wrapped;
  return { ...part, state };
}

function decodeBlock(block: JsonObject, path: string): Part {
  const type = requireString(block['type'], fieldPath(path, 'type'));
  switch (type) {
    case 'text':
      return decodeText(block, path);
    case 'image':
    case 'document':
    case 'search_result':
      return decodeMedia(type, block, path);
    case 'thinking':
      return decodeThinking(block, path);
    case 'redacted_thinking':
      return decodeRedacted(block, path);
    case 'tool_use':
      return decodeToolUse(block, path);
    case 'tool_result':
      return decodeToolResult(block, path);
    default:
      return { kind: 'native', dialect, value: block };
  }
}

type Common = { readonly cache?: CacheMark; readonly extensions?: JsonObject };

/** Cache mark and unknown fields. A mark in a form we do not know stays an unknown field. */
export function commonFields(block: JsonObject, path: string, known: ReadonlySet<string>): Common {
  const extensions: Record<string, JsonValue | undefined> = { ...unknownFields(block, known) };
  const mark = optionalObject(block, 'cache_control', path);
  const cache = mark && readMark(mark);
  if (mark === undefined || cache) delete extensions['cache_control'];
  return {
    ...(cache ? { cache } : {}),
    ...(Object.keys(extensions).length > 0 ? { extensions } : {}),
  };
}

function readMark(mark: JsonObject): CacheMark | undefined {
  const { type, ttl, ...rest } = mark;
  if (type !== 'ephemeral' || Object.keys(rest).length > 0) return undefined;
  if (ttl === undefined) return {};
  return typeof ttl === 'string' ? { ttl } : undefined;
}

const textFields = new Set(['type', 'text', 'citations']);

export function decodeText(block: JsonObject, path: string): TextPart {
  const text = requireString(block['text'], fieldPath(path, 'text'));
  const citations = optionalArray(block, 'citations', path)?.map((citation, index) =>
    decodeCitation(requireObject(citation, fieldPath(`${path}.citations`, index))),
  );
  return {
    kind: 'text',
    text,
    ...(citations && citations.length > 0 ? { citations } : {}),
    ...commonFields(block, path, textFields),
  };
}

/** Anthropic's offsets point into the source, not into the answer: they stay in `native`. */
export function decodeCitation(value: JsonObject): Citation {
  return {
    url:
      asString(value['url']) ??
      (value['type'] === 'search_result_location' ? asString(value['source']) : undefined),
    title: asString(value['title']) ?? asString(value['document_title']),
    citedText: asString(value['cited_text']),
    native: { dialect, value },
  };
}

const mediaFields = new Set(['type', 'source', 'title']);

/**
 * Images, documents and search results. What only this dialect can say of a source (a list of
 * content blocks, a search result) stays in `extensions`, which override the fields written from
 * the part, so that other dialects still get the text.
 */
function decodeMedia(
  type: 'image' | 'document' | 'search_result',
  block: JsonObject,
  path: string,
): Part {
  if (type === 'search_result') return decodeSearchResult(block, path);
  const sourcePath = fieldPath(path, 'source');
  const source = requireObject(block['source'], sourcePath);
  const read = decodeSource(source, sourcePath);
  if (!read) return { kind: 'native', dialect, value: block };
  const { extensions: sourceExtensions, mimeType, source: mediaSource } = read;
  const common = commonFields(block, path, mediaFields);
  const extensions = { ...common.extensions, ...sourceExtensions };
  const title = optionalString(block, 'title', path);
  const media: MediaType = type;
  return {
    kind: 'media',
    media,
    source: mediaSource,
    ...(mimeType === undefined ? {} : { mimeType }),
    ...(title === undefined ? {} : { title }),
    ...common,
    ...(Object.keys(extensions).length > 0 ? { extensions } : {}),
  };
}

type ReadSource = {
  readonly source: MediaSource;
  readonly mimeType?: string | undefined;
  readonly extensions?: JsonObject;
};

function decodeSource(source: JsonObject, path: string): ReadSource | undefined {
  switch (requireString(source['type'], fieldPath(path, 'type'))) {
    case 'base64':
      return {
        source: { kind: 'data', data: requireString(source['data'], fieldPath(path, 'data')) },
        mimeType: requireString(source['media_type'], fieldPath(path, 'media_type')),
      };
    case 'text':
      return {
        source: { kind: 'text', text: requireString(source['data'], fieldPath(path, 'data')) },
        mimeType: optionalString(source, 'media_type', path),
      };
    case 'url':
      return { source: { kind: 'url', url: requireString(source['url'], fieldPath(path, 'url')) } };
    case 'file': {
      const fileId = requireString(source['file_id'], fieldPath(path, 'file_id'));
      return { source: { kind: 'file', fileId, dialect } };
    }
    case 'content': {
      const text = plainText(source['content']);
      return text === undefined
        ? undefined
        : { source: { kind: 'text', text }, extensions: { source } };
    }
    default:
      return undefined;
  }
}

/** The text of content that holds nothing else; `undefined` when it holds more. */
function plainText(content: JsonValue | undefined): string | undefined {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return undefined;
  const texts: string[] = [];
  for (const element of content as readonly JsonValue[]) {
    const block = asObject(element);
    const text = block?.['type'] === 'text' ? asString(block['text']) : undefined;
    if (text === undefined) return undefined;
    texts.push(text);
  }
  return texts.join('\n');
}

const searchResultFields = new Set(['title']);

function decodeSearchResult(block: JsonObject, path: string): Part {
  const text = plainText(block['content']);
  if (text === undefined) return { kind: 'native', dialect, value: block };
  const title = optionalString(block, 'title', path);
  return {
    kind: 'media',
    media: 'document',
    source: { kind: 'text', text },
    ...(title === undefined ? {} : { title }),
    ...commonFields(block, path, searchResultFields),
  };
}

const thinkingFields = new Set(['type', 'thinking', 'signature']);

function decodeThinking(block: JsonObject, path: string): ReasoningPart {
  const text = requireString(block['thinking'], fieldPath(path, 'thinking'));
  const signature = optionalString(block, 'signature', path) ?? '';
  return { ...reasoningPart(text, signature), ...commonFields(block, path, thinkingFields) };
}

/** `signature` may be wrapped state of another dialect, whose thinking may be only a summary. */
export function reasoningPart(text: string, signature: string): ReasoningPart {
  if (signature === '') return { kind: 'reasoning', form: 'full', text };
  const state = readState(signature, dialect, 'signature');
  return {
    kind: 'reasoning',
    form: state.issuer === 'openai-responses' ? 'summary' : 'full',
    text,
    state,
  };
}

const redactedFields = new Set(['type', 'data']);

function decodeRedacted(block: JsonObject, path: string): ReasoningPart {
  const data = requireString(block['data'], fieldPath(path, 'data'));
  return {
    kind: 'reasoning',
    form: 'redacted',
    text: '',
    state: readState(data, dialect, 'redacted_thinking'),
    ...commonFields(block, path, redactedFields),
  };
}

const toolUseFields = new Set(['type', 'id', 'name', 'input']);

function decodeToolUse(block: JsonObject, path: string): ToolCallPart {
  return {
    kind: 'tool-call',
    id: requireString(block['id'], fieldPath(path, 'id')),
    name: requireString(block['name'], fieldPath(path, 'name')),
    input: JSON.stringify(requireObject(block['input'], fieldPath(path, 'input'))),
    ...commonFields(block, path, toolUseFields),
  };
}

const toolResultFields = new Set(['type', 'tool_use_id', 'content', 'is_error']);

function decodeToolResult(block: JsonObject, path: string): ToolResultPart {
  const { parts, complete } = decodeResultContent(block['content'], fieldPath(path, 'content'));
  const common = commonFields(block, path, toolResultFields);
  const extensions = complete
    ? common.extensions
    : { ...common.extensions, content: block['content'] };
  const isError = optionalBoolean(block, 'is_error', path);
  return {
    kind: 'tool-result',
    id: requireString(block['tool_use_id'], fieldPath(path, 'tool_use_id')),
    parts,
    ...(isError === undefined ? {} : { isError }),
    ...common,
    ...(extensions ? { extensions } : {}),
  };
}

/** The tool that a search of tools has found: other vendors are told its name. */
function toolReference(block: JsonObject): string | undefined {
  return block['type'] === 'tool_reference' ? asString(block['tool_name']) : undefined;
}

/** `complete` is false when the content holds blocks that no other dialect could understand. */
function decodeResultContent(
  content: JsonValue | undefined,
  path: string,
): { parts: (TextPart | MediaPart)[]; complete: boolean } {
  if (content === undefined || content === null) return { parts: [], complete: true };
  if (typeof content === 'string')
    return { parts: [{ kind: 'text', text: content }], complete: true };
  const parts: (TextPart | MediaPart)[] = [];
  let complete = true;
  for (const [index, element] of requireArray(content, path).entries()) {
    const part = decodeBlock(
      requireObject(element, fieldPath(path, index)),
      fieldPath(path, index),
    );
    if (part.kind === 'text' || part.kind === 'media') parts.push(part);
    else {
      complete = false;
      const found = part.kind === 'native' ? toolReference(part.value) : undefined;
      if (found !== undefined) parts.push({ kind: 'text', text: found });
    }
  }
  return { parts, complete };
}
