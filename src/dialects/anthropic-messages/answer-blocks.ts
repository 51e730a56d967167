import {
  wrapState,
  writeState,
  type Citation,
  type OpaqueState,
  type Part,
  type ReasoningPart,
} from '#canonical';
import { compact, parseToolObject, saidFields, type JsonObject } from '#std';

/** Called for what the client cannot be told; `field` is appended to the path of the part. */
export type ReportLoss = (field: string, reason: string) => void;

/**
 * The blocks by which a client of this dialect learns of a part: usually one. State of another
 * vendor that is bound to a part follows wrapped, in a `redacted_thinking` block before it, which
 * the client sends back with the conversation. `own`: the part's extensions are in this dialect.
 */
export function answerBlocks(part: Part, own: boolean, report: ReportLoss): readonly JsonObject[] {
  const block = bareBlock(part, report);
  const state = boundState(part);
  const blocks = block ? [withExtensions(block, part, own, report)] : [];
  return state ? [state, ...blocks] : blocks;
}

export function withExtensions(
  block: JsonObject,
  part: Part,
  own: boolean,
  report: ReportLoss,
): JsonObject {
  if (!part.extensions) return block;
  if (own) return { ...block, ...part.extensions };
  for (const key of saidFields(part.extensions)) report(`.${key}`, 'not known to Anthropic');
  return block;
}

/** State that a thinking block cannot hold because it belongs to a call, a text or a picture. */
export function boundState(
  part: Part,
  state: OpaqueState | undefined = part.state,
): JsonObject | undefined {
  if (!state || part.kind === 'reasoning') return undefined;
  const toolCallId = part.kind === 'tool-call' ? part.id : undefined;
  return { type: 'redacted_thinking', data: wrapState({ ...state, toolCallId }) };
}

function bareBlock(part: Part, report: ReportLoss): JsonObject | undefined {
  switch (part.kind) {
    case 'text':
      if (part.text === '' && !part.citations) return undefined;
      return compact({
        type: 'text',
        text: part.text,
        citations: encodeCitations(part.citations, report),
      });
    case 'refusal':
      return part.text === '' ? undefined : { type: 'text', text: part.text };
    case 'reasoning':
      return reasoningBlock(part);
    case 'tool-call':
      return {
        type: 'tool_use',
        id: part.id,
        name: part.name,
        input: inputObject(part.input, report),
      };
    case 'media':
      return mediaBlock(part, report);
    case 'native':
      if (part.dialect === 'anthropic-messages') return part.value;
      report('', `an item of ${part.dialect} has no counterpart at Anthropic`);
      return undefined;
    case 'tool-result':
      report('', 'a tool result in an answer');
      return undefined;
  }
}

/** Thinking with its signature; `undefined` for a hidden one that left no state. */
export function reasoningBlock(
  part: ReasoningPart,
  state: OpaqueState | undefined = part.state,
): JsonObject | undefined {
  const value = state ? writeState(state, 'anthropic-messages') : '';
  const hidden =
    part.form === 'redacted' ||
    (state?.form === 'redacted_thinking' && state.issuer === 'anthropic-messages');
  if (hidden) return value === '' ? undefined : { type: 'redacted_thinking', data: value };
  return part.text === '' && value === ''
    ? undefined
    : { type: 'thinking', thinking: part.text, signature: value };
}

/** Arguments as an object; text that is none is handed on in a field of its own. */
export function inputObject(input: string, report: ReportLoss): JsonObject {
  if (input.trim() === '') return {};
  const object = parseToolObject(input);
  if (object) return object;
  report('.input', 'the arguments are no JSON object; they are given as text in the field "input"');
  return { input };
}

/** A block that Anthropic's own models do not write, but that its clients know from requests. */
export function mediaBlock(
  part: Extract<Part, { kind: 'media' }>,
  report: ReportLoss,
): JsonObject | undefined {
  const { source, media, mimeType = 'image/png', transcript } = part;
  if (media === 'image' && source.kind === 'data') {
    return { type: 'image', source: { type: 'base64', media_type: mimeType, data: source.data } };
  }
  if (media === 'image' && source.kind === 'url')
    return { type: 'image', source: { type: 'url', url: source.url } };
  report('', `${media} cannot be given in an answer of Anthropic`);
  return transcript ? { type: 'text', text: transcript } : undefined;
}

export function encodeCitations(
  citations: readonly Citation[] | undefined,
  report: ReportLoss,
): readonly JsonObject[] | undefined {
  const encoded: JsonObject[] = [];
  for (const citation of citations ?? []) {
    const { native, url, title, citedText } = citation;
    if (native?.dialect === 'anthropic-messages') encoded.push(native.value);
    else if (url === undefined) report('.citations', 'a citation without an address');
    else {
      encoded.push({
        type: 'web_search_result_location',
        url,
        title: title ?? null,
        cited_text: citedText ?? '',
        encrypted_index: '',
      });
    }
  }
  return encoded.length > 0 ? encoded : undefined;
}
