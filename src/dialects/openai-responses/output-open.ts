/** What is open while an answer is written: the builder's types, and the forms of items and parts. */

import type { ChatRequest, DialectId, Part, PartFinal, TokenLogprob } from '#canonical';
import type { JsonObject, JsonValue } from '#std';
import type { LossReport } from './content.ts';

/** Hears an event of a stream: its type without `response.`, and its fields. */
export type Emit = (type: string, fields: JsonObject) => void;

export type OutputOptions = {
  readonly responseId: string;
  /** Of the upstream: the parts' extensions are said in it. */
  readonly dialect: DialectId;
  readonly request: ChatRequest;
  readonly report: LossReport;
};

export type OpenContent = {
  readonly index: number;
  readonly kind: 'text' | 'refusal';
  text: string;
  readonly logprobs: TokenLogprob[];
  final: PartFinal | undefined;
  ended: boolean;
  readonly extensions: JsonObject;
};
export type OpenMessage = {
  readonly outputIndex: number;
  readonly id: string;
  readonly fields: JsonObject;
  readonly content: JsonObject[];
  open: OpenContent | undefined;
};
export type OpenReasoning = {
  readonly kind: 'reasoning';
  readonly part: Extract<Part, { kind: 'reasoning' }>;
  readonly summary: boolean;
  item: ItemPlace | undefined;
  text: string;
};
export type OpenCall = {
  readonly kind: 'tool-call';
  readonly part: Extract<Part, { kind: 'tool-call' }>;
  readonly item: ItemPlace;
  readonly callId: string;
  /** `name` and perhaps `namespace`, as the client declared the tool. */
  readonly declared: JsonObject;
  input: string;
};
export type OpenNative = {
  readonly kind: 'native';
  readonly item: ItemPlace;
  readonly value: JsonObject;
};
export type OpenImage = {
  readonly kind: 'media';
  readonly part: Extract<Part, { kind: 'media' }>;
  readonly item: ItemPlace;
  data: string;
};
export type OpenText = {
  readonly kind: 'text' | 'refusal';
  readonly part: Extract<Part, { kind: 'text' | 'refusal' }>;
  content: OpenContent | undefined;
};
export type OpenPart =
  | OpenReasoning
  | OpenCall
  | OpenNative
  | OpenImage
  | OpenText
  | { readonly kind: 'lost' };
export type ItemPlace = { readonly outputIndex: number; readonly id: string };

/** Events between `added` and `done` of built-in calls, in order. */
export const nativeStages: { readonly [type: string]: readonly string[] } = {
  web_search_call: ['in_progress', 'searching', 'completed'],
  file_search_call: ['in_progress', 'searching', 'completed'],
  code_interpreter_call: ['in_progress', 'interpreting', 'completed'],
  mcp_list_tools: ['in_progress', 'completed'],
  mcp_call: ['in_progress', 'completed'],
};

export function callItem(open: OpenCall, status: string): JsonObject {
  const { part, item, callId, declared, input } = open;
  const type = part.custom ? 'custom_tool_call' : 'function_call';
  return {
    id: item.id,
    type,
    status,
    ...(part.custom ? { input } : { arguments: input }),
    call_id: callId,
    ...declared,
  };
}

export function contentPart(
  kind: 'text' | 'refusal',
  text: string,
  annotations: JsonValue[],
  logprobs: JsonValue[],
): JsonObject {
  return kind === 'refusal'
    ? { type: 'refusal', refusal: text }
    : { type: 'output_text', annotations, logprobs, text };
}
