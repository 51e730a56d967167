import {
  readState,
  writeState,
  type NativePart,
  type OpaqueState,
  type Part,
  type ReasoningPart,
  type TextPart,
  type WrappedState,
} from '#canonical';
import {
  asArray,
  asObject,
  asObjects,
  asString,
  compact,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';

/**
 * Thinking as chat vendors write it: `reasoning_content` (DeepSeek, xAI, Moonshot, Z.ai) or
 * `reasoning` (Groq, Cerebras, Ollama) as text, and `reasoning_details` (OpenRouter's form, which
 * also carries what must go back unchanged).
 */

export type DetailForm = 'reasoning.text' | 'reasoning.summary' | 'reasoning.encrypted';

const detailFields = new Set(['type', 'text', 'summary', 'data', 'signature', 'id']);

/** One entry of `reasoning_details` as a part. Unknown kinds keep all their fields in `extensions`. */
export function decodeDetail(detail: JsonObject): ReasoningPart {
  const type = asString(detail['type']) ?? '';
  const form =
    type === 'reasoning.summary' ? 'summary' : type === 'reasoning.text' ? 'full' : 'redacted';
  const text =
    (form === 'summary' ? asString(detail['summary']) : undefined) ??
    asString(detail['text']) ??
    '';
  const opaque = asString(form === 'redacted' ? detail['data'] : detail['signature']);
  const itemId = asString(detail['id']);
  const rest = unknownFields(
    detail,
    form === 'redacted' && opaque === undefined ? new Set(['text']) : detailFields,
  );
  const state = opaque === undefined || opaque === '' ? undefined : stateOf(opaque, type, itemId);
  const extensions = state || itemId === undefined ? rest : { ...rest, id: itemId };
  return {
    kind: 'reasoning',
    form,
    text,
    ...(state ? { state } : {}),
    ...(Object.keys(extensions).length > 0 ? { extensions } : {}),
  };
}

function stateOf(value: string, form: string, itemId: string | undefined): WrappedState {
  const state = readState(value, 'openai-chat', form);
  return state.itemId === undefined && itemId !== undefined ? { ...state, itemId } : state;
}

/**
 * The part as an entry of `reasoning_details`; state of other issuers is written wrapped. `index` is
 * what readers of streams join pieces by; a request keeps what it was told.
 */
export function encodeDetail(part: ReasoningPart, index?: number): JsonObject {
  const { state, extensions } = part;
  const opaque = state && writeState(state, 'openai-chat');
  const rest = compact({ ...extensions, index: extensions?.['index'] ?? index });
  if (part.form === 'redacted') {
    if (opaque === undefined) return rest;
    return compact({ type: 'reasoning.encrypted', data: opaque, id: state?.itemId, ...rest });
  }
  const type = part.form === 'summary' ? 'reasoning.summary' : 'reasoning.text';
  const text = part.form === 'summary' ? { summary: part.text } : { text: part.text };
  return compact({ type, ...text, signature: opaque, id: state?.itemId, ...rest });
}

/** Whether a part says more than its text: then it must travel as a detail. */
export function needsDetail(part: ReasoningPart): boolean {
  return (
    part.state !== undefined || Object.keys(part.extensions ?? {}).some((key) => key !== 'index')
  );
}

/** The thinking of a message, of whichever spelling; the same text said twice is read once. */
export function decodeReasoningFields(message: JsonObject): ReasoningPart[] {
  const details = asObjects(message['reasoning_details']).map(decodeDetail);
  if (details.some((part) => part.text !== '')) return details;
  const plain = plainThinking(message);
  return plain === '' ? details : [{ kind: 'reasoning', form: 'full', text: plain }, ...details];
}

/** Servers that know both spellings leave the one they do not use empty. */
export function plainThinking(message: JsonObject): string {
  return asString(message['reasoning_content']) || asString(message['reasoning']) || '';
}

/** Mistral's content part `{type: "thinking", thinking: [{type: "text", text}]}`. */
export function decodeThinkingPart(part: JsonObject): ReasoningPart {
  const thinking: JsonValue | undefined = part['thinking'];
  const pieces = asArray(thinking)
    ? asObjects(thinking).map((piece) => asString(piece['text']) ?? '')
    : [asString(thinking) ?? ''];
  return { kind: 'reasoning', form: 'full', text: pieces.join('') };
}

/** State bound to a tool call, in the place of Gemini's own OpenAI-compatible endpoint. */
export function decodeToolState(call: JsonObject): {
  readonly state?: WrappedState;
  readonly extraContent?: JsonObject;
} {
  const extra = asObject(call['extra_content']);
  const google = asObject(extra?.['google']);
  const signature = asString(google?.['thought_signature']);
  if (!extra || !google || signature === undefined || signature === '')
    return extra ? { extraContent: extra } : {};
  const otherGoogle = unknownFields(google, new Set(['thought_signature']));
  const others = unknownFields(extra, new Set(['google']));
  const rest = Object.keys(otherGoogle).length > 0 ? { ...others, google: otherGoogle } : others;
  const state = readState(signature, 'openai-chat', 'thought_signature');
  return Object.keys(rest).length > 0 ? { state, extraContent: rest } : { state };
}

export function encodeToolState(
  state: WrappedState,
  extraContent: JsonObject | undefined,
): JsonObject {
  return {
    ...extraContent,
    google: {
      ...asObject(extraContent?.['google']),
      thought_signature: writeState(state, 'openai-chat'),
    },
  };
}

/**
 * State bound to a text (Gemini signs its last words) has no place of its own in chat: it travels as
 * an encrypted detail, and its form tells its vendor's dialect where it belongs.
 */
export function textStateDetail(part: TextPart, late?: OpaqueState): ReasoningPart | undefined {
  const state = late ?? part.state;
  return state && { kind: 'reasoning', form: 'redacted', text: '', state };
}

export function isReasoning(part: Part): part is ReasoningPart {
  return part.kind === 'reasoning';
}

export function nativePart(value: JsonObject): NativePart {
  return { kind: 'native', dialect: 'openai-chat', value };
}
