import type {
  CacheMark,
  Citation,
  MediaPart,
  Part,
  TextPart,
  ToolCallPart,
  ToolResultPart,
} from '#canonical';
import { compact, fieldPath, parseToolObject, saidFields, type JsonObject } from '#std';
import { lose, type Encoding } from './encoding.ts';
import { encodeMedia } from './request-media.ts';

/** The block of a part in a request; `undefined` when there is nothing to send. */
export function encodePart(part: Part, path: string, encoding: Encoding): JsonObject | undefined {
  const block = encodeBare(part, path, encoding);
  if (part.state && part.kind !== 'reasoning')
    lose(
      encoding,
      `${path}.state`,
      `opaque state of ${part.state.issuer} is not understood by Anthropic`,
    );
  return block && finishBlock(block, part, path, encoding);
}

function encodeBare(part: Part, path: string, encoding: Encoding): JsonObject | undefined {
  switch (part.kind) {
    case 'text':
      return encodeText(part, path, encoding);
    case 'refusal':
      if (part.text.trim() === '') return undefined;
      lose(encoding, path, 'the refusal is sent as text');
      return { type: 'text', text: part.text };
    case 'media':
      return encodeMedia(part, path, encoding);
    case 'reasoning':
      return encodeReasoning(part);
    case 'tool-call':
      return {
        type: 'tool_use',
        id: encoding.toolIds.ofCall(part.id),
        name: part.name,
        input: encodeInput(part, path, encoding),
      };
    case 'tool-result':
      return encodeToolResult(part, path, encoding);
    case 'native':
      if (part.dialect === 'anthropic-messages') return part.value;
      lose(encoding, path, `an item of ${part.dialect} has no counterpart at Anthropic`);
      return undefined;
  }
}

/** Cache mark and unknown fields, which override what was written from the neutral part. */
function finishBlock(block: JsonObject, part: Part, path: string, encoding: Encoding): JsonObject {
  const mark = part.cache && encodeCache(part.cache, path, encoding);
  const marked = mark ? { ...block, cache_control: mark } : block;
  if (!part.extensions) return marked;
  if (encoding.own) return { ...marked, ...part.extensions };
  for (const key of saidFields(part.extensions))
    lose(encoding, fieldPath(path, key), 'not known to Anthropic');
  return marked;
}

/** Anthropic knows marks of five minutes and of one hour. */
export function encodeCache(cache: CacheMark, path: string, encoding: Encoding): JsonObject {
  const { ttl } = cache;
  if (ttl === undefined) return { type: 'ephemeral' };
  if (encoding.own || ttl === '5m' || ttl === '1h') return { type: 'ephemeral', ttl };
  lose(
    encoding,
    `${path}.cache`,
    `Anthropic has no cache of ${ttl}; the usual five minutes are used`,
  );
  return { type: 'ephemeral' };
}

/** Empty text is refused by Anthropic and says nothing, so it is left out. */
function encodeText(part: TextPart, path: string, encoding: Encoding): JsonObject | undefined {
  if (part.text === '' || (!encoding.own && part.text.trim() === '')) return undefined;
  const citations = part.citations?.map((citation, index) =>
    encodeCitation(citation, `${path}.citations[${index}]`, encoding),
  );
  const present = citations?.filter((citation) => citation !== undefined);
  return compact({
    type: 'text',
    text: part.text,
    citations: present && present.length > 0 ? present : undefined,
  });
}

function encodeCitation(
  citation: Citation,
  path: string,
  encoding: Encoding,
): JsonObject | undefined {
  if (citation.native?.dialect === 'anthropic-messages') return citation.native.value;
  lose(encoding, path, 'citations of another vendor cannot be sent back to Anthropic');
  return undefined;
}

/** Only called where the state is Anthropic's own or the upstream asks for none. */
function encodeReasoning(part: Extract<Part, { kind: 'reasoning' }>): JsonObject {
  const { state, text } = part;
  if (state?.form === 'redacted_thinking') return { type: 'redacted_thinking', data: state.value };
  return { type: 'thinking', thinking: text, signature: state?.value ?? '' };
}

/** Arguments as an object. Free text and text that is no object travel in one field, `input`. */
function encodeInput(part: ToolCallPart, path: string, encoding: Encoding): JsonObject {
  if (part.custom) return { input: part.input };
  if (part.input.trim() === '') return {};
  const object = parseToolObject(part.input);
  if (object) return object;
  lose(
    encoding,
    `${path}.input`,
    'the arguments are no JSON object; they are sent as text in the field "input"',
  );
  return { input: part.input };
}

function encodeToolResult(part: ToolResultPart, path: string, encoding: Encoding): JsonObject {
  const content: JsonObject[] = [];
  for (const [index, inner] of part.parts.entries()) {
    const block = encodePart(inner, `${path}.parts[${index}]`, encoding);
    if (block) content.push(block);
  }
  return compact({
    type: 'tool_result',
    tool_use_id: encoding.toolIds.ofResult(part.id),
    content: content.length > 0 ? content : undefined,
    is_error: part.isError,
  });
}

/** URLs of media in a message, for upstreams that cannot load them. */
export function mediaUrls(part: Part): readonly string[] {
  const parts: readonly (Part | MediaPart)[] = part.kind === 'tool-result' ? part.parts : [part];
  const urls: string[] = [];
  for (const inner of parts) {
    if (inner.kind !== 'media' || inner.source.kind !== 'url') continue;
    if (inner.media === 'image' || inner.media === 'document') urls.push(inner.source.url);
  }
  return urls;
}
